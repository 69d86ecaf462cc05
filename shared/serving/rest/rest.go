// Package rest carries the transport-neutral handlers of httpapi over net/http.
//
// It reads a body within its bound, sets the request's deadline and priority from
// headers, writes the answer, and does what is due after it (capture, the other
// version, a look at the state) in the background, so that a connection is free
// for its next request at once. It knows no protocol.
//
//	h := rest.New(api, rest.Options{MaxBody: 32 << 20, Deadline: time.Minute})
//	server := &http.Server{Handler: h}
//	…
//	server.Shutdown(ctx)
//	h.Wait(ctx) // what is due after the last answers
package rest

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidegate/tidegate/shared/batching"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/serving/background"
)

// Headers that the adapter reads itself.
const (
	// HeaderDeadline is how many milliseconds the caller waits, a decimal from 1.
	HeaderDeadline = "Tidegate-Deadline-Ms"
	// HeaderPriority is "normal" or "low".
	HeaderPriority = "Tidegate-Priority"
	// HeaderTrace is X-Ray's, as load balancers and predict send it.
	HeaderTrace = "X-Amzn-Trace-Id"
)

// Options of a handler.
type Options struct {
	MaxBody  int64         // bytes of a body as it travels; 0 = httpapi.DefaultMaxBody
	InFlight int64         // bytes of all bodies that are being read or answered; 0 = 16 times MaxBody
	Deadline time.Duration // of a request without HeaderDeadline, and the most that may be asked for; 0 = 1 minute
	NewID    func() string // of requests without X-Request-Id; nil = none
	// Observer is told of what is refused before the handlers see it, with the route "refused"; nil = nobody.
	Observer httpapi.Observer
	// After bounds the time of what is due after an answer; 0 = 30 s.
	After time.Duration
}

// Handler is an http.Handler over an httpapi.Handler.
type Handler struct {
	api    httpapi.Handler
	opt    Options
	held   atomic.Int64 // bytes of bodies in flight
	after  *background.Runner
	memory sync.Pool // of *exchange
}

// exchange is the memory of a request, kept for later ones.
type exchange struct {
	req   httpapi.Request
	body  []byte
	held  int64 // bytes of body that count as in flight
	start time.Time
}

// keep bounds the body memory that is kept, in bytes.
const keep = 4 << 20

// New returns a handler over api.
func New(api httpapi.Handler, o Options) *Handler {
	if o.MaxBody <= 0 {
		o.MaxBody = httpapi.DefaultMaxBody
	}
	if o.InFlight <= 0 {
		o.InFlight = 16 * o.MaxBody
	}
	if o.Deadline <= 0 {
		o.Deadline = time.Minute
	}
	if o.After <= 0 {
		o.After = 30 * time.Second
	}
	h := &Handler{api: api, opt: o, after: background.New(0, o.After)}
	h.memory.New = func() any { return &exchange{req: httpapi.Request{Header: httpapi.Header{}}} }
	return h
}

// Wait returns when all that is due after answers is done, or with ctx's error.
// No request may be in progress.
func (h *Handler) Wait(ctx context.Context) error { return h.after.Wait(ctx) }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := h.memory.Get().(*exchange)
	x.start = time.Now()
	h.head(&x.req, r)
	ctx, cancel, err := h.terms(r)
	if err == nil {
		defer cancel()
		err = h.read(x, w, r)
	}
	if err != nil {
		h.refuse(w, r, x, err)
		h.rest(x)
		return
	}
	resp := h.api.Serve(ctx, &x.req)
	write(w, r, &resp)
	h.after.Do(resp.After, func() { h.rest(x) })
}

// head takes over method, path and headers.
func (h *Handler) head(req *httpapi.Request, r *http.Request) {
	req.Method, req.Path, req.Query = r.Method, r.URL.EscapedPath(), r.URL.RawQuery
	for name, values := range r.Header {
		value := values[0]
		if len(values) > 1 {
			value = strings.Join(values, ",")
		}
		req.Header[lower(name)] = value
	}
	req.ID = visible(r.Header.Get("X-Request-Id"))
	if req.ID == "" && h.opt.NewID != nil {
		req.ID = h.opt.NewID()
	}
}

