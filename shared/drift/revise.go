package drift

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/profile"
)

// warn says what a reader of the verdict should know.
func (r *Report) warn(job *Job) {
	warn := func(format string, args ...any) { r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...)) }
	if w := job.Window; !w.Batch && !w.Start.IsZero() && w.End.Sub(w.Start)%(24*time.Hour) != 0 {
		warn("the window does not cover whole days: what changes with the hour of the day can look like drift")
	}
	if job.Totals.Skewed > 0 {
		warn("%s whose time was more than an hour from the time in the id; the id's was used", count(job.Totals.Skewed, UnitRecords))
	}
	if n, of := job.Totals.Repeated, job.Totals.Looked; n > 0 {
		warn("about %.2g %% of the records came in more than one object and are counted more than once: %d of %d that were looked at", 100*float64(n)/float64(of), n, of)
	}
	if len(job.Strata) > 1 {
		warn("the sampling rate changed within the window: rows are weighted by it, and count as %.0f", r.Rows.Effective)
	}
	if job.Baseline == nil {
		return
	}
	r.warnSplits(job, warn)
	if c := job.Policy.Cluster; c != "" && !c.Column() && len(job.Blocks) < leastBlocks {
		warn("the window has %d blocks by %s, and ten are needed to measure their dependence: rows are taken as independent", len(job.Blocks), job.Policy.Cluster)
	}
	if len(job.Days) >= leastBlocks {
		worst, name := 1.0, ""
		for i := range job.Baseline.Columns {
			c := &job.Baseline.Columns[i]
			if e, ok := designEffect(c, blockCells(i, c.CellCount(), job.Days)); ok && e > worst {
				worst, name = e, c.Name
			}
		}
		if worst > 2 && job.Policy.Cluster == "" {
			warn("rows are not independent: between days, %s varies %.3g times as much as independent rows would; this verdict holds for these rows only", name, worst)
		} else {
			warn("the design effect by day is %.3g", worst)
		}
	}
	if rate := float64(r.Rows.Errors) / math.Max(1, float64(r.Rows.Requests)); rate > 0.05 {
		warn("%.0f %% of the requests failed; their rows are not known", 100*rate)
	}
}

// warnSplits says what the policy names and the baseline's or the window's counts are not split by.
func (r *Report) warnSplits(job *Job, warn func(format string, args ...any)) {
	const again = "register the version again with it, as a new one"
	have := map[string]bool{}
	for _, k := range job.cuts() {
		have[job.Baseline.Segments[k].Column] = true
	}
	for _, name := range job.Policy.Segments {
		if !have[name] {
			warn("there are no segments by %q: the baseline was made without them; %s", profile.Cut(name), again)
		}
	}
	column := job.Policy.Cluster.Column()
	if column && !job.clustered() {
		warn("rows with the same %q are taken as independent: the baseline was made without that cluster column; %s", profile.Cut(string(job.Policy.Cluster)), again)
	}
	if !column && len(have) == 0 {
		return
	}
	var rows, split uint64
	for i := range job.Strata {
		rows += job.Strata[i].Rows
		split += job.Baseline.SplitRows(job.Strata[i].Split)
	}
	if split < rows && (job.clustered() || len(have) > 0) {
		warn("%d of %s are in no segment and no cluster: their profiles were counted without them, or their records do not hold the column", rows-split, count(rows, UnitRows))
	}
}

// supersede notes what is different from the report before.
func (r *Report) supersede(old *Report) {
	if old.ID == r.ID { // the same run again
		r.Revision, r.Supersedes = old.Revision, old.Supersedes
		return
	}
	r.Revision = old.Revision + 1
	s := &Superseded{Report: old.ID, Revision: old.Revision}
	change := func(format string, args ...any) { s.Changes = append(s.Changes, fmt.Sprintf(format, args...)) }
	if old.Rows.Compared != r.Rows.Compared {
		change("%s compared instead of %d", count(r.Rows.Compared, UnitRows), old.Rows.Compared)
	}
	if old.Version != r.Version {
		change("compared with the baseline of version %d instead of %d", r.Version, old.Version)
	}
	if !reflect.DeepEqual(old.Policy, r.Policy) {
		change("the policy is another one")
	}
	if !reflect.DeepEqual(old.LeftOut, r.LeftOut) {
		change("what is left out is another list")
	}
	if old.Verdict != r.Verdict {
		change("the verdict is %s instead of %s", Words(r.Verdict), Words(old.Verdict))
	}
	before := map[string]Verdict{}
	for i := range old.Columns {
		before[old.Columns[i].Name] = old.Columns[i].Verdict
	}
	for i := range r.Columns {
		c := &r.Columns[i]
		if was, ok := before[c.Name]; ok && was != c.Verdict {
			change("column %q is %s instead of %s", c.Name, Words(c.Verdict), Words(was))
		}
	}
	if !slices.Equal(old.DriftedSegments, r.DriftedSegments) {
		change("drift is in %d segments instead of %d", len(r.DriftedSegments), len(old.DriftedSegments))
	}
	if len(s.Changes) == 0 {
		change("the counts differ, no verdict does")
	}
	r.Supersedes = s
}

// Words writes a verdict for people.
func Words(v Verdict) string {
	switch v {
	case Drifted:
		return "drift"
	case NoDrift:
		return "no drift"
	}
	return "not enough data"
}

// stand folds the history without and with this report. Of several entries of one
// window the one with the highest revision counts.
func (r *Report) stand(job *Job) {
	latest := map[string]Past{}
	for _, p := range job.History {
		if have, ok := latest[p.Window]; !ok || cmp.Or(cmp.Compare(p.Revision, have.Revision), cmp.Compare(p.Report, have.Report)) > 0 {
			latest[p.Window] = p
		}
	}
	if p, ok := latest[r.Window.ID]; ok && p.Report == r.ID { // a repeated run: before it, there was what it supersedes
		delete(latest, r.Window.ID)
	}
	if old := job.Supersedes; old != nil && old.ID != r.ID {
		latest[r.Window.ID] = old.Past()
	}
	before := fold(latest, job.Policy.Debounce)
	latest[r.Window.ID] = r.Past()
	r.Standing = StandingChange{Before: before, After: fold(latest, job.Policy.Debounce)}
	r.Standing.Changed = r.Standing.After.Changed(&r.Standing.Before)
	r.History = recent(latest)
	if !slices.ContainsFunc(r.History, func(p Past) bool { return p.Window == r.Window.ID }) {
		r.History = append([]Past{r.Past()}, r.History...)
	}
}

func fold(latest map[string]Past, d Debounce) Standing {
	var windows []WindowVerdict
	for _, p := range recent(latest) {
		windows = append(windows, WindowVerdict{Window: p.Window, Rows: p.Rows, Columns: p.Columns, Unscored: p.Unscored, Segments: p.Segments})
	}
	return Fold(windows, d)
}

// recent are the last windows, oldest first.
func recent(latest map[string]Past) []Past {
	all := slices.SortedFunc(maps.Values(latest), func(a, b Past) int { return cmp.Compare(a.Window, b.Window) })
	return all[max(0, len(all)-HistoryLength):]
}
