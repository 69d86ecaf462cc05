package batching

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/tensor"
)

// fixed is a session whose run keeps a core busy for the same time, whatever it runs.
type fixed struct{ takes time.Duration }

func (f fixed) Run(_ context.Context, inputs []tensor.Tensor, _ []string) ([]tensor.Tensor, func(), error) {
	for end := time.Now().Add(f.takes); time.Now().Before(end); {
		runtime.Gosched()
	}
	return inputs, func() {}, nil
}

func (fixed) hold()  {}
func (fixed) letGo() {}

// BenchmarkCallers has callers of one row each, at a session of a fixed cost. An
// operation is a request. "of-ideal" is the time that full batches would take, as
// long as runs have taken here, by the time it took.
func BenchmarkCallers(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		for _, takes := range []time.Duration{200 * time.Microsecond, 5 * time.Millisecond} {
			b.Run(fmt.Sprintf("callers=%d/run=%v", callers, takes), func(b *testing.B) {
				bt := newBatcher(twoColumns(), Settings{}, time.Now)
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				var wg sync.WaitGroup
				b.ReportAllocs()
				b.ResetTimer()
				started := time.Now()
				for c := range callers {
					wg.Go(func() {
						r := newRequest(c+1, 1, 8)
						for range (b.N + callers - 1 - c) / callers {
							_, release, err := bt.run(ctx, fixed{takes}, r.inputs, nil)
							if err != nil {
								b.Error(err)
								return
							}
							release()
						}
					})
				}
				wg.Wait()
				took, s := time.Since(started), bt.snapshot()
				b.ReportMetric(float64(b.N)/float64(callers)*float64(s.RunSum)/float64(s.Runs)/float64(took), "of-ideal")
			})
		}
	}
}

// BenchmarkOverhead is what a request costs that nobody waits for: the batcher
// around a session that does nothing.
func BenchmarkOverhead(b *testing.B) {
	bt := newBatcher(twoColumns(), Settings{}, time.Now)
	r := newRequest(1, 1, 8)
	b.ReportAllocs()
	for b.Loop() {
		if _, release, err := bt.run(context.Background(), nothing{}, r.inputs, nil); err == nil {
			release()
		}
	}
}

type nothing struct{ fixed }

func (nothing) Run(_ context.Context, inputs []tensor.Tensor, _ []string) ([]tensor.Tensor, func(), error) {
	return inputs, release, nil
}

func release() {}
