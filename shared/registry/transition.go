package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// Request is who asks for a transition, and as which.
type Request struct {
	// TransitionID is chosen by the caller, once per intended transition, and kept over its retries:
	// a ULID for a person's command, "<run>/<state>/<step>" for a machine's task.
	TransitionID string
	// SeenGeneration is the generation the caller looked at when it chose the id; 0 before the first.
	// A retry repeats it: it says from where on the log may hold the transition already.
	SeenGeneration int64
	Actor          string
	Reason         string
	Evidence       []string // sha256 digests of blobs
	Waived         []string // guards that the actor stands for instead of evidence; the log keeps them
}

// Change is one kind of transition: its guard and its effect on a state.
type Change struct {
	Kind string
	// Creates lets the change make the first generation: next is then empty but for its model.
	Creates bool
	// Apply changes next, a copy of the current state, or says why not: a guard's refusal is
	// FailedPrecondition. It is called again on each try, on the state of that try, and must depend on
	// nothing else but now; generation and Last are set by the registry.
	Apply func(next *State, now time.Time) error
}

// Applied is a transition that took place.
type Applied struct {
	State    State // as the transition made it
	Repeated bool  // an earlier call, or an earlier try of it, had made it
	Unneeded bool  // another transition had reached its aim: nothing was written, and State is the present one
}

// Apply moves the pointer of model by one generation and writes its log entry.
// The same transition id never moves it twice, whatever answers are lost and
// however often the call is repeated, also after others have moved it on.
//
// Errors: FailedPrecondition, a guard said no, and nothing was done;
// InvalidArgument, the request; Aborted, the time of ctx went by in lost races;
// Unavailable, the outcome is open and the call should be repeated with the same
// request; Internal, the registry is damaged or closed to us. Apply tries until
// ctx ends: give it a deadline.
func (r *Registry) Apply(ctx context.Context, model string, req Request, change Change) (Applied, error) {
	if err := cmp.Or(CheckName(model), req.check()); err != nil {
		return Applied{}, err
	}
	m := mover{Registry: r, model: model, req: req, change: change, searched: req.SeenGeneration}
	for try := 1; ; try++ {
		applied, err := m.try(ctx)
		var again *retry
		if err == nil || !errors.As(err, &again) {
			return applied, err
		}
		if ctx.Err() != nil || r.wait(ctx, try) != nil {
			return Applied{}, fault.Wrap(errors.Join(again.cause, ctx.Err()), again.kind,
				"the %s of model %q did not get through in time, and it is open whether it took place; repeat it with the same transition id", change.Kind, model)
		}
	}
}

// mover is one call of Apply.
type mover struct {
	*Registry
	model    string
	req      Request
	change   Change
	searched int64 // the log is known not to hold the transition in (SeenGeneration, searched]
}

// retry is an outcome after which the protocol starts again from step 1. It is no
// fault: it never leaves Apply.
type retry struct {
	kind  fault.Kind // what to call it when time runs out
	cause error
}

func (e *retry) Error() string { return "try again: " + e.cause.Error() }

// again sorts the errors of store calls: open outcomes lead back to step 1.
func again(err error, format string, args ...any) error {
	if open(err) {
		return &retry{fault.Unavailable, err}
	}
	return fmt.Errorf("registry: "+format+": %w", append(args, err)...)
}

