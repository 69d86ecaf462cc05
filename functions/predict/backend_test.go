package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/serving/rest"
	"github.com/tidegate/tidegate/shared/serving/sagemaker"
)

// container is an endpoint beside the function: the handlers and the runtime of functions/endpoint, over a registry of its own, on a
// port that stays the same when it is killed and started again.
type container struct {
	t       testing.TB
	address string
	handler http.Handler
	asked   atomic.Int64
	mood    atomic.Pointer[mood]
	server  *http.Server
}

// mood is what goes wrong in a container; through is what it does otherwise.
type mood func(w http.ResponseWriter, r *http.Request, through http.Handler)

func serveContainer(t testing.TB, world *inferencetest.World) *container {
	t.Helper()
	c := &container{t: t, handler: answers(t, world), address: "127.0.0.1:0"}
	c.start()
	t.Cleanup(c.kill)
	return c
}

// answers are the handlers of an endpoint over a registry.
func answers(t testing.TB, world *inferencetest.World) http.Handler {
	fleet := inference.NewFleet(inference.Options{Registry: world.Registry, Runtime: onnxtest.Runtime(t), ServedBy: "endpoint"})
	t.Cleanup(fleet.Close)
	return rest.New(sagemaker.New(httpapi.New(fleet, nil, nil, httpapi.Options{}), sagemaker.Options{}), rest.Options{})
}

func (c *container) start() {
	c.t.Helper()
	l, err := net.Listen("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.address = l.Addr().String()
	c.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.asked.Add(1)
		if m := c.mood.Load(); m != nil {
			(*m)(w, r, c.handler)
			return
		}
		c.handler.ServeHTTP(w, r)
	})}
	go func(s *http.Server) { _ = s.Serve(l) }(c.server)
}

// kill ends it at once, with its connections.
func (c *container) kill() { _ = c.server.Close() }

// backend is the setting that sends a model there. Its breaker forgives soon.
func (c *container) backend(fallback bool) registry.Settings {
	return registry.Settings{Backend: json.RawMessage(fmt.Sprintf(
		`{"kind":"url","url":"http://%s","fallback":%v,"timeout_ms":300,"breaker":{"failures":4,"open_for_ms":200}}`, c.address, fallback))}
}

// traffic is callers in closed loops through the function's handler.
type traffic struct {
	handler httpapi.Handler
	stop    atomic.Bool
	callers sync.WaitGroup

	mu     sync.Mutex
	seen   map[string]int // by model, status and who served
	wrong  []string
	served map[string]int // of the present mood, by who served; of "keep"
	took   []time.Duration
}

// send is one request of a model, with everything that is due after it.
func (tr *traffic) send(model string, x float32) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	body := fmt.Sprintf(`{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[%g,2,3]}]}`, x)
	started := time.Now()
	resp := tr.handler.Serve(ctx, &httpapi.Request{Method: "POST", Path: "/v2/models/" + model + "/infer", Header: httpapi.Header{}, Body: []byte(body), ID: "r"})
	took := time.Since(started)
	by, retry, text := resp.Header["Tidegate-Served-By"], resp.Header["Retry-After"], string(resp.Body)
	resp.After(ctx)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.seen[fmt.Sprintf("%s %d %s", model, resp.Status, by)]++
	if model == "keep" {
		tr.served[by]++
		tr.took = append(tr.took, took)
	}
	switch {
	case resp.Status == 200 && !strings.Contains(text, fmt.Sprintf(`"data":[%g,`, x+21.5)):
		tr.wrong = append(tr.wrong, fmt.Sprintf("%s: the answer to %g is %s", model, x, text))
	case resp.Status == 200, model == "only" && resp.Status == 503 && retry != "" && by == "endpoint":
	default:
		tr.wrong = append(tr.wrong, fmt.Sprintf("%s: %d by %s, Retry-After %q: %s", model, resp.Status, by, retry, text))
	}
}

func (tr *traffic) begin(callers int) {
	for c := range callers {
		tr.callers.Go(func() {
			for i := 0; !tr.stop.Load(); i++ {
				model := "keep"
				if c%4 == 3 {
					model = "only"
				}
				tr.send(model, float32(c*1000+i%1000))
			}
		})
	}
}

// turn begins a new mood's figures and returns those of the last.
func (tr *traffic) turn() (served map[string]int, took []time.Duration) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	served, took = tr.served, tr.took
	tr.served, tr.took = map[string]int{}, nil
	slices.Sort(took)
	return served, took
}

