package page

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/stat"
)

// TestSays: what a reader must find on the pages, in this order.
func TestSays(t *testing.T) {
	for _, c := range []struct {
		report func(testing.TB) *evaluation.Report
		says   []string
		never  []string
	}{
		{full, []string{"▲", "Degraded", "ROC AUC 0.7619 instead of 0.813", "At a glance", "Before you rely on it", "97.7 % have a label", "2 rows have labels that differ", "Replaces an earlier report",
			`id="version-1"`, "Old enough for a label", "Base rate", "Average precision", "Matthews correlation", "is expected of a calibrated model", "Gates: degraded where",
			"Estimate without labels", "Gates nothing", "Realised", "Calibration", "share of positive labels", "Confusion matrix", "Thresholds", "By <code>carrier</code>", "(missing)", "&lt;script&gt;", "all 6 other values", "Undecided", "By slot",
			`id="comparison"`, "Promote", "bound that holds at every look", "margin of harm", "Same answer", "Guardrails", "Failed requests", "Slow requests", "No harm shown", "Not looked at", "McNemar", "Gates behind the decision", "for reading only",
			`id="version-2"`, "Version 7", "not served", "Last windows", "framed: this report", "Left out", "12 labels", "label without prediction", "Policy", "revision 2"}, nil},
		{unlabelled, []string{"Not enough data", "≈ 0.", "estimated", "are younger than the label delay of 1 day", "No prediction is judged yet", "Gates nothing", "No label yet", "No challenger had predictions"},
			[]string{"Realised</th>", "Confusion matrix", "Calibration<", "Gates: degraded", "have a label, and"}},
		{regression, []string{"Degraded", "Mean absolute error", "Root mean squared error", "R²", "There is no estimate without labels for a regression", "Not better", "Mean squared error"},
			[]string{"Calibration", "Confusion", "Thresholds", "Base rate", "McNemar", "ROC AUC"}},
		{multiclass, []string{"Fine", "multiclass, 4 classes", "of class on time", "mean over the classes", "Confusion matrix", "predicted very late", "No challenger had predictions"}, []string{"Thresholds", "Calibration error", "Base rate</th>"}},
		{table, []string{"Batch flights.csv", "today.csv", "tomorrow &lt;b&gt;.csv", "Not decided", "there is no reference to compare with", "Over time", "By stretch of time"}, []string{"not served"}},
		{empty, []string{"Not enough data", "There are no predictions", "No version has predictions", "No challenger had predictions", "no predictions", "Nothing: all predictions"}, []string{"At a glance", "Before you rely on it"}},
	} {
		html := string(render(t, c.report(t)))
		body := html[strings.Index(html, "<body>"):]
		at := 0
		for _, want := range c.says {
			i := strings.Index(body[at:], want)
			if i < 0 {
				t.Errorf("%s: nothing says %q after %q", c.report(t).Summary, want, body[max(0, at-30):at])
				continue
			}
			at += i
		}
		for _, bad := range c.never {
			if strings.Contains(body, bad) {
				t.Errorf("%s: the page says %q", c.report(t).Summary, bad)
			}
		}
	}
}

// TestColourIsNeverAlone: what has the colour of a verdict has a sign and a word.
func TestColourIsNeverAlone(t *testing.T) {
	v := viewOf(full(t))
	labels := []label{v.Verdict}
	for _, g := range v.Glance {
		labels = append(labels, g.label)
	}
	for _, x := range v.Versions {
		for _, s := range x.Segments[0].Rows {
			labels = append(labels, s.label)
		}
	}
	for _, h := range v.History {
		labels = append(labels, h.label)
	}
	for a := range actions {
		labels = append(labels, actions[a])
	}
	for _, l := range labels {
		if l.Class == "" || l.Sign == "" || l.Word == "" {
			t.Errorf("%+v", l)
		}
	}
	for _, a := range []comparison.Action{comparison.Start, comparison.NoStart, comparison.Advance, comparison.Promote, comparison.Abort, comparison.Futility, comparison.Wait, comparison.Pause} {
		if actions[a].Word == "" {
			t.Errorf("the action %s has no word", a)
		}
	}
	for _, task := range []quality.Task{quality.Binary, quality.Multiclass, quality.Regression} {
		for _, name := range quality.MetricNames(task) {
			if metricNames[name] == "" {
				t.Errorf("the metric %s has no name", name)
			}
		}
	}
}

