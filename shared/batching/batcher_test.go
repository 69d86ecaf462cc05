package batching

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/pause"
)

// steady is a model that takes 80 ms whatever it runs.
func steady() *lender {
	return &lender{model: &model{cost: func(int) time.Duration { return 80 * time.Millisecond }}}
}

// call runs one request and checks its answer.
func call(t *testing.T, ctx context.Context, b *batcher, h holder, r *request) error {
	t.Helper()
	outputs, release, err := b.run(ctx, h, r.inputs, nil)
	if err != nil {
		return err
	}
	if err := r.check(outputs); err != nil {
		t.Error(err)
	}
	release()
	return nil
}

func TestASingleCallerWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := steady()
		b := drained(t, Settings{})
		started := time.Now()
		for id := 1; id <= 10; id++ {
			if err := call(t, t.Context(), b, m, newRequest(id, 1, 2)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(started); took != 10*80*time.Millisecond {
			t.Errorf("10 runs of 80 ms took %v", took)
		}
		if s := b.snapshot(); s.Inline != 10 {
			t.Errorf("%d of 10 ran in the caller's goroutine", s.Inline)
		}
	})
}

// TestCallersThatComeAgainFillTheBatch is the case that batching is for: 64
// callers, each with one row at a time. The first round is 1 and 63; from then on
// an instance waits the moment that the answered ones need to come back.
func TestCallersThatComeAgainFillTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := steady()
		b := drained(t, Settings{MaxBatch: 64})
		var wg sync.WaitGroup
		for c := range 64 {
			wg.Go(func() {
				for round := range 10 {
					if err := call(t, t.Context(), b, m, newRequest(100*c+round+1, 1, 2)); err != nil {
						t.Error(err)
					}
					_ = pause.For(t.Context(), time.Duration(1+c)*20*time.Microsecond) // on its way
				}
			})
		}
		wg.Wait()
		// Two more runs than batches, for the check of the first one.
		if sizes := m.runs(); sizes[0] != 1 || len(sizes) > 15 || !slices.Equal(sizes[4:9], []int{64, 64, 64, 64, 64}) {
			t.Errorf("runs of %v rows, want 64 each after the first", sizes)
		}
	})
}

func TestLoneCallersAfterACrowdWaitBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := steady()
		b := drained(t, Settings{})
		crowd(t, b, m, 5)
		for id := 100; id < 103; id++ {
			started := time.Now()
			if err := call(t, t.Context(), b, m, newRequest(id, 1, 2)); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(started) - 80*time.Millisecond; waited > DefaultMaxWait || id > 100 && waited != 0 {
				t.Errorf("call %d waited %v", id, waited)
			}
		}
	})
}

