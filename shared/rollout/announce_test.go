package rollout_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

// bus is a list of events; it fails as often as it is told to.
type bus struct {
	events []string
	fail   int
}

func (b *bus) Emit(_ context.Context, source, detailType string, at time.Time, detail any) error {
	if b.fail > 0 {
		b.fail--
		return fault.New(fault.Unavailable, "down")
	}
	text := source + " " + detailType
	if d, ok := detail.(rollout.StepChange); ok {
		text += fmt.Sprintf(" %s %s step %d at %d of version %d beside %d, %d evidence", d.Kind, d.Status, d.Step, d.Weight, d.Challenger.Version, d.Champion.Version, len(d.Evidence))
		if d.RolloutID == "" || d.TransitionID == "" || d.Generation == 0 || !d.At.Equal(at) {
			text += " INCOMPLETE"
		}
	}
	b.events = append(b.events, text)
	return nil
}

func announce(t *testing.T, a rollout.Announcer, generation int64) error {
	t.Helper()
	var e rollout.ObjectCreated
	e.Detail.Object.Key = registry.LogKey(model, generation)
	return a.Run(t.Context(), e)
}

func TestStepsAreAnnounced(t *testing.T) {
	w := newWorld(t, steps)
	id := w.start(2)
	w.move(rollout.PromoteIn{Kind: registry.KindPause, RolloutID: id, Reason: "x"})
	w.move(rollout.PromoteIn{Kind: registry.KindResume, RolloutID: id, Reason: "x"})
	for from := range 2 {
		w.clock = w.clock.Add(10 * time.Minute)
		w.advance(id, from)
	}
	w.clock = w.clock.Add(10 * time.Minute)
	w.move(rollout.PromoteIn{Kind: registry.KindPromote, RolloutID: id, Evidence: []string{w.judge(2, string(comparison.Promote), nil)}})
	w.move(rollout.PromoteIn{Kind: registry.KindAbort, RolloutID: w.start(3)})
	w.start(3)
	w.move(rollout.PromoteIn{Kind: registry.KindRollback, Version: 2})
	b := new(bus)
	a := rollout.Announcer{Registry: w.reg, Bus: b}
	var steps []string
	for g := int64(1); g <= w.state().Generation; g++ {
		b.events = nil
		if err := announce(t, a, g); err != nil {
			t.Fatal(err)
		}
		if b.events[0] != "tidegate.registry Model State Change" || len(b.events) > 2 {
			t.Errorf("generation %d: %v", g, b.events)
		}
		steps = append(steps, b.events[1:]...)
	}
	const prefix = "tidegate.rollout Rollout Step Change "
	want := []string{
		"rollout.start progressing step 0 at 100 of version 2 beside 1, 1 evidence",
		"rollout.pause paused step 0 at 100 of version 2 beside 1, 0 evidence",
		"rollout.resume progressing step 0 at 100 of version 2 beside 1, 0 evidence",
		"rollout.advance progressing step 1 at 2500 of version 2 beside 1, 1 evidence",
		"rollout.advance progressing step 2 at 10000 of version 2 beside 1, 1 evidence",
		"promote ended step 2 at 0 of version 2 beside 2, 1 evidence",
		"rollout.start progressing step 0 at 100 of version 3 beside 2, 1 evidence",
		"abort ended step 0 at 0 of version 3 beside 2, 0 evidence",
		"rollout.start progressing step 0 at 100 of version 3 beside 2, 1 evidence",
		"rollback ended step 0 at 0 of version 3 beside 1, 0 evidence",
	}
	if got := strings.Join(steps, "\n"); got != prefix+strings.Join(want, "\n"+prefix) {
		t.Errorf("%s", got)
	}
	// A bus that fails half-way, or an entry that is gone, is an error: the event is delivered again.
	last := w.state().Generation
	for fail := 1; fail <= 2; fail++ {
		b.events, b.fail = nil, 0
		failing := &bus{fail: fail}
		if fail == 2 {
			failing = &bus{}
			w.store.Delete(registry.LogKey(model, last-1))
		}
		if err := announce(t, rollout.Announcer{Registry: w.reg, Bus: failing}, last); err == nil {
			t.Errorf("%d: the loss is not told", fail)
		}
	}
	if err := announce(t, a, 99); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	var other rollout.ObjectCreated
	other.Detail.Object.Key = registry.StateKey(model)
	if err := a.Run(t.Context(), other); err != nil {
		t.Error(err)
	}
	if _, err := w.store.Put(t.Context(), registry.LogKey(model, 1), []byte("{"), blob.Always()); err != nil {
		t.Fatal(err)
	}
	if err := announce(t, a, 1); !fault.Is(err, fault.Internal) {
		t.Error(err)
	}
}
