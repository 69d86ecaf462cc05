package watch

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/period"
)

// beside is how many hours are joined at once: objects are small, and a join waits for each of them.
const beside = 4

// hourKey is where the counts of an hour of predictions are kept; id names what they
// are made of (docs/formats/evaluation.md).
func hourKey(model string, hour time.Time, id string) string {
	return folderOf(model) + hour.UTC().Format("2006-01-02/15") + "/" + id + ".json"
}

func folderOf(model string) string { return "evaluations/" + model + "/" }

// count joins an hour and counts it; read is what was in fact read.
func (w *Watcher) count(ctx context.Context, m *watched, t *terms, hour time.Time, budget int64) (tally *evaluation.Tally, read sources, err error) {
	rec := &recorder{Store: w.Data, seen: map[string]*gathering{}}
	if tally, err = t.blank.Like(); err != nil {
		return nil, read, err
	}
	h := outcome.Hours{Store: rec, Model: m.name, Spec: t.spec, Lateness: lateness, Budget: budget}
	counts, err := h.JoinHour(ctx, hour, func(b *outcome.Batch) error { return tally.Add(b, h.Segments()) })
	if err != nil {
		return nil, read, fmt.Errorf("watch: join %s of %s: %w", hour.Format(time.RFC3339), m.name, err)
	}
	tally.Join.Merge(&counts)
	return tally, rec.sources(m.name, hour), nil
}

// join joins an hour and keeps its counts under the name of what was read: an object
// that came since the hour was listed makes it another name.
func (w *Watcher) join(ctx context.Context, m *watched, t *terms, hour time.Time, budget int64) (done HourDone, read sources, err error) {
	tally, read, err := w.count(ctx, m, t, hour, budget)
	if err != nil {
		return done, read, err
	}
	body, err := tally.Encode()
	if err != nil {
		return done, read, err
	}
	done = HourDone{Model: m.name, Hour: hour.UTC().Format(time.RFC3339), Key: hourKey(m.name, hour, read.id(t.id))}
	if done.Created, err = blob.PutOnce(ctx, w.Data, done.Key, body); err != nil {
		return done, read, err
	}
	w.Log.Info("an hour is joined", "model", m.name, "hour", done.Hour, "rows", tally.Rows(), "labels", tally.Join.Labels, "key", done.Key)
	return done, read, nil
}

// missing are the places of the hours whose counts are not kept yet.
func (w *Watcher) missing(ctx context.Context, m *watched, t *terms, hours []sources) ([]int, error) {
	absent := make([]bool, len(hours))
	err := period.Each(ctx, len(hours), func(ctx context.Context, i int) error {
		_, err := w.Data.Head(ctx, hourKey(m.name, hours[i].hour, hours[i].id(t.id)))
		if absent[i] = fault.Is(err, fault.NotFound); absent[i] {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("watch: look for hours of %s: %w", m.name, err)
	}
	var out []int
	for i := range hours {
		if absent[i] {
			out = append(out, i)
		}
	}
	return out, nil
}

// joinAll joins the hours at the given places while there is time, and returns the
// places that are left. Joined hours become what was read.
func (w *Watcher) joinAll(ctx context.Context, m *watched, t *terms, hours []sources, places []int, p *purse) (left []int, err error) {
	budget := w.Budget
	if budget <= 0 {
		budget = outcome.DefaultBudget
	}
	// Small hours go side by side, each with its part of the memory; one that would be read
	// several times for want of memory goes alone, and so does one with segments, whose states take memory, too.
	alone := func(at int) bool { return len(t.spec.Segments) > 0 || hours[at].bytes()/4 > budget/beside }
	for len(places) > 0 {
		n := 1
		for !alone(places[0]) && n < min(beside, len(places)) && !alone(places[n]) {
			n++
		}
		var bytes int64
		for _, at := range places[:n] {
			bytes += hours[at].bytes()
		}
		if !p.fits(bytes) {
			return places, nil
		}
		err := p.work(bytes, func() error {
			return period.Each(ctx, n, func(ctx context.Context, i int) error {
				at := places[i]
				_, read, err := w.join(ctx, m, t, hours[at].hour, budget/int64(n))
				if err == nil {
					hours[at] = read
				}
				return err
			})
		})
		if err != nil {
			return places, err
		}
		places = places[n:]
	}
	return nil, nil
}

// merge adds up the counts of hours that are kept.
func (w *Watcher) merge(ctx context.Context, m *watched, t *terms, hours []sources) (*evaluation.Tally, error) {
	total, err := t.blank.Like()
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex // one state beside the total is in memory, whatever the number of readers
	err = period.Each(ctx, len(hours), func(ctx context.Context, i int) error {
		key := hourKey(m.name, hours[i].hour, hours[i].id(t.id))
		obj, err := w.Data.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("watch: read %s: %w", key, err)
		}
		mu.Lock()
		defer mu.Unlock()
		tally, err := t.blank.Decode(obj.Body)
		if fault.Is(err, fault.Internal) || fault.Is(err, fault.FailedPrecondition) { // its name says that it is of these terms
			w.Log.Error("the counts of an hour are damaged and are made again", "key", key, "error", err.Error())
			tally, err = w.repair(ctx, m, t, hours[i].hour, key)
		}
		if err != nil {
			return err
		}
		return total.Merge(tally)
	})
	return total, err
}

// repair counts an hour again, and replaces what is kept of it: counts can be made
// at any time from what they are of, so this is the one place that replaces anything.
func (w *Watcher) repair(ctx context.Context, m *watched, t *terms, hour time.Time, key string) (*evaluation.Tally, error) {
	tally, _, err := w.count(ctx, m, t, hour, w.Budget)
	if err != nil {
		return nil, err
	}
	body, err := tally.Encode()
	if err != nil {
		return nil, err
	}
	if _, err := w.Data.Put(ctx, key, body, blob.Always()); err != nil {
		return nil, fmt.Errorf("watch: write %s: %w", key, err)
	}
	return tally, nil
}

// hoursOf are the hours of a window that anything is stored of.
func (w *Watcher) hoursOf(ctx context.Context, m *watched, c *catalogue, win period.Window) ([]sources, error) {
	var out []sources
	for hour := win.Start; hour.Before(win.End) && !hour.After(w.Now()); hour = hour.Add(time.Hour) {
		s, err := c.hour(ctx, m.name, hour)
		if err != nil {
			return nil, err
		}
		if !s.empty() {
			out = append(out, s)
		}
	}
	return out, nil
}

// listing names the hours of a window and when they are mature, for a mark.
func listing(hours []sources, mature time.Time) []blob.Info {
	out := []blob.Info{{Key: "mature_before", ETag: mature.UTC().Format(time.RFC3339)}}
	for i := range hours {
		out = append(out, blob.Info{Key: hours[i].hour.UTC().Format(time.RFC3339), ETag: hours[i].id("")})
	}
	return out
}

// predicted says whether any hour can hold predictions: labels alone are none.
func predicted(hours []sources) bool {
	return slices.ContainsFunc(hours, func(s sources) bool { return s.capturesObjects() > 0 })
}
