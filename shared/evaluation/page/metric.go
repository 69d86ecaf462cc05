package page

import (
	"cmp"
	"fmt"
	"math"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/stat"
	"github.com/tidegate/tidegate/shared/webpage"
)

// metricNames are the metrics in words.
var metricNames = map[string]string{
	quality.ROCAUC: "ROC AUC", quality.AveragePrecision: "Average precision", quality.LogLoss: "Log loss", quality.BrierScore: "Brier score",
	quality.Accuracy: "Accuracy", quality.BalancedAccuracy: "Balanced accuracy", quality.F1: "F1", quality.Precision: "Precision", quality.Recall: "Recall",
	quality.MCC: "Matthews correlation", quality.CalibrationError: "Calibration error",
	quality.MAE: "Mean absolute error", quality.RMSE: "Root mean squared error", quality.R2: "R²", quality.MAPE: "Mean absolute percentage error",
	"mse": "Mean squared error", "error_ratio": "Failed requests", "latency": "Slow requests",
}

func metricName(name string) string { return cmp.Or(metricNames[name], name) }

// metricRow is a metric of a version in words, and as a distance from the reference.
type metricRow struct {
	label
	Gates                                  bool
	Name, Value, Interval, Reference, Rows string
	Note                                   string
	Draw                                   *reach
}

// Distances from the reference are drawn in tolerances, worse to the left, so that
// all metrics share one axis: the reference at 0, the tolerance at −1.
const (
	leastTolerances = 2.0 // drawn to each side
	mostTolerances  = 10.0
)

// measured is what the metrics of a version are read with.
type measured struct {
	policy    *quality.Policy
	reference []quality.Metric
	gates     []quality.Gate
}

func (m *measured) was(name string) *quality.Metric {
	for i := range m.reference {
		if m.reference[i].Name == name {
			return &m.reference[i]
		}
	}
	return nil
}

func (m *measured) gate(name string) *quality.Gate {
	for i := range m.gates {
		if m.gates[i].Name == name {
			return &m.gates[i]
		}
	}
	return nil
}

// tolerances turns values of a metric into distances from its reference in
// tolerances, more is better; nil where there is no reference or nothing is tolerated.
func (m *measured) tolerances(name string) func(x float64) float64 {
	was := m.was(name)
	if was == nil || was.Value == nil || name == quality.CalibrationError {
		return nil
	}
	unit := m.policy.Tolerance(name)
	if quality.LowerIsBetter(name) {
		unit *= -math.Abs(*was.Value)
	}
	if unit == 0 {
		return nil
	}
	return func(x float64) float64 { return (x - *was.Value) / unit }
}

// inTolerances is a value and its interval as distances, the worse end first.
func inTolerances(to func(x float64) float64, value float64, iv *stat.Interval) (float64, *stat.Interval) {
	if iv == nil {
		return to(value), nil
	}
	a, b := to(iv.Lo), to(iv.Hi)
	return to(value), &stat.Interval{Lo: math.Min(a, b), Hi: math.Max(a, b)}
}

// axis holds the intervals of all metrics, estimates included.
func (m *measured) axis(q *quality.Quality, e *quality.Estimates) axis {
	var ends []float64
	add := func(name string, value *float64, iv *stat.Interval) {
		if to := m.tolerances(name); to != nil && value != nil {
			d, span := inTolerances(to, *value, iv)
			ends = append(ends, d)
			if span != nil {
				ends = append(ends, span.Lo, span.Hi)
			}
		}
	}
	for i := range q.Metrics {
		add(q.Metrics[i].Name, q.Metrics[i].Value, q.Metrics[i].Interval)
	}
	if e != nil {
		for i := range e.Metrics {
			add(e.Metrics[i].Name, e.Metrics[i].Value, e.Metrics[i].Interval)
		}
	}
	return around(leastTolerances, mostTolerances, ends...)
}

