package evaluation

import (
	"github.com/tidegate/tidegate/shared/evaluation/quality"
)

// Past is what later reports keep of a window, or of a stretch of a table: of its champion.
type Past struct {
	Window   string          `json:"window"`
	Report   string          `json:"report,omitempty"` // id
	Revision int             `json:"revision,omitempty"`
	Version  int             `json:"version,omitempty"`
	Rows     uint64          `json:"rows"` // predictions
	Judged   uint64          `json:"judged"`
	Coverage float64         `json:"coverage"`
	Verdict  quality.Verdict `json:"verdict"`
	Low      bool            `json:"estimated_low,omitempty"`
	// Delay is LabelDelay.Measured of a window whose labels are complete by the policy's coverage, else 0.
	Delay int64 `json:"label_delay_s,omitempty"`
	// Points are the gating metrics of a window, and of a stretch of a table all of them.
	Points []Point `json:"points,omitempty"`
}

// Point is a metric of a window for a chart. What is not known is not there.
type Point struct {
	Name      string   `json:"name"`
	Value     *float64 `json:"value,omitempty"`
	Lo        *float64 `json:"lo,omitempty"`
	Hi        *float64 `json:"hi,omitempty"`
	Reference *float64 `json:"reference,omitempty"`
	// The estimate without labels, and its band.
	Estimate   *float64 `json:"estimate,omitempty"`
	EstimateLo *float64 `json:"estimate_lo,omitempty"`
	EstimateHi *float64 `json:"estimate_hi,omitempty"`
}

// Past is what later reports keep of r.
func (r *Report) Past() Past {
	p := Past{Window: r.Window.ID, Report: r.ID, Revision: r.Revision, Version: r.Champion, Verdict: r.Verdict}
	v := r.Version(r.Champion)
	if v == nil {
		return p
	}
	p.Rows, p.Judged, p.Coverage, p.Low = v.Quality.Counts.Predictions, v.Quality.Counts.Judged, v.Quality.Coverage, v.EstimatedLow != ""
	if p.Coverage >= r.Policy.Coverage && !r.Incomplete {
		p.Delay = r.Delay.Measured
	}
	for _, name := range r.Policy.Gates(r.Task) {
		p.Points = append(p.Points, v.Point(name))
	}
	return p
}

// Point is a metric with its estimate and the reference's value.
func (v *VersionReport) Point(name string) Point {
	p := Point{Name: name}
	if m := v.Quality.Metric(name); m != nil && m.Value != nil {
		p.Value = m.Value
		if m.Interval != nil {
			p.Lo, p.Hi = &m.Interval.Lo, &m.Interval.Hi
		}
	}
	if v.Reference != nil {
		of := quality.Quality{Metrics: v.Reference.Metrics}
		if m := of.Metric(name); m != nil {
			p.Reference = m.Value
		}
	}
	if v.Estimate != nil {
		if m := v.Estimate.Metric(name); m != nil && m.Value != nil {
			p.Estimate = m.Value
			if m.Interval != nil {
				p.EstimateLo, p.EstimateHi = &m.Interval.Lo, &m.Interval.Hi
			}
		}
	}
	return p
}

// Points are all metrics of a version, as a chart draws them.
func (v *VersionReport) Points() []Point {
	out := make([]Point, 0, len(v.Quality.Metrics))
	for i := range v.Quality.Metrics {
		out = append(out, v.Point(v.Quality.Metrics[i].Name))
	}
	return out
}
