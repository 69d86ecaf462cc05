package batching

import "time"

// A wait of less than this is not worth a timer.
const leastWait = 50 * time.Microsecond

// linger lets an instance wait, after a run, for the callers that were there a
// moment ago: those whom the run has answered and those who came meanwhile. They
// are likely to come again, and a run of all of them costs less than one of the
// first few and one of the rest. It ends when as many as before are there, or rows
// enough, at the latest after an eighth of the run or MaxWait. A caller that was alone is
// never waited for. The lock is held on entry and on return.
func (b *batcher) linger(answered int, took time.Duration) {
	wait := min(took/8, b.set.MaxWait)
	target := answered + b.queue.requests
	if answered == 0 || target < 2 || b.apart || b.closed || wait < leastWait || b.queue.rows >= b.limit {
		return
	}
	until := b.now().Add(wait)
	if b.urgent(until) {
		return
	}
	if b.lingering++; b.lingering == 1 {
		select {
		case <-b.arrived: // of a wait that its timer ended first
		default:
		}
	}
	b.target, b.until = target, until
	b.mu.Unlock()
	timer := time.NewTimer(wait)
	select {
	case <-timer.C:
	case <-b.arrived:
	}
	timer.Stop()
	b.mu.Lock()
	b.lingering--
}

// urgent says whether someone who waits cannot be made to wait until then.
func (b *batcher) urgent(until time.Time) bool {
	run := b.cost.expect(b.limit)
	for _, w := range b.queue.waiting {
		for _, t := range w {
			if t.overdue(until, run) {
				return true
			}
		}
	}
	return false
}

// wake ends the wait of an instance when t makes it worth no more. The lock is held.
func (b *batcher) wake(t *ticket, now time.Time) {
	if b.lingering == 0 || b.queue.requests < b.target && b.queue.rows < b.limit && !t.overdue(b.until, b.cost.expect(b.limit)) {
		return
	}
	select {
	case b.arrived <- struct{}{}:
	default: // woken already
	}
}
