package rest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/httpapi"
)

// echo answers what it was asked.
type echo struct {
	after atomic.Int64
	slow  chan struct{} // its afterwork waits for it
}

func (e *echo) Serve(ctx context.Context, req *httpapi.Request) httpapi.Response {
	at, _ := ctx.Deadline()
	body := fmt.Sprintf("%s %s?%s key=%s id=%s within=%v trace=%s body=%s", req.Method, req.Path, req.Query, req.Header["tidegate-key"], req.ID, time.Until(at).Round(time.Second), httpapi.Trace(ctx), req.Body)
	return httpapi.Response{Status: 200, Header: httpapi.Header{"Content-Type": "text/plain", "Tidegate-Slot": "champion"}, Body: []byte(body), After: func(context.Context) {
		if e.slow != nil {
			<-e.slow
		}
		e.after.Add(1)
	}}
}

func serve(t *testing.T, e *echo, o Options) (*httptest.Server, *Handler) {
	h := New(e, o)
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s, h
}

func TestRequestsAreCarried(t *testing.T) {
	e := &echo{}
	s, h := serve(t, e, Options{Deadline: 30 * time.Second})
	req, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/v1/models/a%2Fb%3Apredict?x=1", strings.NewReader("rows"))
	req.Header.Set("Tidegate-Key", "u-1")
	req.Header.Set("X-Request-Id", "r-9")
	req.Header.Set("Tidegate-Deadline-Ms", "5000")
	req.Header.Set("X-Amzn-Trace-Id", "Root=1-a;Sampled=1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if want := "POST /v1/models/a%2Fb%3Apredict?x=1 key=u-1 id=r-9 within=5s trace=Root=1-a;Sampled=1 body=rows"; string(body) != want || resp.Header.Get("Tidegate-Slot") != "champion" || resp.ContentLength != int64(len(want)) {
		t.Errorf("got %q, %v", body, resp.Header)
	}
	if err := h.Wait(t.Context()); err != nil || e.after.Load() != 1 {
		t.Errorf("the afterwork ran %d times, %v", e.after.Load(), err)
	}
}

func TestAConnectionIsFreeBeforeTheAfterwork(t *testing.T) {
	e := &echo{slow: make(chan struct{})}
	s, h := serve(t, e, Options{})
	for range 3 { // on one connection
		resp, err := http.Get(s.URL + "/v2")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := h.Wait(ctx); err == nil {
		t.Error("the afterwork is said to be done")
	}
	close(e.slow)
	if err := h.Wait(t.Context()); err != nil || e.after.Load() != 3 {
		t.Errorf("the afterwork ran %d times, %v", e.after.Load(), err)
	}
}

func TestRefusals(t *testing.T) {
	s, _ := serve(t, &echo{}, Options{MaxBody: 1000})
	address := s.Listener.Addr().String()
	large := strings.Repeat("x", 1001)
	for name, tt := range map[string]struct {
		request string
		status  string
	}{
		"announced too large": {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n", "413"},
		"too large":           {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + large + "\r\n0\r\n\r\n", "413"},
		"cut off":             {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc", "400"},
		"deadline":            {"GET / HTTP/1.1\r\nHost: h\r\nTidegate-Deadline-Ms: soon\r\n\r\n", "400"},
		"priority":            {"GET / HTTP/1.1\r\nHost: h\r\nTidegate-Priority: 1\r\n\r\n", "400"},
		"just right":          {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + large[1:], "200"},
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, tt.request)
		_ = conn.(*net.TCPConn).CloseWrite() // a half-closed connection still gets its answer
		got, _ := io.ReadAll(conn)
		conn.Close()
		if !strings.HasPrefix(string(got), "HTTP/1.1 "+tt.status) {
			t.Errorf("%s: %.200q", name, got)
		}
	}
}

func TestBodiesInFlightAreBounded(t *testing.T) {
	e := &echo{slow: make(chan struct{})} // the memory is in use until the afterwork is done
	s, h := serve(t, e, Options{MaxBody: 1 << 20, InFlight: 3 << 20})
	status := func() int {
		resp, err := http.Post(s.URL, "", strings.NewReader(strings.Repeat("x", 1<<20)))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		return resp.StatusCode
	}
	good, refused := 0, 0
	for range 5 {
		switch status() {
		case 200:
			good++
		case 429:
			refused++
		}
	}
	if good == 0 || good > 3 || good+refused != 5 {
		t.Errorf("%d answered and %d refused of 5 MiB in 3", good, refused)
	}
	close(e.slow)
	if err := h.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held := h.held.Load(); held != 0 {
		t.Errorf("%d bytes count as in flight when nothing is", held)
	}
	if got := status(); got != 200 {
		t.Errorf("afterwards: %d", got)
	}
}

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{"r-1": "r-1", "a\nb": "", "é": "", strings.Repeat("x", 200): strings.Repeat("x", 128)} {
		if got := visible(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func BenchmarkServe(b *testing.B) {
	h := New(&echo{}, Options{})
	r := httptest.NewRequest("POST", "/v2/models/m/infer", http.NoBody)
	r.Header.Set("Content-Type", "application/json")
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