func TestDistances(t *testing.T) {
	p := quality.DefaultPolicy()
	m := &measured{policy: &p, reference: []quality.Metric{{Name: quality.ROCAUC, Value: ptr(0.8)}, {Name: quality.MAE, Value: ptr(10)}, {Name: quality.LogLoss, Value: ptr(0)}, {Name: quality.F1}}}
	for _, c := range []struct {
		metric string
		value  float64
		want   string
	}{
		{quality.ROCAUC, 0.78, "worse by 1.0 tolerances"}, {quality.ROCAUC, 0.85, "better by 2.5 tolerances"}, {quality.ROCAUC, 0.8, "as the reference"},
		{quality.MAE, 12, "worse by 2.0 tolerances"}, {quality.MAE, 9.5, "better by 0.5 tolerances"},
	} {
		if got := distance(m.tolerances(c.metric)(c.value)); got != c.want {
			t.Errorf("%s of %g is %s, want %s", c.metric, c.value, got, c.want)
		}
	}
	for _, name := range []string{quality.LogLoss, quality.F1, quality.Recall, quality.CalibrationError} { // nothing is tolerated, no value, no reference, never gates
		if m.tolerances(name) != nil {
			t.Errorf("%s has a distance", name)
		}
	}
	if _, iv := inTolerances(m.tolerances(quality.MAE), 10, &stat.Interval{Lo: 9, Hi: 12}); iv.Lo != -2 || iv.Hi != 1 {
		t.Errorf("of a loss more is worse: %+v", iv)
	}
}

