package quality

import (
	"fmt"
	"math"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/stat"
)

// Estimates are what the quality of a window would be if the labels followed the
// scores as in the reference: confidence-based performance estimation (CBPE). They
// hold only while P(label | score) stays, and gate nothing.
type Estimates struct {
	Rows uint64 `json:"rows"` // predictions with a score, labelled or not
	// Calibrated says whether scores were calibrated: only where that lowers the calibration error out of sample.
	Calibrated bool             `json:"calibrated"`
	RawError   float64          `json:"raw_calibration_error"`        // of the reference, mean of ten folds
	FitError   float64          `json:"calibrated_calibration_error"` // likewise, calibrated on the other nine
	Metrics    []EstimateMetric `json:"metrics,omitempty"`
	Reason     string           `json:"reason,omitempty"` // why there is none
}

// EstimateMetric is one estimated metric. The band Interval is ±1.96·√(SEWindow² +
// SECalibration²): of the labels that are not known, and of the reference.
type EstimateMetric struct {
	Name          string         `json:"name"`
	Value         *float64       `json:"value,omitempty"`
	Interval      *stat.Interval `json:"interval,omitempty"`
	SEWindow      *float64       `json:"se_window,omitempty"`
	SECalibration *float64       `json:"se_calibration,omitempty"`
	// Bounds hold the value of the scores themselves, where bins with several scores leave it open.
	Bounds  *stat.Interval `json:"bounds,omitempty"`
	Average string         `json:"average,omitempty"`
	Reason  string         `json:"reason,omitempty"`
}

// Metric is the estimate of that name; nil if there is none.
func (e *Estimates) Metric(name string) *EstimateMetric {
	for i := range e.Metrics {
		if e.Metrics[i].Name == name {
			return &e.Metrics[i]
		}
	}
	return nil
}

// Estimator estimates windows on one reference. It may be used by many at once.
type Estimator struct {
	layout      *Layout
	calibrators []*calibrator
	reason      string // why it estimates nothing
}

// NewEstimator fits the reference of a version; one that is too small, or whose
// scores are no probabilities, gives an Estimator that says so of every window.
func NewEstimator(r *Reference) (*Estimator, error) {
	e := &Estimator{layout: r.Layout}
	s, err := newSample([]Stratum{{State: r.state, Sampled: 1}})
	if err != nil {
		return nil, err
	}
	switch {
	case r.Layout.Task == Regression:
		e.reason = "there is no estimate without labels for a regression"
	case r.state.Counts.OutOfRange > 0:
		e.reason = "of the reference, " + notProbabilities
	}
	for k := range r.Layout.Bins {
		if e.reason != "" {
			return e, nil
		}
		h := s.histogramOf(k)
		if h.rowsN < leastReference {
			e.reason = fmt.Sprintf("the reference has %d rows with a score and a label, and an estimate needs %d", h.rowsN, leastReference)
			return e, nil
		}
		if least := min(h.rowsPos, h.rowsN-h.rowsPos); least < leastReferenceClass {
			e.reason = fmt.Sprintf("the reference has %d rows of one class, and an estimate needs %d", least, leastReferenceClass)
			return e, nil
		}
		e.calibrators = append(e.calibrators, newCalibrator(s, k))
	}
	return e, nil
}

