// Package background runs what is due after an answer (httpapi.Response.After)
// while its connection goes on: a bounded number at a time, and waited for at the
// end of the process.
package background

import (
	"context"
	"sync"
	"time"
)

// DefaultSlots bounds how many requests' afterwork may lag behind.
const DefaultSlots = 256

// Runner runs afterwork. Make it with New.
type Runner struct {
	slots   chan struct{}
	limit   time.Duration
	pending sync.WaitGroup
}

// New returns a runner of at most slots pieces at a time, each of at most limit.
// 0 slots are [DefaultSlots].
func New(slots int, limit time.Duration) *Runner {
	if slots <= 0 {
		slots = DefaultSlots
	}
	return &Runner{slots: make(chan struct{}, slots), limit: limit}
}

// Do runs work, then done. When too much lags behind it does so itself, before it
// returns: whoever asks for more is slowed down. work may be nil.
func (r *Runner) Do(work func(context.Context), done func()) {
	if work == nil {
		done()
		return
	}
	r.pending.Add(1)
	select {
	case r.slots <- struct{}{}:
		go func() {
			defer func() { <-r.slots }()
			r.run(work, done)
		}()
	default:
		r.run(work, done)
	}
}

func (r *Runner) run(work func(context.Context), done func()) {
	defer r.pending.Done()
	ctx, cancel := context.WithTimeout(context.Background(), r.limit)
	defer cancel()
	work(ctx)
	done()
}

// Wait returns when nothing is pending, or with ctx's error. Nothing may be added
// meanwhile.
func (r *Runner) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() { r.pending.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
