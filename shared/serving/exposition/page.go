package exposition

import (
	"cmp"
	"context"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/batching"
)

// page writes families of metrics.
type page struct{ b []byte }

func (p *page) family(name, kind, help string) {
	p.b = append(append(append(append(p.b, "# HELP "...), name...), ' '), help...)
	p.b = append(append(append(append(p.b, "\n# TYPE "...), name...), ' '), kind...)
	p.b = append(p.b, '\n')
}

// sample appends a line; labels are name, value, name, value, …
func (p *page) sample(name string, v float64, labels ...string) {
	p.b = append(p.b, name...)
	for i := 0; i+1 < len(labels); i += 2 {
		p.b = append(append(append(p.b, "{,"[min(i, 1)]), labels[i]...), `="`...)
		p.b = append(append(p.b, escape.Replace(labels[i+1])...), '"')
	}
	if len(labels) > 0 {
		p.b = append(p.b, '}')
	}
	p.b = append(strconv.AppendFloat(append(p.b, ' '), v, 'g', -1, 64), '\n')
}

var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// buckets appends the lines of a histogram, whose counts are not cumulated yet.
func (p *page) buckets(name string, counts []int64, le func(i int) string, sum float64, labels ...string) {
	n := int64(0)
	for i, c := range counts {
		n += c
		bound := "+Inf"
		if i < len(counts)-1 {
			bound = le(i)
		}
		p.sample(name+"_bucket", float64(n), append(slices.Clip(labels), "le", bound)...)
	}
	p.sample(name+"_sum", sum, labels...)
	p.sample(name+"_count", float64(n), labels...)
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// Append appends the page to dst.
func (m *Metrics) Append(ctx context.Context, dst []byte) []byte {
	p := &page{b: dst}
	m.process(ctx, p)
	m.served(p)
	if m.opt.Batches != nil {
		batches(p, m.opt.Batches())
	}
	return p.b
}

func (m *Metrics) process(ctx context.Context, p *page) {
	if m.opt.Runtime != "" {
		p.family("tidegate_runtime_info", "gauge", "What runs the models, on which execution provider, and which was asked for.")
		p.sample("tidegate_runtime_info", 1, "runtime", m.opt.Runtime, "provider", m.opt.Provider, "asked", m.opt.Asked)
	}
	if m.opt.Ready != nil {
		ready := 0.0
		if m.opt.Ready(ctx) == nil {
			ready = 1
		}
		p.family("tidegate_ready", "gauge", "1 when every model that must be there is loaded and warm.")
		p.sample("tidegate_ready", ready)
	}
	if m.opt.RSS != nil {
		p.family("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.")
		p.sample("process_resident_memory_bytes", float64(m.opt.RSS()))
	}
	if !m.opt.Started.IsZero() {
		p.family("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.")
		p.sample("process_start_time_seconds", float64(m.opt.Started.UnixMilli())/1e3)
	}
	p.family("go_goroutines", "gauge", "Number of goroutines that currently exist.")
	p.sample("go_goroutines", float64(runtime.NumGoroutine()))
}

func (m *Metrics) served(p *page) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(m.requests), func(a, b request) int {
		return cmp.Or(cmp.Compare(a.route, b.route), cmp.Compare(a.model, b.model), cmp.Compare(a.version, b.version), cmp.Compare(a.slot, b.slot),
			cmp.Compare(a.status, b.status), cmp.Compare(a.kind, b.kind))
	})
	labels := func(k request) []string {
		version := ""
		if k.version > 0 {
			version = strconv.Itoa(k.version)
		}
		return []string{"route", k.route, "model", k.model, "version", version, "slot", k.slot, "status", strconv.Itoa(k.status), "kind", k.kind}
	}
	each := func(name, help string, value func(r *requests) int64) {
		p.family(name, "counter", help)
		for _, k := range keys {
			p.sample(name, float64(value(m.requests[k])), labels(k)...)
		}
	}
	each("tidegate_requests_total", "Requests answered.", func(r *requests) int64 { return r.n })
	each("tidegate_request_rows_total", "Rows of requests answered.", func(r *requests) int64 { return r.rows })
	each("tidegate_received_bytes_total", "Bytes of bodies received.", func(r *requests) int64 { return r.in })
	each("tidegate_sent_bytes_total", "Bytes of bodies sent.", func(r *requests) int64 { return r.out })
	p.family("tidegate_request_seconds", "histogram", "Time from the request read to the answer encoded.")
	for _, k := range keys {
		h := &m.requests[k].seconds
		p.buckets("tidegate_request_seconds", h.buckets[:], func(i int) string { return number(bounds[i]) }, h.total.Seconds(), labels(k)...)
	}
	p.family("tidegate_stage_seconds", "summary", "Time of the stages of requests.")
	for _, name := range slices.Sorted(maps.Keys(m.stages)) {
		p.sample("tidegate_stage_seconds_sum", m.stages[name].total.Seconds(), "stage", name)
		p.sample("tidegate_stage_seconds_count", float64(m.stages[name].n), "stage", name)
	}
	p.family("tidegate_events_total", "counter", "Counts of the process, as in docs/formats/telemetry.md.")
	for _, name := range slices.Sorted(maps.Keys(m.counts)) {
		p.sample("tidegate_events_total", float64(m.counts[name]), "event", name)
	}
}

