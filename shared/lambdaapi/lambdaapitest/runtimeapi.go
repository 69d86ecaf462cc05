// Package lambdaapitest is what surrounds a deployed function, in the test's own
// process: the Runtime API that it polls, its environment, its sample events and an
// empty bucket. It is for tests only; tests/bench/host drives built programs.
package lambdaapitest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RuntimeAPI hands events to the one function that polls it.
type RuntimeAPI struct {
	Address string // host:port

	// Timeout is what an invocation is given; 10 s at first.
	Timeout time.Duration

	server  *httptest.Server
	events  chan event
	results chan Result
	n, seen int           // events delivered, polls that Idle has seen
	polls   chan struct{} // one for each poll that began
	init    chan Result
}

type event struct {
	id       string
	payload  []byte
	deadline time.Time
}

// Result is what the function posted for an event.
type Result struct {
	ID      string
	Payload []byte
	Failed  bool   // posted to …/error
	Kind    string // of the error
}

// Start serves until the test ends.
func Start(tb testing.TB) *RuntimeAPI {
	a := &RuntimeAPI{Timeout: 10 * time.Second, events: make(chan event), results: make(chan Result, 1), polls: make(chan struct{}, 1<<20), init: make(chan Result, 1)}
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	a.Address = strings.TrimPrefix(a.server.URL, "http://")
	tb.Cleanup(func() {
		a.server.CloseClientConnections()
		a.server.Close()
	})
	return a
}

func (a *RuntimeAPI) serve(w http.ResponseWriter, r *http.Request) {
	const root = "/2018-06-01/runtime/"
	switch path, ok := strings.CutPrefix(r.URL.Path, root); {
	case !ok:
		http.NotFound(w, r)
	case path == "invocation/next":
		a.polls <- struct{}{}
		select {
		case e := <-a.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", e.id)
			w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(e.deadline.UnixMilli(), 10))
			w.Header().Set("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(e.payload)
		case <-r.Context().Done():
		}
	case path == "init/error":
		a.init <- a.result(r, "", true)
		w.WriteHeader(http.StatusAccepted)
	default:
		parts := strings.Split(path, "/") // invocation/<id>/response|error
		a.results <- a.result(r, parts[1], parts[2] == "error")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"status":"OK"}`)
	}
}

func (a *RuntimeAPI) result(r *http.Request, id string, failed bool) Result {
	body, _ := io.ReadAll(r.Body)
	return Result{ID: id, Payload: body, Failed: failed, Kind: r.Header.Get("Lambda-Runtime-Function-Error-Type")}
}

// Invoke delivers an event and waits for its result.
func (a *RuntimeAPI) Invoke(ctx context.Context, payload []byte) (Result, error) {
	a.n++
	e := event{id: fmt.Sprintf("request-%d", a.n), payload: payload, deadline: time.Now().Add(a.Timeout)}
	select {
	case a.events <- e:
	case <-ctx.Done():
		return Result{}, fmt.Errorf("the function does not poll: %w", ctx.Err())
	}
	select {
	case r := <-a.results:
		if r.ID != e.id {
			return r, fmt.Errorf("a result for %s, want %s", r.ID, e.id)
		}
		return r, nil
	case <-ctx.Done():
		return Result{}, fmt.Errorf("the function does not answer: %w", ctx.Err())
	}
}

// Idle waits until the function polls again, which it does when its work after
// the answer is done.
func (a *RuntimeAPI) Idle(ctx context.Context) error {
	for ; a.seen <= a.n; a.seen++ {
		select {
		case <-a.polls:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// InitError waits for the report that the function cannot start.
func (a *RuntimeAPI) InitError(ctx context.Context) (Result, error) {
	select {
	case r := <-a.init:
		return r, nil
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// HTTPEvent is a request as an HTTP API sends it (payload format 2.0).
type HTTPEvent struct {
	Version         string            `json:"version"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Headers         map[string]string `json:"headers"`
	RequestContext  map[string]any    `json:"requestContext"`
	Body            string            `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// NewHTTPEvent makes the event of a request that arrives now.
func NewHTTPEvent(method, path, body string) HTTPEvent {
	return HTTPEvent{
		Version: "2.0", RawPath: path, Headers: map[string]string{"content-type": "application/json"}, Body: body,
		RequestContext: map[string]any{
			"stage": "$default", "requestId": "gateway-1", "timeEpoch": time.Now().UnixMilli(),
			"http": map[string]any{"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "198.51.100.7"},
		},
	}
}

// JSON encodes the event.
func (e HTTPEvent) JSON() []byte {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return b
}

// HTTPResult is a result as an HTTP API takes it.
type HTTPResult struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// HTTP decodes the result.
func (r Result) HTTP() (HTTPResult, error) {
	var h HTTPResult
	if r.Failed {
		return h, fmt.Errorf("the invocation failed: %s", r.Payload)
	}
	return h, json.Unmarshal(r.Payload, &h)
}
