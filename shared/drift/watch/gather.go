package watch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
)

// gathered adds up the documents of one window, by version: its memory is that of
// the counts, not of the documents. Its methods may be called concurrently.
type gathered struct {
	w     *Watcher
	model *watched
	win   period.Window

	mu       sync.Mutex
	versions map[int]*counted
	notes    *profile.Window // what the documents report beside their counts
	left     map[string]*drift.LeftOut
	sources  map[string]bool      // keys of what was profiled
	others   map[string]time.Time // earlier windows that late rows belong to
}

// counted is what a window holds of one version.
type counted struct {
	version  int
	baseline *profile.Baseline
	digest   string
	why      string // there is no baseline
	all      *profile.Window
	blocks   map[time.Time]*profile.Window // by hour or day
}

func (w *Watcher) gather(m *watched, win period.Window) *gathered {
	return &gathered{w: w, model: m, win: win, versions: map[int]*counted{}, left: map[string]*drift.LeftOut{}, sources: map[string]bool{},
		others: map[string]time.Time{}, notes: profile.NewWindow(&profile.Baseline{}, "", profile.Selection{})}
}

// read adds the documents under infos. One that cannot be read is left out, one
// that is gone since the listing was removed by its lifecycle.
func (g *gathered) read(ctx context.Context, infos []blob.Info) error {
	return period.Each(ctx, len(infos), func(ctx context.Context, i int) error {
		obj, err := g.w.Data.Get(ctx, infos[i].Key)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch: read a profile: %w", err)
		}
		hour, _ := period.HourOf(profilePrefix(g.model.name), obj.Key)
		d, err := profile.ParseDocument(obj.Body)
		if err != nil || d.Model != g.model.name {
			if g.own(hour) {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.leave(drift.LeftUnreadable, "profiles that are damaged, or of another model", drift.UnitObjects, 1, obj.Key)
			}
			return nil
		}
		return g.add(ctx, d, hour)
	})
}

// own says whether a document without intervals, or that cannot be read, is taken
// to be of the window: by its hour of arrival.
func (g *gathered) own(hour time.Time) bool {
	return g.win.Batch || !hour.Before(g.win.Start.Truncate(time.Hour)) && hour.Before(g.win.End)
}

// add adds a document of the given hour of arrival, which batches do not have.
func (g *gathered) add(ctx context.Context, d *profile.Document, hour time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sources[d.Source.Key] = true
	mine := false
	for i := range d.Groups {
		in, err := g.group(ctx, d, &d.Groups[i], hour)
		if err != nil {
			return err
		}
		mine = mine || in
	}
	if mine || len(d.Groups) == 0 && g.own(hour) {
		rest := *d
		rest.Groups = nil
		return g.notes.Add(&rest)
	}
	return nil
}

// group adds one group; in says whether it is of the window.
func (g *gathered) group(ctx context.Context, d *profile.Document, group *profile.Group, hour time.Time) (in bool, err error) {
	if !within(&g.win, group) {
		if group.Interval.IsZero() {
			g.leave(drift.LeftUncounted, "rows without a time", drift.UnitRows, group.Rows, d.Source.Key)
			return true, nil
		}
		if w := period.At(g.model.policy.Window(), group.Interval); w.Start.Before(g.win.Start) {
			if _, to := core(&g.model.policy, w); !hour.Before(to) {
				g.others[w.ID] = w.Start
			}
		}
		return false, nil
	}
	switch {
	case g.win.Batch:
	case group.Role == capture.Paired:
		g.leave(drift.LeftPaired, "answers that another version gave to the same rows", drift.UnitRows, group.Rows, "")
		return true, nil
	case group.Slot == registry.Pinned:
		g.leave(drift.LeftPinned, "rows of clients that asked for a version by number", drift.UnitRows, group.Rows, "")
		return true, nil
	}
	c, err := g.version(ctx, group.Version)
	if err != nil {
		return true, err
	}
	switch {
	case c.baseline == nil:
		g.leave(drift.LeftNoBaseline, c.why, drift.UnitRows, group.Rows, "")
		return true, nil
	case registry.Hex(group.Baseline) != c.digest || c.baseline.Fits(group.Columns, group.Split) != nil:
		g.leave(drift.LeftOtherBaseline, fmt.Sprintf("counted on another baseline than that of version %d: profile the sources again", group.Version), drift.UnitRows, group.Rows, d.Source.Key)
		return true, nil
	}
	one := &profile.Document{V: d.V, Model: d.Model, Source: d.Source, Groups: []profile.Group{*group}}
	if err := c.all.Add(one); err != nil {
		return true, err
	}
	if block := g.block(group); !block.IsZero() {
		if c.blocks[block] == nil {
			c.blocks[block] = profile.NewWindow(c.baseline.Whole(), c.digest, profile.Selection{})
		}
		one.Groups[0].Split = nil // how blocks vary is looked at by column alone
		return true, c.blocks[block].Add(one)
	}
	return true, nil
}

