package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/tidegate/tidegate/shared/fault"
)

const (
	// MaxStateBytes bounds state.json: every warm function reads it every few seconds.
	MaxStateBytes = 32 << 10
	// MaxRejected is how many rejected versions the state remembers; the log has all.
	MaxRejected = 50
	// MaxWeight is all of the traffic, in hundredths of a percent.
	MaxWeight = 10000
)

// State reads the pointer of model with its ETag, for [Registry.StateIfChanged].
// NotFound before the first bootstrap; Internal when the object is damaged.
func (r *Registry) State(ctx context.Context, model string) (s State, etag string, err error) {
	s, etag, _, err = r.StateIfChanged(ctx, model, "")
	return s, etag, err
}

// StateIfChanged reads the pointer unless its ETag is still etag.
func (r *Registry) StateIfChanged(ctx context.Context, model, etag string) (s State, newETag string, changed bool, err error) {
	if err := CheckName(model); err != nil {
		return State{}, "", false, err
	}
	key := StateKey(model)
	obj, changed, err := r.store.GetIfChanged(ctx, key, etag)
	if fault.Is(err, fault.NotFound) {
		return State{}, "", false, fault.Wrap(err, fault.NotFound, "model %q has no version that serves yet", model)
	}
	if err != nil {
		return State{}, "", false, fmt.Errorf("registry: read the state of %s: %w", model, err)
	}
	if !changed {
		return State{}, etag, false, nil
	}
	s, err = parseState(model, key, obj.Body)
	return s, obj.ETag, err == nil, err
}

// ParseState reads the body of a state.json, or of a log entry, of model. A body
// that breaks the invariants is Internal: no program of ours wrote it.
func ParseState(model string, body []byte) (State, error) {
	return parseState(model, StateKey(model), body)
}

func parseState(model, key string, body []byte) (State, error) {
	var s State
	if err := decode(key, body, &s); err != nil {
		return State{}, err
	}
	if s.V > StateVersion {
		return State{}, tooNew(key, s.V, StateVersion)
	}
	if s.Model != model {
		return State{}, damaged(key, fmt.Errorf("it is of another model"))
	}
	if err := s.Check(); err != nil {
		return State{}, damaged(key, err)
	}
	return s, nil
}

// encodeState gives the one form of a state: compact JSON, which the log repeats
// byte by byte.
func encodeState(s *State) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // "<" would take six bytes
	if err := enc.Encode(s); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the state of %s cannot be encoded", s.Model)
	}
	if b.Len() >= MaxStateBytes {
		return nil, fault.New(fault.FailedPrecondition, "the state of %s would take %d bytes, and %d is the limit; shorten the reason or the list of evidence", s.Model, b.Len(), MaxStateBytes)
	}
	return b.Bytes(), nil
}

// Check says which invariant of a single state s breaks, if any.
func (s *State) Check() error {
	if s.V < 1 || s.Generation < 1 || s.Last.ID == "" || s.Last.Kind == "" {
		return fmt.Errorf("it lacks schema, generation or transition")
	}
	for slot, ref := range s.slots() {
		if ref == nil {
			continue
		}
		if CheckVersion(ref.Version) != nil || CheckDigest(ref.Digest) != nil {
			return fmt.Errorf("the %s has no proper version or digest", slot)
		}
		if _, bad := s.Rejected[strconv.Itoa(ref.Version)]; bad {
			return fmt.Errorf("the %s holds version %d, which is rejected", slot, ref.Version)
		}
	}
	switch w := s.Weights.Challenger; {
	case s.Slots.Champion == nil:
		return fmt.Errorf("there is no champion")
	case w < 0 || w > MaxWeight:
		return fmt.Errorf("the weight is outside 0..%d", MaxWeight)
	case (w > 0) != (s.Slots.Challenger != nil):
		return fmt.Errorf("there must be a weight if and only if there is a challenger")
	case s.Slots.Challenger != nil && s.Rollout == nil:
		return fmt.Errorf("there is a challenger without a rollout")
	case s.Slots.Challenger == nil && s.Rollout != nil:
		return fmt.Errorf("there is a rollout without a challenger")
	case s.Rollout != nil && (s.Rollout.ID == "" || s.Rollout.Step < 0):
		return fmt.Errorf("the rollout has no id or no proper step")
	case s.Rollout != nil && s.Rollout.Status != Progressing && s.Rollout.Status != Paused:
		return fmt.Errorf("the rollout is neither progressing nor paused")
	case len(s.Rejected) > MaxRejected:
		return fmt.Errorf("more than %d versions are rejected", MaxRejected)
	}
	return nil
}

