package comparison

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	s := scene{pairs: 6000, hours: 20, gain: 0.05}.state(t)
	s.AddUnmatched(Champion, 700)
	p := DefaultPolicy()
	d, err := Decide(s, p, Step{Last: true, Bake: 3600, Elapsed: 7200})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReport(s, p, &d)
	if err != nil {
		t.Fatal(err)
	}
	var metrics, bounds []string
	for _, m := range r.Metrics {
		metrics = append(metrics, m.Metric)
		if m.Unknown != "" || m.Lo > m.Delta || m.Hi < m.Delta {
			t.Errorf("%+v", m)
		}
	}
	for _, b := range r.Bounds {
		bounds = append(bounds, b.Metric)
		if b.Lower > b.Delta || b.Upper < b.Delta || b.Margin <= 0 {
			t.Errorf("%+v", b)
		}
	}
	if got := strings.Join(metrics, " "); got != "roc_auc log_loss brier_score accuracy" {
		t.Errorf("metrics %s", got)
	}
	if got := strings.Join(bounds, " "); got != "roc_auc error_ratio latency log_loss" {
		t.Errorf("bounds %s", got)
	}
	if r.Primary != ROCAUC || r.Checks != 5 || r.Blocks != 20 || r.Pairs.Pairs != 6000 || r.Champion.Unmatched != 700 || r.Decision.Action != Promote {
		t.Errorf("%+v", r)
	}
	if r.Bounds[0].Lower >= r.Metrics[0].Lo {
		t.Error("the bound for every look is not wider than the interval for one")
	}
	if len(r.Segments) != 1 || r.Segments[0].Segment != "UA" || r.Unchecked < 0.7 || r.Unchecked > 0.8 {
		t.Errorf("segments %+v, %g unchecked", r.Segments, r.Unchecked)
	}
	if a := r.Agreement; a.total() != 6000 || r.McNemar.FirstOnly != a.ChampionOnly {
		t.Errorf("agreement %+v, %+v", a, r.McNemar)
	}
	if r.Challenger.Traffic.Requests != 3000 || !strings.Contains(strings.Join(r.Warnings, "; "), "700 labelled rows have an answer of one version only") {
		t.Errorf("traffic %+v, warnings %q", r.Challenger.Traffic, r.Warnings)
	}
}

// TestNoSegmentIsSaid: segments that were asked for and never settled are unchecked, all of them.
func TestNoSegmentIsSaid(t *testing.T) {
	s := scene{pairs: 900, hours: 20}.state(t)
	bare := s.spec
	bare.Segments = nil
	s, err := New(bare)
	if err != nil {
		t.Fatal(err)
	}
	p := DefaultPolicy()
	for column, unchecked := range map[string]float64{"": 0, "carrier": 1} {
		p.Segments.Column = column
		r, err := NewReport(s, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(strings.Join(r.Warnings, "; "), "no segment of"); r.Unchecked != unchecked || said != (column != "") {
			t.Errorf("column %q: %g unchecked, warnings %q", column, r.Unchecked, r.Warnings)
		}
	}
}

// TestReportOfAlmostNothing: whatever is missing is said, and there is JSON.
func TestReportOfAlmostNothing(t *testing.T) {
	for _, task := range []Task{Binary, Multiclass, Regression} {
		for pairs := range 4 {
			spec := specOf(task)
			spec.Champion.TrainedUntil = time.Time{}
			s := build(t, spec)
			for i := range pairs {
				r := Row{Time: base, Label: i % 2, Challenger: Answer{1, 1}}
				count(t, s, &r, i)
			}
			r, err := NewReport(s, DefaultPolicy(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := json.Marshal(r); err != nil {
				t.Errorf("%s, %d pairs: %v", task, pairs, err)
			}
			if pairs < 2 && r.Metrics[0].Unknown == "" {
				t.Errorf("%s of %d pairs: %+v", task, pairs, r.Metrics[0])
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	spec := specOf(Binary)
	spec.Block, spec.Champion.TrainedUntil, spec.Challenger.TrainedUntil = NoTime, time.Time{}, time.Time{}
	s := build(t, spec)
	if err := s.Add(&Row{}); err != nil {
		t.Fatal(err)
	}
	r, err := NewReport(s, DefaultPolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the training of m@1 ended is not known", "the training of m@2 ended is not known", "no time"} {
		if !strings.Contains(strings.Join(r.Warnings, "; "), want) {
			t.Errorf("%q lack %q", r.Warnings, want)
		}
	}
}
