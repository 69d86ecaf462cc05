package batching

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// holder is a version that a request holds loaded.
type holder interface {
	Run(ctx context.Context, inputs []tensor.Tensor, want []string) ([]tensor.Tensor, func(), error)
	hold()  // for the batcher, beyond what the caller holds
	letGo() // of that hold
}

// batcher runs the requests of one version.
type batcher struct {
	set       Settings
	now       func() time.Time
	gatherers sync.Pool // of *gatherer

	mu        sync.Mutex
	queue     queue
	running   int // instances at work
	cost      cost
	limit     int  // rows of a batch
	clean     int  // full batches without a failure since limit was lowered
	apart     bool // never two requests in one run
	trusted   bool // a batch was found to give what single runs give
	closed    bool
	drained   chan struct{} // closed when closed and nothing runs or waits; nil while nobody asks
	lingering int           // instances that wait for more rows
	target    int           // requests that end their wait
	until     time.Time     // when their wait ends
	arrived   chan struct{} // wakes one of them
	stats     Stats
}

func newBatcher(sig *schema.Signature, set Settings, now func() time.Time) *batcher {
	set = set.withDefaults()
	b := &batcher{set: set, now: now, limit: set.MaxBatch, apart: set.MaxBatch == 1 || !batchable(sig), arrived: make(chan struct{}, 1)}
	b.gatherers.New = func() any { return new(gatherer) }
	return b
}

// run answers one request; see inference.Session.Run. It returns soon after ctx
// ends, and does not touch inputs and want after it has returned.
//
// Errors besides those of the session: ResourceExhausted, the queue is full;
// DeadlineExceeded, the request cannot end by its deadline; Unavailable, the
// caller has left or the batcher is closed.
func (b *batcher) run(ctx context.Context, h holder, inputs []tensor.Tensor, want []string) ([]tensor.Tensor, func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, ended(err)
	}
	rows, mixes := rowsOf(inputs)
	p := priorityOf(ctx)
	now := b.now()
	b.mu.Lock()
	displaced, err := b.admit(ctx, now, rows, p)
	if err != nil {
		b.mu.Unlock()
		return nil, nil, err
	}
	b.stats.Requests++
	if b.running < b.set.Instances && b.queue.requests == 0 {
		b.running++
		b.stats.Inline++
		b.stats.waited(0)
		b.mu.Unlock()
		return b.inline(ctx, h, inputs, want, rows)
	}
	// A batch asks for the outputs of its first caller, who may have left and use its memory again.
	t := &ticket{ctx: ctx, held: h, inputs: inputs, want: slices.Clone(want), rows: rows, mixes: mixes && !b.apart, priority: p, at: now, done: make(chan struct{})}
	h.hold()
	b.queue.push(t)
	if b.running < b.set.Instances {
		b.running++
		go b.work()
	} else {
		b.wake(t, now)
	}
	full := b.full(b.queue.rows)
	b.mu.Unlock()
	if displaced != nil {
		displaced.err = full
		displaced.held.letGo()
		close(displaced.done)
	}
	return b.wait(t)
}

// admit says whether a request may come in. The lock is held.
func (b *batcher) admit(ctx context.Context, now time.Time, rows int, p Priority) (displaced *ticket, err error) {
	if b.closed {
		return nil, fault.New(fault.Unavailable, "the server is shutting down; try again").After(time.Second)
	}
	if deadline, ok := ctx.Deadline(); ok {
		least := b.cost.expect(rows)
		if b.running >= b.set.Instances {
			least += time.Duration(b.queue.ahead(p)/(b.limit*b.set.Instances)) * b.cost.expect(b.limit)
		}
		if now.Add(least).After(deadline) {
			b.cost.doubt(rows)
			b.stats.Late++
			return nil, fault.New(fault.DeadlineExceeded, "the model takes about %v and the deadline leaves %v", least.Round(time.Microsecond), deadline.Sub(now).Round(time.Microsecond))
		}
	}
	if b.queue.requests >= b.set.MaxQueue {
		if displaced = b.queue.displaced(p); displaced == nil {
			b.stats.Full++
			return nil, b.full(b.queue.rows)
		}
		b.stats.Full++
	}
	return displaced, nil
}

