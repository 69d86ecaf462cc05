// Package exposition is a server's metrics in Prometheus' text format: what was
// observed of requests, the figures of the batchers, the counts of the process.
//
// It is written by hand instead of with client_golang, which would add a dozen
// modules and several megabytes to the binary for one page of text: everything here is
// counted elsewhere already, and only has to be written down. Format: Prometheus'
// documentation, "Exposition formats", text version 0.0.4.
//
// Labels are models, versions and slots that have answered, and routes: never what
// a client asked for, so no client can create a series.
//
//	m := exposition.New(exposition.Options{Runtime: rt.String(), Provider: "cpu"})
//	api := httpapi.New(predictor, recorder, m.Observing(telemetry), httpapi.Options{Count: m.Counting(telemetry.Count)})
//	m.Watch(predictor.Stats, gate.Ready)
//	mux.Handle("/metrics", m)
package exposition

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/batching"
	"github.com/tidegate/tidegate/shared/httpapi"
)

// Options are what a page takes from its surroundings; all may be left out.
type Options struct {
	Batches func() []batching.Stats
	Ready   func(ctx context.Context) error
	RSS     func() int64 // bytes
	Started time.Time    // of the process
	// Runtime names what runs the models, Provider where ("cpu", "cuda"), Asked where it was to be.
	Runtime, Provider, Asked string
}

// Metrics counts. Its methods may be called concurrently.
type Metrics struct {
	opt Options

	mu       sync.Mutex
	requests map[request]*requests
	stages   map[string]*sum
	counts   map[string]int64
}

// request is what the requests of a series have in common.
type request struct {
	route, model, slot, kind string
	version, status          int
}

type requests struct {
	n, rows, in, out int64
	seconds          histogram
}

// sum is a summary without quantiles.
type sum struct {
	n     int64
	total time.Duration
}

// bounds of the latency's buckets, in seconds: half a millisecond to half a minute.
var bounds = [...]float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

type histogram struct {
	buckets [len(bounds) + 1]int64
	total   time.Duration
}

func (h *histogram) observe(d time.Duration) {
	h.total += d
	i, s := 0, d.Seconds()
	for i < len(bounds) && s > bounds[i] {
		i++
	}
	h.buckets[i]++
}

// New returns a page that has counted nothing.
func New(o Options) *Metrics {
	return &Metrics{opt: o, requests: map[request]*requests{}, stages: map[string]*sum{}, counts: map[string]int64{}}
}

// Watch adds what only exists after the counts: the batchers' figures and whether
// the server is ready. It is called before the page is served.
func (m *Metrics) Watch(batches func() []batching.Stats, ready func(ctx context.Context) error) {
	m.opt.Batches, m.opt.Ready = batches, ready
}

// Observe implements httpapi.Observer.
func (m *Metrics) Observe(_ context.Context, o *httpapi.Observation) {
	key := request{route: o.Route, status: o.Status, kind: o.ErrorKind}
	if o.Version > 0 {
		key.model, key.version, key.slot = o.Model, o.Version, o.Slot
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.requests[key]
	if r == nil {
		r = &requests{}
		m.requests[key] = r
	}
	r.n++
	r.rows += int64(o.Rows)
	r.in += int64(o.BytesIn)
	r.out += int64(o.BytesOut)
	r.seconds.observe(o.Duration)
	for i := range o.Stages {
		s := m.stages[o.Stages[i].Name]
		if s == nil {
			s = &sum{}
			m.stages[o.Stages[i].Name] = s
		}
		s.n++
		s.total += max(o.Stages[i].Duration, 0)
	}
}

// Count adds n to the count of the process called name, a constant of the program.
func (m *Metrics) Count(name string, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[name] += n
}

// Counting is Count and next, which may be nil.
func (m *Metrics) Counting(next func(string, int64)) func(string, int64) {
	return func(name string, n int64) {
		m.Count(name, n)
		if next != nil {
			next(name, n)
		}
	}
}

// Observing observes, and lets next, which may be nil, observe.
func (m *Metrics) Observing(next httpapi.Observer) httpapi.Observer { return observing{m, next} }

type observing struct {
	*Metrics
	next httpapi.Observer
}

func (o observing) Observe(ctx context.Context, seen *httpapi.Observation) {
	o.Metrics.Observe(ctx, seen)
	if o.next != nil {
		o.next.Observe(ctx, seen)
	}
}

// ServeHTTP implements http.Handler.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body := m.Append(r.Context(), nil)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body)
	}
}
