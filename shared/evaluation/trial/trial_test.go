package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/frame"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/stat"
)

// A rollout of two steps: every pair of it counts, those of the step are told apart
// by the judgement that it began with, and evidence says what it is about.
func TestRollout(t *testing.T) {
	w := newWorld(t, "")
	w.serve(noon.Add(-30*time.Minute), noon, traffic{requests: 400, champion: 0.8, challenger: 0.9})
	id := w.begin()
	w.serve(noon, noon.Add(time.Hour), traffic{requests: 3000, champion: 0.75, challenger: 0.85, paired: true, weight: 0.4})
	w.clock = noon.Add(time.Hour)
	out := w.look(Step{ID: id, Elapsed: 3600, Bake: 3600})
	w.says(out, comparison.Advance)
	if out.Pairs != 3000 || out.PairsBefore != 0 || len(out.Digests) != 1 {
		t.Errorf("the first step: %+v", out)
	}
	e, report := w.evidence(out)
	if e.Decision != "advance" || e.RolloutID != id || e.Step != 0 || e.Champion != w.refs[1] || e.Challenger != w.refs[2] || !e.At.Equal(w.clock) || e.Generation != 2 {
		t.Errorf("the evidence says %+v", e)
	}
	if report.Pairs.Pairs != 3000 || report.Primary != comparison.ROCAUC || report.SlowMicros < 28_000 || report.SlowMicros > 32_000 {
		t.Errorf("the report is of %d pairs by %s, slow from %d µs on", report.Pairs.Pairs, report.Primary, report.SlowMicros)
	}

	w.apply(registry.AdvanceRollout(id, 0, 0, 10000), out.Evidence)
	for hour := 1; hour < 12; hour++ {
		w.serve(noon.Add(time.Duration(hour)*time.Hour), noon.Add(time.Duration(hour+1)*time.Hour), traffic{requests: 200, champion: 0.75, challenger: 0.85, paired: true, weight: 1})
	}
	w.clock = noon.Add(12 * time.Hour)
	out = w.look(Step{ID: id, Step: 1, Last: true, Elapsed: 11 * 3600, Bake: 3600})
	w.says(out, comparison.Promote)
	if out.Pairs != 3000+11*200 || out.PairsBefore != 3000 {
		t.Errorf("the last step: %+v", out)
	}
	w.says(w.look(Step{ID: id, Step: 0, Elapsed: 1, Bake: 1}), comparison.Wait) // of a step that is over
	w.says(w.look(Step{ID: "another", Step: 1, Elapsed: 1, Bake: 1}), comparison.Wait)
}

// Pairs depend on each other by the key column of the quality policy.
func TestKeyOfThePolicy(t *testing.T) {
	for settings, groups := range map[string]int{"": stat.KeyGroups, `{"quality":{"key":"carrier"}}`: 2} {
		w := newWorld(t, settings)
		w.serve(noon.Add(-30*time.Minute), noon, traffic{requests: 400, champion: 0.8})
		id := w.begin()
		w.serve(noon, noon.Add(time.Hour), traffic{requests: 3000, champion: 0.85, challenger: 0.15, paired: true, weight: 0.4})
		w.clock = noon.Add(time.Hour)
		out := w.look(Step{ID: id, Elapsed: 3600, Bake: 3600})
		w.says(out, comparison.Abort)
		_, report := w.evidence(out)
		if report.KeyGroups != groups {
			t.Errorf("%s: %d groups of keys, want %d", settings, report.KeyGroups, groups)
		}
	}
}

func TestHarmIsSeen(t *testing.T) {
	for name, f := range map[string]traffic{
		"inverted": {requests: 500, champion: 0.85, challenger: 0.15, paired: true, weight: 0.1},
		"slow":     {requests: 4000, champion: 0.8, challenger: 0.8, paired: true, weight: 0.3, slow: 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			w.serve(noon.Add(-30*time.Minute), noon, traffic{requests: 400, champion: 0.8})
			id := w.begin()
			w.serve(noon, noon.Add(time.Hour), f)
			w.clock = noon.Add(time.Hour)
			out := w.look(Step{ID: id, Elapsed: 60, Bake: 3600})
			w.says(out, comparison.Abort)
			if e, err := w.reg.Evidence(t.Context(), out.Evidence); err != nil || !out.Reject || !e.Reject || e.Decision != "abort" {
				t.Errorf("%+v, %+v, %v", out, e, err)
			}
		})
	}
}

