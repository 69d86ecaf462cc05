package runtimeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// platform is a Runtime API with a queue of events, which answers the poll as AWS does.
type platform struct {
	*httptest.Server
	mu       sync.Mutex
	events   []string
	posted   []string // "<path below runtime/>: <body>"
	polls    int
	chunked  bool // events come without a length
	closes   bool // every answer ends its connection
	drops    int  // this many connections are cut before the answer
	refusing int  // status of posted answers, 0 = 202
	idle     chan struct{}
}

func newPlatform(t *testing.T, events ...string) *platform {
	p := &platform{events: events, idle: make(chan struct{})}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Server.Close)
	return p
}

func (p *platform) api() string { return strings.TrimPrefix(p.URL, "http://") }

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	if p.drops > 0 {
		p.drops--
		p.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	if p.closes {
		w.Header().Set("Connection", "close")
	}
	path := strings.TrimPrefix(r.URL.Path, runtimePath)
	if path != "invocation/next" {
		defer p.mu.Unlock()
		kind := r.Header.Get("Lambda-Runtime-Function-Error-Type")
		p.posted = append(p.posted, strings.TrimSpace(fmt.Sprintf("%s: %s %s", path, body, kind)))
		w.WriteHeader(max(p.refusing, http.StatusAccepted))
		return
	}
	p.polls++
	if len(p.events) == 0 {
		p.mu.Unlock()
		close(p.idle)
		<-r.Context().Done()
		return
	}
	event := p.events[0]
	p.events = p.events[1:]
	id := fmt.Sprintf("id-%d", p.polls)
	p.mu.Unlock()
	w.Header().Set("Lambda-Runtime-Aws-Request-Id", id)
	w.Header().Set("Lambda-Runtime-Trace-Id", "Root=1-1-1;Sampled=1")
	w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:f")
	w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(time.Minute).UnixMilli()))
	_, _ = io.WriteString(w, event[:len(event)/2])
	if p.chunked {
		w.(http.Flusher).Flush()
	}
	_, _ = io.WriteString(w, event[len(event)/2:])
}

// serve runs Serve until the platform has no more events, and returns what was posted.
func (p *platform) serve(t *testing.T, handle Handler) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, p.api(), handle) }()
	var err error
	select {
	case err = <-done:
	case <-p.idle:
		cancel()
		err = <-done
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.posted, err
}

func echo(_ context.Context, inv *Invocation) Answer { return Answer{Body: inv.Event} }

func TestServe(t *testing.T) {
	large := `"` + strings.Repeat("x", 300_000) + `"`
	tests := []struct {
		name string
		set  func(*platform)
	}{
		{"one connection", func(*platform) {}},
		{"chunked events", func(p *platform) { p.chunked = true }},
		{"a connection for each exchange", func(p *platform) { p.closes = true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlatform(t, `{"n":1}`, large, `{"n":3}`)
			tt.set(p)
			got, err := p.serve(t, echo)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{`invocation/id-1/response: {"n":1}`, "invocation/id-2/response: " + large, `invocation/id-3/response: {"n":3}`}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("posted %.500v", got)
			}
		})
	}
}

func TestInvocationIsFilled(t *testing.T) {
	p := newPlatform(t, `{}`)
	_, err := p.serve(t, func(ctx context.Context, inv *Invocation) Answer {
		deadline, ok := ctx.Deadline()
		if !ok || !deadline.Equal(inv.Deadline) || time.Until(deadline) < 50*time.Second {
			t.Errorf("deadline %v of the context, %v of the event", deadline, inv.Deadline)
		}
		if inv.ID != "id-1" || inv.ARN != "arn:f" || inv.Trace != "Root=1-1-1;Sampled=1" {
			t.Errorf("invocation %+v", inv)
		}
		return Answer{Body: []byte("{}")}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAfterRunsBetweenAnswerAndPoll: the event stays readable, and the order is answer, After, poll.
func TestAfterRunsBetweenAnswerAndPoll(t *testing.T) {
	p := newPlatform(t, `"first"`, `"second"`)
	afters := 0
	_, err := p.serve(t, func(_ context.Context, inv *Invocation) Answer {
		event := string(inv.Event)
		return Answer{Body: inv.Event, After: func(context.Context) {
			afters++
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.posted) != afters || p.polls != afters || string(inv.Event) != event {
				t.Errorf("After %d ran with %d answers and %d polls, event %s", afters, len(p.posted), p.polls, inv.Event)
			}
		}}
	})
	if err != nil || afters != 2 {
		t.Errorf("%d calls of After, %v", afters, err)
	}
}

func TestErrorsArePosted(t *testing.T) {
	p := newPlatform(t, `{}`)
	got, err := p.serve(t, func(context.Context, *Invocation) Answer {
		return Answer{Err: &Error{Type: "Unavail\r\nable", Message: "try again"}}
	})
	want := `invocation/id-1/error: {"errorType":"Unavail\r\nable","errorMessage":"try again"} Unavailable`
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("posted %q, %v; want %q", got, err, want)
	}
}

func TestPanicEndsServeWithoutItsValue(t *testing.T) {
	tests := []struct {
		name   string
		handle Handler
		want   string
	}{
		{"a value", func(context.Context, *Invocation) Answer { panic("secret") }, "a panic with a string"},
		{"an error of Go", func(context.Context, *Invocation) Answer { var m map[string]int; m["x"] = 1; return Answer{} }, "assignment to entry in nil map"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlatform(t, `{}`, `{}`)
			got, err := p.serve(t, tt.handle)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("err = %v, want one with %q", err, tt.want)
			}
			if len(got) != 1 || !strings.HasPrefix(got[0], "invocation/id-1/error") || strings.Contains(got[0], "secret") {
				t.Errorf("posted %q", got)
			}
		})
	}
}