func (m *measured) row(x *quality.Metric, a axis) metricRow {
	row := metricRow{label: offLabel, Name: metricName(x.Name), Value: "–", Interval: "–", Reference: "–", Rows: webpage.Whole(x.N), Note: noteOf(x)}
	if g := m.gate(x.Name); g != nil {
		row.label, row.Gates = gateLabel(g.Answer), true
	}
	was := m.was(x.Name)
	if was != nil && was.Value != nil {
		row.Reference = webpage.Measure(*was.Value)
	}
	if x.Value == nil {
		return row
	}
	row.Value, row.Interval = webpage.Measure(*x.Value), spanOf(x.Interval)
	to := m.tolerances(x.Name)
	switch {
	case to == nil && len(m.reference) == 0 && shares[x.Name]:
		r := axis{0, 1}.draw(*x.Value, x.Interval)
		r.Label = fmt.Sprintf("%s: %s, 95 %% interval %s, on a scale from 0 to 1", row.Name, row.Value, row.Interval)
		row.Draw = &r
	case to != nil:
		d, span := inTolerances(to, *x.Value, x.Interval)
		r := a.draw(d, span)
		r.Mark = a.on(0)
		r.limit(a, -1)
		r.Label = fmt.Sprintf("%s: %s, 95 %% interval %s, reference %s: %s", row.Name, row.Value, row.Interval, row.Reference, distance(d))
		row.Draw = &r
	}
	return row
}

// shares are the metrics that lie between 0 and 1: they are drawn there where there is no reference.
var shares = map[string]bool{quality.ROCAUC: true, quality.AveragePrecision: true, quality.BrierScore: true, quality.Accuracy: true, quality.BalancedAccuracy: true,
	quality.F1: true, quality.Precision: true, quality.Recall: true}

// distance is a signed number of tolerances in words.
func distance(d float64) string {
	switch {
	case math.Abs(d) < 0.05:
		return "as the reference"
	case d < 0:
		return fmt.Sprintf("worse by %.1f tolerances", -d)
	}
	return fmt.Sprintf("better by %.1f tolerances", d)
}

func spanOf(iv *stat.Interval) string {
	if iv == nil {
		return "–"
	}
	return webpage.Measure(iv.Lo) + " to " + webpage.Measure(iv.Hi)
}

// noteOf says what the number alone does not.
func noteOf(x *quality.Metric) string {
	var out string
	say := func(s string) {
		if out != "" {
			out += "; "
		}
		out += s
	}
	if x.Average == "macro" {
		say("mean over the classes")
	}
	if x.Expected != nil {
		say(webpage.Measure(*x.Expected) + " is expected of a calibrated model; no interval")
	}
	if x.Bounds != nil && x.Bounds.Hi-x.Bounds.Lo > 0.0005 {
		say("of the scores before binning " + spanOf(x.Bounds))
	}
	if x.Reason != "" && x.Expected == nil {
		say(x.Reason)
	}
	return out
}

// gateRow is a gate in words.
type gateRow struct {
	label
	Name, Difference, Interval, Tolerance, Rows, Reason string
}

func gateLabel(a gate.Answer) label {
	switch a {
	case gate.Yes:
		return labelOf(quality.Degraded)
	case gate.No:
		return labelOf(quality.Fine)
	}
	return undecided
}

func gateOf(g *quality.Gate) gateRow {
	row := gateRow{label: gateLabel(g.Answer), Name: metricName(g.Name), Difference: "–", Interval: "–", Tolerance: "–", Rows: webpage.Whole(uint64(max(0, g.N))), Reason: sentence(g.Reason)}
	if g.Bound != 0 { // else nothing could be compared
		row.Difference, row.Interval, row.Tolerance = webpage.Signed(g.Value), webpage.Signed(g.Lo)+" to "+webpage.Signed(g.Hi), webpage.Signed(g.Bound)
	}
	return row
}
