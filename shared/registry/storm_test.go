package registry_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/registry/registrytest"
)

func memory(*testing.T) blob.Store { return new(blob.Memory) }

// instant lets tests wait for nothing but a turn of the scheduler.
func instant(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func TestSuiteOnMemory(t *testing.T) { registrytest.Run(t, memory) }

func TestStormOnMemory(t *testing.T) {
	registrytest.Storm(t, memory, 10, []uint64{1, 2, 3, 4}, instant)
}

// TestStormMakesEveryKind: the property test says something about each kind of transition.
func TestStormMakesEveryKind(t *testing.T) {
	made := map[string]int{}
	for seed := range uint64(6) {
		outcome, err := registrytest.Play(t.Context(), new(blob.Memory), registrytest.Game{
			Model: "kinds", Seed: seed, Writers: 4, PerWriter: 60, Faults: blobtest.Faults{DropAnswers: 0.25, Conflict409: 0.1, Precondition412: 0.05, Unavailable503: 0.05},
			Crashes: 0.1, Apply: registrytest.Protocol(instant)})
		if err != nil {
			t.Fatalf("seed %d: %v (%s)", seed, err, outcome)
		}
		for kind, n := range outcome.Kinds {
			made[kind] += n
		}
		if outcome.Refused == 0 {
			t.Errorf("seed %d: nothing was refused", seed)
		}
	}
	want := []string{registry.KindBootstrap, registry.KindConfigure, registry.KindRollback, registry.KindFreeze, registry.KindUnfreeze, registry.KindReadmit,
		registry.KindShadowStart, registry.KindShadowStop, registry.KindStart, registry.KindAdvance, registry.KindPause, registry.KindResume, registry.KindPromote, registry.KindAbort}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(made)); !slices.Equal(got, want) {
		t.Errorf("kinds %v, want %v", got, want)
	}
	t.Log(made)
}

func TestCalmIsExactToo(t *testing.T) {
	outcome, err := registrytest.Play(t.Context(), new(blob.Memory), registrytest.Game{
		Model: "calm", Seed: 1, Writers: 12, PerWriter: 10, Apply: registrytest.Protocol(instant)})
	if err != nil || len(outcome.Injected) > 0 {
		t.Errorf("%v (%s)", err, outcome)
	}
}

// naive retries until a write is acknowledged, and never looks whether an earlier
// try won: what PROTOCOLS warns of. The property test must find it.
func naive(ctx context.Context, store blob.Store, model string, req registry.Request, change registry.Change) (registry.Applied, error) {
	for {
		if err := ctx.Err(); err != nil {
			return registry.Applied{}, err
		}
		next, cond, err := read(ctx, store, model)
		if fault.Is(err, fault.Unavailable) {
			continue
		}
		if err != nil {
			return registry.Applied{}, err
		}
		if err := change.Apply(&next, time.Now()); err != nil {
			return registry.Applied{}, err
		}
		if write(ctx, store, next, req, change.Kind, cond) == nil {
			return registry.Applied{State: next}, nil
		}
	}
}

func read(ctx context.Context, store blob.Store, model string) (registry.State, blob.Condition, error) {
	obj, err := store.Get(ctx, registry.StateKey(model))
	if fault.Is(err, fault.NotFound) {
		return registry.State{V: 1, Model: model}, blob.Once(), nil
	}
	if err != nil {
		return registry.State{}, blob.Condition{}, err
	}
	s, err := registry.ParseState(model, obj.Body)
	return s, blob.Match(obj.ETag), err
}

func write(ctx context.Context, store blob.Store, next registry.State, req registry.Request, kind string, cond blob.Condition) error {
	next.Generation++
	next.Last = registry.Transition{ID: req.TransitionID, Kind: kind, At: time.Now()}
	body := encode(next)
	if _, err := store.Put(ctx, registry.StateKey(next.Model), body, cond); err != nil {
		return err
	}
	for { // even with a log that never fails
		_, err := store.Put(ctx, registry.LogKey(next.Model, next.Generation), body, blob.Once())
		if err == nil || fault.Is(err, fault.FailedPrecondition) {
			return nil
		}
	}
}

// settings draws what never fails: each try of a naive writer is one more generation.
func settings(rng *rand.Rand, _ registry.State, _ string) registry.Change {
	return registry.Configure(sha(rng.IntN(1000)))
}

