package watch

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/frame"
	"github.com/tidegate/tidegate/shared/registry"
)

// rolledOut is the report of a day on which version 2 answered one request in four.
func rolledOut(t *testing.T, frozen *frame.Frame) *comparison.Report {
	t.Helper()
	w := newWorld(t, quick)
	w.move(registry.StartRollout(w.version(2, reference(t, 2)), "rollout-1", "test", 2500))
	if frozen != nil {
		_, err := frozen.Freeze(t.Context(), w.data, model)
		w.check(err)
	}
	for h := range 24 {
		hour := date(0).Add(time.Duration(h) * time.Hour)
		f := flow(7, hour, 80, true)
		served, other := f.records, paired(f.records, 2, registry.Challenger, true)
		for i := range served {
			served[i].RolloutID, other[i].RolloutID = "rollout-1", "rollout-1"
			if i%4 == 0 { // the challenger serves, and is slower by a millisecond
				served[i].Role, other[i].Role = capture.Paired, capture.Served
				other[i].LatencyUS += 1000
			}
		}
		w.captures(hour, served)
		w.captures(hour, other)
		w.labelled(hour, f.labels)
	}
	done := w.tickAt(closed(0))
	if len(done) != 1 {
		t.Fatalf("%+v", done)
	}
	r, _ := w.report(done[0])
	if r.Comparison == nil {
		t.Fatalf("nothing is compared: %q", r.Uncompared)
	}
	return r.Comparison
}

func latencyOf(t *testing.T, c *comparison.Report) comparison.Bound {
	t.Helper()
	for _, b := range c.Bounds {
		if b.Metric == comparison.SlowShare {
			return b
		}
	}
	t.Fatal("no bound of the latency")
	return comparison.Bound{}
}

// TestRolloutByItsFrame: the report of a window counts the pairs of a rollout by what the rollout has frozen,
// and without it says what is not known.
func TestRolloutByItsFrame(t *testing.T) {
	c := rolledOut(t, &frame.Frame{V: frame.Version, Rollout: "rollout-1", SlowMicros: 2000, Column: "carrier", Segments: []string{"B6", "UA"}, Requests: 500, At: date(0)})
	if b := latencyOf(t, c); b.Unknown != "" || b.Delta > -0.99 || c.SlowMicros != 2000 {
		t.Errorf("all of the challenger's requests are slow and none of the champion's: %+v", b)
	}
	if len(c.Segments) != 2 || c.Segments[0].Segment != "B6" || c.Segments[0].Difference.Pairs < 500 || c.Segments[1].Difference.Pairs < 500 || c.Unchecked < 0.2 || c.Unchecked > 0.5 {
		t.Errorf("segments %+v, unchecked %v", c.Segments, c.Unchecked)
	}
	c = rolledOut(t, nil)
	if b := latencyOf(t, c); b.Unknown == "" || len(c.Segments) != 0 {
		t.Errorf("nothing was frozen: %+v, %+v", b, c.Segments)
	}
	c = rolledOut(t, &frame.Frame{V: frame.Version, Rollout: "rollout-2", SlowMicros: 2000})
	if b := latencyOf(t, c); b.Unknown == "" {
		t.Errorf("the frame of another rollout counts: %+v", b)
	}
}
