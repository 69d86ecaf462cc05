package watch

import (
	"context"
	"time"
)

const (
	// firstRate is the plain bytes a second that a join is taken to read until one is timed: a fifth of what a processor
	// does from memory, since objects come over a network.
	firstRate = 30 << 20
	// reserve is what the judging of a window keeps of the time.
	reserve = 30 * time.Second
)

// purse says what work fits into the time that is left. It learns how fast joins are.
type purse struct {
	now      func() time.Time
	deadline time.Time // zero: there is none
	rate     float64   // bytes a second
	spent    bool      // a piece of work was begun
}

func (w *Watcher) newPurse(ctx context.Context) *purse {
	p := &purse{now: w.Now, rate: firstRate}
	if deadline, ok := ctx.Deadline(); ok {
		p.deadline = deadline
	}
	return p
}

// fits says whether so many bytes can be read in the time that is left. The first
// piece of work always does, or what is too large for the estimate would never start.
func (p *purse) fits(bytes int64) bool {
	if p.deadline.IsZero() || !p.spent {
		return true
	}
	need := time.Duration(float64(bytes) / p.rate * float64(time.Second))
	return p.now().Add(need + reserve).Before(p.deadline)
}

// short says that there is no time left to judge a window, or to look at another
// model, though some of it was used.
func (p *purse) short() bool {
	return !p.deadline.IsZero() && p.spent && !p.now().Add(reserve/2).Before(p.deadline)
}

// work runs do, which reads so many bytes, and times it.
func (p *purse) work(bytes int64, do func() error) error {
	p.spent = true
	began := p.now()
	err := do()
	// Small pieces are all latency and say nothing of the rate.
	const telling = 4 << 20
	if took := p.now().Sub(began); err == nil && bytes >= telling && took > 0 {
		p.rate = float64(bytes) / took.Seconds()
	}
	return err
}
