package httpapi

import (
	"context"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
)

// Names of the counts of pairs (docs/formats/telemetry.md): one for each request
// and partner. A pair is captured or lost, for one reason.
const (
	PairsCaptured         = "PairsCaptured"
	PairsLostDeadline     = "PairsLostDeadline"     // no time was left to start, or to end
	PairsLostNotLoaded    = "PairsLostNotLoaded"    // the partner was not in memory
	PairsLostIncompatible = "PairsLostIncompatible" // the partner's contract refuses the rows, or all rows of the version that answered
	PairsLostFailed       = "PairsLostFailed"       // the partner failed, which is captured
	PairsLostCapture      = "PairsLostCapture"      // one of the two records was lost on the way
)

// pairMargin is left to what is due after the pairs: sending their captures, a
// look at the state, the log line.
const pairMargin = time.Second

// pair has the other versions score the rows of a good answer that has left. kept
// says that the answer itself was captured: both records of a pair are, or none.
// What goes wrong here is counted and logged, and nothing else.
func (x *exchange) pair(ctx context.Context, kept bool) {
	partners := x.served.Partners(x.key())
	if len(partners) == 0 {
		return
	}
	x.stage("pair")
	taken := capture.Taken(&x.pred)
	for i := range partners {
		if taken {
			lost := PairsLostFailed
			err := guard(func() (err error) { lost, err = x.score(ctx, &partners[i], kept); return err })
			x.blame(err)
			x.api.opt.Count(lost, 1)
		}
		if s := partners[i].Served; s != nil {
			_ = guard(func() error { s.Done(); return nil })
		}
	}
}

// score runs one partner on the rows, captures what comes of it and names the count.
func (x *exchange) score(ctx context.Context, p *inference.Partner, kept bool) (count string, err error) {
	switch {
	case p.Loss == inference.NotLoaded:
		return PairsLostNotLoaded, nil
	case p.Loss == inference.Incompatible:
		return PairsLostIncompatible, nil
	case !kept:
		return PairsLostCapture, nil
	}
	started, until := x.api.opt.Now(), ctx
	if deadline, ok := ctx.Deadline(); ok {
		end := deadline.Add(-pairMargin)
		if end.Sub(started) <= x.ran() { // it takes about as long as the run before the answer did
			return PairsLostDeadline, nil
		}
		var cancel context.CancelFunc
		until, cancel = context.WithDeadline(ctx, end)
		defer cancel()
	}
	inputs, err := p.Fit.Inputs(x.inputs, x.pred.Inputs)
	if err != nil {
		return PairsLostIncompatible, nil // the rows are fine for one contract and not for the other: no fault to log
	}
	x.inputs = inputs
	x.paired = Prediction{ID: x.pred.ID, RequestID: x.pred.RequestID, Key: x.pred.Key, At: x.pred.At, Version: p.Served.Version(),
		Role: capture.Paired, Rows: x.pred.Rows, Status: 200}
	release, err := x.runPartner(until, p.Served)
	if release != nil {
		defer release()
	}
	x.paired.Version.ServedBy = p.Served.Ran().ServedBy
	x.paired.Latency = x.api.opt.Now().Sub(started)
	if err != nil {
		public := fault.Public(err)
		x.paired.Status, x.paired.ErrorKind = public.Kind.HTTPStatus(), string(public.Kind)
	}
	recorded := x.api.recorder.Record(ctx, &x.paired)
	switch {
	case fault.Is(err, fault.DeadlineExceeded):
		return PairsLostDeadline, nil
	case err != nil:
		return PairsLostFailed, err
	case recorded != nil:
		return PairsLostCapture, recorded
	}
	return PairsCaptured, nil
}

// runPartner fills in inputs and outputs of the paired prediction unless the run
// fails, by an error or a panic. It asks for the outputs that the answer has.
func (x *exchange) runPartner(ctx context.Context, partner inference.Served) (release func(), err error) {
	err = guard(func() (err error) {
		x.paired.Outputs, release, err = partner.Run(ctx, x.inputs, x.outputs())
		return err
	})
	if err != nil {
		x.paired.Outputs = nil
		return nil, err
	}
	x.paired.Inputs = x.inputs
	return release, nil
}

// ran is how long the model ran before the answer.
func (x *exchange) ran() time.Duration {
	for i := range x.obs.Stages {
		if x.obs.Stages[i].Name == "run" {
			return x.obs.Stages[i].Duration
		}
	}
	return 0
}