// Estimate estimates the metrics of all rows of strata that have a score. States of
// another layout than the reference's are FailedPrecondition.
func (e *Estimator) Estimate(strata ...Stratum) (*Estimates, error) {
	s, err := newSample(strata)
	if err != nil {
		return nil, err
	}
	if !s.layout.Equal(e.layout) {
		return nil, fault.New(fault.FailedPrecondition, "the counts are on other score bins than the reference's; count the rows again on them")
	}
	out := &Estimates{Reason: e.reason}
	if out.Reason == "" && s.counts.OutOfRange > 0 {
		out.Reason = notProbabilities
	}
	if s.layout.Task == Regression {
		return out, nil
	}
	windows := make([]*window, len(s.layout.Bins))
	for k := range windows {
		windows[k] = s.windowOf(k)
		out.Rows = windows[k].rows
	}
	if out.Reason == "" && out.Rows == 0 {
		out.Reason = "there is no prediction with a score"
	}
	if out.Reason != "" {
		return out, nil
	}
	for _, c := range e.calibrators {
		k := float64(len(e.calibrators))
		out.Calibrated = out.Calibrated || c.kept
		out.RawError, out.FitError = out.RawError+c.rawError/k, out.FitError+c.fitError/k
	}
	if s.layout.Task == Binary {
		out.Metrics = windows[0].estimates(e.calibrators[0], s.counts.NoClass > 0)
		return out, nil
	}
	out.Metrics = []EstimateMetric{e.areas(windows)}
	return out, nil
}

// areas is the mean area of the classes against the rest; its errors are at most the mean of theirs.
func (e *Estimator) areas(windows []*window) EstimateMetric {
	var value, window, calibration, lo, hi float64
	k := float64(len(windows))
	for i, w := range windows {
		one := w.estimate(ROCAUC, e.calibrators[i], w.refitted(e.calibrators[i]))
		if one.Value == nil {
			return EstimateMetric{Name: ROCAUC, Average: "macro", Reason: one.Reason}
		}
		value, window, calibration = value+*one.Value/k, window+*one.SEWindow/k, calibration+*one.SECalibration/k
		lo, hi = lo+one.Bounds.Lo/k, hi+one.Bounds.Hi/k
	}
	m := EstimateMetric{Name: ROCAUC, Average: "macro", Value: &value, Bounds: &stat.Interval{Lo: lo, Hi: hi}}
	m.band(window, calibration)
	return m
}

func (m *EstimateMetric) band(window, calibration float64) {
	m.SEWindow, m.SECalibration = known(window), known(calibration)
	half := z95 * math.Hypot(window, calibration)
	m.Interval = &stat.Interval{Lo: max(0, *m.Value-half), Hi: min(1, *m.Value+half)}
}

// Low says, in a sentence, which estimated gates are below the reference by more
// than their tolerance even at the upper end of the band; "" if none is. It is no
// verdict: an estimate does not see a change of the labels themselves.
func (e *Estimates) Low(p *Policy, ref *Reference) string {
	var low []string
	for _, name := range p.Gates(ref.Layout.Task) {
		m, was := e.Metric(name), ref.Metric(name)
		if m == nil || m.Interval == nil || was == nil || was.Value == nil {
			continue
		}
		if m.Interval.Hi < *was.Value-p.Tolerance(name) { // every estimated metric is better when larger
			low = append(low, fmt.Sprintf("%s %.3g [%.3g, %.3g] instead of %.3g", name, *m.Value, m.Interval.Lo, m.Interval.Hi, *was.Value))
		}
	}
	if len(low) == 0 {
		return ""
	}
	return "Estimated quality is low: " + strings.Join(low, "; ") + "."
}

// Realised compares an estimate with what the labels said later.
type Realised struct {
	Name       string  `json:"name"`
	Estimate   float64 `json:"estimate"`
	Realised   float64 `json:"realised"`
	Difference float64 `json:"difference"` // realised less estimate
	Inside     bool    `json:"inside"`     // the band of the estimate
}

// Realised compares the estimates with the measured quality of the same window, for
// the metrics that both have.
func (e *Estimates) Realised(q *Quality) []Realised {
	var out []Realised
	for i := range e.Metrics {
		m := &e.Metrics[i]
		real := q.Metric(m.Name)
		if m.Value == nil || m.Interval == nil || real == nil || real.Value == nil {
			continue
		}
		v := *real.Value
		out = append(out, Realised{Name: m.Name, Estimate: *m.Value, Realised: v, Difference: v - *m.Value, Inside: m.Interval.Lo <= v && v <= m.Interval.Hi})
	}
	return out
}
