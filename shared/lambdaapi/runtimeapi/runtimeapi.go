// Package runtimeapi is the loop of a Lambda function that takes events and gives
// answers as bytes: it polls the Lambda Runtime API, hands each event to one
// handler, posts the answer, and then lets the handler finish its work before
// it polls again.
//
// It is for predict alone, where the general runtime costs more than the model:
// aws-lambda-go decodes every event with encoding/json and goes through
// http.Transport, whose hand-offs between goroutines take some 200 microseconds
// of a one-row request (docs/benchmarks.md). Here one connection is written and
// read by the loop itself. Everything else uses aws-lambda-go.
//
// It knows nothing of HTTP API events (see lambdaapi) and keeps no state between
// events. Its invariant: every event that was received is answered once, and its
// Answer.After has run exactly once before the next poll.
//
//	err := runtimeapi.Serve(ctx, os.Getenv("AWS_LAMBDA_RUNTIME_API"), func(ctx context.Context, inv *runtimeapi.Invocation) runtimeapi.Answer {
//		return runtimeapi.Answer{Body: []byte(`{"statusCode":200}`)}
//	})
//
// Source: AWS Lambda developer guide, "Using the Lambda runtime API for custom
// runtimes" and "Lambda Extensions API".
package runtimeapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

const (
	runtimePath   = "/2018-06-01/runtime/"
	extensionPath = "/2020-01-01/extension/"
)

// Invocation is one event.
type Invocation struct {
	ID       string // the platform's request id
	ARN      string // of the function as it was invoked
	Trace    string // X-Ray trace header, "" without tracing
	Deadline time.Time
	Event    []byte // valid until Answer.After has returned
}

// Answer is what becomes of an event.
type Answer struct {
	Body []byte // JSON; must stay as it is until After runs
	Err  *Error // posted in place of Body when set
	// After, when set, runs once the answer has been posted, also when posting failed. The platform
	// does not give out the next event before it has returned.
	After func(ctx context.Context)
}

// Error is a failed event, or a failed start, as the platform shows it.
type Error struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

// Handler answers one event. ctx ends at the event's deadline; the end of Serve's ctx does not reach it,
// because an event that was received is answered.
type Handler func(ctx context.Context, inv *Invocation) Answer

// Serve answers events from the Runtime API at api (host:port, the value of
// AWS_LAMBDA_RUNTIME_API) until ctx ends while no event is out, which is no error. It returns an error
// when the API cannot be reached or refuses an answer, and after a panic of handle,
// which is reported to the platform first: the process should then end, and the
// platform starts another.
func Serve(ctx context.Context, api string, handle Handler) error {
	c := newClient(api)
	defer c.close()
	next := c.request(http.MethodGet, runtimePath+"invocation/next", "")
	var inv Invocation
	var event []byte // reused
	for ctx.Err() == nil {
		header, err := c.poll(ctx, next, &event)
		if err == nil && header.status != http.StatusOK {
			err = fmt.Errorf("the poll was answered with status %d", header.status)
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("runtimeapi: next event: %w", err)
		}
		if err := inv.read(header, event); err != nil {
			return fmt.Errorf("runtimeapi: next event: %w", err)
		}
		if err := c.serveOne(ctx, &inv, handle); err != nil {
			return err
		}
	}
	return nil
}

// read takes an event's metadata from the headers of the poll's answer.
func (inv *Invocation) read(h header, event []byte) error {
	ms, err := strconv.ParseInt(h.get("Lambda-Runtime-Deadline-Ms"), 10, 64)
	if err != nil {
		return fmt.Errorf("the deadline is not a number: %w", err)
	}
	*inv = Invocation{
		ID: h.get("Lambda-Runtime-Aws-Request-Id"), ARN: h.get("Lambda-Runtime-Invoked-Function-Arn"),
		Trace: h.get("Lambda-Runtime-Trace-Id"), Deadline: time.UnixMilli(ms), Event: event,
	}
	if inv.ID == "" {
		return fmt.Errorf("the event has no request id")
	}
	return nil
}

func (c *client) serveOne(ctx context.Context, inv *Invocation, handle Handler) error {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), inv.Deadline)
	defer cancel()
	answer, panicked := guarded(ctx, inv, handle)
	err := c.post(runtimePath+"invocation/"+inv.ID+"/", answer)
	if answer.After != nil {
		answer.After(ctx)
	}
	if panicked != nil {
		return panicked
	}
	return err
}

// guarded calls handle and turns a panic into an error for the platform and one for
// the caller. The panic's value may hold what the client sent, so only errors of
// the Go runtime are repeated.
func guarded(ctx context.Context, inv *Invocation, handle Handler) (answer Answer, panicked error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		what := fmt.Sprintf("a panic with a %T", r)
		if e, ok := r.(runtime.Error); ok {
			what = e.Error()
		}
		answer = Answer{Err: &Error{Type: "Internal", Message: "the function failed; request id " + inv.ID}}
		panicked = fmt.Errorf("runtimeapi: the handler failed on event %s: %s\n%s", inv.ID, what, debug.Stack())
	}()
	return handle(ctx, inv), nil
}

// post sends an answer below prefix.
func (c *client) post(prefix string, a Answer) error {
	path, body := prefix+"response", a.Body
	if a.Err != nil {
		encoded, err := json.Marshal(a.Err)
		if err != nil {
			return fmt.Errorf("runtimeapi: encode an error: %w", err)
		}
		path, body = prefix+"error", encoded
	}
	extra := "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	if a.Err != nil {
		extra += "Lambda-Runtime-Function-Error-Type: " + token(a.Err.Type) + "\r\n"
	}
	header, err := c.exchange(c.request(http.MethodPost, path, extra), body, nil)
	if err != nil {
		return fmt.Errorf("runtimeapi: post: %w", err)
	}
	if header.status/100 != 2 && !header.resent {
		return fmt.Errorf("runtimeapi: post: the answer was refused with status %d", header.status)
	}
	return nil // an answer that was sent twice is refused the second time: the first has arrived
}

// InitError reports that the function could not start. The process should end after it.
func InitError(api string, e Error) error {
	c := newClient(api)
	defer c.close()
	return c.post(runtimePath+"init/", Answer{Err: &e})
}

// token keeps what may stand in a header.
func token(s string) string {
	out := make([]byte, 0, len(s))
	for _, b := range []byte(s) {
		if b > ' ' && b < 0x7f {
			out = append(out, b)
		}
	}
	return string(out)
}
