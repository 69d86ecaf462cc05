package page

import (
	"fmt"
	"strings"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/stat"
	"github.com/tidegate/tidegate/shared/webpage"
)

// version is how good one version was, in words.
type version struct {
	glance
	Folded      bool // behind its heading
	Summary     string
	Facts       []fact
	Coverage    *coverage
	Metrics     []metricRow
	Unmeasured  string // why no metric has a value
	Drawn       bool   // some metric has a reference
	Plain       bool   // none has: those that can be are drawn from 0 to 1
	Reference   string
	Gates       []gateRow
	Estimate    *estimate
	Calibration *calibration
	Confusion   *confusion
	Thresholds  []threshold
	Segments    []segments
	Slots       []slotRow
}

type slotRow struct{ Slot, Requests, Errors, Latency, Rows, Coverage, Primary string }

func versionOf(r *evaluation.Report, x *evaluation.VersionReport) version {
	v := version{glance: glance{label: labelOf(x.Verdict), Name: nameOf(x), Role: roleOf(x), Value: "–", Coverage: "–"}, Summary: because(x.Summary)}
	m := &measured{policy: &r.Policy, gates: x.Gates}
	v.Reference = sentence(x.NoReference)
	if ref := x.Reference; ref != nil {
		m.reference = ref.Metrics
		v.Reference = webpage.Whole(ref.Rows) + " rows"
		if !ref.TrainingEnd.IsZero() {
			v.Reference += ", trained until " + ref.TrainingEnd.UTC().Format(minute) + " UTC"
		}
	}
	for i := range x.Gates {
		v.Gates = append(v.Gates, gateOf(&x.Gates[i]))
	}
	for i := 0; i < len(x.Slots) && x.Name == ""; i++ { // files have none
		v.Slots = append(v.Slots, slotOf(&x.Slots[i]))
	}
	if q := x.Quality; q != nil {
		v.quality(r, x, m)
	}
	return v
}

// quality fills in what was measured.
func (v *version) quality(r *evaluation.Report, x *evaluation.VersionReport, m *measured) {
	q := x.Quality
	a := m.axis(q, x.Estimate)
	for i := range q.Metrics {
		row := m.row(&q.Metrics[i], a)
		v.Drawn = v.Drawn || row.Draw != nil && len(m.reference) > 0
		v.Plain = v.Plain || row.Draw != nil && len(m.reference) == 0
		v.Metrics = append(v.Metrics, row)
	}
	v.unmeasured(q)
	v.Facts, v.Coverage = countsOf(r, q), coverageOf(&q.Counts)
	if v.Reference != "" {
		v.Facts = append(v.Facts, fact{"Reference", v.Reference})
	}
	v.Estimate = estimateOf(x.Estimate, x.Realised, x.EstimatedLow, m, a)
	v.Calibration, v.Confusion, v.Thresholds = calibrationOf(q.Calibration), confusionOf(q.Confusion), thresholdsOf(q.Thresholds)
	v.Segments = segmentsOf(x, m)
	if q.Counts.Mature > 0 {
		v.glance.Coverage = webpage.Percent(q.Coverage)
		v.glance.Due = "of " + webpage.Whole(q.Counts.Mature) + " due"
	}
	v.shown(quality.Primary(q.Task), q, x, m)
}

// unmeasured says once why no metric has a value, in the place of a table without one.
func (v *version) unmeasured(q *quality.Quality) {
	for i := range q.Metrics {
		if q.Metrics[i].Value != nil {
			return
		}
	}
	v.Gates = nil // the summary has their reason
	v.Unmeasured = "No prediction is judged yet, so there is no metric."
	if q.Counts.Judged > 0 && len(q.Metrics) > 0 {
		v.Unmeasured = "No metric can be computed: " + q.Metrics[0].Reason + "."
	}
}

// shown is the value that stands for the version in the overview: its primary
// metric, else the first gate's, and without labels the estimate of it.
func (v *version) shown(name string, q *quality.Quality, x *evaluation.VersionReport, m *measured) {
	if len(x.Gates) > 0 {
		name = x.Gates[0].Name
	}
	for i := range q.Metrics {
		if q.Metrics[i].Name == name && q.Metrics[i].Value != nil {
			row, x := &v.Metrics[i], &q.Metrics[i]
			v.Value, v.Interval = row.Name+" "+row.Value, row.Interval
			v.away(m.tolerances(name), *x.Value, x.Interval)
			return
		}
	}
	if v.Estimate == nil {
		return
	}
	for i := range v.Estimate.Rows {
		if row, e := &v.Estimate.Rows[i], &x.Estimate.Metrics[i]; e.Name == name && e.Value != nil {
			v.Value, v.Interval, v.Estimated = row.Name+" "+row.Value, row.Band, true
			v.away(m.tolerances(name), *e.Value, e.Interval)
		}
	}
}

// away notes how far the value is from the reference.
func (g *glance) away(to func(float64) float64, value float64, iv *stat.Interval) {
	if to != nil {
		g.known = true
		g.distance, g.span = inTolerances(to, value, iv)
	}
}

// roleOf is where the version answered; files have no slots.
func roleOf(x *evaluation.VersionReport) string {
	if x.Name != "" {
		return ""
	}
	var slots []string
	for i := range x.Slots {
		slots = append(slots, string(x.Slots[i].Slot))
	}
	text := strings.Join(slots, ", ")
	if x.Role == capture.Paired {
		return strings.TrimPrefix(text+", not served", ", ")
	}
	return text
}

func slotOf(s *evaluation.Slot) slotRow {
	row := slotRow{Slot: string(s.Slot), Requests: webpage.Whole(s.Requests), Errors: webpage.OfRows(s.Errors, s.Requests), Latency: "–",
		Rows: webpage.Whole(s.Counts.Predictions), Coverage: "–", Primary: "–"}
	if s.P95 > 0 {
		row.Latency = milliseconds(s.P50) + " and " + milliseconds(s.P95)
	}
	if s.Counts.Mature > 0 {
		row.Coverage = webpage.Percent(s.Coverage)
	}
	if m := s.Primary; m != nil && m.Value != nil {
		row.Primary = metricName(m.Name) + " " + webpage.Measure(*m.Value)
		if m.Interval != nil {
			row.Primary += " (" + spanOf(m.Interval) + ")"
		}
	}
	return row
}

func milliseconds(micros int64) string {
	return fmt.Sprintf("%.1f ms", float64(micros)/1000)
}
