package rollout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

// TestWholeRolloutsUnderFaults: rollouts from start to end, with a quarter of all
// storage answers lost and 409, 412 and 503 among the others, clocks two minutes
// off, executions that stop anywhere and start again, some of them twice at a time,
// and people who pause, resume, abort, freeze and roll back in the middle.
func TestWholeRolloutsUnderFaults(t *testing.T) {
	runs := 1000
	if testing.Short() {
		runs = 100
	}
	ends := map[string]int{}
	faults := 0
	for seed := range runs {
		r := newRun(t, uint64(seed))
		executions := 1 + seed%4/3
		var wg sync.WaitGroup
		for i := range executions {
			wg.Go(func() { r.execute(rand.New(rand.NewPCG(uint64(seed), uint64(i)))) })
		}
		wg.Wait()
		end, err := r.audit()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		ends[end]++
		for _, n := range r.faulty.Injected() {
			faults += n
		}
	}
	for _, end := range []string{"promoted", "aborted", "paused", "rolled back"} {
		if ends[end] == 0 {
			t.Errorf("no run of %d was %s: %v", runs, end, ends)
		}
	}
	t.Logf("%d runs: %v; %d faults", runs, ends, faults)
}

// run is one rollout of version 3 beside version 2, whose predecessor is version 1.
type run struct {
	w      *world
	faulty *blobtest.FaultyStore
	clock  atomic.Int64 // Unix seconds, of the truth
	people atomic.Int64

	mu    sync.Mutex
	told  map[string]bool // transition id → applied, as a caller was told
	fatal error
}

func newRun(t *testing.T, seed uint64) *run {
	w := newWorld(t, steps)
	id := w.start(2)
	for from := range 2 {
		w.clock = w.clock.Add(10 * time.Minute)
		w.advance(id, from)
	}
	w.clock = w.clock.Add(10 * time.Minute)
	w.move(rollout.PromoteIn{Kind: registry.KindPromote, RolloutID: id, Evidence: []string{w.judge(2, string(comparison.Promote), nil)}})
	r := &run{w: w, told: map[string]bool{}}
	r.clock.Store(w.clock.Add(time.Hour).Unix())
	r.faulty = blobtest.Faulty(w.store, seed, blobtest.Faults{DropAnswers: 0.25, Precondition412: 0.05, Conflict409: 0.1, Unavailable503: 0.05})
	return r
}

// on is a promoter on a store whose clock is up to two minutes off.
func (r *run) on(store blob.Store, off time.Duration) *registry.Registry {
	return registry.New(store, registry.Options{Now: func() time.Time { return time.Unix(r.clock.Load(), 0).Add(off) },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
}

func clockOff(rng *rand.Rand) time.Duration {
	return time.Duration(rng.IntN(241)-120) * time.Second
}

// dying ends its caller after it has written the state.
type dying struct {
	blob.Store
	die func()
}

func (d *dying) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	info, err := d.Store.Put(ctx, key, body, cond)
	if key == registry.StateKey(model) {
		d.die()
	}
	return info, err
}

// ask repeats a move under its id until it is answered; some callers die and come back.
func (r *run) ask(rng *rand.Rand, in rollout.PromoteIn) (rollout.PromoteOut, error) {
	in.Model, in.Actor = model, "machine"
	if rng.IntN(10) == 0 {
		ctx, die := context.WithCancel(r.w.t.Context())
		p := rollout.Promoter{Registry: r.on(&dying{r.faulty, die}, clockOff(rng))}
		_, _ = p.Run(ctx, in) // nobody hears the answer
		die()
	}
	for range 10_000 {
		p := rollout.Promoter{Registry: r.on(r.faulty, clockOff(rng))}
		out, err := p.Run(r.w.t.Context(), in)
		switch fault.KindOf(err) {
		case fault.Unavailable, fault.Aborted:
			continue
		case "", fault.FailedPrecondition, fault.NotFound:
			r.mu.Lock()
			// Two executions with one id may be told differently: one asked too early.
			r.told[in.TransitionID] = r.told[in.TransitionID] || err == nil && !out.Unneeded
			r.mu.Unlock()
			return out, err
		}
		r.fail(fmt.Errorf("%s: %w", in.TransitionID, err))
		return out, err
	}
	err := fmt.Errorf("%s is never answered", in.TransitionID)
	r.fail(err)
	return rollout.PromoteOut{}, err
}

func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fatal == nil {
		r.fatal = err
	}
}

func (r *run) look() registry.State {
	for {
		s, _, err := r.on(r.faulty, 0).State(r.w.t.Context(), model)
		if err == nil {
			return s
		}
		if !fault.Is(err, fault.Unavailable) {
			r.fail(err)
			return registry.State{}
		}
	}
}

