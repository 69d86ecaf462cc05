package capture

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/routing"
)

// Names of the counts that a recorder reports (docs/formats/telemetry.md).
const (
	CaptureRows     = "CaptureRows"     // rows that the stream has taken
	CaptureRowsLost = "CaptureRowsLost" // rows that it has not
	CaptureLost     = "CaptureLost"     // records that it has not; failed requests have no rows
	CaptureSkipped  = "CaptureSkipped"  // requests that sampling left out
	CaptureReduced  = "CaptureReduced"  // requests of which a row was too large for its values
)

// Stream takes records: one or more whole lines each, at most MaxRecord bytes.
type Stream interface {
	// Send delivers records. It returns the indexes of those that were not taken, with the reason; an
	// error without indexes means that none was. Records are valid until it returns.
	Send(ctx context.Context, records [][]byte) (failed []int, err error)
}

// Options of a recorder.
type Options struct {
	Stream Stream                     // required
	Now    func() time.Time           // time.Now when nil
	Count  func(name string, n int64) // nil counts nothing
	// In buffered mode records leave when there are this many requests, this many bytes, or when the
	// first of them is this old and another request comes.
	FlushRequests int           // default 200
	FlushBytes    int           // default 3 MiB: less than a call of Firehose takes
	FlushAfter    time.Duration // default 10 s
}

// Recorder captures predictions into a stream. It implements httpapi.Recorder and
// is safe for concurrent use.
type Recorder struct {
	opt   Options
	spare sync.Pool // of *batch

	mu       sync.Mutex
	buffer   *batch
	requests int
	since    time.Time // of the first request in buffer
}

// defaultMaxBytes is up to which size a tensor of rank > 2 is captured by value.
const defaultMaxBytes = 64 << 10

// NewRecorder returns a recorder with nothing in its buffer.
func NewRecorder(o Options) *Recorder {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Count == nil {
		o.Count = func(string, int64) {}
	}
	if o.FlushRequests <= 0 {
		o.FlushRequests = 200
	}
	if o.FlushBytes <= 0 {
		o.FlushBytes = 3 << 20
	}
	if o.FlushAfter <= 0 {
		o.FlushAfter = 10 * time.Second
	}
	r := &Recorder{opt: o, buffer: &batch{}}
	r.spare.New = func() any { return &batch{} }
	return r
}

// Taken says whether p is captured, by the mode and the sampling of its version's
// settings: of two versions of one state that scored the same rows, both are or none.
func Taken(p *Prediction) bool {
	settings := &p.Version.Capture
	if settings.Mode == registry.CaptureOff {
		return false
	}
	return settings.Sampling == nil || sampled(p, *settings.Sampling)
}

func sampled(p *Prediction, share float64) bool {
	key := p.Key
	if key == "" {
		key = p.ID
	}
	return routing.Sampled(p.Version.Model, key, share)
}

// Record captures p as the settings of its version say: not at all, into the
// buffer, or straight into the stream. An error means that rows were lost, which
// has been counted.
func (r *Recorder) Record(ctx context.Context, p *Prediction) error {
	settings := &p.Version.Capture
	if settings.Mode == registry.CaptureOff {
		return nil
	}
	f := form{sampled: 1, redact: settings.Redact, maxBytes: settings.MaxBytes}
	if f.maxBytes == 0 {
		f.maxBytes = defaultMaxBytes
	}
	if settings.Sampling != nil {
		f.sampled = *settings.Sampling
		if !sampled(p, f.sampled) {
			r.opt.Count(CaptureSkipped, 1)
			return nil
		}
	}
	if settings.Mode == registry.CaptureBuffered {
		return r.hold(ctx, p, f)
	}
	b := r.spare.Get().(*batch)
	r.fill(b, p, f)
	return r.send(ctx, b)
}

func (r *Recorder) fill(b *batch, p *Prediction, f form) {
	if b.add(p, f) {
		r.opt.Count(CaptureReduced, 1)
	}
}

// hold puts p into the buffer, and sends the buffer when it is full or old.
func (r *Recorder) hold(ctx context.Context, p *Prediction, f form) error {
	r.mu.Lock()
	now := r.opt.Now()
	if r.requests == 0 {
		r.since = now
	}
	r.fill(r.buffer, p, f)
	r.requests++
	due := r.requests >= r.opt.FlushRequests || len(r.buffer.data) >= r.opt.FlushBytes || now.Sub(r.since) >= r.opt.FlushAfter
	if !due {
		r.mu.Unlock()
		return nil
	}
	b := r.take()
	r.mu.Unlock()
	return r.send(ctx, b)
}

// take empties the buffer into the caller's hands. The caller holds mu.
func (r *Recorder) take() *batch {
	b := r.buffer
	r.buffer, r.requests = r.spare.Get().(*batch), 0
	return b
}

// Flush sends what the buffer holds: due at the end of the process, and from time
// to time where processes are not frozen between requests.
func (r *Recorder) Flush(ctx context.Context) error {
	r.mu.Lock()
	b := r.take()
	r.mu.Unlock()
	return r.send(ctx, b)
}

// send delivers b, counts what came of it and lets b rest.
func (r *Recorder) send(ctx context.Context, b *batch) error {
	defer func() {
		b.reset()
		r.spare.Put(b)
	}()
	if len(b.ends) == 0 {
		return nil
	}
	failed, err := r.opt.Stream.Send(ctx, b.records())
	total, lost, records := b.totalRows(), int64(0), int64(len(failed))
	switch {
	case err != nil && len(failed) == 0:
		lost, records = total, int64(len(b.ends))
	default:
		for _, i := range failed {
			lost += int64(b.rows[i])
		}
	}
	if total > lost {
		r.opt.Count(CaptureRows, total-lost)
	}
	if err == nil {
		return nil
	}
	r.opt.Count(CaptureLost, records)
	if lost > 0 {
		r.opt.Count(CaptureRowsLost, lost)
	}
	return fmt.Errorf("capture: %d rows lost: %w", lost, err)
}
