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
