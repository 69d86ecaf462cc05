package remote

import (
	"context"
	"errors"
	"time"

	"github.com/tidegate/tidegate/shared/pause"
)

const (
	// restless is the longest pause before a try that has another way to its answer.
	restless = 100 * time.Millisecond
	// firstPause is the longest pause, with full jitter, before the first try after the first; it doubles.
	firstPause = 25 * time.Millisecond
)

// tries asks until there is an answer, the tries are used up, or one failed in a way
// that forbids another. An inference changes nothing, so asking twice is harmless;
// what is bounded is the load on a backend that is in trouble.
func (c *Client) tries(ctx context.Context, call *Call, r *request) (Answer, error) {
	for try := 0; ; try++ {
		a, err := c.hedged(ctx, call, r)
		var f *Failure
		if err == nil || try >= c.backend.Retries || !errors.As(err, &f) || !f.Again {
			return a, err
		}
		wait := max(f.RetryAfter, time.Duration(c.owner.opt.Rand()*float64(firstPause<<try)))
		if deadline, ok := ctx.Deadline(); !call.Patient && wait > restless || ok && time.Until(deadline) <= 2*wait {
			return a, err
		}
		if pause.For(ctx, wait) != nil {
			return a, err
		}
		c.owner.opt.Count(BackendRetries, 1)
	}
}

// outcome is that of one of two requests.
type outcome struct {
	answer Answer
	err    error
}

// hedged is once, and sends the request a second time when the first has not been
// answered in time. The first good answer counts, the other request is given up.
func (c *Client) hedged(ctx context.Context, call *Call, r *request) (Answer, error) {
	if c.backend.Hedge <= 0 {
		return c.once(ctx, call, r)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outcomes := make(chan outcome, 2)
	ask := func() {
		a, err := c.once(ctx, call, r)
		outcomes <- outcome{a, err}
	}
	go ask()
	timer := time.NewTimer(c.backend.Hedge)
	defer timer.Stop()
	for asked := 1; ; {
		select {
		case <-timer.C:
			c.owner.opt.Count(BackendHedges, 1)
			asked++
			go ask()
		case o := <-outcomes:
			asked--
			if o.err != nil && asked > 0 {
				continue // the other may succeed
			}
			if asked > 0 {
				go forget(outcomes)
			}
			return o.answer, o.err
		}
	}
}

// forget gives back what the slower of two requests brings.
func forget(outcomes <-chan outcome) {
	if late := <-outcomes; late.err == nil {
		late.answer.Release()
	}
}