// try walks the six steps once. They are numbered as in docs/formats/registry.md;
// their order is what makes the protocol right: a transition that is not in the
// state read first, nor in the log up to it, has not happened and, because its
// write names that state's ETag, cannot happen unnoticed.
func (m *mover) try(ctx context.Context) (Applied, error) {
	key := StateKey(m.model)
	obj, err := m.store.Get(ctx, key) // 1
	if fault.Is(err, fault.NotFound) {
		return m.create(ctx)
	}
	if err != nil {
		return Applied{}, again(err, "read %s", key)
	}
	state, err := ParseState(m.model, obj.Body)
	if err != nil {
		return Applied{}, err
	}
	if state.Generation < m.req.SeenGeneration {
		return Applied{}, fault.New(fault.InvalidArgument, "generation %d of model %q was never reached; its pointer is at %d", m.req.SeenGeneration, m.model, state.Generation)
	}
	if state.Last.ID == m.req.TransitionID { // 2
		return m.repeated(ctx, obj.Body, state)
	}
	if earlier, found, err := m.search(ctx, state.Generation-1); err != nil || found { // 3
		return earlier, err
	}
	m.searched = state.Generation
	if err := m.log(ctx, state.Generation, obj.Body); err != nil { // 4
		return Applied{}, again(err, "log generation %d of %s", state.Generation, m.model)
	}
	next := state.Clone()
	if err := m.change.Apply(&next, m.now()); errors.Is(err, errUnneeded) { // 5
		return Applied{State: state, Unneeded: true}, nil
	} else if err != nil {
		return Applied{}, err
	}
	return m.write(ctx, next, state.Generation, blob.Match(obj.ETag)) // 6
}

// create makes the first generation, if the change may.
func (m *mover) create(ctx context.Context) (Applied, error) {
	if !m.change.Creates {
		return Applied{}, fault.New(fault.FailedPrecondition, "model %q has no champion yet; bootstrap a version first", m.model)
	}
	if m.req.SeenGeneration > 0 {
		return Applied{}, damaged(StateKey(m.model), fmt.Errorf("it is gone, and generation %d was seen", m.req.SeenGeneration))
	}
	// The pointer is never deleted: an entry in the log means that somebody did, or that it was written just now.
	_, err := m.store.Head(ctx, LogKey(m.model, 1))
	switch {
	case fault.Is(err, fault.NotFound):
	case err != nil:
		return Applied{}, again(err, "look for the log of %s", m.model)
	default:
		if _, err := m.store.Head(ctx, StateKey(m.model)); fault.Is(err, fault.NotFound) {
			return Applied{}, damaged(StateKey(m.model), fmt.Errorf("it is gone, but has a log"))
		}
		return Applied{}, &retry{fault.Aborted, fault.New(fault.Aborted, "another writer made the first generation")}
	}
	next := State{V: StateVersion, Model: m.model}
	if err := m.change.Apply(&next, m.now()); err != nil {
		return Applied{}, err
	}
	return m.write(ctx, next, 0, blob.Once())
}

// write is step 6. The status of a failed write decides nothing: only reading the
// state again does.
func (m *mover) write(ctx context.Context, next State, from int64, cond blob.Condition) (Applied, error) {
	next.V, next.Model, next.Generation = StateVersion, m.model, from+1
	next.Last = Transition{ID: m.req.TransitionID, At: m.now(), Kind: m.change.Kind, Actor: m.req.Actor, Reason: m.req.Reason,
		Evidence: m.req.Evidence, Waived: m.req.Waived}
	if err := next.Check(); err != nil {
		return Applied{}, fault.Wrap(err, fault.Internal, "the %s would break the state of model %q", m.change.Kind, m.model)
	}
	body, err := encodeState(&next)
	if err != nil {
		return Applied{}, err
	}
	_, err = m.store.Put(ctx, StateKey(m.model), body, cond)
	switch fault.KindOf(err) {
	case "":
		return Applied{State: next}, m.finish(ctx, next.Generation, body)
	case fault.FailedPrecondition, fault.Aborted:
		return Applied{}, &retry{fault.Aborted, err}
	case fault.NotFound:
		return Applied{}, damaged(StateKey(m.model), fmt.Errorf("it vanished between reading and writing: %w", err))
	}
	return Applied{}, again(err, "write %s", StateKey(m.model))
}

