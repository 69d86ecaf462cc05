package httpapi

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/tidegate/tidegate/shared/fault"
)

// Options of the handlers. The zero value serves a container; a Lambda sets Enveloped.
type Options struct {
	Now   Clock         // default time.Now
	NewID func() string // inference ids; default UUIDv7, which carries the time and sorts by it

	// MaxBody bounds a request's body, also after inflation; default 16 MiB.
	MaxBody int
	// MaxAnswer bounds an answer's body as it travels; default 5.9 MB, Lambda's 6 MB less the envelope.
	MaxAnswer int
	// Enveloped says that answers travel inside a Lambda result: text escaped as a JSON
	// string (quotes, backslashes and control characters), binary as base64. MaxAnswer is then measured there.
	Enveloped bool

	// Count adds n to the metric of the given name ([PairsCaptured] and the losses). Nil counts nothing.
	Count func(name string, n int64)

	Name, Version string // server metadata; default "tidegate", "1"
}

// Defaults of Options.
const (
	DefaultMaxBody   = 16 << 20
	DefaultMaxAnswer = 5_900_000
)

// API answers the prediction protocols. It is a [Handler], safe for concurrent use.
type API struct {
	predictor Predictor
	recorder  Recorder
	observer  Observer
	opt       Options
	pool      sync.Pool // of *exchange
}

// New returns the handlers over a predictor. recorder and observer may be nil.
func New(p Predictor, r Recorder, o Observer, opt Options) *API {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.NewID == nil {
		opt.NewID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	if opt.MaxBody <= 0 {
		opt.MaxBody = DefaultMaxBody
	}
	if opt.MaxAnswer <= 0 {
		opt.MaxAnswer = DefaultMaxAnswer
	}
	if opt.Count == nil {
		opt.Count = func(string, int64) {}
	}
	if opt.Name == "" {
		opt.Name = "tidegate"
	}
	if opt.Version == "" {
		opt.Version = "1"
	}
	a := &API{predictor: p, recorder: r, observer: o, opt: opt}
	a.pool.New = func() any { return newExchange(a) }
	return a
}

// Serve answers one request. Response.After must be called exactly once, also
// when the answer could not be sent: it gives the model version back. The
// response's header and body are reused after it.
func (a *API) Serve(ctx context.Context, req *Request) (resp Response) {
	x := a.pool.Get().(*exchange)
	x.begin(req)
	defer func() {
		if r := recover(); r != nil {
			resp = x.fail(panicked(r))
		}
		resp.After = x.afterFunc
	}()
	route, err := parseRoute(req.Path)
	x.route = route
	x.obs.Route, x.obs.Model = route.name, route.model
	if err != nil {
		return x.fail(err)
	}
	if allow := x.refused(); allow != "" {
		x.header["Allow"] = allow
		return x.answerError(405, fault.New(fault.InvalidArgument, "this path takes %s", allow))
	}
	return x.dispatch(ctx)
}

// refused returns the methods allowed when the request's is not among them.
func (x *exchange) refused() string {
	switch m := x.req.Method; {
	case x.route.post && m != "POST":
		return "POST"
	case !x.route.post && m != "GET" && m != "HEAD":
		return "GET, HEAD"
	}
	return ""
}

func (x *exchange) dispatch(ctx context.Context) Response {
	switch x.route.name {
	case routeInfer:
		return x.infer(ctx)
	case routePredict:
		return x.predict(ctx)
	case routeServer:
		return x.serverMetadata()
	case routeLive:
		return x.live()
	case routeReady:
		return x.ready(ctx)
	case routeModelReady:
		return x.modelReady(ctx)
	case routeModel:
		return x.modelMetadata(ctx)
	case routeModelStatus:
		return x.modelStatus(ctx)
	}
	return x.signatureMetadata(ctx)
}

// panicked is the error for a recovered panic: where it happened, and what, as
// far as that cannot hold a value of the input. Arguments in stack traces can, so
// only function names and lines are kept.
func panicked(r any) error {
	what := fmt.Sprintf("%T", r)
	if err, ok := r.(runtime.Error); ok {
		what = err.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "panic: %s", what)
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs)])
	for {
		f, more := frames.Next()
		fmt.Fprintf(&b, "; %s:%d", f.Function, f.Line)
		if !more {
			break
		}
	}
	return fmt.Errorf("httpapi: %s", b.String())
}
