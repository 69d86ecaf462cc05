package remote

import (
	"context"
	"errors"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/tensor"
)

// longest bounds a call of a request that has no deadline.
const longest = 30 * time.Second

// version is one version on its backend, with what is known of the two. It
// implements inference.Remote.
type version struct {
	owner   *Backends
	client  *Client
	breaker *breaker
}

// Run implements inference.Remote.
func (v *version) Run(ctx context.Context, c inference.RemoteCall) ([]tensor.Tensor, func(), inference.Ran, error) {
	var ran inference.Ran
	t, wait, unsure, ok := v.breaker.enter()
	ran.Open = unsure
	if !ok {
		return v.instead(ctx, &c, ran, &Failure{Reason: BreakerOpen, RetryAfter: wait})
	}
	started := v.owner.opt.Now()
	a, err := v.ask(ctx, &c, t)
	ran.Remote = max(v.owner.opt.Now().Sub(started), 1)
	var f *Failure
	switch {
	case err == nil:
		ran.ServedBy = a.ServedBy
		return a.Outputs, a.Release, ran, nil
	case !errors.As(err, &f): // it has answered: the rows are refused
		ran.ServedBy = "endpoint"
		return nil, nil, ran, err
	case errors.Is(ctx.Err(), context.Canceled):
		ran.ServedBy = "endpoint"
		return nil, nil, ran, fault.Wrap(err, fault.Unavailable, "the request was given up while its backend ran")
	}
	v.owner.opt.Log.Warn("backend failed", "model", v.client.bound.Model, "version", v.client.bound.Version, "reason", string(f.Reason), "status", f.Status,
		"error", f.Error(), "remote_ms", ran.Remote.Milliseconds(), "runs_here", c.Local != nil)
	return v.instead(ctx, &c, ran, f)
}

// ask asks the backend within its part of the time, and tells the breaker how it went.
func (v *version) ask(ctx context.Context, c *inference.RemoteCall, t ticket) (a Answer, err error) {
	is := unknown // also when it panics
	defer func() { v.leave(t, is) }()
	asking, cancel := context.WithTimeout(ctx, v.budget(ctx, c.Local != nil))
	defer cancel()
	a, err = v.client.Infer(asking, Call{Inputs: c.Inputs, Want: c.Want, Low: c.Low, Patient: c.Local == nil})
	var f *Failure
	switch {
	case !errors.As(err, &f):
		is = succeeded
	case !errors.Is(ctx.Err(), context.Canceled): // nobody waits any more: that says nothing of the backend
		is = failedOne
	}
	return a, err
}

// budget is the backend's part of the time that a request has left.
func (v *version) budget(ctx context.Context, local bool) time.Duration {
	budget := longest
	if deadline, ok := ctx.Deadline(); ok {
		budget = time.Until(deadline)
	}
	if local {
		budget = time.Duration(float64(budget) * v.client.backend.Share)
	}
	if most := v.client.backend.Timeout; most > 0 {
		budget = min(budget, most)
	}
	return budget
}

// leave tells the breaker, and who watches it.
func (v *version) leave(t ticket, is verdict) {
	opened, closedAgain := v.breaker.leave(t, is)
	if opened {
		v.owner.opt.Count(BreakerOpened, 1)
		v.owner.opt.Log.Warn("backend left alone", "model", v.client.bound.Model, "version", v.client.bound.Version, "for_ms", v.client.backend.Breaker.OpenFor.Milliseconds())
	}
	if closedAgain {
		v.owner.opt.Count(BreakerClosed, 1)
		v.owner.opt.Log.Info("backend in use again", "model", v.client.bound.Model, "version", v.client.bound.Version)
	}
}

// instead answers a request that the backend has not: by the session in this
// process, if there is one.
func (v *version) instead(ctx context.Context, c *inference.RemoteCall, ran inference.Ran, f *Failure) ([]tensor.Tensor, func(), inference.Ran, error) {
	v.owner.opt.Count(f.Reason.count(), 1)
	ran.Fallback = string(f.Reason)
	if c.Local != nil {
		outputs, release, err := c.Local(ctx, c.Inputs, c.Want)
		return outputs, release, ran, err
	}
	ran.ServedBy = "endpoint"
	if ctx.Err() != nil {
		return nil, nil, ran, fault.Wrap(f, fault.DeadlineExceeded, "the deadline passed while the model's backend ran")
	}
	err, _ := fault.Wrap(f, fault.Unavailable, "the backend of model %q does not answer (%s); try again", v.client.bound.Model, f.Reason).(*fault.Error)
	return nil, nil, ran, err.After(max(f.RetryAfter, time.Second))
}
