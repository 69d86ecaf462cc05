package batching

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// together runs the requests so that all but the first share a batch.
func together(t *testing.T, b *batcher, m *lender, requests []*request) []error {
	t.Helper()
	m.barrier = make(chan struct{})
	results := make([]error, len(requests))
	var wg sync.WaitGroup
	for i, r := range requests {
		wg.Go(func() { results[i] = call(t, t.Context(), b, m, r) })
		synctest.Wait()
	}
	close(m.barrier)
	wg.Wait()
	synctest.Wait()
	m.nothingHeld(t)
	return results
}

func several(n int) []*request {
	all := make([]*request, n)
	for i := range all {
		all[i] = newRequest(i+1, 1, 2)
	}
	return all
}

func TestAPoisonedRequestFailsAlone(t *testing.T) {
	for _, panicked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := &lender{model: &model{panicked: panicked}}
			b := drained(t, Settings{})
			requests := several(17)
			requests[6].inputs[0].FP32s[1] = poison
			for i, err := range together(t, b, m, requests) {
				switch {
				case i != 6 && err != nil:
					t.Errorf("request %d: %v", i, err)
				case i == 6 && (err == nil || panicked != fault.Is(err, fault.Internal)):
					t.Errorf("the poisoned request: %v", err)
				case i == 6 && strings.Contains(err.Error(), "-1"):
					t.Errorf("the error repeats a value: %v", err)
				}
			}
			s := b.snapshot()
			if s.Splits != 4 || s.Poisoned != 1 || s.Limit != DefaultMaxBatch {
				t.Errorf("16 requests with one at fault: %d splits, %d poisoned, limit %d; want 4, 1, %d", s.Splits, s.Poisoned, s.Limit, DefaultMaxBatch)
			}
		})
	}
}

func TestABatchThatIsTooLargeIsHalvedAndTheNextOnesAreSmaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &lender{model: &model{ceiling: 10}}
		b := drained(t, Settings{MaxWait: -1})
		for i, err := range together(t, b, m, several(17)) {
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
		}
		if s := b.snapshot(); s.Limit != 8 {
			t.Errorf("the limit is %d after a failure at 16, want 8", s.Limit)
		}
		m.ceiling = 0
		for range 3 * cleanRuns {
			m.barrier = nil
			together(t, b, m, several(9))
		}
		if s := b.snapshot(); s.Limit != 16 {
			t.Errorf("the limit is %d after batches of 8 went well, want 16", s.Limit)
		}
	})
}

func TestRowsThatDependOnEachOtherAreNotBatched(t *testing.T) {
	for name, broken := range map[string]*model{"mixes rows": {mixing: true}, "gives fewer rows": {fewer: true}} {
		synctest.Test(t, func(t *testing.T) {
			m := &lender{model: broken}
			b := drained(t, Settings{})
			requests := several(9)
			m.barrier = make(chan struct{})
			var wg sync.WaitGroup
			for _, r := range requests {
				wg.Go(func() {
					outputs, release, err := b.run(t.Context(), m, r.inputs, nil)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					defer release()
					want, _, _ := m.compute(r.inputs, 1)
					if len(outputs[0].FP32s) != len(want[0].FP32s) || len(want[0].FP32s) > 0 && outputs[0].FP32s[0] != want[0].FP32s[0] {
						t.Errorf("%s: request %d got %v, alone it gets %v", name, r.id, outputs[0].FP32s, want[0].FP32s)
					}
				})
				synctest.Wait()
			}
			close(m.barrier)
			wg.Wait()
			if s := b.snapshot(); !s.Apart {
				t.Errorf("%s: still batched", name)
			}
		})
	}
}

func TestOtherOutputsAreAnotherBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &lender{model: &model{barrier: make(chan struct{})}}
		b := drained(t, Settings{})
		b.trusted = true
		var wg sync.WaitGroup
		for i, want := range [][]string{nil, {"sum"}, {"text"}, {"sum"}, {"text"}, nil} {
			wg.Go(func() {
				_, release, err := b.run(t.Context(), m, newRequest(i+1, 1, 2).inputs, want)
				if err != nil {
					t.Error(err)
					return
				}
				release()
			})
			synctest.Wait()
		}
		close(m.barrier)
		wg.Wait()
		if got := m.runs(); len(got) != 4 { // the first alone, two, two, one
			t.Errorf("runs of %v rows", got)
		}
	})
}

