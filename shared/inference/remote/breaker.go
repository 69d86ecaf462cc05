package remote

import (
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/inference"
)

// breaker keeps requests from a backend that fails: closed, it lets all through;
// open, none for a while; half-open, one at a time, whose end closes it or opens it
// again. It opens when of the last 2·Failures calls that ended within Window,
// Failures have failed: a backend that fails now and then keeps its traffic, one that
// fails every other time does not.
type breaker struct {
	set inference.BreakerSettings
	now func() time.Time

	mu      sync.Mutex
	state   state
	epoch   int       // of the state: calls that began before it changed say nothing of the new one
	until   time.Time // open: when a call may try
	probing bool      // half-open: one is on its way
	recent  []ended   // ring of the last calls
	next    int
}

type state int8

const (
	closed state = iota
	open
	halfOpen
)

// ended is a call that is over.
type ended struct {
	at     time.Time
	failed bool
}

// verdict is what a call says of its backend.
type verdict int8

const (
	succeeded verdict = iota
	failedOne
	unknown // it was given up, for reasons that are not the backend's
)

func newBreaker(s inference.BreakerSettings, now func() time.Time) *breaker {
	return &breaker{set: s, now: now}
}

// ticket is a call that was let through.
type ticket struct {
	epoch int
	probe bool
}

// enter lets a call through, or says for how long none will be. Each ticket must be
// given to leave once. unsure says that the breaker was not closed.
func (b *breaker) enter() (t ticket, wait time.Duration, unsure, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == closed {
		return ticket{epoch: b.epoch}, 0, false, true
	}
	if b.state == open {
		if wait := b.until.Sub(b.now()); wait > 0 {
			return ticket{}, wait, true, false
		}
		b.move(halfOpen)
	}
	if b.probing {
		return ticket{}, b.set.OpenFor, true, false
	}
	b.probing = true
	return ticket{epoch: b.epoch, probe: true}, 0, true, true
}

// leave ends a call. The results say whether it has opened or closed the breaker.
func (b *breaker) leave(t ticket, v verdict) (opened, closedAgain bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.epoch != b.epoch {
		return false, false
	}
	if t.probe {
		b.probing = false
		switch v {
		case succeeded:
			b.move(closed)
			return false, true
		case failedOne:
			b.until = b.now().Add(b.set.OpenFor)
			b.move(open)
			return true, false
		}
		return false, false
	}
	if v == unknown {
		return false, false
	}
	b.note(ended{b.now(), v == failedOne})
	if v == failedOne && b.failures() >= b.set.Failures {
		b.until = b.now().Add(b.set.OpenFor)
		b.move(open)
		return true, false
	}
	return false, false
}

func (b *breaker) move(to state) {
	b.state, b.probing = to, false
	b.epoch++
	b.recent, b.next = b.recent[:0], 0
}

func (b *breaker) note(e ended) {
	if size := 2 * b.set.Failures; len(b.recent) < size {
		b.recent = append(b.recent, e)
		return
	}
	b.recent[b.next] = e
	b.next = (b.next + 1) % len(b.recent)
}

func (b *breaker) failures() (n int) {
	since := b.now().Add(-b.set.Window)
	for _, e := range b.recent {
		if e.failed && !e.at.Before(since) {
			n++
		}
	}
	return n
}