// What the rollout is bound to is fixed by the first look that finds enough of it.
func TestFrameIsFrozen(t *testing.T) {
	w := newWorld(t, `{"comparison":{"segments":{"column":"carrier","pairs":50,"per_class":10}}}`)
	w.serve(noon.Add(-30*time.Minute), noon, traffic{requests: 150, champion: 0.8})
	id := w.begin()
	w.serve(noon, noon.Add(10*time.Minute), traffic{requests: 20, champion: 0.8, challenger: 0.8, paired: true})
	w.clock = noon.Add(10 * time.Minute)
	frames := func() (found []*blob.Object) {
		for info, err := range w.data.List(t.Context(), "evaluations/", "") {
			w.must(err)
			if strings.HasSuffix(info.Key, "/frame.json") {
				obj, err := w.data.Get(t.Context(), info.Key)
				w.must(err)
				found = append(found, &obj)
			}
		}
		return found
	}
	w.says(w.look(Step{ID: id, Elapsed: 600, Bake: 600}), comparison.Wait)
	if got := frames(); len(got) != 0 {
		t.Errorf("170 requests froze %s", got[0].Body)
	}
	w.serve(noon.Add(10*time.Minute), noon.Add(20*time.Minute), traffic{requests: 100, champion: 0.8, challenger: 0.8, paired: true})
	w.clock = noon.Add(20 * time.Minute)
	w.look(Step{ID: id, Elapsed: 1200, Bake: 1200})
	first := frames()
	if len(first) != 1 {
		t.Fatal("270 requests froze nothing")
	}
	var f frame.Frame
	w.must(json.Unmarshal(first[0].Body, &f))
	if f.Requests != 270 || f.SlowMicros < 28_000 || f.SlowMicros > 32_000 || len(f.Segments) != 2 || f.Rollout != id {
		t.Errorf("the frame is %+v", f)
	}
	w.serve(noon.Add(-time.Hour), noon.Add(-50*time.Minute), traffic{requests: 900, champion: 0.8})
	w.look(Step{ID: id, Elapsed: 1300, Bake: 1200})
	if again := frames(); len(again) != 1 || string(again[0].Body) != string(first[0].Body) {
		t.Errorf("the frame became %s", again[0].Body)
	}
}

// The pairs of the shadow phase count; those of an earlier try of the same versions
// within the same hour do not.
func TestShadowPhaseCounts(t *testing.T) {
	w := newWorld(t, `{"comparison":{"guardrails":{"latency":{"off":true}}}}`)
	old := w.begin()
	w.serve(noon, noon.Add(5*time.Minute), traffic{requests: 300, champion: 0.8, challenger: 0.8, paired: true, weight: 0.5})
	w.clock = noon.Add(5 * time.Minute)
	w.apply(registry.Abort(old, false, ""), "")
	w.clock = noon.Add(10 * time.Minute)
	ask := func(pairs, seconds int64) Out {
		t.Helper()
		out, err := w.judge.Run(t.Context(), In{Model: model, Shadow: &Shadow{Version: 2, Pairs: pairs, Seconds: seconds}})
		w.must(err)
		return out
	}
	w.says(ask(10, 0), Stopped)
	w.apply(registry.StartShadow(w.refs[2]), "")
	w.serve(noon.Add(10*time.Minute), noon.Add(20*time.Minute), traffic{requests: 250, champion: 0.8, challenger: 0.8, paired: true, shadow: true})
	w.clock = noon.Add(20 * time.Minute)
	if out := ask(251, 0); out.Action != comparison.Wait || out.Pairs != 250 || out.Poll < 1 {
		t.Errorf("251 pairs asked for: %+v", out)
	}
	w.says(ask(250, 0), comparison.Start)
	w.says(ask(251, 600), comparison.Start)
	w.says(ask(0, 601), comparison.Wait)
	w.says(ask(0, 0), comparison.Start)
	id := w.begin()
	w.serve(noon.Add(20*time.Minute), noon.Add(30*time.Minute), traffic{requests: 70, champion: 0.8, challenger: 0.8, paired: true, weight: 0.5})
	w.clock = noon.Add(30 * time.Minute)
	if out := w.look(Step{ID: id, Elapsed: 600, Bake: 600}); out.Pairs != 320 || out.PairsBefore != 250 {
		t.Errorf("after a shadow phase of 250 pairs and 70 more: %+v", out)
	}

	bad := newWorld(t, "")
	bad.apply(registry.StartShadow(bad.refs[2]), "")
	bad.serve(noon, noon.Add(time.Hour), traffic{requests: 600, champion: 0.85, challenger: 0.15, paired: true, shadow: true})
	bad.clock = noon.Add(time.Hour)
	out, err := bad.judge.Run(t.Context(), In{Model: model, Shadow: &Shadow{Version: 2, Pairs: 1e6}})
	bad.must(err)
	bad.says(out, comparison.Abort)
	if out.Evidence == "" || !out.Reject {
		t.Errorf("harm in the shadow: %+v", out)
	}
}

// counting counts the captures that are opened.
type counting struct {
	blob.Store
	opened atomic.Int64
}

func (c *counting) Open(ctx context.Context, key string, offset, length int64) (r io.ReadCloser, info blob.Info, err error) {
	if strings.HasPrefix(key, "captures/") {
		c.opened.Add(1)
	}
	return c.Store.Open(ctx, key, offset, length)
}

