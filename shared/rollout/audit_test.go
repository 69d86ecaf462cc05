package rollout_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/registry"
)

// audit reads what is stored, without faults: how the rollout ended, or what is broken.
func (r *run) audit() (end string, err error) {
	if r.fatal != nil {
		return "", r.fatal
	}
	ctx, reg := r.w.t.Context(), r.w.reg
	final, _, err := reg.State(ctx, model)
	if err != nil {
		return "", err
	}
	// The newest entry may be missing, until somebody moves on or comes back.
	for id, applied := range r.told {
		if applied && id == final.Last.ID {
			if _, err := reg.LogEntry(ctx, model, final.Generation); err != nil {
				return "", fmt.Errorf("%s was answered without its log entry: %w", id, err)
			}
		}
	}
	seen, logged := map[string]bool{}, int64(0)
	var prev *registry.State
	for s, err := range reg.Log(ctx, model, 1, 0) {
		if err != nil {
			return "", err
		}
		if err := registry.CheckSuccession(prev, s); err != nil {
			return "", fmt.Errorf("generation %d: %w", s.Generation, err)
		}
		if err := r.rested(prev, &s); err != nil {
			return "", fmt.Errorf("generation %d, %s: %w", s.Generation, s.Last.Kind, err)
		}
		for _, ref := range []*registry.Ref{s.Slots.Champion, s.Slots.Challenger, s.Slots.Shadow, s.Slots.Previous} {
			if ref != nil && r.w.refs[ref.Version] != *ref {
				return "", fmt.Errorf("generation %d holds version %d, which is not ready", s.Generation, ref.Version)
			}
		}
		if seen[s.Last.ID] {
			return "", fmt.Errorf("%s was applied twice", s.Last.ID)
		}
		seen[s.Last.ID], prev = true, &s
		logged++
	}
	if writes := int64(len(r.w.store.Versions(registry.StateKey(model)))); logged != final.Generation || writes != final.Generation {
		return "", fmt.Errorf("generation %d, %d log entries, %d writes", final.Generation, logged, writes)
	}
	for id, applied := range r.told {
		if applied != seen[id] {
			return "", fmt.Errorf("%s: told applied = %v, the log says %v", id, applied, seen[id])
		}
	}
	return r.outcome(&final)
}

// rested says whether a move had what it rests on: its step had baked, and the evidence
// that the log names says so of the state before.
func (r *run) rested(prev, s *registry.State) error {
	wants := map[string]comparison.Action{registry.KindStart: comparison.Start, registry.KindAdvance: comparison.Advance, registry.KindPromote: comparison.Promote}
	want, judged := wants[s.Last.Kind]
	if !judged {
		return nil
	}
	e, err := r.w.reg.Evidence(r.w.t.Context(), s.Last.Evidence[0])
	if err != nil {
		return err
	}
	if e.Decision != string(want) || e.Champion != *prev.Slots.Champion {
		return fmt.Errorf("it rests on %+v", e)
	}
	if ro := prev.Rollout; ro != nil && (e.RolloutID != ro.ID || e.Step != ro.Step || s.Last.At.Sub(ro.StepStartedAt) < 10*time.Minute) {
		return fmt.Errorf("step %d began at %s, and it rests on %+v", ro.Step, ro.StepStartedAt, e)
	}
	return nil
}

func (r *run) outcome(final *registry.State) (string, error) {
	if ro := final.Rollout; ro != nil {
		if ro.Status != registry.Paused {
			return "", fmt.Errorf("the rollout is left at step %d", ro.Step)
		}
		return "paused", nil
	}
	end := "not started"
	for s, err := range r.w.reg.Log(r.w.t.Context(), model, 1, 0) {
		if err != nil {
			return "", err
		}
		switch {
		case s.Rollout != nil && s.Rollout.ID == runID:
			end = "started"
		case end == "started":
			end = map[string]string{registry.KindPromote: "promoted", registry.KindAbort: "aborted", registry.KindRollback: "rolled back"}[s.Last.Kind]
		}
	}
	if end == "" || end == "started" || strings.HasPrefix(end, "not") {
		return "", fmt.Errorf("the rollout is %q", end)
	}
	return end, nil
}