// block is the hour or day of a group, when the window is cut into such.
func (g *gathered) block(group *profile.Group) time.Time {
	switch {
	case g.win.Batch || group.Interval.IsZero():
	case g.model.policy.Cluster == drift.ClusterHour:
		return group.Interval.Truncate(time.Hour)
	case g.model.policy.Cluster == drift.ClusterDay || g.model.policy.Window() >= 10*period.Day:
		return group.Interval.Truncate(period.Day)
	}
	return time.Time{}
}

func (g *gathered) version(ctx context.Context, version int) (*counted, error) {
	if c, ok := g.versions[version]; ok {
		return c, nil
	}
	b, digest, why, err := g.w.baseline(ctx, g.model.name, version)
	if err != nil {
		return nil, err
	}
	c := &counted{version: version, baseline: b, digest: digest, why: why, blocks: map[time.Time]*profile.Window{}}
	if b != nil {
		c.all = profile.NewWindow(b, digest, profile.Selection{})
	}
	g.versions[version] = c
	return c, nil
}

// leave adds to what is left out for a reason.
func (g *gathered) leave(reason, detail, unit string, n uint64, example string) {
	id := reason + "\x00" + detail
	l, ok := g.left[id]
	if !ok {
		l = &drift.LeftOut{Reason: reason, Detail: detail, Unit: unit}
		g.left[id] = l
	}
	l.Count += n
	if example != "" && !slices.Contains(l.Examples, example) {
		// The least few, so that they do not depend on the order of reading.
		l.Examples = append(l.Examples, example)
		slices.Sort(l.Examples)
		l.Examples = l.Examples[:min(len(l.Examples), 5)]
	}
}

// job is what is to be judged: the version with the most rows, or the champion
// where there are none. The rows of other versions are left out, and said to be.
func (g *gathered) job(ctx context.Context) (drift.Job, error) {
	var all []*counted
	for _, c := range g.versions {
		if c.baseline != nil {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *counted) int {
		return cmp.Or(cmp.Compare(b.all.Rows(), a.all.Rows()), cmp.Compare(b.version, a.version))
	})
	job := drift.Job{Model: g.model.name, Window: g.win, Policy: g.model.policy, Totals: g.notes.Totals()}
	job.Totals.Report.Rows = 0
	if len(all) == 0 {
		c, err := g.version(ctx, g.model.champion)
		if err != nil {
			return job, err
		}
		all = append(all, c)
	}
	for _, c := range all[1:] {
		g.leave(drift.LeftOtherVersion, fmt.Sprintf("rows of version %d, which are counted on its own baseline; version %d has more", c.version, all[0].version),
			drift.UnitRows, c.all.Rows(), "")
	}
	if c := all[0]; c.baseline == nil {
		if len(g.left) == 0 {
			job.LeftOut = append(job.LeftOut, drift.LeftOut{Reason: drift.LeftNoBaseline, Unit: drift.UnitRows, Detail: c.why})
		}
	} else {
		job.Version, job.Baseline, job.Digest, job.Strata = c.version, c.baseline, c.digest, c.all.Strata()
		t := c.all.Totals()
		job.Totals.Looked, job.Totals.Repeated = t.Looked, t.Repeated
		job.Totals.Requests, job.Totals.Errors, job.Totals.Report.Rows = t.Requests, t.Errors, t.Report.Rows
		job.Blocks = c.cut()
		if g.model.policy.Cluster != drift.ClusterHour {
			job.Days = job.Blocks
		}
	}
	for _, l := range g.left {
		job.LeftOut = append(job.LeftOut, *l)
	}
	return job, nil
}

// cut are the strata by block, in the order of time.
func (c *counted) cut() [][]profile.Stratum {
	times := make([]time.Time, 0, len(c.blocks))
	for t := range c.blocks {
		times = append(times, t)
	}
	slices.SortFunc(times, time.Time.Compare)
	out := make([][]profile.Stratum, len(times))
	for i, t := range times {
		out[i] = c.blocks[t].Strata()
	}
	return out
}
