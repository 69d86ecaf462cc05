package batching

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// batch is the requests that one instance has taken, and their run.
type batch struct {
	batcher *batcher
	tickets []*ticket
	starts  []int // by ticket: its first row
	rows    int
	ctx     context.Context
	memory  *gatherer // of the inputs; nil for a single request, which runs on its caller's
	held    atomic.Int64

	mu     sync.Mutex // held while the callers' inputs are read
	alive  int        // callers that have not left
	cancel context.CancelFunc
	alone  bool // it runs on its caller's memory
	failed bool // a run of more than one request has failed
	hurt   bool // a request has failed alone
}

// execute runs the batch and hands out the results. It returns how many callers
// it answered and the time of the whole.
func (t *batch) execute(now time.Time) (answered int, took time.Duration) {
	all := t.tickets
	defer func() {
		if r := recover(); r != nil { // a bug here must not end the process: it has other callers
			t.abandon(all, r)
		}
		for _, one := range all {
			one.held.letGo()
		}
	}()
	t.expel(now)
	started := t.batcher.now()
	if !t.begin() {
		return 0, 0
	}
	t.try(0, len(t.tickets))
	took = t.batcher.now().Sub(started)
	t.batcher.settle(t)
	if t.memory != nil {
		t.cancel()
		t.drop()
	}
	return len(t.tickets), took
}

// abandon answers all that have no answer yet, after a panic.
func (t *batch) abandon(all []*ticket, r any) {
	for _, one := range all {
		t.mu.Lock()
		finished := one.finished
		t.mu.Unlock()
		if !finished {
			t.finish(one, nil, nil, fmt.Errorf("batching: panic: %T", r)) // its text may hold input
		}
	}
}

// expel answers those who cannot be done in time any more, without a run.
func (t *batch) expel(now time.Time) {
	b := t.batcher
	b.mu.Lock()
	kept := make([]*ticket, 0, len(t.tickets))
	var late []*ticket
	for _, one := range t.tickets {
		if one.overdue(now, b.cost.expect(one.rows)) {
			late = append(late, one)
			b.cost.doubt(one.rows)
			b.stats.Late++
			continue
		}
		kept = append(kept, one)
	}
	b.mu.Unlock()
	t.tickets = kept
	for _, one := range late {
		t.finish(one, nil, nil, fault.New(fault.DeadlineExceeded, "the request waited too long for the model to end by its deadline"))
	}
}

// begin leaves out those who have left, and copies the inputs of the others
// together: from then on they may leave. One that is by itself runs on its
// caller's memory, who must stay.
func (t *batch) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tickets = slices.DeleteFunc(t.tickets, func(one *ticket) bool { return one.gone })
	for _, one := range t.tickets {
		t.starts = append(t.starts, t.rows)
		t.rows += one.rows
	}
	t.starts = append(t.starts, t.rows)
	switch len(t.tickets) {
	case 0:
		return false
	case 1:
		t.alone, t.ctx = true, t.tickets[0].ctx
	default:
		t.gather()
	}
	return true
}

// gather copies the inputs together. Its context lasts as long as the last caller's.
func (t *batch) gather() {
	t.memory = t.batcher.gatherers.Get().(*gatherer)
	t.held.Store(1)
	t.alive = len(t.tickets)
	latest, bounded, text := time.Time{}, true, 0
	for _, one := range t.tickets {
		text += textOf(one.inputs)
		deadline, ok := one.ctx.Deadline()
		if bounded = bounded && ok; deadline.After(latest) {
			latest = deadline
		}
	}
	t.memory.begin(t.tickets[0].inputs, t.rows)
	t.memory.reserve(text)
	for i, one := range t.tickets {
		t.memory.add(one.inputs, t.starts[i])
	}
	if bounded {
		t.ctx, t.cancel = context.WithDeadline(context.Background(), latest)
	} else {
		t.ctx, t.cancel = context.WithCancel(context.Background())
	}
}