// judge stores evidence through the faults.
func (r *run) judge(s registry.State, decision string) string {
	e := registry.Evidence{V: 1, Kind: registry.EvidenceComparison, Model: model, Champion: *s.Slots.Champion, Challenger: r.w.refs[3], Decision: decision,
		Reject: decision == string(comparison.Abort), At: time.Unix(r.clock.Load(), 0).UTC(), Dataset: "d"}
	if s.Rollout != nil {
		e.RolloutID, e.Step, e.Dataset = s.Rollout.ID, s.Rollout.Step, ""
	}
	body, err := json.Marshal(e)
	if err != nil {
		r.fail(err)
	}
	for r.on(r.faulty, 0).PutBlob(r.w.t.Context(), sum(body), bytes.NewReader(body), int64(len(body))) != nil {
		continue // until it is there
	}
	return sum(body)
}

const runID = "run/start/0"

// execute is the rollout machine: it starts, and at each step does what the evidence
// says, until the rollout is over or waits for a person. It is stopped and started
// again at any point, and people interfere.
func (r *run) execute(rng *rand.Rand) {
	if _, err := r.ask(rng, rollout.PromoteIn{Kind: registry.KindStart, Version: 3, TransitionID: runID, Evidence: []string{r.judge(r.look(), string(comparison.Start))}}); err != nil {
		return
	}
	for look := range 60 {
		s := r.look()
		if s.Rollout == nil || s.Rollout.ID != runID {
			return // ended, by whomever
		}
		if rng.IntN(6) == 0 {
			r.person(rng, s)
			continue
		}
		if s.Rollout.Status == registry.Paused {
			if rng.IntN(3) == 0 {
				return // nobody came
			}
			_, _ = r.ask(rng, rollout.PromoteIn{Kind: registry.KindResume, RolloutID: runID, Reason: "go on", TransitionID: r.personal()})
			continue
		}
		if rng.IntN(8) == 0 { // stopped, and started again
			_, _ = r.ask(rng, rollout.PromoteIn{Kind: registry.KindStart, Version: 3, TransitionID: runID})
		}
		r.clock.Add(int64(rng.IntN(900)))
		r.decide(rng, s, look)
	}
	_, _ = r.ask(rng, rollout.PromoteIn{Kind: registry.KindPause, RolloutID: runID, Reason: "undecided", TransitionID: "run/pause/end"})
}

// decide is one look at the evidence.
func (r *run) decide(rng *rand.Rand, s registry.State, look int) {
	step, last := s.Rollout.Step, s.Rollout.Step == 2
	in := rollout.PromoteIn{RolloutID: runID}
	switch n := rng.IntN(12); {
	case n < 2:
		return // wait
	case n == 2 && look > 3:
		in.Kind, in.TransitionID = registry.KindPause, fmt.Sprintf("run/pause/%d-%d", step, look)
		in.Reason = "not enough data"
	case n == 3:
		in.Kind, in.TransitionID, in.Reject, in.Reason = registry.KindAbort, fmt.Sprintf("run/abort/%d", step), true, "worse"
		in.Evidence = []string{r.judge(s, string(comparison.Abort))}
	case last:
		in.Kind, in.TransitionID, in.Evidence = registry.KindPromote, "run/promote/2", []string{r.judge(s, string(comparison.Promote))}
	default:
		in.Kind, in.TransitionID, in.FromStep, in.Evidence = registry.KindAdvance, fmt.Sprintf("run/advance/%d", step), &step, []string{r.judge(s, string(comparison.Advance))}
	}
	_, _ = r.ask(rng, in) // a refusal is looked at again
}

func (r *run) personal() string { return fmt.Sprint("person-", r.people.Add(1)) }

// person does something in the middle of a rollout.
func (r *run) person(rng *rand.Rand, s registry.State) {
	in := rollout.PromoteIn{TransitionID: r.personal(), Reason: "because"}
	switch rng.IntN(12) {
	case 0:
		in.Kind, in.Version = registry.KindRollback, s.Slots.Champion.Version
	case 1:
		in.Kind, in.RolloutID = registry.KindAbort, runID
	case 2, 3:
		in.Kind, in.RolloutID = registry.KindPause, runID
	case 4:
		in.Kind, in.Until = registry.KindFreeze, at(time.Unix(r.clock.Load(), 0).Add(time.Hour))
	case 5, 6:
		in.Kind = registry.KindUnfreeze
	case 7:
		in.Kind, in.Settings, in.Reason = registry.KindConfigure, json.RawMessage(`{"rollout":{"steps":[{"weight":1,"bake_seconds":1}]}}`), ""
	case 8:
		in.Kind, in.Version = registry.KindShadowStart, 99 // not READY
	case 9:
		in.Kind, in.Version = registry.KindShadowStart, 1
	case 10:
		in.Kind, in.Version = registry.KindShadowStop, 1
	default:
		in.Kind, in.Version, in.Evidence = registry.KindStart, 1, []string{r.judge(s, string(comparison.Start))} // a second rollout
	}
	_, _ = r.ask(rng, in)
}