func say(status int, header, value, body string) *mood {
	m := mood(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		if header != "" {
			w.Header().Set(header, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	return &m
}

// raw writes text to the connection and hangs up.
func raw(text string) *mood {
	m := mood(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if conn, b, err := w.(http.Hijacker).Hijack(); err == nil {
			_, _ = b.WriteString(text)
			_ = b.Flush()
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.CloseWrite() // half-closed: it still reads
				time.Sleep(time.Millisecond)
			}
			_ = conn.Close()
		}
	})
	return &m
}

// TestTheEndpointFailsUnderTraffic is every fault of an endpoint, one after the other, while callers send rows: a model that is
// loaded here too answers every one of them, a model that is not says 503; the breaker opens and closes again; the metrics tell it.
func TestTheEndpointFailsUnderTraffic(t *testing.T) {
	world, stray := inferencetest.New(t), inferencetest.New(t)
	file, s := describe(t, "affine")
	for _, model := range []string{"keep", "only"} {
		world.Serve(model, world.Publish(model, 1, file, s))
		stray.Serve(model, stray.Publish(model, 1, second(file), s)) // the same numbers under the same version, and another digest
	}
	c, other := serveContainer(t, world), answers(t, stray)
	world.Configure("keep", c.backend(true))
	world.Configure("only", c.backend(false))
	cloud := open(t, world)
	stdout := filepath.Join(t.TempDir(), "stdout")
	loop := wire(t, environment(t, cloud), stdout)
	tr := &traffic{handler: loop.Handler, seen: map[string]int{}, served: map[string]int{}}
	tr.begin(8)
	var sum = func(name string) float64 { return total(t, stdout, name) }

	stall := mood(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	slow := mood(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, " ")
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	huge := mood(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "99999999999")
		_, _ = io.WriteString(w, "{")
	})
	another := mood(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { other.ServeHTTP(w, r) })
	half := mood(func(w http.ResponseWriter, r *http.Request, through http.Handler) { // every other request
		if c.asked.Load()%2 == 0 {
			w.WriteHeader(500)
			return
		}
		through.ServeHTTP(w, r)
	})
	recovers := func(after string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if served, _ := tr.turn(); served["endpoint"] > 0 && served["lambda"] == 0 {
				return
			} else if time.Now().After(end) {
				t.Fatalf("after %s the endpoint is not in use again: %v", after, served)
			}
		}
	}
	recovers("the start")
	for _, trouble := range []struct {
		name, count string
		begin, end  func()
	}{
		{"killed", "BackendLostConnection", c.kill, c.start},
		{"stalled", "BackendLostDeadline", func() { c.mood.Store(&stall) }, nil},
		{"a slow body", "BackendLostDeadline", func() { c.mood.Store(&slow) }, nil},
		{"500", "BackendLostServer", func() { c.mood.Store(say(500, "", "", "panic: secret")) }, nil},
		{"every other 500", "BackendLostServer", func() { c.mood.Store(&half) }, nil},
		{"429", "BackendLostThrottle", func() { c.mood.Store(say(429, "Retry-After", "1", "")) }, nil},
		{"503", "BackendLostCapacity", func() { c.mood.Store(say(503, "", "", "")) }, nil},
		{"garbage", "BackendLostGarbage", func() { c.mood.Store(say(200, "", "", "<html>\x00")) }, nil},
		{"a huge body", "BackendLostGarbage", func() { c.mood.Store(&huge) }, nil},
		{"half-closed", "BackendLostConnection", func() { c.mood.Store(raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")) }, nil},
		{"another digest", "BackendLostVersion", func() { c.mood.Store(&another) }, nil},
	} {
		lost, opened, closed := sum(trouble.count), sum("BreakerOpened"), sum("BreakerClosed")
		tr.turn()
		trouble.begin()
		time.Sleep(700 * time.Millisecond) // several times the pause of the breaker
		for end := time.Now().Add(20 * time.Second); (sum("BreakerOpened") == opened || sum(trouble.count) == lost) && time.Now().Before(end); {
			time.Sleep(50 * time.Millisecond) // on a machine that is busy
		}
		served, took := tr.turn()
		c.mood.Store(nil)
		if trouble.end != nil {
			trouble.end()
		}
		recovers(trouble.name)
		lost, opened, closed = sum(trouble.count)-lost, sum("BreakerOpened")-opened, sum("BreakerClosed")-closed
		if lost == 0 || opened == 0 || closed == 0 || served["lambda"] == 0 {
			t.Errorf("%s: %s %v, opened %v, closed %v, served %v", trouble.name, trouble.count, lost, opened, closed, served)
		}
		t.Logf("%-16s served by %v; %v of %s, opened %v, closed %v; p50 %v, p99 %v, most %v", trouble.name, served, lost, trouble.count, opened, closed,
			at(took, 0.5), at(took, 0.99), at(took, 1))
	}
	tr.stop.Store(true)
	tr.callers.Wait()
	for _, wrong := range tr.wrong[:min(len(tr.wrong), 5)] {
		t.Error(wrong)
	}
	t.Logf("%d wrong of %v", len(tr.wrong), tr.seen)
	requests := 0
	for _, n := range tr.seen {
		requests += n
	}
	if n := cloud.Firehose.Taken().Lines; int(n) != requests {
		t.Errorf("%d captures of %d requests", n, requests)
	}
	if n := sum("Fallbacks"); n == 0 || sum("BreakerState") == 0 || sum("RemoteLatency") == 0 {
		t.Errorf("Fallbacks %v, BreakerState %v, RemoteLatency %v", n, sum("BreakerState"), sum("RemoteLatency"))
	}
	if text, err := os.ReadFile(stdout); err != nil || bytes.Contains(text, []byte("secret")) {
		t.Errorf("what the endpoint said is in the log: %v", err)
	}
}

func at(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Round(10 * time.Microsecond)
}

// total is the sum of a count over the whole lines of a file.
func total(t *testing.T, file, name string) (sum float64) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range bytes.Lines(text) {
		if !bytes.Contains(line, []byte(name)) {
			continue
		}
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if n, ok := fields[name].(float64); ok {
			sum += n
		}
	}
	return sum
}
