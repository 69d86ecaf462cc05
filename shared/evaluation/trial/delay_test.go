package trial

import (
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/frame"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/schema"
)

// Hours whose labels are all due, or none of them, are joined once: what matures meanwhile is of another hour.
func TestDelayKeepsHours(t *testing.T) {
	w := newWorld(t, `{"comparison":{"guardrails":{"latency":{"off":true}}},"quality":{"label_delay_minutes":1440}}`)
	store := &counting{Store: w.data}
	w.judge.Data = store
	id := w.begin()
	for hour := range 6 {
		w.serve(noon.Add(time.Duration(hour)*time.Hour), noon.Add(time.Duration(hour+1)*time.Hour), traffic{requests: 30, champion: 0.8, challenger: 0.8, paired: true})
	}
	step := Step{ID: id, Elapsed: 1, Bake: 36000}
	for _, c := range []struct {
		at     time.Duration
		pairs  uint64
		opened int64 // captures at most: an hour looks into its own folder and the next one
	}{
		{12 * time.Hour, 0, 12}, {12*time.Hour + time.Minute, 0, 0}, {13 * time.Hour, 0, 0},
		{26*time.Hour + 30*time.Minute, 60, 4}, {26*time.Hour + 31*time.Minute, 60, 0}, {27*time.Hour + time.Minute, 90, 2},
	} {
		w.clock = noon.Add(c.at)
		store.opened.Store(0)
		if out := w.look(step); out.Pairs != c.pairs || store.opened.Load() > c.opened {
			t.Errorf("after %v: %d pairs, want %d; %d captures were opened, at most %d are new", c.at, out.Pairs, c.pairs, store.opened.Load(), c.opened)
		}
	}
}

// Requests of the shadow phase are no traffic of the rollout, in the hour of its start either.
func TestShadowIsNoTraffic(t *testing.T) {
	w := newWorld(t, "")
	w.serve(noon.Add(-time.Hour), noon, traffic{requests: 300, champion: 0.8})
	w.shadow()
	w.serve(noon, noon.Add(20*time.Minute), traffic{requests: 500, champion: 0.8, challenger: 0.2, paired: true, shadow: true})
	w.clock = noon.Add(20 * time.Minute)
	id := w.begin()
	w.serve(noon.Add(20*time.Minute), noon.Add(50*time.Minute), traffic{requests: 400, champion: 0.8, challenger: 0.2, paired: true, weight: 0.5})
	w.clock = noon.Add(50 * time.Minute)
	out := w.look(Step{ID: id, Elapsed: 1800, Bake: 1800})
	w.says(out, comparison.Abort)
	_, report := w.evidence(out)
	if n := report.Champion.Traffic.Requests + report.Challenger.Traffic.Requests; n != 400 || report.Pairs.Pairs != 900 {
		t.Errorf("%d requests of the rollout, want 400; %d pairs, want 900", n, report.Pairs.Pairs)
	}
}

func (w *world) frame(id string) *frame.Frame {
	w.t.Helper()
	f, err := frame.Read(w.t.Context(), w.data, model, id)
	w.must(err)
	return f
}

const bySegment = `"segments":{"column":"carrier","pairs":50,"per_class":10}`

// Segments are settled by the last rows that have labels, though these are days old.
func TestSegmentsOfLateLabels(t *testing.T) {
	w := newWorld(t, `{"comparison":{`+bySegment+`}}`)
	for back := 72; back > 0; back -= 6 {
		at := noon.Add(time.Duration(-back) * time.Hour)
		w.serve(at, at.Add(time.Hour), traffic{requests: 200, champion: 0.8, unlabelled: back < 48})
	}
	id := w.begin()
	w.serve(noon, noon.Add(10*time.Minute), traffic{requests: 20, champion: 0.8, challenger: 0.8, paired: true, unlabelled: true})
	w.clock = noon.Add(10 * time.Minute)
	w.look(Step{ID: id, Elapsed: 600, Bake: 600})
	if f := w.frame(id); f == nil || len(f.Segments) != 2 || f.Column != "carrier" || f.SlowMicros == 0 || f.Requests != 3*200+20 { // latencies are of a day
		t.Errorf("the frame is %+v", f)
	}
}

// Without latency the frame waits for requests too, where segments are settled by them.
func TestFrameWaitsForSegments(t *testing.T) {
	w := newWorld(t, `{"comparison":{`+bySegment+`,"guardrails":{"latency":{"off":true}}}}`)
	id := w.begin()
	w.serve(noon, noon.Add(10*time.Minute), traffic{requests: 20, champion: 0.8, challenger: 0.8, paired: true})
	w.clock = noon.Add(10 * time.Minute)
	w.look(Step{ID: id, Elapsed: 600, Bake: 600})
	if f := w.frame(id); f != nil {
		t.Errorf("20 requests froze %+v", f)
	}
	w.serve(noon.Add(10*time.Minute), noon.Add(40*time.Minute), traffic{requests: 400, champion: 0.8, challenger: 0.8, paired: true})
	w.clock = noon.Add(40 * time.Minute)
	w.look(Step{ID: id, Elapsed: 2400, Bake: 600})
	if f := w.frame(id); f == nil || len(f.Segments) != 2 || f.SlowMicros != 0 {
		t.Errorf("420 requests froze %+v", f)
	}
}

// Labels of pinned rows may be truth values, also where a reference names the classes.
func TestTruthValuesOfPinnedRows(t *testing.T) {
	for _, names := range [][]string{nil, {"0", "1"}} {
		if c := classes(&outcome.Spec{Task: schema.Binary, Classes: names}); c["false"] != 0 || c["true"] != 1 || len(c) != 4 {
			t.Errorf("classes %q: %v", names, c)
		}
	}
	if c := classes(&outcome.Spec{Task: schema.Binary, Classes: []string{"on_time", "late"}}); len(c) != 2 {
		t.Errorf("%v", c)
	}
}

// Pinned rows without a key are each for themselves.
func TestPinnedRowsWithoutAKey(t *testing.T) {
	w := newWorld(t, "")
	w.put("p", []byte(headOf(w, 2)+"\n"+`{"rows":5,"kept":{"late":[1,0,1,0,1],"at":[1,1,1,1,1],"customer":["a",null,"","a",null]},"outputs":{"label":[1,1,1,1,1],"probabilities":[[0,1],[0,1],[0,1],[0,1],[0,1]]}}`+"\n"+`{"kind":"end","rows":5}`+"\n"))
	spec := outcome.Spec{Task: schema.Binary, Score: "probabilities", Prediction: "label"}
	p, err := w.judge.readPredictions(t.Context(), model, "p", w.refs[2], &Start{Label: "late", Time: "at", Key: "customer"}, &spec)
	w.must(err)
	var keys []string
	for _, r := range p.rows {
		keys = append(keys, r.key)
	}
	if got := strings.Join(keys, " "); got != `"a" 1 2 "a" 4` {
		t.Errorf("keys %s", got)
	}
}
