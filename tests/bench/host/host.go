// Package host is a Lambda Runtime API server that drives a built bootstrap as a
// child process, one event at a time, and measures it: what the Lambda service
// does around a function, without the service.
//
// It is not an emulator of Lambda: no memory limit, no freezing, no concurrency,
// no retries. Its invariant: an event is delivered only to a waiting poll, so
// that the time from delivery to the posted answer is the function's own, and the
// time from the answer to the next poll is the work it does after answering.
//
//	fn, err := host.Start(host.Command{Name: "noop", Path: ".local/bench/noop"})
//	defer fn.Stop()
//	inv, err := fn.Invoke(ctx, event)
//	fmt.Println(inv.Answer, inv.Busy, string(inv.Payload))
package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Timeout is the time a function is given for one event, as the deadline header says it.
const Timeout = 30 * time.Second

const functionARN = "arn:aws:lambda:eu-central-1:123456789012:function:"

// Function is a started child and its side of the Runtime API.
type Function struct {
	Name    string
	Started time.Time // before the process was started

	child  *child
	server *http.Server

	mu       sync.Mutex
	first    time.Time // when the first poll arrived
	failure  error     // init error, or a broken protocol
	inflight string    // id of the event that is out
	ext      int       // extensions registered

	waiting chan *poll      // a poll is waiting for an event
	answers chan answer     // the answer to the event that is out
	failed  chan struct{}   // closed when failure is set
	done    context.Context // ends with the function
	stop    context.CancelFunc
	once    sync.Once
}

// poll is one waiting GET …/invocation/next.
type poll struct {
	at      time.Time
	deliver chan delivery
	written chan time.Time // when the event began to be written
}

type delivery struct {
	id    string
	event []byte
}

type answer struct {
	at      time.Time // when the last byte of the answer was read
	payload []byte
	err     *FunctionError
}

// FunctionError is what a function posts to …/error.
type FunctionError struct {
	Message string `json:"errorMessage"`
	Type    string `json:"errorType"`
}

func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// Invocation is the measurement of one event.
type Invocation struct {
	Answer   time.Duration // event delivered → answer posted
	Busy     time.Duration // answer posted → next poll
	Answered time.Time     // when the answer was posted
	Payload  []byte
}

// Start serves the Runtime API on a free port of 127.0.0.1 and runs cmd as the function behind it.
func Start(cmd Command) (*Function, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("bench host: listen: %w", err)
	}
	f := &Function{
		Name: cmd.Name, waiting: make(chan *poll, 1), answers: make(chan answer, 1), failed: make(chan struct{}),
	}
	f.done, f.stop = context.WithCancel(context.Background())
	f.server = &http.Server{Handler: f.handler(), ReadHeaderTimeout: Timeout}
	go func() { _ = f.server.Serve(listener) }()
	f.child, err = start(cmd, listener.Addr().String(), f.fail)
	if err != nil {
		return nil, errors.Join(err, f.server.Close())
	}
	f.Started = f.child.started
	return f, nil
}

// Stop ends the child (SIGTERM, then SIGKILL) and the server.
func (f *Function) Stop() error {
	var err error
	f.once.Do(func() {
		f.stop()
		err = errors.Join(f.child.stop(), f.server.Close())
	})
	return err
}

// Ready waits for the first poll and returns the time since the process was started.
func (f *Function) Ready(ctx context.Context) (time.Duration, error) {
	p, err := f.wait(ctx)
	if err != nil {
		return 0, err
	}
	f.waiting <- p
	return f.first.Sub(f.Started), nil
}

// Invoke delivers event to the waiting poll, waits for the answer and for the poll
// after it, so that Busy is known. It returns a *FunctionError when the function
// reports one.
func (f *Function) Invoke(ctx context.Context, event []byte) (Invocation, error) {
	p, err := f.wait(ctx)
	if err != nil {
		return Invocation{}, err
	}
	id := newID()
	f.mu.Lock()
	f.inflight = id
	f.mu.Unlock()
	p.deliver <- delivery{id: id, event: event}
	delivered := <-p.written
	var a answer
	select {
	case a = <-f.answers:
	case <-f.failed:
		return Invocation{}, f.failure
	case <-ctx.Done():
		return Invocation{}, fmt.Errorf("bench host: %s: no answer: %w", f.Name, ctx.Err())
	}
	if a.err != nil {
		return Invocation{Answer: a.at.Sub(delivered)}, a.err
	}
	next, err := f.wait(ctx)
	if err != nil {
		return Invocation{}, err
	}
	f.waiting <- next
	return Invocation{Answer: a.at.Sub(delivered), Busy: next.at.Sub(a.at), Answered: a.at, Payload: a.payload}, nil
}

// RSS is the child's resident set in bytes.
func (f *Function) RSS() (int64, error) { return f.child.rss() }

// CPU is the processor time that the child has used.
func (f *Function) CPU() (time.Duration, error) { return f.child.cpu() }

// Output is the end of what the child wrote to stdout and stderr, and the number of lines of it all.
func (f *Function) Output() (tail string, lines int64) { return f.child.output() }

