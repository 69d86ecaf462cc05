// Package registrytest holds the registry's protocol to its promises on any
// store: memory, memory with injected faults, S3.
//
// It is imported by tests only. [Run] is the functional suite, [Storm] the
// property test: many writers, lost answers, crashes between the two writes of a
// transition, callers that come back late. [Play] is its engine, which also takes
// wrong protocols, to show that they fail.
//
//	registrytest.Run(t, func(*testing.T) blob.Store { return new(blob.Memory) })
package registrytest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// Apply makes one transition on a store; it is [registry.Registry.Apply] or a wrong variant of it.
type Apply func(ctx context.Context, store blob.Store, model string, req registry.Request, change registry.Change) (registry.Applied, error)

// Protocol is the registry's own Apply with the given sleep.
func Protocol(sleep func(context.Context, time.Duration) error) Apply {
	return func(ctx context.Context, store blob.Store, model string, req registry.Request, change registry.Change) (registry.Applied, error) {
		return registry.New(store, registry.Options{Sleep: sleep}).Apply(ctx, model, req, change)
	}
}

// Game is a run of the property test.
type Game struct {
	Model     string
	Seed      uint64
	Writers   int             // 12 in the protocol's bar
	PerWriter int             // transitions that each writer asks for
	Faults    blobtest.Faults // of the callers' store
	Crashes   float64         // share of calls that die right after state.json is written
	Apply     Apply
	Pick      Pick // AnyKind when nil
}

// Outcome counts what happened.
type Outcome struct {
	Asked, Refused int   // transitions; a refused one must not be in the log
	Unneeded       int   // answered "the state is there already"; not in the log either
	Applied        int64 // generations in the log, without the bootstrap
	Crashed, Late  int   // calls that died; transitions repeated after others had moved on
	Injected       map[string]int
	Kinds          map[string]int // generations in the log, by kind
}

func (o Outcome) String() string {
	return fmt.Sprintf("asked %d, refused %d, unneeded %d, applied %d, crashed %d, repeated late %d, faults %v", o.Asked, o.Refused, o.Unneeded, o.Applied, o.Crashed, o.Late, o.Injected)
}

// Play runs the game on store and then reads the log without faults. The error
// names the first promise that is broken: a transition applied twice or not at
// all, a gap, a log entry that is not the body of the state, an invariant.
func Play(ctx context.Context, store blob.Store, g Game) (Outcome, error) {
	p := &player{Game: g, truth: &recorder{Store: store, key: registry.StateKey(g.Model), bodies: map[int64][]string{}}, applied: map[string]bool{}}
	if p.Pick == nil {
		p.Pick = AnyKind
	}
	p.faulty = blobtest.Faulty(p.truth, g.Seed, g.Faults)
	if err := p.ask(ctx, p.faulty, registry.Request{TransitionID: "bootstrap", Actor: "test"}, registry.Bootstrap(ref(1))); err != nil {
		return p.Outcome, fmt.Errorf("bootstrap: %w", err)
	}
	errs := make([]error, g.Writers)
	var wg sync.WaitGroup
	for w := range g.Writers {
		wg.Go(func() { errs[w] = p.write(ctx, w) })
	}
	wg.Wait()
	p.Injected = p.faulty.Injected()
	if err := errors.Join(errs...); err != nil {
		return p.Outcome, err
	}
	return p.Outcome, p.audit(ctx)
}

type player struct {
	Game
	truth  *recorder
	faulty *blobtest.FaultyStore

	mu      sync.Mutex
	applied map[string]bool // transition id → applied (true) or refused (false), as the caller was told
	Outcome
}

// intent is a transition that a crashed caller will ask for again.
type intent struct {
	req    registry.Request
	change registry.Change
}

// write is one writer: it asks for its transitions in turn. A caller that crashed
// comes back at once or, as often, at the end, when the others have moved on.
func (p *player) write(ctx context.Context, writer int) error {
	rng := rand.New(rand.NewPCG(p.Seed, uint64(writer)+1))
	var late []intent
	for n := range p.PerWriter {
		state, err := p.look(ctx)
		if err != nil {
			return err
		}
		id := fmt.Sprintf("w%02d-%02d", writer, n)
		i := intent{registry.Request{TransitionID: id, SeenGeneration: state.Generation, Actor: "test"}, p.Pick(rng, state, id)}
		if rng.Float64() < p.Crashes {
			p.crash(ctx, i)
			if rng.IntN(2) == 0 {
				late = append(late, i)
				continue
			}
		}
		if err := p.ask(ctx, p.faulty, i.req, i.change); err != nil {
			return err
		}
	}
	for _, i := range late {
		if err := p.ask(ctx, p.faulty, i.req, i.change); err != nil {
			return err
		}
	}
	p.mu.Lock()
	p.Late += len(late)
	p.mu.Unlock()
	return nil
}

