// Package pause waits between tries, no longer than a context lasts.
//
// How long, and how often, is the caller's: each service has its own. It is a leaf.
//
//	if err := pause.For(ctx, rand.N(maxWait)); err != nil { … }
package pause

import (
	"context"
	"time"
)

// For returns nil after d, or the error of ctx as soon as it ends.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
