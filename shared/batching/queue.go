package batching

import (
	"context"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/tensor"
)

// ticket is a request that waits for its run.
type ticket struct {
	ctx      context.Context
	held     holder
	inputs   []tensor.Tensor // the caller's, while it is there
	want     []string        // a copy
	rows     int
	mixes    bool // may share a batch
	priority Priority
	at       time.Time
	done     chan struct{} // closed when the result is there

	batch *batch // set under the batcher's lock when it is taken from the queue

	// Under the batch's lock:
	gone     bool // the caller has left
	finished bool // the result is there
	outputs  []tensor.Tensor
	release  func() // giveBack; nil with an error
	lent     func()
	err      error
}

// giveBack ends the use of the outputs; a second call does nothing.
func (t *ticket) giveBack() {
	if release := t.lent; release != nil {
		t.lent, t.outputs = nil, nil
		release()
	}
}

// overdue says whether a run that takes d cannot end before the caller's deadline.
func (t *ticket) overdue(now time.Time, d time.Duration) bool {
	deadline, ok := t.ctx.Deadline()
	return ok && now.Add(d).After(deadline)
}

// fits says whether t may join a batch that begins with head.
func (t *ticket) fits(head *ticket) bool {
	return t.mixes && slices.Equal(t.want, head.want) && alike(t.inputs, head.inputs)
}

// patience is how many batches without a low-priority request pass while one waits.
const patience = 8

// queue holds those who wait, in order of arrival by priority.
type queue struct {
	waiting  [priorities][]*ticket
	rows     int
	passed   int // batches in a row that low-priority requests were passed over
	requests int
}

func (q *queue) push(t *ticket) {
	q.waiting[t.priority] = append(q.waiting[t.priority], t)
	q.rows += t.rows
	q.requests++
}

// remove takes out a request that is given up. It says whether it was there.
func (q *queue) remove(t *ticket) bool {
	w := &q.waiting[t.priority]
	i := slices.Index(*w, t)
	if i < 0 {
		return false
	}
	*w = slices.Delete(*w, i, i+1)
	q.drop(t)
	return true
}

func (q *queue) drop(t *ticket) {
	q.rows -= t.rows
	q.requests--
}

// displaced takes out the request that must leave a full queue for one of a
// higher priority: the youngest of the lowest. Nil when there is none.
func (q *queue) displaced(by Priority) *ticket {
	for p := priorities - 1; p > int(by); p-- {
		if w := &q.waiting[p]; len(*w) > 0 {
			t := (*w)[len(*w)-1]
			*w = slices.Delete(*w, len(*w)-1, len(*w))
			q.drop(t)
			return t
		}
	}
	return nil
}

// ahead is how many rows go before a request of priority p.
func (q *queue) ahead(p Priority) (rows int) {
	if int(p) == priorities-1 {
		return q.rows
	}
	for _, w := range q.waiting[:p+1] {
		for _, t := range w {
			rows += t.rows
		}
	}
	return rows
}

// take moves the next batch to dst: the first in line, and those behind it that
// fit into limit rows with it. A request of more rows than that is a batch of its own.
func (q *queue) take(limit int, dst []*ticket) []*ticket {
	order := [priorities]Priority{Normal, Low}
	if q.passed >= patience {
		order = [priorities]Priority{Low, Normal}
	}
	rows, low := 0, len(q.waiting[Low])
	for _, p := range order {
		w := q.waiting[p]
		kept := w[:0]
		for i, t := range w {
			if len(dst) > 0 && (rows >= limit || !dst[0].mixes) {
				kept = append(kept, w[i:]...)
				break
			}
			if len(dst) > 0 && (rows+t.rows > limit || !t.fits(dst[0])) {
				kept = append(kept, t)
				continue
			}
			dst = append(dst, t)
			rows += t.rows
			q.drop(t)
		}
		clear(w[len(kept):])
		q.waiting[p] = kept
	}
	switch {
	case low > 0 && len(q.waiting[Low]) == low:
		q.passed++
	default:
		q.passed = 0
	}
	return dst
}
