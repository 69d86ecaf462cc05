package httpapi

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi/rows"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/tensor"
)

// keep bounds the buffers that an exchange holds on to between requests, in bytes.
const keep = 8 << 20

// exchange is one request on its way through the handlers, with all memory it
// needs. It goes back to the pool when After has run.
type exchange struct {
	api   *API
	req   *Request
	route route
	id    string // inference id, "" on routes that predict nothing

	oip      oip.Decoder
	rows     rows.Decoder
	inflated []byte
	body     []byte
	want     []string
	header   Header
	timing   []byte

	served   inference.Served
	release  func()
	pred     Prediction
	recorded bool
	paired   Prediction      // by a partner of served
	inputs   []tensor.Tensor // of paired
	obs      Observation
	stages   [8]Stage

	afterFunc func(context.Context)
}

func newExchange(a *API) *exchange {
	x := &exchange{api: a, header: Header{}}
	x.afterFunc = x.after
	return x
}

func (x *exchange) begin(req *Request) {
	x.req = req
	clear(x.header)
	x.obs = Observation{RequestID: req.ID, BytesIn: len(req.Body), Start: x.api.opt.Now(), Stages: x.stages[:0]}
}

// stage ends the stage that runs and begins the one called name ("" = none).
func (x *exchange) stage(name string) time.Time {
	now := x.api.opt.Now()
	if n := len(x.obs.Stages); n > 0 && x.obs.Stages[n-1].Duration < 0 {
		x.obs.Stages[n-1].Duration = now.Sub(x.obs.Stages[n-1].Start)
	}
	if name != "" {
		x.obs.Stages = append(x.obs.Stages, Stage{Name: name, Start: now, Duration: -1})
	}
	return now
}

// identify gives the request its inference id and reads the sticky key's header.
func (x *exchange) identify() error {
	x.id = x.api.opt.NewID()
	x.obs.InferenceID = x.id
	x.header["Tidegate-Inference-Id"] = x.id
	x.pred = Prediction{ID: x.id, At: x.obs.Start, Role: capture.Served, Key: x.req.Header["tidegate-key"]}
	return x.checkKey("Tidegate-Key", x.pred.Key)
}

// Limits of what a client names by itself and we store beside its rows.
const (
	maxKey       = 256
	maxRequestID = 256
)

func (x *exchange) checkKey(name, key string) error {
	if len(key) > maxKey {
		return fault.New(fault.InvalidArgument, "%s is longer than %d bytes", name, maxKey)
	}
	return nil
}

// key is what routing and sampling go by.
func (x *exchange) key() string {
	if x.pred.Key == "" {
		return x.id
	}
	return x.pred.Key
}

// pick chooses the version that answers.
func (x *exchange) pick(ctx context.Context) error {
	x.stage("pick")
	served, err := x.api.predictor.Pick(ctx, inference.Selection{Model: x.route.model, Version: x.route.version, Slot: x.route.slot, Key: x.key()})
	if err != nil {
		return err
	}
	x.served = served
	x.pred.Version = served.Version()
	v := &x.pred.Version
	x.obs.Model, x.obs.Version, x.obs.Slot = v.Model, v.Number, string(v.Slot)
	x.obs.Digest, x.obs.Ran.ServedBy = v.Digest, v.ServedBy
	x.header["Tidegate-Model-Version"] = strconv.Itoa(v.Number)
	x.header["Tidegate-Model-Digest"] = v.Digest
	x.header["Tidegate-Slot"] = string(v.Slot)
	x.header["Tidegate-Generation"] = strconv.FormatInt(v.Generation, 10)
	x.header["Tidegate-Served-By"] = v.ServedBy
	return nil
}

// payload is the body without its Content-Encoding.
func (x *exchange) payload() ([]byte, error) {
	return x.req.Payload(&x.inflated, x.api.opt.MaxBody, "rows")
}

// run runs the model on the checked inputs.
func (x *exchange) run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	x.stage("run")
	outputs, release, err := x.served.Run(ctx, x.pred.Inputs, x.outputs())
	x.obs.Ran = x.served.Ran()
	x.pred.Version.ServedBy = x.obs.Ran.ServedBy
	x.header["Tidegate-Served-By"] = x.obs.Ran.ServedBy
	if err != nil {
		return err
	}
	x.pred.Outputs, x.release = outputs, release
	return nil
}

