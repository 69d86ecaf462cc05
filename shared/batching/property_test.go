package batching

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// TestEachCallerGetsItsOwnRows is the promise of the package: 10,000 requests at
// once, of one row to more than a batch holds, of two widths and both priorities.
// Some are poisoned and some are given up; the others get exactly their own rows.
func TestEachCallerGetsItsOwnRows(t *testing.T) {
	const requests = 10_000
	for _, instances := range []int{1, 3} {
		m := &lender{model: &model{cost: func(int) time.Duration { return 100 * time.Microsecond }}}
		b := newBatcher(twoColumns(), Settings{MaxBatch: 64, MaxQueue: requests, Instances: instances}, time.Now)
		var wg sync.WaitGroup
		var good, poisoned, left atomic.Int64
		for id := 1; id <= requests; id++ {
			random := rand.New(rand.NewPCG(uint64(id), 7))
			rows := 1 + random.IntN(4)
			if random.IntN(50) == 0 {
				rows = 1 + random.IntN(100)
			}
			r := newRequest(id, rows, 2+random.IntN(2))
			bad := random.IntN(40) == 0
			if bad {
				r.inputs[0].FP32s[random.IntN(rows)*int(r.inputs[0].Shape[1])] = poison
			}
			ctx, cancel := WithPriority(t.Context(), Priority(random.IntN(2))), context.CancelFunc(func() {})
			if random.IntN(20) == 0 {
				ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(20))*time.Millisecond)
			}
			wg.Go(func() {
				defer cancel()
				outputs, release, err := b.run(ctx, m, r.inputs, nil)
				switch {
				case err == nil && bad:
					t.Errorf("request %d is poisoned and was answered", r.id)
				case err == nil:
					good.Add(1)
					if err := r.check(outputs); err != nil {
						t.Error(err)
					}
				case bad && fault.Is(err, fault.InvalidArgument):
					poisoned.Add(1)
				case ctx.Err() != nil && fault.Is(err, fault.DeadlineExceeded), fault.Is(err, fault.DeadlineExceeded) && hasDeadline(ctx):
					left.Add(1)
				default:
					t.Errorf("request %d: %v", r.id, err)
				}
				r.spoil()
				if release != nil {
					release()
				}
			})
		}
		wg.Wait()
		if err := b.drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := b.snapshot()
		t.Logf("%d instances: %d answered, %d poisoned, %d left; %+v", instances, good.Load(), poisoned.Load(), left.Load(), s)
		if good.Load() < requests/2 || poisoned.Load() < 50 || left.Load() == 0 || s.Splits == 0 || s.Poisoned == 0 || s.Apart {
			t.Errorf("the test did not try what it is for")
		}
		if most := m.most.Load(); most > int64(instances) {
			t.Errorf("%d runs at a time, want at most %d", most, instances)
		}
		if s.Queued != 0 || s.Running != 0 {
			t.Errorf("%d wait and %d run after the drain", s.Queued, s.Running)
		}
		m.nothingHeld(t)
	}
}

func hasDeadline(ctx context.Context) bool {
	_, ok := ctx.Deadline()
	return ok
}
