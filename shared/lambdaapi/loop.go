package lambdaapi

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
)

const (
	// answerMargin is left between the deadline of a request and that of the invocation, for posting.
	answerMargin = 200 * time.Millisecond
	// afterMargin is left between the end of After and the invocation's deadline, at which the
	// platform kills the process.
	afterMargin = 500 * time.Millisecond
	// gatewayLimit is how long an HTTP API waits for an integration (30 s), less what the way back takes.
	gatewayLimit = 29 * time.Second
	// An arrival further away than this is not that of a live request: a sample event, or a wrong clock.
	plausible = 5 * time.Minute
	// flushTime is what the platform gives a process between SIGTERM and SIGKILL, less a margin.
	flushTime = 400 * time.Millisecond
)

// Loop serves the HTTP API events of one Lambda function.
type Loop struct {
	API     string // host:port of the Runtime API, AWS_LAMBDA_RUNTIME_API
	Handler httpapi.Handler
	Log     *slog.Logger
	Now     func() time.Time // time.Now when nil
	// Exhausted, when it says true after an answer and its After, ends Run without an error.
	Exhausted func() bool
	// Flush runs once when Run ends, for at most 400 ms: what a buffer still holds.
	Flush func(ctx context.Context)

	api     runtimeAPI
	event   httpEvent
	payload []byte
	result  []byte
	names   []string
}

// Run serves until ctx ends (nil), the process is exhausted (nil) or the Runtime
// API cannot be talked to.
func (l *Loop) Run(ctx context.Context) error {
	if l.Now == nil {
		l.Now = time.Now
	}
	l.api.address = l.API
	defer l.api.close()
	if l.Flush != nil {
		defer func() {
			flushing, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
			defer cancel()
			l.Flush(flushing)
		}()
	}
	for ctx.Err() == nil {
		invocation, err := l.wait(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.serve(ctx, invocation); err != nil {
			return err
		}
		if l.Exhausted != nil && l.Exhausted() {
			l.Log.Warn("the process ends: its memory stays above the limit")
			return nil
		}
	}
	return nil
}

func (l *Loop) wait(ctx context.Context) (invocation, error) {
	if err := l.api.dial(); err != nil {
		return invocation{}, err
	}
	stop := l.api.unblock(ctx)
	defer stop()
	in, err := l.api.next(l.payload)
	if err == nil {
		l.payload = in.payload
	}
	return in, err
}

// serve answers one invocation and does what is due afterwards. An error means
// that the Runtime API is gone.
func (l *Loop) serve(ctx context.Context, in invocation) error {
	// The environment variable _X_AMZN_TRACE_ID, which aws-lambda-go sets besides, is not set: in a
	// program with cgo each new value of a variable is leaked by libc's setenv.
	ctx = httpapi.WithTrace(ctx, in.trace)
	if err := l.event.decode(in.payload); err != nil {
		l.Log.Error("event refused", "request_id", in.id, "error", err.Error())
		return l.api.fail(in.id, describe(err), string(fault.KindOf(err)))
	}
	l.event.request.ID = in.id
	remaining := l.remaining(in)
	serving, cancel := context.WithTimeout(ctx, remaining)
	response := l.handle(serving)
	cancel()
	l.result, l.names = appendResult(l.result[:0], &response, l.names)
	if len(l.result) > MaxResult {
		l.result, l.names = appendResult(l.result[:0], tooLarge(in.id), l.names)
	}
	posted := l.api.answer(in.id, l.result)
	if response.After != nil {
		l.after(ctx, in, response.After)
	}
	if cap(l.result) > keptResult {
		l.result = nil
	}
	if cap(l.payload) > keptResult {
		l.payload = nil
	}
	return posted
}

// keptResult bounds the memory kept from one event to the next, in bytes.
const keptResult = 2 << 20

// remaining is the time for the answer (PROTOCOLS §9).
func (l *Loop) remaining(in invocation) time.Duration {
	now := l.Now()
	left := in.deadline.Sub(now) - answerMargin
	if age := now.Sub(l.event.arrived); age.Abs() < plausible {
		left = min(left, gatewayLimit-age)
	}
	return left
}

// handle calls the handler, which should not panic: that it does is a fault of its own.
func (l *Loop) handle(ctx context.Context) (response httpapi.Response) {
	defer func() {
		if p := recover(); p != nil {
			l.Log.Error("handler panicked", "request_id", l.event.request.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			response = *failure(fault.New(fault.Internal, ""), l.event.request.ID)
		}
	}()
	return l.Handler.Serve(ctx, &l.event.request)
}

func (l *Loop) after(ctx context.Context, in invocation, after func(context.Context)) {
	defer func() {
		if p := recover(); p != nil {
			l.Log.Error("work after the answer panicked", "request_id", in.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.deadline.Sub(l.Now())-afterMargin)
	defer cancel()
	after(ctx)
}

// failure is an answer in the error form of both protocols.
func failure(err error, id string) *httpapi.Response {
	public := fault.Public(err)
	body, _ := json.Marshal(map[string]string{"error": public.Message, "request_id": id})
	return &httpapi.Response{Status: public.Kind.HTTPStatus(), Header: httpapi.Header{"Content-Type": "application/json"}, Body: body}
}

func tooLarge(id string) *httpapi.Response {
	return failure(fault.New(fault.PayloadTooLarge, "the answer is over the %d bytes that can be sent: ask for fewer rows or fewer outputs at a time, or for binary outputs", MaxResult), id)
}

// describe is the error form of the Runtime API.
func describe(err error) []byte {
	body, _ := json.Marshal(map[string]string{"errorType": string(fault.KindOf(err)), "errorMessage": fault.Public(err).Message})
	return body
}

// ReportInit tells the Runtime API at address that the process cannot start, and why.
// The message is the full one: it goes to the operator's log, not to a client.
func ReportInit(address string, cause error) error {
	kind := "Tidegate." + string(fault.KindOf(cause))
	body, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": cause.Error()})
	api := runtimeAPI{address: address}
	defer api.close()
	return api.refuse(body, kind)
}
