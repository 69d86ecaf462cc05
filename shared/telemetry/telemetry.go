// Package telemetry tells the operator of each request what httpapi observed of
// it: one line in the log, which is a CloudWatch metrics document at the same
// time, and one X-Ray subsegment.
//
// The line is JSON in CloudWatch's embedded metric format: CloudWatch Logs makes
// metrics of it, so no request waits for a metrics API. Its fields, metrics and
// segments are in docs/formats/telemetry.md. Counts that belong to the process
// rather than to a request ([Telemetry.Count]: models loaded, records lost) ride
// on the next line, without dimensions.
//
//	t, err := telemetry.New(telemetry.Options{Out: os.Stdout, Now: time.Now, Getenv: os.Getenv})
//	api := httpapi.New(fleet, recorder, t, httpapi.Options{})
//	defer t.Flush()
//
// It is not a logger: what happens outside of requests goes through log/slog. It
// does not sample: whether a request is traced is decided before it arrives, and
// the trace header says so.
//
// Invariants: one request is one Write of one line. A line holds no value of an
// input, and text that a client or an error gave only up to a bound. Dimensions
// are model, version and slot of a version that answered, never what a client
// asked for, so no client can create a metric. The sum of a count over all lines
// is the sum of the calls. Nothing here panics or fails a request.
//
// A line costs about 2 µs and no allocation, the segments of a sampled request 30
// µs more (BenchmarkObserve, a Xeon of 2.5 GHz).
package telemetry

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
)

// DefaultNamespace is where CloudWatch files the metrics.
const DefaultNamespace = "Tidegate"

// Options are what telemetry takes from its surroundings.
type Options struct {
	// Out takes the lines, one Write each, never two at once. Required; in a Lambda it is stdout.
	Out       io.Writer
	Namespace string           // DefaultNamespace when ""
	Now       func() time.Time // time.Now when nil
	// Getenv says whether and where there is an X-Ray daemon (AWS_XRAY_DAEMON_ADDRESS); without one, or
	// when Getenv is nil, no segments are sent.
	Getenv func(string) string
	// NewSegmentID makes the ids of subsegments, 16 hex digits; the SDK's random ones when nil.
	NewSegmentID func() string
}

// Telemetry is an httpapi.Observer and takes the counts of a process. Its methods
// may be called concurrently.
type Telemetry struct {
	now        func() time.Time
	namespace  string
	directives *directives
	tracer     *tracer // nil: no segments are sent
	counts     counts
	lines      sync.Pool // of *line

	mu  sync.Mutex // one Write at a time
	out io.Writer
}

var _ httpapi.Observer = (*Telemetry)(nil)

// New returns a telemetry that has counted nothing. InvalidArgument: Out is
// missing, or the daemon's address makes no sense.
func New(o Options) (*Telemetry, error) {
	if o.Out == nil {
		return nil, fault.New(fault.InvalidArgument, "telemetry: Out is missing: there is nowhere to write the lines to")
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Telemetry{now: o.Now, out: o.Out, namespace: o.Namespace, directives: newDirectives(o.Namespace)}
	t.lines.New = func() any { return new(line) }
	var err error
	t.tracer, err = newTracer(o)
	return t, err
}

// Observe implements httpapi.Observer: it writes the line of a request and, when
// its trace is sampled and there is a daemon, sends its segments.
func (t *Telemetry) Observe(ctx context.Context, o *httpapi.Observation) {
	tr := traceOf(ctx)
	l := t.lines.Get().(*line)
	l.counts = t.counts.take(l.counts[:0])
	l.request(t.directives, t.now(), o, tr.id)
	t.write(l)
	if t.tracer != nil && tr.sampled {
		t.tracer.send(tr, o)
	}
}

// Count adds n to the process-wide metric name, which the next line carries.
// Names are constants of the program: at most 64 bytes of letters and digits that
// are not a metric of requests, and at most 64 different ones. Counts under any
// other name are added up as "OtherCounts", so that no line becomes invalid and
// no count is lost.
func (t *Telemetry) Count(name string, n int64) { t.counts.add(name, n) }

// Flush writes a line with what has been counted and no request has carried out,
// if there is anything: at the end of the process, or of an invocation that is no
// HTTP request.
func (t *Telemetry) Flush() {
	l := t.lines.Get().(*line)
	l.counts = t.counts.take(l.counts[:0])
	if len(l.counts) == 0 {
		t.lines.Put(l)
		return
	}
	l.flush(t.directives, t.now())
	t.write(l)
}

// write writes and recycles l. When that fails, its counts stay for the next line.
func (t *Telemetry) write(l *line) {
	if err := t.writeOut(l.b); err != nil {
		for _, c := range l.counts {
			t.counts.add(c.name, c.n)
		}
	}
	t.lines.Put(l)
}

func (t *Telemetry) writeOut(b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := t.out.Write(b)
	return err
}
