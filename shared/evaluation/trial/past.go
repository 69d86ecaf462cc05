package trial

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/frame"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/schema"
)

const (
	// lookBack is how far before the rollout latencies and segments are looked for: one daily cycle. Where labels take
	// longer than that, segments need a cycle of hours that have labels, of which the last is at most so far away.
	lookBack     = 24 * time.Hour
	longLookBack = 8 * lookBack
	// enoughRequests give a 95th percentile within a percent of its rank.
	enoughRequests = 2000
	// maxSegmentName is the most bytes of a value that a tally tells apart by its whole name.
	maxSegmentName = 128
	// reserve is what a decision keeps of the time.
	reserve = 20 * time.Second
)

// past is what the champion did before the rollout.
type past struct {
	latencies comparison.Latencies
	requests  uint64
	segments  map[string]comparison.Counts
	labelled  int // hours with labels of the champion's rows
}

// frame is the frozen one. The first look that finds enough of the champion's
// requests freezes it; until then it is a provisional one, under which latency is
// not known and nothing advances. Of looks at the same time the first one counts.
func (m *matter) frame(ctx context.Context) (*frame.Frame, error) {
	f, err := frame.Read(ctx, m.judge.Data, m.model, m.id)
	if f != nil || err != nil {
		return f, err
	}
	guard := &m.compare.Guardrails
	p := &past{}
	asked := !guard.Latency.Off || len(m.spec.Segments) > 0
	if asked {
		if p, err = m.lookBack(ctx); err != nil {
			return nil, err
		}
	}
	f = &frame.Frame{V: frame.Version, Rollout: m.id, Requests: p.requests, At: m.judge.Now().UTC()}
	if asked && p.requests < uint64(guard.FirstLook) {
		return f, nil
	}
	if !guard.Latency.Off {
		f.SlowMicros = p.latencies.SlowMicros(guard.Latency.Factor)
	}
	if segments := &m.compare.Segments; segments.Column != "" {
		f.Column = segments.Column
		f.Segments = comparison.ChooseSegments(p.segments, m.pairs.Task, segments.Limit, uint64(segments.Pairs), uint64(segments.PerClass))
	}
	return f.Freeze(ctx, m.judge.Data, m.model)
}

// lookBack reads what the champion did in the hours before the rollout, the newest
// first, and if that is too little, what it has done since.
func (m *matter) lookBack(ctx context.Context) (*past, error) {
	p := &past{segments: map[string]comparison.Counts{}}
	h := outcome.Hours{Store: m.judge.Data, Model: m.model, Spec: m.spec, Budget: m.judge.Budget}
	first := m.started.UTC().Truncate(time.Hour)
	read := func(hour, from, to time.Time) error {
		labelled := false
		_, err := h.JoinHour(ctx, hour, func(b *outcome.Batch) error {
			of := func(r *outcome.Request) bool {
				return r.Origin.Version == m.champion.Version && r.Origin.Role == capture.Served && r.At >= from.UnixMilli() && r.At < to.UnixMilli()
			}
			if !hour.Before(first.Add(time.Hour - lookBack)) {
				p.addRequests(b, of)
			}
			labelled = m.addSegments(p, &h, b, of) || labelled
			return nil
		})
		if labelled {
			p.labelled++
		}
		return err
	}
	for back := time.Duration(0); m.looksFurther(p, back) && m.inTime(ctx); back += time.Hour {
		hour := first.Add(-back)
		if p.requests >= enoughRequests || back >= lookBack { // then it is for the labels
			has, err := m.hasLabels(ctx, hour)
			if err != nil {
				return nil, err
			}
			if !has {
				continue
			}
		}
		if err := read(hour, time.Time{}, m.started); err != nil {
			return nil, err
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

// looksFurther says whether the hour that lies so far back is to be read too.
func (m *matter) looksFurther(p *past, back time.Duration) bool {
	const cycle = int(lookBack / time.Hour)
	if len(m.spec.Segments) > 0 && p.labelled < cycle && back < longLookBack {
		return true
	}
	return p.requests < enoughRequests && back < lookBack
}

// hasLabels says whether any label of an hour's predictions is filed.
func (m *matter) hasLabels(ctx context.Context, hour time.Time) (bool, error) {
	for _, err := range m.judge.Data.List(ctx, label.Prefix(m.model, hour), "") {
		if err != nil {
			return false, fmt.Errorf("trial: list the labels of %s: %w", hour.Format(time.RFC3339), err)
		}
		return true, nil
	}
	return false, nil
}

// addRequests adds those requests of a batch that are asked for.
func (p *past) addRequests(b *outcome.Batch, of func(*outcome.Request) bool) {
	for i := range b.Requests {
		r := &b.Requests[i]
		if of(r) && !r.Again && r.First == 0 && !r.Origin.Failed() && r.LatencyUS > 0 {
			p.latencies.Add(time.Duration(r.LatencyUS) * time.Microsecond)
			p.requests++
		}
	}
}

// addSegments adds their rows by segment, and says whether any has a label.
func (m *matter) addSegments(p *past, h *outcome.Hours, b *outcome.Batch, of func(*outcome.Request) bool) (labelled bool) {
	if len(b.Segments) == 0 {
		return false
	}
	for i := range b.Rows {
		if !of(&b.Requests[b.Request[i]]) || b.Label[i] != b.Label[i] {
			continue
		}
		labelled = true
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
	return labelled
}

// inTime says whether there is time for more than the decision.
func (m *matter) inTime(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return !limited || m.judge.Now().Add(reserve).Before(deadline)
}