// Hours that are settled are joined once; a late label makes one hour be joined again.
func TestSettledHoursAreKept(t *testing.T) {
	w := newWorld(t, `{"comparison":{"guardrails":{"latency":{"off":true}}}}`)
	store := &counting{Store: w.data}
	w.judge.Data = store
	id := w.begin()
	for hour := range 5 {
		w.serve(noon.Add(time.Duration(hour)*time.Hour), noon.Add(time.Duration(hour+1)*time.Hour), traffic{requests: 50, champion: 0.8, challenger: 0.8, paired: true, unlabelled: hour == 1})
	}
	w.clock = noon.Add(10 * time.Hour)
	step := Step{ID: id, Elapsed: 36000, Bake: 36000}
	first := w.look(step)
	if first.Pairs != 200 {
		t.Errorf("%d pairs, want 200", first.Pairs)
	}
	store.opened.Store(0)
	if again := w.look(step); again.Pairs != 200 || store.opened.Load() != 0 {
		t.Errorf("a second look found %d pairs and opened %d captures again", again.Pairs, store.opened.Load())
	}
	w.serve(noon.Add(2*time.Hour), noon.Add(3*time.Hour), traffic{requests: 10, champion: 0.8, challenger: 0.8, paired: true})
	if again := w.look(step); again.Pairs != 210 {
		t.Errorf("after ten late pairs there are %d", again.Pairs)
	}

	// Damaged counts are made again.
	for info, err := range w.data.List(t.Context(), "evaluations/", "") {
		w.must(err)
		if !strings.HasSuffix(info.Key, "frame.json") {
			w.put(info.Key, []byte("{"))
		}
	}
	if again := w.look(step); again.Pairs != 210 {
		t.Errorf("after the counts were damaged there are %d pairs", again.Pairs)
	}
}

// hurried is a context whose deadline is by the clock of the test.
type hurried struct {
	context.Context
	at time.Time
}

func (h hurried) Deadline() (time.Time, bool) { return h.at, true }

// A look that runs out of time says how much is left, and the next goes on.
func TestLookWithoutTime(t *testing.T) {
	w := newWorld(t, `{"comparison":{"guardrails":{"latency":{"off":true}}}}`)
	id := w.begin()
	for hour := range 4 {
		w.serve(noon.Add(time.Duration(hour)*time.Hour), noon.Add(time.Duration(hour+1)*time.Hour), traffic{requests: 20, champion: 0.8, challenger: 0.8, paired: true})
	}
	w.clock = noon.Add(10 * time.Hour)
	ctx := hurried{t.Context(), w.clock.Add(reserve)}
	var left []int
	for range 10 {
		out, err := w.judge.Run(ctx, In{Model: model, Rollout: &Step{ID: id, Elapsed: 1, Bake: 36000}})
		w.must(err)
		if left = append(left, out.Left); out.Left == 0 {
			if out.Pairs != 80 {
				t.Errorf("%d pairs, want 80", out.Pairs)
			}
			return
		}
		w.says(out, comparison.Wait)
	}
	t.Errorf("it never ends: %v", left)
}

func TestYoungLabelsDoNotCount(t *testing.T) {
	w := newWorld(t, `{"comparison":{"guardrails":{"latency":{"off":true}}},"quality":{"label_delay_minutes":120}}`)
	id := w.begin()
	for hour := range 4 {
		w.serve(noon.Add(time.Duration(hour)*time.Hour), noon.Add(time.Duration(hour+1)*time.Hour), traffic{requests: 30, champion: 0.8, challenger: 0.8, paired: true})
	}
	w.clock = noon.Add(4 * time.Hour)
	if out := w.look(Step{ID: id, Elapsed: 1, Bake: 36000}); out.Pairs != 60 {
		t.Errorf("%d pairs, want those of the first two hours", out.Pairs)
	}
}

func TestBadInput(t *testing.T) {
	w := newWorld(t, "")
	w.begin()
	step := &Step{ID: "x", Elapsed: 1, Bake: 1}
	for want, in := range map[string]In{
		"model":             {Rollout: step},
		"rollout":           {Model: model},
		"and only one":      {Model: model, Rollout: step, Shadow: &Shadow{Version: 2}},
		"rollout.bake_s":    {Model: model, Rollout: &Step{ID: "x"}},
		"rollout.id":        {Model: model, Rollout: &Step{Bake: 1}},
		"rollout.elapsed_s": {Model: model, Rollout: &Step{ID: "x", Bake: 1, Elapsed: -1}},
		"shadow.version":    {Model: model, Shadow: &Shadow{}},
		"start.label":       {Model: model, Start: &Start{Version: 2, Champion: []string{"a"}, Challenger: []string{"b"}, Time: "at"}},
		"start.champion":    {Model: model, Start: &Start{Version: 2, Challenger: []string{"b"}, Time: "at", Label: "late"}},
		"start.challenger":  {Model: model, Start: &Start{Version: 2, Champion: []string{"a", "c"}, Challenger: []string{"b"}, Time: "at", Label: "late"}},
		"1 to 63":           {Model: "a/b", Rollout: step},
	} {
		_, err := w.judge.Run(t.Context(), in)
		if !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v, want InvalidArgument", want, err)
			continue
		}
		if text := fmt.Sprint(err, fault.Public(err).Violations); !strings.Contains(text, want) {
			t.Errorf("%s: the error is %s", want, text)
		}
	}
	if _, err := w.judge.Run(t.Context(), In{Model: "nobody", Rollout: step}); !fault.Is(err, fault.NotFound) {
		t.Errorf("of no model: %v", err)
	}
}