// choosy gives only the outputs that are asked for, as sessions do.
type choosy struct{ *lender }

func (c choosy) Run(ctx context.Context, inputs []tensor.Tensor, want []string) ([]tensor.Tensor, func(), error) {
	outputs, release, err := c.lender.Run(ctx, inputs, want)
	return slices.DeleteFunc(outputs, func(o tensor.Tensor) bool { return want != nil && !slices.Contains(want, o.Name) }), release, err
}

// TestWhoLeavesTakesItsOutputsAlong is a caller that is gone when the batch, after
// a run that failed, asks for outputs once more: its memory is another request's by then.
func TestWhoLeavesTakesItsOutputsAlong(t *testing.T) {
	for _, all := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := choosy{&lender{model: &model{cost: func(int) time.Duration { return 80 * time.Millisecond }}}}
			b := drained(t, Settings{MaxWait: -1})
			var wg sync.WaitGroup
			requests := several(5)
			requests[4].inputs[0].FP32s[0] = poison
			for i, r := range requests { // the first runs alone, the others together from 80 ms to 160 ms
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				want, names := []string{"sum"}, []string{"sum"}
				if all {
					want, names = nil, []string{"sum", "text"}
				}
				wg.Go(func() {
					outputs, release, err := b.run(ctx, m, r.inputs, want)
					if i == 1 && !all { // it is recycled
						want[0] = "text"
					}
					if err != nil {
						if i != 1 && i != 4 {
							t.Errorf("request %d: %v", i, err)
						}
						return
					}
					defer release()
					var got []string
					for _, o := range outputs {
						got = append(got, o.Name)
					}
					if !slices.Equal(got, names) {
						t.Errorf("request %d asked for %v and got %v", i, names, got)
					}
				})
				if i == 1 {
					time.AfterFunc(100*time.Millisecond, cancel)
				}
				synctest.Wait()
			}
			wg.Wait()
			synctest.Wait()
			m.nothingHeld(t)
		})
	}
}

func TestASharedInputIsNotBatched(t *testing.T) {
	sig := twoColumns()
	sig.Inputs[1].Shape = []int64{1}
	if b := newBatcher(sig, Settings{}, nil); !b.apart {
		t.Error("a model with an input without rows is batched")
	}
}

// crooked says that it has more elements than it holds, as no codec's tensors do.
func crooked(id int) *request {
	r := newRequest(id, 2, 2)
	r.inputs[0].FP32s = r.inputs[0].FP32s[:3]
	return r
}

func TestTensorsThatDoNotHoldWhatTheySayAreNotBatched(t *testing.T) {
	if _, ok := rowsOf(crooked(1).inputs); ok {
		t.Error("a tensor of three elements and shape [2,2] may join a batch")
	}
}

// TestAPanicOfOursEndsNothingElse has the batch itself panic, not the model.
func TestAPanicOfOursEndsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &lender{model: &model{}}
		b := drained(t, Settings{})
		requests := several(5)
		m.barrier = make(chan struct{})
		results := make([]error, len(requests))
		var wg sync.WaitGroup
		for i, r := range requests {
			wg.Go(func() { results[i] = call(t, t.Context(), b, m, r) })
			synctest.Wait()
		}
		b.mu.Lock()
		b.queue.waiting[Normal][0].rows = -5 // a batch of fewer rows than none cannot be gathered
		b.mu.Unlock()
		close(m.barrier)
		wg.Wait()
		failed := 0
		for _, err := range results {
			if err != nil {
				failed++
			}
		}
		if failed == 0 {
			t.Error("nothing failed: the test does not do what it is for")
		}
		synctest.Wait()
		m.nothingHeld(t)
		if s := b.snapshot(); s.Running != 0 {
			t.Errorf("%d instances are lost", s.Running)
		}
	})
}
