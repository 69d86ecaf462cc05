package registry

import (
	"context"
	"fmt"
	"iter"

	"github.com/tidegate/tidegate/shared/fault"
)

// LogEntry reads one generation of model from the log. NotFound when the entry
// does not exist (yet); Internal when it is not of that generation.
func (r *Registry) LogEntry(ctx context.Context, model string, generation int64) (State, error) {
	if err := CheckName(model); err != nil {
		return State{}, err
	}
	key := LogKey(model, generation)
	obj, err := r.store.Get(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return State{}, fault.Wrap(err, fault.NotFound, "model %q has no generation %d in its log", model, generation)
	}
	if err != nil {
		return State{}, fmt.Errorf("registry: read the log of %s: %w", model, err)
	}
	s, err := parseState(model, key, obj.Body)
	if err != nil {
		return State{}, err
	}
	if s.Generation != generation {
		return State{}, damaged(key, fmt.Errorf("it holds generation %d", s.Generation))
	}
	return s, nil
}

// Log yields the generations from..to of model in order; to = 0 is the newest
// that is logged. The state of the pointer may be one generation ahead of the log
// for the moment between its two writes, or after a crash until the next writer
// logs it.
func (r *Registry) Log(ctx context.Context, model string, from, to int64) iter.Seq2[State, error] {
	return func(yield func(State, error) bool) {
		if err := CheckName(model); err != nil {
			yield(State{}, err)
			return
		}
		for g := max(from, 1); to == 0 || g <= to; g++ {
			s, err := r.LogEntry(ctx, model, g)
			if fault.Is(err, fault.NotFound) {
				return // without gaps, so this is the end
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}
