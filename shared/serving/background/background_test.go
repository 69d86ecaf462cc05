package background_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate/tidegate/shared/serving/background"
)

func TestWorkLagsWithinItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := background.New(2, time.Second)
		started, done := time.Now(), atomic.Int64{}
		slow := func(ctx context.Context) { <-ctx.Done() } // until its limit
		for range 3 {
			r.Do(slow, func() { done.Add(1) })
		}
		if took := time.Since(started); took != time.Second {
			t.Errorf("the third ran beside two for %v, want it to take its own second", took)
		}
		r.Do(nil, func() { done.Add(1) })
		if err := r.Wait(t.Context()); err != nil || done.Load() != 4 {
			t.Errorf("%d done, %v", done.Load(), err)
		}
		r.Do(slow, func() {})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := r.Wait(ctx); err == nil {
			t.Error("waited for less than is pending")
		}
		time.Sleep(time.Second)
	})
}
