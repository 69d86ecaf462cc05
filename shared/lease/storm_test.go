package lease_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lease"
	"github.com/tidegate/tidegate/shared/registry"
)

// game is many executions of a few triggers on a store that fails. What Step
// Functions would say of an execution is in status.
type game struct {
	t      *testing.T
	store  blob.Store
	ids    atomic.Int64
	clock  atomic.Int64
	mu     sync.Mutex
	status map[string]string
	inside string           // who works on the model now
	epochs map[int64]string // by whom each was held
	done   map[string]int   // trigger → runs that succeeded
}

// TestOneAtATimeUnderFaults: twelve executions at a time, a quarter of all answers
// lost, clocks two minutes off, executions that are stopped anywhere. At each moment
// one works at most, every epoch is one execution's, no trigger's run succeeds twice,
// and in the end every trigger's has.
func TestOneAtATimeUnderFaults(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 12
	}
	for seed := range seeds {
		g := &game{t: t, status: map[string]string{}, epochs: map[int64]string{}, done: map[string]int{},
			store: blobtest.Faulty(new(blob.Memory), uint64(seed), blobtest.Faults{DropAnswers: 0.25, Precondition412: 0.05, Conflict409: 0.1, Unavailable503: 0.05})}
		var wg sync.WaitGroup
		for w := range 12 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(seed), uint64(w)))
				trigger := fmt.Sprint("event-", w%4)
				for n := 0; !g.succeeded(trigger); n++ {
					g.execute(rng, fmt.Sprintf("x%02d-%03d", w, n), trigger)
				}
			})
		}
		wg.Wait()
		for trigger, n := range g.done {
			if n != 1 {
				t.Errorf("seed %d: %d runs of %s succeeded", seed, n, trigger)
			}
		}
		if len(g.done) != 4 || t.Failed() {
			t.Fatalf("seed %d: %v", seed, g.done)
		}
	}
}

func (g *game) succeeded(trigger string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.done[trigger] > 0
}

func (g *game) set(holder, status string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status[holder] = status
	if g.inside == holder && status != "RUNNING" {
		g.inside = ""
	}
}

func (g *game) describe(holder string) *lease.Seen {
	g.mu.Lock()
	defer g.mu.Unlock()
	return &lease.Seen{Holder: holder, Status: g.status[holder]}
}

// call repeats a step until it is answered, as the retriers of a machine do.
func (g *game) call(rng *rand.Rand, in lease.In) (lease.Out, error) {
	in.Model, in.Machine = model, "retrain"
	for {
		off := time.Duration(rng.IntN(241)-120) * time.Second
		reg := registry.New(g.store, registry.Options{Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
		k := lease.Keeper{Registry: reg, Now: func() time.Time { return time.Unix(g.clock.Load(), 0).Add(off) }, NewID: func() string { return fmt.Sprint(g.ids.Add(1)) }}
		out, err := k.Run(g.t.Context(), in)
		if fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Aborted) {
			continue
		}
		return out, err
	}
}

// execute is one execution of the machine, which may be stopped at any point.
func (g *game) execute(rng *rand.Rand, holder, trigger string) {
	g.set(holder, "RUNNING")
	stopped := func() bool { return rng.IntN(6) == 0 }
	in := lease.In{Action: lease.ActionAcquire, Holder: holder, Trigger: trigger, Source: lease.SourcePerson, Seconds: 3600}
	for tries := 0; ; tries++ {
		out, err := g.call(rng, in)
		if err != nil {
			g.t.Error(err)
			return
		}
		if stopped() && out.Status != lease.Acquired {
			g.set(holder, "ABORTED")
			return
		}
		switch out.Status {
		case lease.Held, lease.Busy:
			if tries == 20 { // it gives up, and its trigger back
				if _, err := g.call(rng, lease.In{Action: lease.ActionRelease, Holder: holder, Trigger: trigger, Outcome: "failed"}); err != nil {
					g.t.Error(err)
				}
				g.set(holder, "FAILED")
				return
			}
			in.Seen = g.describe(out.Holder)
			continue
		case lease.Acquired:
			g.work(rng, holder, trigger, out.Epoch, stopped)
			return
		}
		g.set(holder, "SUCCEEDED") // a duplicate
		return
	}
}

// work is what only one may do at a time.
func (g *game) work(rng *rand.Rand, holder, trigger string, epoch int64, stopped func() bool) {
	g.mu.Lock()
	if g.inside != "" {
		g.t.Errorf("%s works at epoch %d while %s does", holder, epoch, g.inside)
	}
	if by, taken := g.epochs[epoch]; taken {
		g.t.Errorf("epoch %d was %s's, and is %s's", epoch, by, holder)
	}
	g.inside, g.epochs[epoch] = holder, holder
	g.mu.Unlock()
	g.clock.Add(1) // not at each try: while one goroutine is not scheduled, the tries of others would outlast its lease
	if stopped() {
		g.set(holder, "ABORTED")
		return
	}
	if _, err := g.call(rng, lease.In{Action: lease.ActionRenew, Holder: holder, Trigger: trigger, Epoch: epoch, Seconds: 3600}); err != nil {
		g.t.Errorf("%s was overtaken while it ran: %v", holder, err)
	}
	outcome := "succeeded"
	if rng.IntN(4) == 0 {
		outcome = "failed"
	}
	g.mu.Lock()
	g.inside = ""
	if outcome == "succeeded" {
		g.done[trigger]++
	}
	g.mu.Unlock()
	if _, err := g.call(rng, lease.In{Action: lease.ActionRelease, Holder: holder, Trigger: trigger, Epoch: epoch, Outcome: outcome}); err != nil {
		g.t.Error(err)
	}
	g.set(holder, map[string]string{"succeeded": "SUCCEEDED", "failed": "FAILED"}[outcome])
}

func FuzzParseDebounce(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"debounce":{"need":2,"within_seconds":60,"cool_down_seconds":1}}`, `{"debounce":7}`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := lease.ParseDebounce(raw)
		if err != nil && !fault.Is(err, fault.InvalidArgument) {
			t.Fatalf("%v is no fault of the input", err)
		}
		if err == nil && d.Check() != nil {
			t.Fatalf("%+v was accepted", d)
		}
	})
}