// search looks for the transition in the log up to and including generation to.
// Every entry up to there exists, since nobody advances past an unlogged one.
func (m *mover) search(ctx context.Context, to int64) (Applied, bool, error) {
	for g := m.searched + 1; g <= to; g++ {
		entry, err := m.LogEntry(ctx, m.model, g)
		if fault.Is(err, fault.NotFound) {
			return Applied{}, false, damaged(LogKey(m.model, g), fmt.Errorf("it is missing, though generation %d was passed: %w", g, err))
		}
		if err != nil {
			return Applied{}, false, again(err, "search the log of %s", m.model)
		}
		if entry.Last.ID == m.req.TransitionID {
			return Applied{State: entry, Repeated: true}, true, m.same(entry)
		}
		m.searched = g // entries never change: a long search goes on here after a lost answer
	}
	return Applied{}, false, nil
}

// repeated ends a call that finds its transition in the state: the log entry may still be missing.
func (m *mover) repeated(ctx context.Context, body []byte, state State) (Applied, error) {
	if err := m.same(state); err != nil {
		return Applied{}, err
	}
	return Applied{State: state, Repeated: true}, m.finish(ctx, state.Generation, body)
}

// same refuses an id that was used for another kind of transition.
func (m *mover) same(made State) error {
	if made.Last.Kind == m.change.Kind {
		return nil
	}
	return fault.New(fault.AlreadyExists, "transition id %q belongs to a %s, generation %d of model %q; choose a new one for this %s",
		m.req.TransitionID, made.Last.Kind, made.Generation, m.model, m.change.Kind)
}

// log writes the entry of a generation once; that it exists is as good.
func (m *mover) log(ctx context.Context, generation int64, body []byte) error {
	_, err := m.store.Put(ctx, LogKey(m.model, generation), body, blob.Once())
	if fault.Is(err, fault.FailedPrecondition) {
		return nil
	}
	return err
}

// finish logs a generation that this call made. If that fails the transition
// stands, and the next writer, or the repeated call, logs it.
func (m *mover) finish(ctx context.Context, generation int64, body []byte) error {
	err := m.persist(ctx, func() error { return m.log(ctx, generation, body) })
	kind := fault.Unavailable
	if err != nil && !open(err) {
		kind = fault.Internal
	}
	return fault.Wrap(err, kind,
		"the %s of model %q took place as generation %d, but is not in the log yet; repeat it with the same transition id", m.change.Kind, m.model, generation)
}

const (
	maxID       = 200  // bytes of a transition id or an actor
	maxReason   = 1024 // bytes
	maxEvidence = 32
	maxWaived   = 4
)

func (q *Request) check() error {
	var bad []fault.Violation
	text := func(path, value string, required bool, longest int) {
		switch {
		case value == "" && required:
			bad = append(bad, fault.Violation{Path: path, Problem: "is required"})
		case len(value) > longest:
			bad = append(bad, fault.Violation{Path: path, Problem: fmt.Sprintf("must be at most %d bytes", longest)})
		case strings.ContainsFunc(value, unicode.IsControl) || strings.ToValidUTF8(value, "") != value:
			bad = append(bad, fault.Violation{Path: path, Problem: "must be text without control characters"})
		}
	}
	text("transition_id", q.TransitionID, true, maxID)
	text("actor", q.Actor, true, maxID)
	text("reason", q.Reason, false, maxReason)
	if q.SeenGeneration < 0 {
		bad = append(bad, fault.Violation{Path: "seen_generation", Problem: "must be at least 0"})
	}
	if len(q.Waived) > maxWaived {
		bad = append(bad, fault.Violation{Path: "waived", Problem: fmt.Sprintf("must be at most %d", maxWaived)})
	}
	if len(q.Evidence) > maxEvidence {
		bad = append(bad, fault.Violation{Path: "evidence", Problem: fmt.Sprintf("must be at most %d digests", maxEvidence)})
	}
	for i, guard := range q.Waived {
		text(fmt.Sprintf("waived[%d]", i), guard, true, maxID)
	}
	for i, digest := range q.Evidence {
		if CheckDigest(digest) != nil {
			bad = append(bad, fault.Violation{Path: fmt.Sprintf("evidence[%d]", i), Problem: "must be a sha256 digest in lower-case hex"})
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fault.Invalid(bad...)
}