// lower is name in lower case, without an allocation for everyday names.
func lower(name string) string {
	if l, ok := everyday[name]; ok {
		return l
	}
	return strings.ToLower(name)
}

// everyday are the names that most requests carry, as net/http spells them.
var everyday = func() map[string]string {
	names := map[string]string{}
	for _, name := range []string{"Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Host", "User-Agent", "X-Request-Id",
		"Inference-Header-Content-Length", "Tidegate-Key", HeaderDeadline, HeaderPriority, HeaderTrace, "X-Amzn-Sagemaker-Custom-Attributes"} {
		names[name] = strings.ToLower(name)
	}
	return names
}()

// terms are the deadline and the priority of a request.
func (h *Handler) terms(r *http.Request) (context.Context, context.CancelFunc, error) {
	wait := h.opt.Deadline
	if text := r.Header.Get(HeaderDeadline); text != "" {
		asked, err := ParseMilliseconds(HeaderDeadline, text)
		if err != nil {
			return nil, nil, err
		}
		wait = min(wait, asked)
	}
	priority, err := batching.ParsePriority(r.Header.Get(HeaderPriority))
	if err != nil {
		return nil, nil, fault.Invalid(fault.Violation{Path: HeaderPriority, Problem: "must be one of: normal, low"})
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	if trace := r.Header.Get(HeaderTrace); trace != "" && len(trace) <= maxTrace && visible(trace) != "" {
		ctx = httpapi.WithTrace(ctx, trace)
	}
	return batching.WithPriority(ctx, priority), cancel, nil
}

// maxTrace bounds a trace header, in bytes. One that is cut off would be another.
const maxTrace = 512

// ParseMilliseconds reads a deadline: a decimal of milliseconds from 1. Errors:
// InvalidArgument, which names the field.
func ParseMilliseconds(field, text string) (time.Duration, error) {
	ms, err := strconv.ParseUint(text, 10, 63)
	if err != nil || ms == 0 {
		return 0, fault.Invalid(fault.Violation{Path: field, Problem: "must be a number of milliseconds from 1, in decimal digits"})
	}
	return time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond, nil
}

// visible is text unless it is too long for a log or not printable.
func visible(text string) string {
	const most = 128
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return ""
		}
	}
	return text[:min(len(text), most)]
}

// read reads the body, whose announced length is believed only up to what arrives.
func (h *Handler) read(x *exchange, w http.ResponseWriter, r *http.Request) error {
	x.body = x.body[:0]
	if r.ContentLength == 0 {
		x.req.Body = x.body
		return nil
	}
	if r.ContentLength > h.opt.MaxBody {
		return h.tooLarge()
	}
	body := http.MaxBytesReader(w, r.Body, h.opt.MaxBody)
	for {
		if len(x.body) == cap(x.body) {
			x.body = append(x.body, 0)[:len(x.body)]
		}
		if !h.take(x, int64(cap(x.body))) {
			return fault.New(fault.ResourceExhausted, "the requests in progress hold %d bytes already; try again later", h.opt.InFlight).After(time.Second)
		}
		n, err := body.Read(x.body[len(x.body):cap(x.body)])
		x.body = x.body[:len(x.body)+n]
		var large *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			x.req.Body = x.body
			return nil
		case errors.As(err, &large):
			return h.tooLarge()
		case err != nil:
			return fault.Wrap(err, fault.InvalidArgument, "the body ended before its announced length, or did not come in time")
		}
	}
}

// take counts a body's memory as in flight, if there is room for it.
func (h *Handler) take(x *exchange, bytes int64) bool {
	more := bytes - x.held
	if h.held.Add(more) > h.opt.InFlight && more > 0 {
		h.held.Add(-more)
		return false
	}
	x.held = bytes
	return true
}

func (h *Handler) tooLarge() error {
	return fault.New(fault.PayloadTooLarge, "the body has more than %d bytes; send fewer rows a request", h.opt.MaxBody)
}
