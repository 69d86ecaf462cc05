package remote

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
)

var usual = inference.BreakerSettings{Failures: 3, Window: 10 * time.Second, OpenFor: 5 * time.Second}

// call enters and leaves; it says whether it was let through.
func call(b *breaker, v verdict) bool {
	t, _, _, ok := b.enter()
	if ok {
		b.leave(t, v)
	}
	return ok
}

func TestBreakerOpensAndCloses(t *testing.T) {
	clock := inferencetest.NewClock()
	b := newBreaker(usual, clock.Now)
	for range 2 {
		call(b, failedOne)
	}
	clock.Pass(11 * time.Second) // those are forgotten
	for _, v := range []verdict{failedOne, succeeded, failedOne, unknown, unknown} {
		if !call(b, v) {
			t.Fatal("refused while closed")
		}
	}
	late, _, _, _ := b.enter()
	if call(b, failedOne); call(b, succeeded) {
		t.Fatal("three failures within the window do not open it")
	}
	if _, wait, unsure, ok := b.enter(); ok || !unsure || wait != usual.OpenFor {
		t.Errorf("open: wait %v", wait)
	}
	b.leave(late, succeeded) // it began before: no news of the backend
	clock.Pass(usual.OpenFor)
	probe, _, unsure, ok := b.enter()
	if !ok || !unsure {
		t.Fatal("no probe after the pause")
	}
	if call(b, succeeded) {
		t.Error("two calls while half-open")
	}
	if opened, _ := b.leave(probe, failedOne); !opened || call(b, succeeded) {
		t.Error("a failed probe does not open it again")
	}
	clock.Pass(usual.OpenFor)
	probe, _, _, _ = b.enter()
	b.leave(probe, unknown) // given up: the next may probe
	probe, _, _, ok = b.enter()
	if _, closed := b.leave(probe, succeeded); !ok || !closed {
		t.Error("a good probe does not close it")
	}
	for range 2 {
		call(b, failedOne)
	}
	if !call(b, succeeded) {
		t.Error("failures from before it opened still count")
	}
}

// TestARareFailureKeepsTheTraffic: one call in five fails for ever.
func TestARareFailureKeepsTheTraffic(t *testing.T) {
	clock := inferencetest.NewClock()
	b := newBreaker(inference.BreakerSettings{Failures: 5, Window: time.Minute, OpenFor: time.Second}, clock.Now)
	for i := range 10_000 {
		v := succeeded
		if i%5 == 0 {
			v = failedOne
		}
		if !call(b, v) {
			t.Fatalf("open at call %d", i)
		}
		clock.Pass(time.Millisecond)
	}
	for i := range 20 { // every other one
		call(b, verdict(i%2))
	}
	if call(b, succeeded) {
		t.Error("closed although every other call fails")
	}
}

// TestBreakerProperties plays random calls, several at once, against what a breaker promises.
func TestBreakerProperties(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		set := inference.BreakerSettings{Failures: 1 + r.IntN(5), Window: time.Duration(1+r.IntN(20)) * time.Second, OpenFor: time.Duration(1+r.IntN(10)) * time.Second}
		clock := inferencetest.NewClock()
		b := newBreaker(set, clock.Now)
		type running struct {
			ticket
			unsure bool
		}
		var calls []running
		var openedAt time.Time
		isOpen := false
		for range 500 {
			clock.Pass(time.Duration(r.IntN(1500)) * time.Millisecond)
			if len(calls) == 0 || r.IntN(2) == 0 {
				ticket, wait, unsure, ok := b.enter()
				switch due := isOpen && !clock.Now().Before(openedAt.Add(set.OpenFor)); {
				case ok && isOpen && !due:
					t.Fatalf("seed %d: let through %v after it opened for %v", seed, clock.Now().Sub(openedAt), set.OpenFor)
				case !ok && !isOpen:
					t.Fatalf("seed %d: refused while closed", seed)
				case !ok && wait <= 0 || unsure != isOpen:
					t.Fatalf("seed %d: wait %v, unsure %v", seed, wait, unsure)
				}
				if ok {
					calls = append(calls, running{ticket, unsure})
				}
				probes := 0
				for _, c := range calls {
					if c.unsure && c.epoch == b.epoch {
						probes++
					}
				}
				if probes > 1 {
					t.Fatalf("seed %d: %d probes at once", seed, probes)
				}
				continue
			}
			i := r.IntN(len(calls))
			c := calls[i]
			calls = append(calls[:i], calls[i+1:]...)
			verdict := verdict(r.IntN(3))
			opened, closed := b.leave(c.ticket, verdict)
			if opened && (verdict != failedOne || isOpen && !c.unsure) || closed && (verdict != succeeded || !isOpen || !c.unsure) {
				t.Fatalf("seed %d: opened %v, closed %v by %v of a call that began unsure %v", seed, opened, closed, verdict, c.unsure)
			}
			if opened {
				isOpen, openedAt = true, clock.Now()
			}
			if closed {
				isOpen = false
			}
			if len(b.recent) > 2*set.Failures {
				t.Fatalf("seed %d: remembers %d calls", seed, len(b.recent))
			}
		}
		// Whatever happened, it comes back: all calls end, the pause passes, one good call closes it.
		for _, c := range calls {
			b.leave(c.ticket, unknown)
		}
		clock.Pass(set.OpenFor)
		for range 2 {
			if !call(b, succeeded) {
				t.Fatalf("seed %d: it does not close again", seed)
			}
		}
	}
}

// TestBreakerUnderConcurrency: in each half-open state one call is on its way, whoever asks.
func TestBreakerUnderConcurrency(t *testing.T) {
	clock := inferencetest.NewClock()
	b := newBreaker(inference.BreakerSettings{Failures: 2, Window: time.Hour, OpenFor: time.Millisecond}, clock.Now)
	var probing, most atomic.Int64
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 2))
			for range 2000 {
				clock.Pass(10 * time.Microsecond)
				ticket, _, _, ok := b.enter()
				if !ok {
					continue
				}
				if ticket.probe {
					most.Store(max(most.Load(), probing.Add(1)))
				}
				if ticket.probe {
					probing.Add(-1)
				}
				b.leave(ticket, verdict(r.IntN(3)))
			}
		})
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d probes at once", most.Load())
	}
}