func (f *Function) wait(ctx context.Context) (*poll, error) {
	select {
	case p := <-f.waiting:
		return p, nil
	case <-f.failed:
		return nil, f.failure
	case <-ctx.Done():
		tail, _ := f.Output()
		return nil, fmt.Errorf("bench host: %s does not poll: %w; its output ends: %s", f.Name, ctx.Err(), tail)
	}
}

func (f *Function) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure == nil && f.done.Err() == nil {
		f.failure = fmt.Errorf("bench host: %s: %w", f.Name, err)
		close(f.failed)
	}
}

// handler routes the Runtime API and the Extensions API. The names are those of AWS's documents
// (Lambda developer guide, "Runtime API" and "Extensions API").
func (f *Function) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", f.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", f.response)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", f.invocationError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", f.initError)
	mux.HandleFunc("POST /2020-01-01/extension/register", f.register)
	mux.HandleFunc("GET /2020-01-01/extension/event/next", f.extensionNext)
	mux.HandleFunc("PUT /2022-07-01/telemetry", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") })
	return mux
}

func (f *Function) next(w http.ResponseWriter, r *http.Request) {
	p := &poll{at: time.Now(), deliver: make(chan delivery), written: make(chan time.Time, 1)}
	f.mu.Lock()
	if f.first.IsZero() {
		f.first = p.at
	}
	f.mu.Unlock()
	select {
	case f.waiting <- p:
	case <-r.Context().Done():
		return
	}
	var d delivery
	select {
	case d = <-p.deliver:
	case <-r.Context().Done():
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(d.event)))
	header.Set("Lambda-Runtime-Aws-Request-Id", d.id)
	header.Set("Lambda-Runtime-Invoked-Function-Arn", functionARN+f.Name)
	header.Set("Lambda-Runtime-Trace-Id", traceHeader(d.id))
	header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(Timeout).UnixMilli(), 10))
	p.written <- time.Now()
	_, _ = w.Write(d.event)
}

func (f *Function) response(w http.ResponseWriter, r *http.Request) {
	if !f.answered(w, r) {
		return
	}
	payload, err := readAll(r)
	at := time.Now()
	if err != nil {
		f.fail(fmt.Errorf("reading an answer: %w", err))
		return
	}
	accepted(w)
	f.answers <- answer{at: at, payload: payload}
}

func (f *Function) invocationError(w http.ResponseWriter, r *http.Request) {
	if !f.answered(w, r) {
		return
	}
	reported := readError(r)
	accepted(w)
	f.answers <- answer{at: time.Now(), err: reported}
}

func (f *Function) initError(w http.ResponseWriter, r *http.Request) {
	reported := readError(r)
	accepted(w)
	f.fail(fmt.Errorf("init: %w", reported))
}

// answered takes the event that is out back in, or refuses an answer to another one.
func (f *Function) answered(w http.ResponseWriter, r *http.Request) bool {
	id := r.PathValue("id")
	f.mu.Lock()
	ok := id == f.inflight && id != ""
	f.inflight = ""
	f.mu.Unlock()
	if !ok {
		http.Error(w, `{"errorType":"InvalidRequestID","errorMessage":"no event with this id is out"}`, http.StatusBadRequest)
		f.fail(fmt.Errorf("an answer for the event %q, which is not out", id))
	}
	return ok
}

// register answers as the Extensions API does. Internal extensions (a runtime that wants SIGTERM)
// register too.
func (f *Function) register(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get("Lambda-Extension-Name")
	if name == "" {
		http.Error(w, `{"errorType":"Extension.InvalidExtensionName","errorMessage":"Lambda-Extension-Name is missing"}`, http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	f.ext++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", f.ext)
	f.mu.Unlock()
	w.Header().Set("Lambda-Extension-Identifier", id)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"functionName": f.Name, "functionVersion": "$LATEST", "handler": "bootstrap"})
}

// extensionNext blocks until the end: internal extensions may register for no event but these.
func (f *Function) extensionNext(w http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-f.done.Done():
	}
	w.WriteHeader(http.StatusOK)
}

func accepted(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func readAll(r *http.Request) ([]byte, error) {
	if n := r.ContentLength; n >= 0 {
		body := make([]byte, n)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return io.ReadAll(r.Body)
}

func readError(r *http.Request) *FunctionError {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return &FunctionError{Type: "bench.Read", Message: err.Error()}
	}
	e := &FunctionError{}
	if json.Unmarshal(body, e) != nil || e.Type == "" {
		e.Type, e.Message = r.Header.Get("Lambda-Runtime-Function-Error-Type"), strings.TrimSpace(string(body))
	}
	return e
}

// newID is a random request id in the form of a UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:]
}

// traceHeader is a sampled X-Ray trace, as Lambda gives with active tracing.
func traceHeader(id string) string {
	hexID := strings.ReplaceAll(id, "-", "")
	return "Root=1-" + hexID[:8] + "-" + hexID[8:] + ";Parent=" + hexID[16:] + ";Sampled=1"
}
