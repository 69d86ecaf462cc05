package rollout_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

// pointerOnly is a store of which everything but the pointer and its log is broken.
type pointerOnly struct {
	blob.Store
	writes []string
}

func (p *pointerOnly) broken(key string) error {
	if strings.HasSuffix(key, "/state.json") || strings.Contains(key, "/log/") {
		return nil
	}
	return fault.New(fault.Internal, "%s is closed", key)
}

func (p *pointerOnly) Get(ctx context.Context, key string) (blob.Object, error) {
	if err := p.broken(key); err != nil {
		return blob.Object{}, err
	}
	return p.Store.Get(ctx, key)
}

func (p *pointerOnly) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	if err := p.broken(key); err != nil {
		return blob.Info{}, err
	}
	p.writes = append(p.writes, key)
	return p.Store.Put(ctx, key, body, cond)
}

// TestTrafficIsTakenAwayWhateverIsBroken: in the middle of each step, frozen, with settings,
// versions and evidence out of reach, a rollback, an abort and a pause are one write of the pointer.
func TestTrafficIsTakenAwayWhateverIsBroken(t *testing.T) {
	for step := range 3 {
		for name, in := range map[string]rollout.PromoteIn{
			"rollback": {Kind: registry.KindRollback, Version: 2, Reason: "scores are shifted"},
			"abort":    {Kind: registry.KindAbort}, "reject": {Kind: registry.KindAbort, Reject: true, Waive: []string{rollout.WaiveEvidence}, Reason: "inverted"},
			"pause": {Kind: registry.KindPause, Reason: "look"},
		} {
			w := newWorld(t, steps)
			first := w.start(2)
			for from := range 2 {
				w.clock = w.clock.Add(10 * time.Minute)
				w.advance(first, from)
			}
			w.clock = w.clock.Add(10 * time.Minute)
			w.move(rollout.PromoteIn{Kind: registry.KindPromote, RolloutID: first, Evidence: []string{w.judge(2, "promote", nil)}})
			id := w.start(3)
			for from := range step {
				w.clock = w.clock.Add(10 * time.Minute)
				w.advance(id, from)
			}
			w.move(rollout.PromoteIn{Kind: registry.KindFreeze, Until: at(w.clock.Add(time.Hour)), Reason: "audit"})
			store := &pointerOnly{Store: w.store}
			w.p = rollout.Promoter{Registry: w.on(store)}
			if in.Kind != registry.KindRollback {
				in.RolloutID = id
			}
			out := w.move(in)
			pointer := 0
			for _, key := range store.writes {
				if key == registry.StateKey(model) {
					pointer++
				}
			}
			if pointer != 1 {
				t.Errorf("step %d, %s: %d writes of the pointer: %v", step, name, pointer, store.writes)
			}
			s := out.State
			switch name {
			case "rollback":
				if *s.Slots.Champion != w.refs[1] || s.Rollout != nil || s.Weights.Challenger != 0 {
					t.Errorf("step %d: %+v", step, s)
				}
			case "pause":
				if s.Rollout.Status != registry.Paused || s.Rollout.Step != step {
					t.Errorf("step %d: %+v", step, s)
				}
			default:
				if *s.Slots.Champion != w.refs[2] || s.Rollout != nil || (name == "reject") != (s.Rejected["3"] != "") {
					t.Errorf("step %d, %s: %+v", step, name, s)
				}
			}
		}
	}
}