func TestDrawing(t *testing.T) {
	a := axis{-2, 2}
	r := a.draw(-3, &stat.Interval{Lo: -4, Hi: 1})
	if r.Dot != "" || r.From != "0" || r.To != "75" || !r.Below || r.Above {
		t.Errorf("beyond the drawing %+v", r)
	}
	r = a.draw(1, nil)
	r.limit(a, -1)
	if r.Dot != "75" || r.From != "" || r.Limit != "25" || r.Worse != "25" || r.Below || r.Above {
		t.Errorf("without an interval %+v", r)
	}
	if a := around(2, 10, -3, 50); a != (axis{-10, 10}) {
		t.Errorf("at most %+v", a)
	}
	if a := around(2, 10); a != (axis{-2, 2}) {
		t.Errorf("at least %+v", a)
	}
	for _, xs := range [][]float64{nil, {0.5}, {0}, {1, 2}} {
		if a := holding(xs...); !(a.from < a.to) || math.IsInf(a.to, 0) {
			t.Errorf("the axis of %v is %+v", xs, a)
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{span(86400), "1 day"}, {span(5400), "90 minutes"}, {span(36000), "10 hours"}, {span(36001), "10 hours"}, {span(59), "59 seconds"}, {span(30 * 86400), "30 days"}, {span(0), "0 seconds"},
		{sentence("why not?"), "Why not?"}, {sentence(""), ""}, {sentence("one class"), "One class."},
		{because("Degraded: roc_auc 0.7 instead of 0.8; log_loss 2 instead of 1."), "ROC AUC 0.7 instead of 0.8; Log loss 2 instead of 1."},
		{because("Not enough data: there are no predictions."), "There are no predictions."},
		{reasonName("harm.roc_auc.segment."), "Harm: ROC AUC, segment (missing)"}, {reasonName("not_inferior.error_ratio"), "Not inferior: Failed requests"}, {reasonName("first_look"), "First look"}, {reasonName(""), ""},
		{standing(quality.StandingOK), "✓ ok"}, {standing("?"), "? unknown"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for _, c := range []struct {
		g     gate.Result
		class string
	}{
		{gate.Result{Name: "harm.mae", Answer: gate.Yes}, "drift"}, {gate.Result{Name: "harm.mae", Answer: gate.No}, "ok"}, {gate.Result{Name: "better.mae", Answer: gate.Yes}, "ok"},
		{gate.Result{Name: "better.mae", Answer: gate.No}, "drift"}, {gate.Result{Name: "bake", Answer: gate.Unknown}, "unknown"},
	} {
		if got := reasonOf(&c.g); got.Class != c.class || got.Sign == "" {
			t.Errorf("%+v is %+v", c.g, got)
		}
	}
}

func TestCalibration(t *testing.T) {
	c := calibrationOf([]quality.CalibrationPoint{
		{Rows: 100, Score: 0.05, Positive: 0.05, Interval: stat.Interval{Lo: 0.02, Hi: 0.08}},
		{Rows: 100, Score: 0.2, Positive: 0.1, Interval: stat.Interval{Lo: 0.08, Hi: 0.15}},
		{Rows: 100, Score: 0.1, Positive: 0.2, Interval: stat.Interval{Lo: 0.15, Hi: 0.24}}})
	if c.End != "0.25" || c.Points[0].Word != "Held" || c.Points[1].Word != "Scores too high" || c.Points[2].Word != "Scores too low" {
		t.Errorf("%+v", c)
	}
	if c.Points[0].X != "20" || c.Points[0].Y != "80" || !strings.HasPrefix(c.Line, "M20 80L80 60") {
		t.Errorf("points %+v, line %s", c.Points, c.Line)
	}
	if !strings.HasPrefix(c.Words(), "2 of 3") || calibrationOf(nil) != nil {
		t.Error(c.Words())
	}
}

// TestManyClasses: of a matrix too wide for a page it is told what each class is taken for.
func TestManyClasses(t *testing.T) {
	q := &quality.Confusion{}
	for l := range mostClasses + 1 {
		q.Classes = append(q.Classes, fmt.Sprint("c", l))
		row := make([]float64, mostClasses+1)
		row[l], row[(l+1)%len(row)], row[(l+2)%len(row)] = 6, 1, 3
		q.Rows = append(q.Rows, row)
	}
	q.Rows[2] = make([]float64, mostClasses+1)
	c := confusionOf(q)
	if c.Rows != nil || len(c.Taken) != mostClasses+1 || c.Taken[0] != (taken{"c0", "10", "60 %", "c2 (30 %)"}) || c.Taken[2] != (taken{"c2", "0", "–", "–"}) {
		t.Errorf("%+v", c.Taken)
	}
	if confusionOf(&quality.Confusion{Classes: []string{"a"}, Rows: [][]float64{{0}}}) != nil || confusionOf(nil) != nil {
		t.Error("a matrix of no rows is drawn")
	}
}

// TestTrendHasGaps: windows without a value are not bridged.
func TestTrendHasGaps(t *testing.T) {
	p := quality.DefaultPolicy()
	x := trendOf(past(12, 7, quality.ROCAUC, 0.8), quality.ROCAUC, &p)
	if strings.Count(x.Line, "M") < 2 || len(x.Band) != 2 || len(x.Points) >= 12 || !x.Estimated {
		t.Errorf("%d points, %d bands, line %s", len(x.Points), len(x.Band), x.Line)
	}
	if trendOf(past(1, 7, quality.ROCAUC, 0.8), quality.ROCAUC, &p) != nil || trendOf(nil, quality.ROCAUC, &p) != nil {
		t.Error("a trend of one window is drawn")
	}
}

// TestAlmostNothing: a report with as little as can be is a page, and so is one with a comparison of nothing.
func TestAlmostNothing(t *testing.T) {
	for _, r := range []*evaluation.Report{
		{}, {Versions: []evaluation.VersionReport{{Version: 3}}}, {Comparison: &comparison.Report{}},
		{Versions: []evaluation.VersionReport{{Version: 3, Quality: &quality.Quality{}, Estimate: &quality.Estimates{}}}, Chunks: make([]evaluation.Past, 3), History: make([]evaluation.Past, 1)},
		{Comparison: &comparison.Report{Metrics: []comparison.Difference{{Metric: "roc_auc", Unknown: "one class only"}}, Bounds: []comparison.Bound{{Metric: "roc_auc", Unknown: "one class only"}}}},
	} {
		html := string(render(t, r))
		if !strings.Contains(html, "Not enough data") || strings.Contains(html, "NaN") {
			t.Errorf("the page of %+v:\n%s", r, html)
		}
	}
}