// batches appends the figures of the batchers.
func batches(p *page, all []batching.Stats) {
	labels := func(s *batching.Stats) []string {
		return []string{"model", s.Model, "version", strconv.Itoa(s.Version), "served_by", s.ServedBy}
	}
	each := func(name, kind, help string, value func(s *batching.Stats) float64) {
		p.family(name, kind, help)
		for i := range all {
			p.sample(name, value(&all[i]), labels(&all[i])...)
		}
	}
	each("tidegate_batch_queue_requests", "gauge", "Requests that wait for a run.", func(s *batching.Stats) float64 { return float64(s.Queued) })
	each("tidegate_batch_running", "gauge", "Runs that go on.", func(s *batching.Stats) float64 { return float64(s.Running) })
	each("tidegate_batch_limit_rows", "gauge", "Rows of the largest batch; 1 when rows do not stand for themselves.", func(s *batching.Stats) float64 {
		if s.Apart {
			return 1
		}
		return float64(s.Limit)
	})
	each("tidegate_batch_requests_total", "counter", "Requests admitted.", func(s *batching.Stats) float64 { return float64(s.Requests) })
	each("tidegate_batch_inline_total", "counter", "Requests that found an instance idle.", func(s *batching.Stats) float64 { return float64(s.Inline) })
	each("tidegate_batch_splits_total", "counter", "Batches that failed and were halved.", func(s *batching.Stats) float64 { return float64(s.Splits) })
	p.family("tidegate_batch_lost_total", "counter", "Requests without an answer of the model, by the reason.")
	for i := range all {
		s := &all[i]
		for _, lost := range []struct {
			reason string
			n      int64
		}{{"queue_full", s.Full}, {"late", s.Late}, {"abandoned", s.Abandoned}, {"poisoned", s.Poisoned}} {
			p.sample("tidegate_batch_lost_total", float64(lost.n), append(labels(s), "reason", lost.reason)...)
		}
	}
	p.family("tidegate_run_rows", "histogram", "Rows of the runs.")
	for i := range all {
		p.buckets("tidegate_run_rows", all[i].BatchRows[:], func(k int) string { return strconv.Itoa(batching.RowBounds[k]) }, float64(all[i].Rows), labels(&all[i])...)
	}
	p.family("tidegate_batch_wait_seconds", "histogram", "Time that requests waited for their run.")
	for i := range all {
		p.buckets("tidegate_batch_wait_seconds", all[i].Waits[:], func(k int) string { return number(batching.WaitBounds[k].Seconds()) }, all[i].WaitSum.Seconds(), labels(&all[i])...)
	}
	each("tidegate_run_seconds_total", "counter", "Time of the runs.", func(s *batching.Stats) float64 { return time.Duration(s.RunSum).Seconds() })
}
