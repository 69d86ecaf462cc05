package rollout_test

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

// TestLook: what the machine hears at each poll, and that it learns how its rollout ended.
func TestLook(t *testing.T) {
	w := newWorld(t, steps+`,"approval":"promote"`)
	look := func(id string) *rollout.Progress {
		t.Helper()
		generation := w.state().Generation
		out, err := w.p.Run(t.Context(), rollout.PromoteIn{Model: model, Kind: rollout.KindLook, RolloutID: id})
		if err != nil || out.Generation != generation || w.state().Generation != generation {
			t.Fatalf("%+v, %v", out, err)
		}
		return out.Progress
	}
	if g := look(""); g.Status != "" || g.Champion != 1 || g.Challenger != 0 || len(g.Policy.Steps) != 3 || g.AsksStart || !g.AsksFinal || g.Frozen {
		t.Errorf("%+v", g)
	}
	id := w.start(2)
	w.clock = w.clock.Add(100 * time.Second)
	if g := look(id); g.Status != registry.Progressing || g.Challenger != 2 || g.Step != 0 || g.Last || g.Weight != 100 || g.Elapsed != 100 || g.Bake != 600 || g.Poll != 15 {
		t.Errorf("%+v", g)
	}
	w.clock = w.clock.Add(600 * time.Second)
	if g := look(""); g.RolloutID != id || g.Elapsed != 700 || g.Poll != (7*600-700)/50 {
		t.Errorf("%+v", g)
	}
	w.clock = w.clock.Add(-10 * time.Hour) // a clock that is behind waits
	if g := look(id); g.Elapsed != 0 {
		t.Errorf("%+v", g)
	}
	w.clock = w.clock.Add(10 * time.Hour)
	w.move(rollout.PromoteIn{Kind: registry.KindPause, RolloutID: id, Reason: "lunch"})
	w.move(rollout.PromoteIn{Kind: registry.KindFreeze, Until: at(w.clock.Add(time.Hour)), Reason: "audit"})
	if g := look(id); g.Status != registry.Paused || !g.Frozen {
		t.Errorf("%+v", g)
	}
	before := look(id)
	w.clock = w.clock.Add(1000 * time.Hour) // however often it is looked at, the bake stands still
	if g := look(id); g.Elapsed != before.Elapsed || g.Elapsed != 700 || g.Poll != 120 {
		t.Errorf("paused for long: %+v, before %+v", g, before)
	}
	w.move(rollout.PromoteIn{Kind: registry.KindUnfreeze, Reason: "over"})
	w.move(rollout.PromoteIn{Kind: registry.KindAbort, RolloutID: id})
	w.start(3)
	if g := look(id); g.Status != rollout.Ended || g.EndedBy != registry.KindAbort || g.Challenger != 0 || g.RolloutID != id {
		t.Errorf("%+v", g)
	}
	if g := look("of-nobody"); g.Status != rollout.Ended || g.EndedBy != "" {
		t.Errorf("%+v", g)
	}
	_, err := w.p.Run(t.Context(), rollout.PromoteIn{Model: "nobody", Kind: rollout.KindLook})
	if !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

// TestAPausedBakeStandsStill: a step bakes for as long as its bake says, whatever pauses come in between.
func TestAPausedBakeStandsStill(t *testing.T) {
	w := newWorld(t, steps)
	look := func(id string) *rollout.Progress {
		t.Helper()
		out, err := w.p.Run(t.Context(), rollout.PromoteIn{Model: model, Kind: rollout.KindLook, RolloutID: id})
		if err != nil {
			t.Fatal(err)
		}
		return out.Progress
	}
	id := w.start(2)
	rest := func(d time.Duration) { // pause, wait, resume
		w.move(rollout.PromoteIn{Kind: registry.KindPause, RolloutID: id, Reason: "lunch"})
		w.clock = w.clock.Add(d)
		w.move(rollout.PromoteIn{Kind: registry.KindResume, RolloutID: id, Reason: "back"})
	}
	for range 5 { // 500 of 600 seconds, in parts
		w.clock = w.clock.Add(100 * time.Second)
		rest(3 * time.Hour)
	}
	if g := look(id); g.Status != registry.Progressing || g.Elapsed != 500 {
		t.Errorf("after five pauses: %+v", g)
	}
	if r := w.state().Rollout; !r.PausedAt.IsZero() {
		t.Errorf("resumed, and still paused since %s", r.PausedAt)
	}
	rest(-5 * time.Minute) // a clock that is behind takes nothing away
	if g := look(id); g.Elapsed != 500 {
		t.Errorf("resumed by a clock that is behind: %+v", g)
	}
	w.clock = w.clock.Add(100 * time.Second)
	if g := look(id); g.Elapsed != 600 {
		t.Errorf("at the end of the bake: %+v", g)
	}
	rest(time.Hour) // it had baked: a person lets it wait on
	if g := look(id); g.Elapsed != 0 {
		t.Errorf("resumed after its bake: %+v", g)
	}
}