// CheckSuccession says which invariant the step from prev to next breaks, if any.
// prev is nil for the first generation.
func CheckSuccession(prev *State, next State) error {
	if err := next.Check(); err != nil {
		return err
	}
	if prev == nil {
		if next.Generation != 1 || next.Last.Kind != KindBootstrap {
			return fmt.Errorf("the first generation is %d by %s, want 1 by %s", next.Generation, next.Last.Kind, KindBootstrap)
		}
		return nil
	}
	if next.Generation != prev.Generation+1 {
		return fmt.Errorf("generation %d follows %d", next.Generation, prev.Generation)
	}
	if *next.Slots.Champion != *prev.Slots.Champion && !slices.Contains([]string{KindBootstrap, KindPromote, KindRollback}, next.Last.Kind) {
		return fmt.Errorf("the champion changed by %s", next.Last.Kind)
	}
	gains := []string{KindShadowStart, KindStart, KindAdvance, KindPromote}
	if slices.Contains(gains, next.Last.Kind) && prev.FrozenAt(next.Last.At) {
		return fmt.Errorf("a %s took place while the model was frozen until %s", next.Last.Kind, prev.Frozen.Until)
	}
	return checkRollout(prev, &next)
}

// checkRollout says which invariant of rollouts the step from prev to next breaks.
func checkRollout(prev, next *State) error {
	kind, before, after := next.Last.Kind, prev.Rollout, next.Rollout
	switch {
	case before == nil && after == nil:
	case before == nil:
		if kind != KindStart || after.Step != 0 {
			return fmt.Errorf("a rollout began by %s at step %d", kind, after.Step)
		}
	case after == nil:
		if !slices.Contains([]string{KindPromote, KindAbort, KindRollback}, kind) {
			return fmt.Errorf("a rollout ended by %s", kind)
		}
	case before.ID != after.ID:
		return fmt.Errorf("rollout %s replaces rollout %s, which had not ended", after.ID, before.ID)
	case *prev.Slots.Challenger != *next.Slots.Challenger:
		return fmt.Errorf("the challenger of rollout %s changed by %s", after.ID, kind)
	case kind == KindAdvance:
		if after.Step != before.Step+1 || next.Weights.Challenger <= prev.Weights.Challenger {
			return fmt.Errorf("rollout %s advanced from step %d at %d to step %d at %d", after.ID, before.Step, prev.Weights.Challenger, after.Step, next.Weights.Challenger)
		}
	case after.Step != before.Step || next.Weights != prev.Weights:
		return fmt.Errorf("the step or weight of rollout %s changed by %s", after.ID, kind)
	}
	if kind == KindPromote && (prev.Slots.Challenger == nil || *next.Slots.Champion != *prev.Slots.Challenger ||
		next.Slots.Previous == nil || *next.Slots.Previous != *prev.Slots.Champion) {
		return fmt.Errorf("a promote did not make the challenger the champion and the champion the previous one")
	}
	return nil
}

func (s *State) slots() map[Slot]*Ref {
	return map[Slot]*Ref{Champion: s.Slots.Champion, Challenger: s.Slots.Challenger, Shadow: s.Slots.Shadow, Previous: s.Slots.Previous}
}

// Clone returns a copy of s that shares nothing with it.
func (s *State) Clone() State {
	c := *s
	c.Slots = Slots{clone(s.Slots.Champion), clone(s.Slots.Challenger), clone(s.Slots.Shadow), clone(s.Slots.Previous)}
	c.Rollout, c.Frozen = clone(s.Rollout), clone(s.Frozen)
	c.Rejected = maps.Clone(s.Rejected)
	c.Last.Evidence, c.Last.Waived = slices.Clone(s.Last.Evidence), slices.Clone(s.Last.Waived)
	return c
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// reject notes that version v must not serve again, and takes it out of the slots
// it may still hold besides champion. Of more than MaxRejected the lowest numbers
// are forgotten first, never v.
func (s *State) reject(v int, reason string) {
	const longest = 160 // 50 of them must fit in the state; the log has the whole reason
	if len(reason) > longest {
		reason = string(bytes.ToValidUTF8([]byte(reason[:longest]), nil))
	}
	if s.Rejected == nil {
		s.Rejected = map[string]string{}
	}
	s.Rejected[strconv.Itoa(v)] = reason
	for len(s.Rejected) > MaxRejected {
		lowest := -1
		for text := range s.Rejected {
			if n, err := strconv.Atoi(text); err == nil && n != v && (lowest < 0 || n < lowest) {
				lowest = n
			}
		}
		delete(s.Rejected, strconv.Itoa(lowest))
	}
	if s.Slots.Previous != nil && s.Slots.Previous.Version == v {
		s.Slots.Previous = nil
	}
	if s.Slots.Shadow != nil && s.Slots.Shadow.Version == v {
		s.Slots.Shadow = nil
	}
}