// leave lets the caller of one go before the run has ended. It says no when the
// caller must wait: the run reads its memory (and ends soon, with the caller's
// context), or the result is there.
func (t *batch) leave(one *ticket) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.finished || t.alone {
		return false
	}
	one.gone = true
	if t.memory != nil {
		if t.alive--; t.alive == 0 {
			t.cancel()
		}
	}
	return true
}

// try runs the tickets [lo, hi) together, and each half by itself when that fails.
func (t *batch) try(lo, hi int) {
	outputs, release, err := t.run(lo, hi)
	switch {
	case err == nil && hi-lo == 1:
		t.finish(t.tickets[lo], outputs, t.share(1, release), nil)
	case err == nil && t.honest(lo, hi, outputs):
		t.scatter(lo, hi, outputs, release)
	case err == nil: // rows do not stand for themselves
		release()
		for i := lo; i < hi; i++ {
			t.try(i, i+1)
		}
	case hi-lo == 1, t.ctx.Err() != nil, fault.Is(err, fault.Unavailable):
		if hi-lo == 1 && t.failed && t.ctx.Err() == nil {
			t.hurt = true
			t.batcher.count(&t.batcher.stats.Poisoned)
		}
		for _, one := range t.tickets[lo:hi] {
			t.finish(one, nil, nil, err)
		}
	default:
		t.failed = true
		t.batcher.count(&t.batcher.stats.Splits)
		half := lo + (hi-lo)/2
		t.try(lo, half)
		t.try(half, hi)
	}
}

// run runs the session on the rows of the tickets [lo, hi). A panic is an error
// of theirs: there is no caller's goroutine that it could end.
func (t *batch) run(lo, hi int) (outputs []tensor.Tensor, release func(), err error) {
	from, to := t.starts[lo], t.starts[hi]
	inputs := t.tickets[lo].inputs
	if t.memory != nil {
		inputs = t.memory.slice(from, to)
	}
	started := t.batcher.now()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("batching: the model's run panicked: %T", r) // its text may hold input
		}
		t.batcher.ran(to-from, t.batcher.now().Sub(started), err)
	}()
	return t.tickets[lo].held.Run(t.ctx, inputs, t.tickets[lo].want)
}

// scatter gives each of the tickets [lo, hi) the rows of its own.
func (t *batch) scatter(lo, hi int, outputs []tensor.Tensor, release func()) {
	base, shared := t.starts[lo], t.share(hi-lo, release)
	for i := lo; i < hi; i++ {
		own := make([]tensor.Tensor, len(outputs))
		shapes := make([]int64, 0, 2*len(outputs))
		for k := range outputs {
			own[k], shapes = part(&outputs[k], t.starts[i]-base, t.starts[i+1]-base, shapes)
		}
		t.finish(t.tickets[i], own, shared, nil)
	}
}

// share makes a release that n callers call once each: the last gives the outputs
// back, and then the inputs' memory, which outputs may lie over.
func (t *batch) share(n int, release func()) func() {
	if t.memory == nil {
		return release
	}
	t.held.Add(1)
	left := new(atomic.Int64)
	left.Store(int64(n))
	return func() {
		if left.Add(-1) == 0 {
			release()
			t.drop()
		}
	}
}

// drop gives the inputs' memory back when nobody needs it any more.
func (t *batch) drop() {
	if t.held.Add(-1) == 0 {
		t.memory.rest()
		t.batcher.gatherers.Put(t.memory)
	}
}

// finish hands a result to its caller, or back when the caller has left.
func (t *batch) finish(one *ticket, outputs []tensor.Tensor, release func(), err error) {
	t.mu.Lock()
	one.finished = true
	gone := one.gone
	if !gone {
		one.outputs, one.err = outputs, err
		if release != nil {
			one.lent, one.release = release, one.giveBack
		}
	}
	t.mu.Unlock()
	if gone && release != nil {
		release()
	}
	close(one.done)
}
