// Package feedback takes labels over HTTP: POST /v1/feedback/{model} with one
// label, with {"labels":[…]} or with NDJSON (docs/formats/label.md).
//
// It checks each label by itself and says of each what is wrong, all in one
// answer; the rest is handed to a stream. It does not know whether a prediction
// with that id exists: labels may come before its capture has landed, so that is
// counted when the two are joined.
//
// Invariant: what an answer calls accepted has been taken by the stream. A label
// may be delivered twice (the stream's promise is at least once, and a client may
// repeat a request), which changes nothing.
package feedback

import (
	"context"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/registry"
)

// Limits of one request.
const (
	MaxLabels = 5_000   // an error for each of them still fits into an answer
	MaxBody   = 4 << 20 // also after inflation
)

// Names of the counts (docs/formats/telemetry.md).
const (
	LabelsAccepted = "LabelsAccepted" // labels that the stream has taken
	LabelsRejected = "LabelsRejected" // labels that cannot be ones
	LabelsRefused  = "LabelsRefused"  // labels that the stream has not taken: the client was told to try again
)

// Stream takes records of whole lines, each at most [MaxRecord] bytes.
type Stream interface {
	// Send returns the indexes of the records that were not taken, with the reason; an error without
	// indexes means that none was.
	Send(ctx context.Context, records [][]byte) (failed []int, err error)
}

// Models finds the identity of a model: registry.Registry is one. NotFound when it
// was never created.
type Models interface {
	Model(ctx context.Context, name string) (registry.Model, error)
}

// Options of the handler.
type Options struct {
	Stream   Stream
	Models   Models
	Now      func() time.Time           // time.Now when nil
	Count    func(name string, n int64) // nil counts nothing
	Observer httpapi.Observer           // may be nil
}

// API is an httpapi.Handler, safe for concurrent use.
type API struct {
	opt Options

	mu    sync.Mutex
	known map[string]registry.Model // identities never change
}

// maxKnown bounds the identities that are kept.
const maxKnown = 1000

// New returns the handler.
func New(o Options) *API {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Count == nil {
		o.Count = func(string, int64) {}
	}
	return &API{opt: o, known: map[string]registry.Model{}}
}

// Serve answers one request.
func (a *API) Serve(ctx context.Context, req *httpapi.Request) (resp httpapi.Response) {
	e := &exchange{api: a, req: req, header: httpapi.Header{}}
	e.obs = httpapi.Observation{RequestID: req.ID, Route: "feedback", BytesIn: len(req.Body), Start: a.opt.Now()}
	defer func() {
		if r := recover(); r != nil {
			resp = e.fail(httpapi.Recovered(r))
		}
		resp.After = func(ctx context.Context) {
			if a.opt.Observer != nil {
				a.opt.Observer.Observe(ctx, &e.obs)
			}
		}
	}()
	model, err := e.route()
	if err != nil {
		return e.fail(err)
	}
	e.obs.Model = model
	if req.Method != "POST" {
		e.header["Allow"] = "POST"
		return e.answer(405, httpapi.AppendError(nil, fault.New(fault.InvalidArgument, "this path takes POST"), req.ID))
	}
	if err := e.take(ctx, model); err != nil {
		return e.fail(err)
	}
	return e.result()
}

// exchange is one request on its way.
type exchange struct {
	api      *API
	req      *httpapi.Request
	header   httpapi.Header
	obs      httpapi.Observation
	inflated []byte
	batch    batch
}

// route reads the model's name from the path.
func (e *exchange) route() (model string, err error) {
	segment, ok := strings.CutPrefix(strings.TrimSuffix(e.req.Path, "/"), "/v1/feedback/")
	if !ok || segment == "" || strings.Contains(segment, "/") {
		return "", fault.New(fault.NotFound, "there is nothing at this path; send labels to POST /v1/feedback/<model>")
	}
	name, refused := httpapi.ModelName(segment)
	if refused != nil {
		return "", refused
	}
	return name, nil
}

// take reads, checks and hands over the labels.
func (e *exchange) take(ctx context.Context, name string) error {
	e.stage("decode")
	body, err := e.req.Payload(&e.inflated, MaxBody, "labels")
	if err != nil {
		return err
	}
	e.stage("pick")
	model, err := e.api.model(ctx, name)
	if err != nil {
		return err
	}
	e.stage("check")
	e.batch.model, e.batch.task, e.batch.now = model.Name, model.Task, e.obs.Start
	if err := e.batch.read(body); err != nil {
		return err
	}
	e.api.opt.Count(LabelsRejected, int64(len(e.batch.rejected)))
	if e.batch.accepted == 0 {
		return nil
	}
	e.stage("send")
	if failed, err := e.api.opt.Stream.Send(ctx, e.batch.records()); err != nil || len(failed) > 0 {
		e.api.opt.Count(LabelsRefused, int64(e.batch.accepted))
		if err == nil {
			err = fault.New(fault.Unavailable, "%d records were not taken", len(failed))
		}
		if fault.Is(err, fault.Internal) {
			return err
		}
		return fault.Wrap(err, fault.Unavailable, "the labels could not be stored; send all of them again").(*fault.Error).After(time.Second)
	}
	e.api.opt.Count(LabelsAccepted, int64(e.batch.accepted))
	return nil
}

// model finds the identity of a model, once.
func (a *API) model(ctx context.Context, name string) (registry.Model, error) {
	a.mu.Lock()
	m, ok := a.known[name]
	a.mu.Unlock()
	if ok {
		return m, nil
	}
	m, err := a.opt.Models.Model(ctx, name)
	if err != nil {
		return m, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= maxKnown {
		clear(a.known)
	}
	a.known[name] = m
	return m, nil
}

// result answers with what was accepted and what was not.
func (e *exchange) result() httpapi.Response {
	status := 200
	if e.batch.accepted == 0 {
		status = 400
		e.obs.ErrorKind = string(fault.InvalidArgument)
	}
	e.obs.Rows = e.batch.accepted
	return e.answer(status, e.batch.answer(e.req.ID))
}

// fail answers with what the client may see of err and keeps the rest for the log.
func (e *exchange) fail(err error) httpapi.Response {
	public := fault.Public(err)
	e.obs.Cause, e.obs.ErrorKind = err, string(public.Kind)
	if public.RetryAfter <= 0 && public.Kind == fault.Unavailable {
		public.RetryAfter = time.Second
	}
	if public.RetryAfter > 0 {
		e.header["Retry-After"] = strconv.Itoa(int(math.Ceil(public.RetryAfter.Seconds())))
	}
	return e.answer(public.Kind.HTTPStatus(), httpapi.AppendError(nil, public, e.req.ID))
}

func (e *exchange) answer(status int, body []byte) httpapi.Response {
	now := e.stage("")
	e.header["Content-Type"] = "application/json"
	e.obs.Status, e.obs.Duration, e.obs.BytesOut = status, now.Sub(e.obs.Start), len(body)
	return httpapi.Response{Status: status, Header: e.header, Body: body}
}

// stage ends the stage that runs and begins the one called name ("" = none).
func (e *exchange) stage(name string) time.Time {
	now := e.api.opt.Now()
	if n := len(e.obs.Stages); n > 0 && e.obs.Stages[n-1].Duration < 0 {
		e.obs.Stages[n-1].Duration = now.Sub(e.obs.Stages[n-1].Start)
	}
	if name != "" {
		e.obs.Stages = append(e.obs.Stages, httpapi.Stage{Name: name, Start: now, Duration: -1})
	}
	return now
}
