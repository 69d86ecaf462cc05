package batching

import (
	"math"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/tensor"
)

// What single precision leaves of two runs of the same rows in batches of
// different sizes: matrix kernels add up in another order.
const (
	tolerance     = 1e-3 // of the largest value of the output
	tolerance16   = 2e-2 // the same for FP16, which has 11 bits
	absoluteFloor = 1e-6
)

// honest says whether outputs are those of the tickets [lo, hi), row by row. The
// shapes must say so; and, until a batch of the version has been found good, two of
// the requests run alone and must get the same: a graph may normalize over the
// batch, or give as many rows by chance. A version that is found out runs its
// requests one by one from then on.
func (t *batch) honest(lo, hi int, outputs []tensor.Tensor) bool {
	b, rows := t.batcher, int64(t.starts[hi]-t.starts[lo])
	for i := range outputs {
		if len(outputs[i].Shape) == 0 || outputs[i].Shape[0] != rows {
			b.separate()
			return false
		}
	}
	b.mu.Lock()
	trusted := b.trusted
	b.mu.Unlock()
	if trusted {
		return true
	}
	for _, i := range []int{lo, hi - 1} {
		alone, release, err := t.run(i, i+1)
		switch {
		case err != nil && t.ctx.Err() != nil:
			return true // nobody waits any more, and nothing is learned; the next batch is looked at
		case err != nil: // it only goes well in company
			b.separate()
			return false
		}
		same := len(alone) == len(outputs)
		for k := 0; same && k < len(outputs); k++ {
			own, _ := part(&outputs[k], t.starts[i]-t.starts[lo], t.starts[i+1]-t.starts[lo], nil)
			same = equal(&own, &alone[k])
		}
		release()
		if !same {
			b.separate()
			return false
		}
	}
	b.mu.Lock()
	b.trusted = true
	b.mu.Unlock()
	return true
}

// equal compares two outputs for the same rows, floats within the tolerance.
func equal(a, b *tensor.Tensor) bool {
	if a.Datatype != b.Datatype || !slices.Equal(a.Shape, b.Shape) {
		return false
	}
	switch a.Datatype {
	case tensor.FP32:
		return near(a.FP32s, b.FP32s, tolerance, func(v float32) float64 { return float64(v) })
	case tensor.FP64:
		return near(a.FP64s, b.FP64s, tolerance, func(v float64) float64 { return v })
	case tensor.FP16:
		return near(a.U16s, b.U16s, tolerance16, func(v uint16) float64 { return float64(tensor.HalfToFloat32(v)) })
	}
	return slices.Equal(a.Bools, b.Bools) && slices.Equal(a.U8s, b.U8s) && slices.Equal(a.U16s, b.U16s) && slices.Equal(a.U32s, b.U32s) &&
		slices.Equal(a.U64s, b.U64s) && slices.Equal(a.I8s, b.I8s) && slices.Equal(a.I16s, b.I16s) && slices.Equal(a.I32s, b.I32s) &&
		slices.Equal(a.I64s, b.I64s) && slices.Equal(a.Strings, b.Strings)
}

func near[T any](a, b []T, tolerance float64, value func(T) float64) bool {
	if len(a) != len(b) {
		return false
	}
	scale := 0.0
	for _, v := range b {
		if x := math.Abs(value(v)); x > scale && !math.IsInf(x, 0) {
			scale = x
		}
	}
	bound := max(tolerance*scale, absoluteFloor)
	for i := range a {
		x, y := value(a[i]), value(b[i])
		if x != y && !(math.IsNaN(x) && math.IsNaN(y)) && !(math.Abs(x-y) <= bound) {
			return false
		}
	}
	return true
}

// separate ends batching for this version.
func (b *batcher) separate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.apart = true
	for _, w := range b.queue.waiting {
		for _, t := range w {
			t.mixes = false
		}
	}
}

// ran takes one run of the session into account.
func (b *batcher) ran(rows int, took time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.ran(rows, took)
	if err == nil {
		b.cost.observe(rows, took)
	}
}

// count adds one to a figure of stats.
func (b *batcher) count(n *int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*n++
}

// cleanRuns is how many full batches without a failure double a limit that was lowered.
const cleanRuns = 64

// settle learns from a batch: one that failed as a whole while each half of it
// went well was too large (memory), so the next ones are smaller for a while.
func (b *batcher) settle(t *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Rows += int64(t.rows)
	switch {
	case t.failed && !t.hurt && t.ctx.Err() == nil:
		b.limit, b.clean = max(min(b.limit, t.rows)/2, 1), 0
	case !t.failed && b.limit < b.set.MaxBatch && t.rows >= b.limit:
		if b.clean++; b.clean >= cleanRuns {
			b.limit, b.clean = min(2*b.limit, b.set.MaxBatch), 0
		}
	}
}