// TestBrokenConnections: a connection that the server cuts between exchanges is replaced.
func TestBrokenConnections(t *testing.T) {
	p := newPlatform(t, `"a"`, `"b"`)
	got, err := p.serve(t, func(_ context.Context, inv *Invocation) Answer {
		p.mu.Lock()
		p.drops = 1 // the post that follows
		p.mu.Unlock()
		return Answer{Body: inv.Event}
	})
	if err != nil || len(got) != 2 {
		t.Errorf("posted %q, %v", got, err)
	}
}

func TestServeFails(t *testing.T) {
	refusing := newPlatform(t, `{}`)
	refusing.refusing = http.StatusRequestEntityTooLarge
	ran := false
	_, err := refusing.serve(t, func(context.Context, *Invocation) Answer {
		return Answer{After: func(context.Context) { ran = true }}
	})
	if err == nil || !strings.Contains(err.Error(), "413") || !ran {
		t.Errorf("a refused answer: %v, After ran: %v", err, ran)
	}
	for name, answer := range map[string]string{
		"status": "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
		"no id":  "HTTP/1.1 200 OK\r\nLambda-Runtime-Deadline-Ms: 1\r\nContent-Length: 0\r\n\r\n",
		"no end": "HTTP/1.1 200 OK\r\nLambda-Runtime-Deadline-Ms: 1\r\nContent-Length: 10\r\n\r\n{}",
		"a date": "HTTP/1.1 200 OK\r\nLambda-Runtime-Deadline-Ms: soon\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, answer)
				_ = conn.Close()
			}))
			defer server.Close()
			if err := Serve(t.Context(), strings.TrimPrefix(server.URL, "http://"), echo); err == nil {
				t.Error("no error")
			}
		})
	}
	if err := Serve(t.Context(), "127.0.0.1:1", echo); err == nil {
		t.Error("nothing listens, and there is no error")
	}
}

func TestInitError(t *testing.T) {
	p := newPlatform(t)
	if err := InitError(p.api(), Error{Type: "Internal", Message: "no library"}); err != nil {
		t.Fatal(err)
	}
	if want := `init/error: {"errorType":"Internal","errorMessage":"no library"} Internal`; len(p.posted) != 1 || p.posted[0] != want {
		t.Errorf("posted %q, want %q", p.posted, want)
	}
}

func TestWantSignal(t *testing.T) {
	waiting := make(chan string, 1)
	gone := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+extensionPath+"register", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Events []string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Events == nil || r.Header.Get("Lambda-Extension-Name") != "predict" {
			t.Errorf("registered with %+v, %v, %v", in, err, r.Header)
		}
		w.Header().Set("Lambda-Extension-Identifier", "the-id")
	})
	mux.HandleFunc("GET "+extensionPath+"event/next", func(_ http.ResponseWriter, r *http.Request) {
		waiting <- r.Header.Get("Lambda-Extension-Identifier")
		<-r.Context().Done()
		close(gone)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	stop, err := WantSignal(strings.TrimPrefix(server.URL, "http://"), "predict")
	if err != nil {
		t.Fatal(err)
	}
	if id := <-waiting; id != "the-id" {
		t.Errorf("waits with id %q", id)
	}
	stop()
	<-gone
	server.Config.Handler = http.NotFoundHandler()
	if _, err := WantSignal(strings.TrimPrefix(server.URL, "http://"), "predict"); err == nil {
		t.Error("a refused registration must be an error")
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("SIGTERM"))
	if err := Serve(ctx, "127.0.0.1:1", echo); err != nil {
		t.Errorf("err = %v; the end of ctx is no error", err)
	}
}

// BenchmarkServe is the loop's own cost beside the HTTP server's: an event of 2 KB, echoed.
func BenchmarkServe(b *testing.B) {
	event := []byte(`"` + strings.Repeat("x", 2000) + `"`)
	ctx, cancel := context.WithCancel(b.Context())
	left := b.N
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if left == 0 {
			cancel()
			<-r.Context().Done()
			return
		}
		left--
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", "id")
		w.Header().Set("Lambda-Runtime-Deadline-Ms", "99999999999999")
		_, _ = w.Write(event)
	}))
	defer server.Close()
	b.ReportAllocs()
	b.ResetTimer()
	if err := Serve(ctx, strings.TrimPrefix(server.URL, "http://"), echo); err != nil {
		b.Fatal(err)
	}
}
