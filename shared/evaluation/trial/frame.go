package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/schema"
)

const (
	// frameVersion is the format of frame.json.
	frameVersion = 1
	// lookBack is how far before the rollout latencies and segments are looked for: one daily cycle.
	lookBack = 24 * time.Hour
	// enoughRequests give a 95th percentile within a percent of its rank.
	enoughRequests = 2000
	// maxSegmentName is the most bytes of a value that a tally tells apart by its whole name.
	maxSegmentName = 128
	// reserve is what a decision keeps of the time.
	reserve = 20 * time.Second
)

// frame is what is frozen when a rollout begins: frame.json in its folder.
type frame struct {
	V          int       `json:"v"`
	Rollout    string    `json:"rollout_id"`
	SlowMicros int64     `json:"slow_us"`
	Segments   []string  `json:"segments,omitempty"`
	Requests   uint64    `json:"requests"` // of the champion, which slow_us is of
	At         time.Time `json:"at"`
}

// past is what the champion did before the rollout.
type past struct {
	latencies comparison.Latencies
	requests  uint64
	segments  map[string]comparison.Counts
}

// frame is the frozen one. The first look that finds enough of the champion's
// requests freezes it; until then it is a provisional one, under which latency is
// not known and nothing advances. Of looks at the same time the first one counts.
func (m *matter) frame(ctx context.Context) (*frame, error) {
	key := m.folder() + "frame.json"
	f, err := m.frozen(ctx, key)
	if f != nil || err != nil {
		return f, err
	}
	guard := &m.compare.Guardrails
	p := &past{}
	if !guard.Latency.Off || len(m.spec.Segments) > 0 {
		if p, err = m.lookBack(ctx); err != nil {
			return nil, err
		}
	}
	f = &frame{V: frameVersion, Rollout: m.id, Requests: p.requests, At: m.judge.Now().UTC()}
	if !guard.Latency.Off && p.requests < uint64(guard.FirstLook) {
		return f, nil
	}
	if !guard.Latency.Off {
		f.SlowMicros = p.latencies.SlowMicros(guard.Latency.Factor)
	}
	if segments := &m.compare.Segments; segments.Column != "" {
		f.Segments = comparison.ChooseSegments(p.segments, m.pairs.Task, segments.Limit, uint64(segments.Pairs), uint64(segments.PerClass))
	}
	body, err := json.Marshal(f)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the frame of a rollout cannot be encoded")
	}
	if _, err = m.judge.Data.Put(ctx, key, append(body, '\n'), blob.Once()); fault.Is(err, fault.FailedPrecondition) {
		return m.frozen(ctx, key)
	}
	if err != nil {
		return nil, fmt.Errorf("trial: write %s: %w", key, err)
	}
	return f, nil
}

// frozen reads the frame, nil if there is none yet.
func (m *matter) frozen(ctx context.Context, key string) (*frame, error) {
	obj, err := m.judge.Data.Get(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("trial: read %s: %w", key, err)
	}
	var f frame
	if err := json.Unmarshal(obj.Body, &f); err != nil || f.V < 1 || f.Rollout != m.id {
		return nil, fault.Wrap(err, fault.Internal, "%s is damaged, or of another rollout", key)
	}
	if f.V > frameVersion {
		return nil, fault.New(fault.Internal, "%s has format %d, this program reads up to %d; deploy the newer release", key, f.V, frameVersion)
	}
	return &f, nil
}

// lookBack reads what the champion did in the hours before the rollout, the newest
// first, and if that is too little, what it has done since.
func (m *matter) lookBack(ctx context.Context) (*past, error) {
	p := &past{segments: map[string]comparison.Counts{}}
	h := outcome.Hours{Store: m.judge.Data, Model: m.model, Spec: m.spec, Budget: m.judge.Budget}
	first := m.started.UTC().Truncate(time.Hour)
	read := func(hour, from, to time.Time) error {
		_, err := h.JoinHour(ctx, hour, func(b *outcome.Batch) error {
			m.remember(p, &h, b, from.UnixMilli(), to.UnixMilli())
			return nil
		})
		return err
	}
	for hour := first; hour.After(first.Add(-lookBack)) && m.inTime(ctx); hour = hour.Add(-time.Hour) {
		if err := read(hour, time.Time{}, m.started); err != nil {
			return nil, err
		}
		if p.requests >= enoughRequests && len(m.spec.Segments) == 0 {
			return p, nil
		}
	}
	now := m.judge.Now()
	for hour := first; p.requests < enoughRequests && hour.Before(now) && m.inTime(ctx); hour = hour.Add(time.Hour) {
		if err := read(hour, m.started, now); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// remember adds the champion's answers of a batch between two times in milliseconds.
func (m *matter) remember(p *past, h *outcome.Hours, b *outcome.Batch, from, to int64) {
	of := func(r *outcome.Request) bool {
		return r.Origin.Version == m.champion.Version && r.Origin.Role == capture.Served && r.At >= from && r.At < to
	}
	for i := range b.Requests {
		r := &b.Requests[i]
		if of(r) && !r.Again && r.First == 0 && !r.Origin.Failed() && r.LatencyUS > 0 {
			p.latencies.Add(time.Duration(r.LatencyUS) * time.Microsecond)
			p.requests++
		}
	}
	if len(b.Segments) == 0 {
		return
	}
	for i := range b.Rows {
		if !of(&b.Requests[b.Request[i]]) || b.Label[i] != b.Label[i] {
			continue
		}
		name := h.Segments().Name(0, b.Segments[0][i])
		if len(name) > maxSegmentName || !utf8.ValidString(name) { // counted under another name: it stays in "other"
			continue
		}
		c := p.segments[name]
		c.Pairs++
		if m.task == schema.Binary && b.Label[i] == 1 {
			c.Positives++
		} else {
			c.Negatives++
		}
		p.segments[name] = c
	}
}

// inTime says whether there is time for more than the decision.
func (m *matter) inTime(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return !limited || m.judge.Now().Add(reserve).Before(deadline)
}