func TestStormFindsTheNaiveProtocol(t *testing.T) {
	outcome, err := registrytest.Play(t.Context(), new(blob.Memory), registrytest.Game{
		Model: "naive", Seed: 1, Writers: 12, PerWriter: 10, Faults: blobtest.Faults{DropAnswers: 0.25}, Apply: naive, Pick: settings})
	if err == nil {
		t.Fatalf("a protocol that decides from the status alone passed: %s", outcome)
	}
	if asked := outcome.Asked - outcome.Refused - 1; int(outcome.Applied) <= asked {
		t.Errorf("%d transitions applied, want more than the %d asked for: that is its defect (%v)", outcome.Applied, asked, err)
	}
}

// logFirst is the protocol with steps 1 and 3 in the other order: it searches the
// log and then reads the state.
func logFirst(ctx context.Context, store blob.Store, model string, req registry.Request, change registry.Change) (registry.Applied, error) {
	reg := registry.New(store, registry.Options{})
	for {
		for s, err := range reg.Log(ctx, model, req.SeenGeneration+1, 0) {
			if err == nil && s.Last.ID == req.TransitionID {
				return registry.Applied{State: s, Repeated: true}, nil
			}
		}
		obj, err := store.Get(ctx, registry.StateKey(model))
		if err != nil {
			return registry.Applied{}, err
		}
		s, err := registry.ParseState(model, obj.Body)
		if err != nil || s.Last.ID == req.TransitionID {
			return registry.Applied{State: s}, err
		}
		if _, err := store.Put(ctx, registry.LogKey(model, s.Generation), obj.Body, blob.Once()); err != nil && !fault.Is(err, fault.FailedPrecondition) {
			return registry.Applied{}, err
		}
		if err := change.Apply(&s, time.Now()); err != nil {
			return registry.Applied{}, err
		}
		if write(ctx, store, s, req, change.Kind, blob.Match(obj.ETag)) == nil {
			return registry.Applied{State: s}, nil
		}
	}
}

// hooked loses the answer of the first write of state.json and runs between before
// the next read of it: the interleaving in which the order of steps decides.
type hooked struct {
	blob.Store
	key     string
	lost    bool
	between func()
}

func (h *hooked) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	info, err := h.Store.Put(ctx, key, body, cond)
	if key == h.key && !h.lost {
		h.lost = true
		return blob.Info{}, fault.New(fault.Unavailable, "the answer was lost")
	}
	return info, err
}

func (h *hooked) Get(ctx context.Context, key string) (blob.Object, error) {
	if key == h.key && h.lost && h.between != nil {
		run := h.between
		h.between = nil
		run()
	}
	return h.Store.Get(ctx, key)
}

// TestOrderOfStepsMatters: A's write wins, but its answer is lost; before A reads
// the state again, B moves on. Read in this order, the log up to B's generation is
// complete and shows A its own transition. With the log read first it does not.
func TestOrderOfStepsMatters(t *testing.T) {
	for _, tt := range []struct {
		name  string
		apply registrytest.Apply
		want  int64 // generations afterwards: bootstrap, A, B
	}{
		{"the protocol", registrytest.Protocol(instant), 3},
		{"log before state", logFirst, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, store := t.Context(), new(blob.Memory)
			reg := registry.New(store, registry.Options{Sleep: instant})
			mustApply(t, reg, "boot", 0, registry.Bootstrap(ref(1)))
			hook := &hooked{Store: store, key: registry.StateKey("m"), between: func() { mustApply(t, reg, "B", 1, registry.Configure(sha(2))) }}
			if _, err := tt.apply(ctx, hook, "m", registry.Request{TransitionID: "A", SeenGeneration: 1, Actor: "test"}, registry.Configure(sha(1))); err != nil {
				t.Fatal(err)
			}
			s, _, err := reg.State(ctx, "m")
			if err != nil || s.Generation != tt.want {
				t.Errorf("generation %d, %v; want %d", s.Generation, err, tt.want)
			}
		})
	}
}

func mustApply(t *testing.T, reg *registry.Registry, id string, seen int64, change registry.Change) registry.State {
	t.Helper()
	a, err := reg.Apply(t.Context(), "m", registry.Request{TransitionID: id, SeenGeneration: seen, Actor: "test", Reason: "because"}, change)
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	return a.State
}

func ref(v int) registry.Ref { return registry.Ref{Version: v, Digest: sha(v)} }

func sha(n int) string { return "sha256:" + strings.Repeat("0", 58) + fmt.Sprintf("%06x", n) }