// full tells when the rows that wait are likely to be done.
func (b *batcher) full(rows int) error {
	after := time.Duration(1+rows/(b.limit*b.set.Instances)) * b.cost.expect(b.limit)
	return fault.New(fault.ResourceExhausted, "%d requests wait for this model already; try again later", b.set.MaxQueue).After(max(after, time.Second))
}

// inline runs a request that found an instance idle, on the caller's goroutine and memory.
func (b *batcher) inline(ctx context.Context, h holder, inputs []tensor.Tensor, want []string, rows int) (outputs []tensor.Tensor, release func(), err error) {
	started, whole := b.now(), false
	defer func() { // also after a panic, which is the caller's as it would be without a batcher
		took := b.now().Sub(started)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.stats.ran(rows, took)
		if whole && err == nil {
			b.stats.Rows += int64(rows)
			b.cost.observe(rows, took)
		}
		if b.queue.requests > 0 {
			go b.goOn(1, took)
			return
		}
		b.idle()
	}()
	outputs, release, err = h.Run(ctx, inputs, want)
	whole = true
	return outputs, release, err
}

// wait waits for the result of t, or for its caller to leave.
func (b *batcher) wait(t *ticket) ([]tensor.Tensor, func(), error) {
	select {
	case <-t.done:
		return t.outputs, t.release, t.err
	case <-t.ctx.Done():
	}
	b.mu.Lock()
	if t.batch == nil {
		waited := b.queue.remove(t)
		b.stats.Abandoned++
		b.mu.Unlock()
		if !waited { // it was displaced at the same moment
			<-t.done
			return nil, nil, t.err
		}
		t.held.letGo()
		return nil, nil, ended(t.ctx.Err())
	}
	b.mu.Unlock()
	if !t.batch.leave(t) {
		<-t.done
		return t.outputs, t.release, t.err
	}
	b.mu.Lock()
	b.stats.Abandoned++
	b.mu.Unlock()
	return nil, nil, ended(t.ctx.Err())
}

// work is an instance: it runs batches until nobody waits.
func (b *batcher) work() { b.goOn(0, 0) }

// goOn is work after a run that answered as many requests and took as long as given.
func (b *batcher) goOn(answered int, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if took > 0 {
			b.linger(answered, took)
		}
		taken := b.queue.take(b.limit, nil)
		if len(taken) == 0 {
			b.idle()
			return
		}
		now := b.now()
		t := &batch{batcher: b, tickets: taken}
		for _, one := range taken {
			one.batch = t
			b.stats.waited(now.Sub(one.at))
		}
		b.mu.Unlock()
		answered, took = t.execute(now)
		b.mu.Lock()
	}
}

// idle gives an instance back. The lock is held.
func (b *batcher) idle() {
	b.running--
	if b.drained != nil && b.running == 0 && b.queue.requests == 0 {
		close(b.drained)
		b.drained = nil
	}
}

// drain refuses new requests and waits until the last one is answered, or ctx ends.
func (b *batcher) drain(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	if b.running == 0 && b.queue.requests == 0 {
		b.mu.Unlock()
		return nil
	}
	if b.drained == nil {
		b.drained = make(chan struct{})
	}
	drained := b.drained
	select {
	case b.arrived <- struct{}{}: // nobody comes any more
	default:
	}
	b.mu.Unlock()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *batcher) snapshot() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Queued, s.Running, s.Limit, s.Apart = b.queue.requests, b.running, b.limit, b.apart
	return s
}

func ended(cause error) error {
	if kind := fault.KindOf(cause); kind == fault.DeadlineExceeded {
		return fault.Wrap(cause, kind, "the deadline passed while the request waited for the model")
	}
	return fault.Wrap(cause, fault.Unavailable, "the request was given up while it waited for the model")
}