func ref(v int) registry.Ref { return registry.Ref{Version: v, Digest: digest(v)} }

func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// crash lets a caller die right after its state.json is written, if it gets that far.
func (p *player) crash(ctx context.Context, i intent) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, _ = p.Apply(ctx, &dying{Store: p.faulty, key: p.truth.key, die: cancel}, p.Model, i.req, i.change) // nobody hears the answer
	p.mu.Lock()
	p.Crashed++
	p.mu.Unlock()
}

// ask repeats a call under its transition id until it is answered.
func (p *player) ask(ctx context.Context, store blob.Store, req registry.Request, change registry.Change) error {
	for {
		made, err := p.Apply(ctx, store, p.Model, req, change)
		switch fault.KindOf(err) {
		case "", fault.FailedPrecondition:
			p.mu.Lock()
			p.applied[req.TransitionID] = err == nil && !made.Unneeded
			p.Asked++
			if err != nil {
				p.Refused++
			}
			if made.Unneeded {
				p.Unneeded++
			}
			p.mu.Unlock()
			return nil
		case fault.Unavailable, fault.Aborted:
			if ctx.Err() != nil {
				return err
			}
		default:
			return fmt.Errorf("transition %s: %w", req.TransitionID, err)
		}
	}
}

func (p *player) look(ctx context.Context) (registry.State, error) {
	for {
		s, _, err := registry.New(p.faulty, registry.Options{}).State(ctx, p.Model)
		if !fault.Is(err, fault.Unavailable) || ctx.Err() != nil {
			return s, err
		}
	}
}

// audit reads what is really stored and compares it with what callers were told.
func (p *player) audit(ctx context.Context) error {
	reg := registry.New(p.truth, registry.Options{})
	final, _, err := reg.State(ctx, p.Model)
	if err != nil {
		return err
	}
	p.Outcome.Applied = final.Generation - 1
	p.Kinds = map[string]int{}
	logged := map[string]bool{}
	var prev *registry.State
	for g := int64(1); g <= final.Generation; g++ {
		obj, err := p.truth.Get(ctx, registry.LogKey(p.Model, g))
		if err != nil {
			return fmt.Errorf("generation %d of %d is not in the log: %w", g, final.Generation, err)
		}
		if bodies := p.truth.bodies[g]; len(bodies) != 1 || bodies[0] != string(obj.Body) {
			return fmt.Errorf("generation %d was written %d times, or its log entry is not the body of the state", g, len(bodies))
		}
		s, err := reg.LogEntry(ctx, p.Model, g)
		if err != nil {
			return err
		}
		if err := registry.CheckSuccession(prev, s); err != nil {
			return fmt.Errorf("generation %d: %w", g, err)
		}
		if logged[s.Last.ID] {
			return fmt.Errorf("transition %s was applied twice, the second time as generation %d", s.Last.ID, g)
		}
		logged[s.Last.ID] = true
		p.Kinds[s.Last.Kind]++
		prev = &s
	}
	if _, err := p.truth.Head(ctx, registry.LogKey(p.Model, final.Generation+1)); !fault.Is(err, fault.NotFound) {
		return fmt.Errorf("the log is ahead of the state at generation %d: %v", final.Generation, err)
	}
	for id, told := range p.applied {
		if told != logged[id] {
			return fmt.Errorf("transition %s: the caller was told applied = %v, the log says %v", id, told, logged[id])
		}
	}
	if want := int64(p.Asked - p.Refused - p.Unneeded); final.Generation != want {
		return fmt.Errorf("%d transitions were applied, %d asked for and neither refused nor unneeded", final.Generation, want)
	}
	return nil
}

// recorder notes the body of every state.json that the store accepted, below all faults.
type recorder struct {
	blob.Store
	key    string
	mu     sync.Mutex
	bodies map[int64][]string
}

func (r *recorder) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	info, err := r.Store.Put(ctx, key, body, cond)
	if err != nil || key != r.key {
		return info, err
	}
	model := strings.Split(key, "/")[1]
	s, perr := registry.ParseState(model, slices.Clone(body))
	if perr != nil {
		return info, perr
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies[s.Generation] = append(r.bodies[s.Generation], string(body))
	return info, nil
}

// dying is the store of a process that ends right after it wrote key.
type dying struct {
	blob.Store
	key string
	die func()
}

func (d *dying) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	info, err := d.Store.Put(ctx, key, body, cond)
	if key == d.key {
		d.die()
	}
	return info, err
}