// crowd has n callers of one row each come at once, and waits for their answers.
func crowd(t *testing.T, b *batcher, h holder, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for id := 1; id <= n; id++ {
		wg.Go(func() {
			if err := call(t, t.Context(), b, h, newRequest(id, 1, 2)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestMoreThanABatchRunsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := steady()
		b := drained(t, Settings{MaxBatch: 8, MaxWait: -1})
		b.trusted = true
		var wg sync.WaitGroup
		for i, rows := range []int{1, 3, 20, 5, 8, 1} {
			wg.Go(func() {
				_ = pause.For(t.Context(), time.Duration(i)*time.Millisecond)
				if err := call(t, t.Context(), b, m, newRequest(i+1, rows, 2)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got, want := fmt.Sprint(m.runs()), "[1 8 20 8 1]"; got != want {
			t.Errorf("runs of %v rows, want %v", got, want)
		}
	})
}

func TestTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := steady()
		b := drained(t, Settings{MaxQueue: 2})
		b.cost.observe(64, 3*time.Second)
		var wg sync.WaitGroup
		results := make([]error, 5)
		for i, p := range []Priority{Normal, Low, Low, Low, Normal} { // runs, waits, waits, is refused, takes the place of the second
			wg.Go(func() {
				_ = pause.For(t.Context(), time.Duration(i)*time.Millisecond)
				results[i] = call(t, WithPriority(t.Context(), p), b, m, newRequest(i+1, 1, 2))
			})
		}
		wg.Wait()
		for i, refused := range []bool{false, false, true, true, false} {
			err := results[i]
			if refused != (err != nil) {
				t.Errorf("request %d: %v, refused should be %v", i, err, refused)
			}
			if refused && (!fault.Is(err, fault.ResourceExhausted) || fault.Public(err).RetryAfter < 3*time.Second) {
				t.Errorf("request %d: %v, try again after %v", i, err, fault.Public(err).RetryAfter)
			}
		}
		m.nothingHeld(t)
	})
}

func TestLateRequestsAreRefusedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := steady()
		b := drained(t, Settings{})
		if err := call(t, t.Context(), b, m, newRequest(1, 1, 2)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		started := time.Now()
		if err := call(t, ctx, b, m, newRequest(2, 1, 2)); !fault.Is(err, fault.DeadlineExceeded) {
			t.Errorf("50 ms for a run of 80 ms: %v", err)
		}
		if took := time.Since(started); took != 0 || len(m.runs()) != 1 {
			t.Errorf("refused after %v and %d runs, want at once", took, len(m.runs()))
		}
		// The model becomes fast: refusals alone would never find that out.
		m.cost = func(int) time.Duration { return time.Millisecond }
		for try := 0; ; try++ {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			err := call(t, ctx, b, m, newRequest(3, 1, 2))
			cancel()
			if err == nil {
				break
			}
			if try > 20 {
				t.Fatalf("still refused: %v", err)
			}
		}
	})
}

func TestAHugeRequestDoesNotMakeOneRowLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &lender{model: &model{cost: func(rows int) time.Duration { return time.Duration(rows) * time.Microsecond }}}
		b := drained(t, Settings{MaxWait: -1})
		const huge = maxMaxBatch + 1
		var wg sync.WaitGroup
		for id := 1; id <= 2; id++ { // in the caller's goroutine, and out of the queue
			wg.Go(func() {
				if err := call(t, t.Context(), b, m, newRequest(id, huge, 1)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		b.mu.Lock()
		waiting := b.queue.rows
		b.mu.Unlock()
		wg.Wait()
		synctest.Wait()
		if s := b.snapshot(); waiting != huge || s.Rows != 2*huge || s.BatchRows[len(RowBounds)] != 2 {
			t.Errorf("%d rows waited and runs were %+v; want %d rows each", waiting, s, huge)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := call(t, ctx, b, m, newRequest(3, 1, 1)); err != nil {
			t.Errorf("10 ms for a run of 1 µs: %v", err)
		}
	})
}

func TestASizeTellsNothingOfSmallerOnes(t *testing.T) {
	for _, rows := range []int{2, 128, maxMaxBatch, 32 << 20} {
		var c cost
		c.observe(rows, time.Minute)
		if smaller, same := c.expect(rows/2), c.expect(rows); smaller != 0 || same != time.Minute {
			t.Errorf("after a minute for %d rows %v are expected of half as many, %v of as many", rows, smaller, same)
		}
	}
}

func TestWhoWaitedTooLongIsNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := steady()
		b := drained(t, Settings{})
		var wg sync.WaitGroup
		wg.Go(func() { _ = call(t, t.Context(), b, m, newRequest(1, 1, 2)) })
		synctest.Wait()
		wg.Go(func() { // nothing is known of the model yet: it is admitted
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := call(t, ctx, b, m, newRequest(2, 1, 2)); !fault.Is(err, fault.DeadlineExceeded) {
				t.Errorf("100 ms for two runs of 80 ms: %v", err)
			}
		})
		wg.Wait()
		if n := len(m.runs()); n != 1 {
			t.Errorf("%d runs, want 1", n)
		}
		m.nothingHeld(t)
	})
}

func TestWhoLeavesDoesNotDisturbTheOthers(t *testing.T) {
	for _, everyone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := steady()
			b := drained(t, Settings{MaxWait: -1})
			b.trusted = true
			var wg sync.WaitGroup
			wg.Go(func() { _ = call(t, t.Context(), b, m, newRequest(1, 1, 2)) })
			synctest.Wait()
			for id := 2; id <= 5; id++ {
				ctx, cancel := context.WithCancel(t.Context())
				leaves := id == 3 || everyone
				wg.Go(func() {
					err := call(t, ctx, b, m, newRequest(id, 1, 2))
					if leaves != fault.Is(err, fault.Unavailable) || !leaves && err != nil {
						t.Errorf("request %d: %v", id, err)
					}
				})
				if leaves {
					wg.Go(func() { _ = pause.For(t.Context(), 100*time.Millisecond); cancel() }) // the batch began at 80 ms
				}
				defer cancel()
			}
			started := time.Now()
			wg.Wait()
			want := 160 * time.Millisecond
			if everyone {
				want = 100 * time.Millisecond // nobody wants the run any more
			}
			if took := time.Since(started); took != want {
				t.Errorf("ended after %v, want %v", took, want)
			}
			synctest.Wait()
			m.nothingHeld(t)
			if s := b.snapshot(); s.Abandoned == 0 || s.Running != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestLowPriorityGivesWayAndDoesNotStarve(t *testing.T) {
	var q queue
	add := func(id int, p Priority) {
		q.push(&ticket{rows: 4, mixes: true, priority: p, inputs: newRequest(id, 4, 2).inputs})
	}
	add(1, Low)
	firsts := ""
	for i := range patience + 3 {
		add(i+10, Normal)
		add(i+30, Normal)
		for _, one := range q.take(8, nil) {
			firsts += fmt.Sprint(one.priority)
		}
		firsts += " "
	}
	if want := "00 00 00 00 00 00 00 00 10 00 00 "; firsts != want {
		t.Errorf("batches of priorities %q, want %q", firsts, want)
	}
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := steady()
		b := drained(t, Settings{})
		var wg sync.WaitGroup
		wg.Go(func() { crowd(t, b, m, 5) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := b.drain(ctx); err == nil {
			t.Error("drained while requests run")
		}
		if err := call(t, t.Context(), b, m, newRequest(9, 1, 2)); !fault.Is(err, fault.Unavailable) {
			t.Errorf("admitted while draining: %v", err)
		}
		if err := b.drain(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}
