package trial

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/frame"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/period"
)

// hourVersion is the format of the counts of a part of an hour, and of what they are of.
const hourVersion = 2

// part is the predictions of an hour between two times: rollouts begin within hours.
type part struct {
	hour, from, to time.Time
	mature         int64  // milliseconds; labels of later predictions do not count yet
	key            string // of its counts
}

// parts cut the time since the pairs count into hours, and where the rollout began.
func (m *matter) parts() []part {
	var out []part
	now := m.judge.Now().UTC()
	mature := m.mature(now)
	for hour := m.since.UTC().Truncate(time.Hour); hour.Before(now); hour = hour.Add(time.Hour) {
		end := hour.Add(time.Hour)
		from := later(hour, m.since)
		if m.started.After(from) && m.started.Before(end) {
			out = append(out, part{hour: hour, from: from, to: m.started})
			from = m.started
		}
		out = append(out, part{hour: hour, from: from, to: end})
	}
	for i := range out {
		// What matures outside of a part makes nothing new of it, and must give it no other name.
		out[i].mature = max(out[i].from.UnixMilli(), min(mature, out[i].to.UnixMilli()))
	}
	return out
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// count adds up the pairs and the traffic of all parts. before are the pairs from
// before the rollout's first step. When the time does not suffice, left are the
// parts that are still to be joined; what was joined is kept.
func (m *matter) count(ctx context.Context) (total *comparison.State, before uint64, left int, err error) {
	if total, err = comparison.New(m.pairs); err != nil {
		return nil, 0, 0, err
	}
	var mu sync.Mutex // of total: one state beside it is in memory, whatever the number of readers
	add := func(p *part, pairs *comparison.State) error {
		mu.Lock()
		defer mu.Unlock()
		if !p.to.After(m.started) {
			before += pairs.Pairs()
		}
		return total.Merge(pairs)
	}
	parts := m.parts()
	missing := make([]bool, len(parts))
	err = period.Each(ctx, len(parts), func(ctx context.Context, i int) error {
		p := &parts[i]
		empty, err := m.name(ctx, p)
		if err != nil || empty {
			return err
		}
		kept, err := m.kept(ctx, p.key)
		if err != nil {
			return err
		}
		if missing[i] = kept == nil; missing[i] {
			return nil
		}
		return add(p, kept)
	})
	if err != nil {
		return nil, 0, 0, err
	}
	joined := false
	for i := range parts {
		switch {
		case !missing[i]:
		case joined && !m.inTime(ctx): // the first one always is, or what takes longer than there is would never begin
			left++
		default:
			pairs, err := m.part(ctx, &parts[i])
			if err != nil {
				return nil, 0, 0, err
			}
			if joined, err = true, add(&parts[i], pairs); err != nil {
				return nil, 0, 0, err
			}
		}
	}
	return total, before, left, nil
}

// part joins a part and keeps its counts.
func (m *matter) part(ctx context.Context, p *part) (*comparison.State, error) {
	began := m.judge.Now()
	pairs, err := m.join(ctx, p)
	if err != nil {
		return nil, err
	}
	// An hour whose captures still come has another name at the next look; unless it took long it is not worth keeping.
	const long = 2 * time.Second
	settled := p.hour.Add(time.Hour + outcome.DefaultLateness).Before(began)
	if !settled && m.judge.Now().Sub(began) <= long {
		return pairs, nil
	}
	body, err := pairs.Encode()
	if err != nil {
		return nil, err
	}
	// What is there under that name is the same, or damaged: it can be made again at any time.
	if _, err := m.judge.Data.Put(ctx, p.key, body, blob.Always()); err != nil {
		return nil, fmt.Errorf("trial: write %s: %w", p.key, err)
	}
	return pairs, nil
}

// kept reads what an earlier look counted; nil if there is nothing, or nothing that
// can be read: it can be counted again at any time.
func (m *matter) kept(ctx context.Context, key string) (*comparison.State, error) {
	obj, err := m.judge.Data.Get(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("trial: read %s: %w", key, err)
	}
	pairs, err := comparison.Decode(obj.Body)
	if fault.Is(err, fault.Internal) {
		return nil, nil
	}
	return pairs, err
}

// name names a part by its terms and its sources; an empty one has no captures. What arrives between this
// listing and the join makes another name at the next look, so a name never stands
// for less than it says.
func (m *matter) name(ctx context.Context, p *part) (empty bool, err error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d %d %d\n", m.terms, p.from.UnixMilli(), p.to.UnixMilli(), p.mature)
	empty = true
	folders := []string{label.Prefix(m.model, p.hour)}
	for at := p.hour; at.Before(p.hour.Add(time.Hour + outcome.DefaultLateness)); at = at.Add(time.Hour) {
		folders = append(folders, outcome.CapturesPrefix(at))
	}
	for i, folder := range folders {
		for info, err := range m.judge.Data.List(ctx, folder, "") {
			if err != nil {
				return false, fmt.Errorf("trial: list %s: %w", folder, err)
			}
			if !strings.HasSuffix(info.Key, "/") {
				empty = empty && i == 0 // labels alone are no pairs
				fmt.Fprintf(h, "%s %s\n", info.Key, info.ETag)
			}
		}
	}
	p.key = frame.Folder(m.model, m.id) + p.hour.Format("2006-01-02/15") + "/" + hex.EncodeToString(h.Sum(nil)[:16]) + ".json"
	return empty, nil
}

// mature is the time, in milliseconds, from which on labels do not count yet. It moves
// once an hour: the part that it lies in is then joined once an hour, and not at every look.
func (m *matter) mature(now time.Time) int64 {
	if m.delay == 0 {
		return math.MaxInt64
	}
	return now.Add(-m.delay).Truncate(time.Hour).UnixMilli()
}

// join counts a part from its captures and labels.
func (m *matter) join(ctx context.Context, p *part) (*comparison.State, error) {
	tally, err := evaluation.NewTally(m.setup)
	if err != nil {
		return nil, err
	}
	h := outcome.Hours{Store: m.judge.Data, Model: m.model, Spec: m.spec, Budget: m.judge.Budget}
	cut := window{from: p.from.UnixMilli(), to: p.to.UnixMilli(), traffic: m.started.UnixMilli(), mature: p.mature}
	_, err = h.JoinHour(ctx, p.hour, func(b *outcome.Batch) error { return tally.Add(cut.apply(b), h.Segments()) })
	if err != nil {
		return nil, fmt.Errorf("trial: join %s of %s: %w", p.hour.Format(time.RFC3339), m.model, err)
	}
	return tally.Pairs(), nil
}

// window leaves out of a batch what is not of the part: requests as if they had been
// counted before, and so those of the shadow phase, which is no traffic of the rollout;
// rows as if their labels were not known. In milliseconds.
type window struct{ from, to, traffic, mature int64 }

func (w window) has(at int64) bool { return at >= w.from && at < w.to }

func (w window) apply(b *outcome.Batch) *outcome.Batch {
	out := *b
	out.Requests = append([]outcome.Request(nil), b.Requests...)
	for i := range out.Requests {
		if at := out.Requests[i].At; !w.has(at) || at < w.traffic {
			out.Requests[i].Again = true
		}
	}
	out.Label = append([]float64(nil), b.Label...)
	for i, at := range b.At {
		if !w.has(at) || at >= w.mature {
			out.Label[i] = math.NaN()
		}
	}
	return &out
}