// outputs are the names of those asked for: nil for all of them, as the empty list
// that a pooled exchange keeps would ask for none.
func (x *exchange) outputs() []string {
	if len(x.want) == 0 {
		return nil
	}
	return x.want
}

// finish completes a prediction whose answer is encoded in x.body: limits,
// strict capture, headers.
func (x *exchange) finish(ctx context.Context, contentType string, binary bool) Response {
	if size := x.travels(x.body, binary); size > x.api.opt.MaxAnswer {
		return x.fail(x.tooLarge(size))
	}
	x.pred.Status = 200
	if x.pred.Version.Capture.Mode == registry.CaptureStrict && x.api.recorder != nil {
		x.stage("capture")
		x.pred.Latency = x.api.opt.Now().Sub(x.obs.Start)
		x.recorded = true
		if err := x.api.recorder.Record(ctx, &x.pred); err != nil {
			return x.fail(fault.Wrap(err, fault.Unavailable, "the prediction could not be captured, which this model demands; try again").(*fault.Error).After(time.Second))
		}
	}
	x.header["Content-Type"] = contentType
	return x.complete(200, binary)
}

// complete ends the stages and makes the response of x.body.
func (x *exchange) complete(status int, binary bool) Response {
	now := x.stage("")
	x.obs.Status, x.obs.Duration, x.obs.BytesOut = status, now.Sub(x.obs.Start), len(x.body)
	x.pred.Status, x.pred.Latency = status, x.obs.Duration
	if len(x.obs.Stages) > 0 {
		x.header["Server-Timing"] = x.serverTiming()
	}
	body := x.body
	if x.req.Method == "HEAD" {
		body = nil
	}
	return Response{Status: status, Header: x.header, Body: body, Binary: binary}
}

// serverTiming lists the stages in milliseconds.
func (x *exchange) serverTiming() string {
	b := x.timing[:0]
	for i := range x.obs.Stages {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(append(b, x.obs.Stages[i].Name...), ";dur="...)
		us := int64(math.Round(float64(x.obs.Stages[i].Duration) / 1e3))
		b = strconv.AppendInt(b, us/1000, 10)
		b = append(b, '.', byte('0'+us/100%10), byte('0'+us/10%10), byte('0'+us%10))
	}
	x.timing = b
	return string(b)
}

// after is Response.After: what is due once the answer has left. Each part is
// guarded, so that none keeps the others from running.
func (x *exchange) after(ctx context.Context) {
	kept := x.recorded
	if x.id != "" && !x.recorded && x.pred.Version.Number > 0 && x.api.recorder != nil {
		x.stage("capture")
		err := guard(func() error { return x.api.recorder.Record(ctx, &x.pred) })
		x.blame(err)
		kept = err == nil
		x.stage("")
	}
	if x.id != "" && x.served != nil && x.pred.Status == 200 && x.api.recorder != nil { // metadata is of a version too, and no prediction
		x.blame(guard(func() error { x.pair(ctx, kept); return nil }))
		x.stage("")
	}
	x.letGo()
	x.blame(guard(func() error { x.api.predictor.AfterRequest(ctx); return nil }))
	if x.api.observer != nil {
		_ = guard(func() error { x.api.observer.Observe(ctx, &x.obs); return nil }) // nobody is left to tell
	}
	x.recycle()
}

// blame keeps the first thing that failed behind a good answer, for the log.
func (x *exchange) blame(err error) {
	if err != nil && x.obs.Cause == nil {
		x.obs.Cause = err
	}
}

// guard turns a panic of f into an error.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicked(r)
		}
	}()
	return f()
}

// letGo gives outputs and version back to inference.
func (x *exchange) letGo() {
	x.pred.Inputs, x.pred.Outputs = nil, nil
	if release := x.release; release != nil {
		x.release = nil
		_ = guard(func() error { release(); return nil })
	}
	if served := x.served; served != nil {
		x.served = nil
		_ = guard(func() error { served.Done(); return nil })
	}
}

// recycle returns x to the pool without what it must not hold on to.
func (x *exchange) recycle() {
	x.req, x.id, x.recorded = nil, "", false
	x.pred, x.obs, x.route = Prediction{}, Observation{}, route{}
	if x.paired.ID != "" {
		x.paired = Prediction{}
		clear(x.inputs[:cap(x.inputs)]) // they point into the body
	}
	x.want = x.want[:0]
	if cap(x.body) > keep {
		x.body = nil
	}
	if cap(x.inflated) > keep {
		x.inflated = nil
	}
	x.api.pool.Put(x)
}
