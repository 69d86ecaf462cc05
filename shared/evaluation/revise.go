package evaluation

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
)

// supersede notes what is different from the report before.
func (r *Report) supersede(old *Report) {
	if old.ID == r.ID { // the same run again
		r.Revision, r.Supersedes = old.Revision, old.Supersedes
		return
	}
	r.Revision = old.Revision + 1
	s := &Superseded{Report: old.ID, Revision: old.Revision}
	change := func(format string, args ...any) { s.Changes = append(s.Changes, fmt.Sprintf(format, args...)) }
	if old.Champion != r.Champion {
		change("version %d is judged instead of version %d", r.Champion, old.Champion)
	}
	now, before := r.Version(r.Champion), old.Version(old.Champion)
	if now != nil && before != nil {
		counted(now.Quality, before.Quality, change)
		for _, name := range r.Policy.Gates(r.Task) {
			a, b := now.Quality.Metric(name), before.Quality.Metric(name)
			if a != nil && b != nil && !reflect.DeepEqual(a.Value, b.Value) {
				change("%s is %s instead of %s", name, number(a.Value), number(b.Value))
			}
		}
	}
	if digestOf(now) != digestOf(before) {
		change("the reference is another one")
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
	if answer(old) != answer(r) {
		change("whether the challenger is better is %s instead of %s", answer(r), answer(old))
	}
	if len(s.Changes) == 0 {
		change("the counts differ, no verdict does")
	}
	r.Supersedes = s
}

func counted(now, before *quality.Quality, change func(string, ...any)) {
	a, b := &now.Counts, &before.Counts
	if a.Predictions != b.Predictions {
		change("there are %s instead of %d", count(a.Predictions, "predictions"), b.Predictions)
	}
	if a.Labelled != b.Labelled {
		change("%s known instead of %d", count(a.Labelled, "labels"), b.Labelled)
	}
	if a.Mature != b.Mature || a.MatureLabel != b.MatureLabel {
		change("%d of %d mature predictions have a label instead of %d of %d", a.MatureLabel, a.Mature, b.MatureLabel, b.Mature)
	}
}

func digestOf(v *VersionReport) string {
	if v == nil || v.Reference == nil {
		return ""
	}
	return v.Reference.SHA256
}

// answer is whether the challenger is better, in words.
func answer(r *Report) string {
	if r.Better == nil {
		return "not compared"
	}
	return string(r.Better.Answer)
}

func number(x *float64) string {
	if x == nil {
		return "undefined"
	}
	return fmt.Sprintf("%.4g", *x)
}

// Words writes a verdict for people.
func Words(v quality.Verdict) string {
	switch v {
	case quality.Degraded:
		return "degraded"
	case quality.Fine:
		return "fine"
	}
	return "not enough data"
}

// stand folds the history without and with this report. Of several entries of one
// window the one with the highest revision counts.
func (r *Report) stand(job *Job) {
	if len(job.Chunks) > 0 { // of a table: its stretches are the windows
		r.Standing = StandingChange{Before: quality.StandingUnknown, After: Fold(job.Chunks, r.Policy.Debounce)}
		r.Standing.Changed = r.Standing.After != r.Standing.Before
		r.History = []Past{r.Past()}
		return
	}
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
	before := Fold(slices.Collect(maps.Values(latest)), r.Policy.Debounce)
	latest[r.Window.ID] = r.Past()
	r.Standing = StandingChange{Before: before, After: Fold(slices.Collect(maps.Values(latest)), r.Policy.Debounce)}
	r.Standing.Changed = r.Standing.After != r.Standing.Before
	r.History = recent(slices.Collect(maps.Values(latest)))
	if !slices.ContainsFunc(r.History, func(p Past) bool { return p.Window == r.Window.ID }) {
		r.History = append([]Past{r.Past()}, r.History...)
	}
}

// Fold is the standing of the champion after the last windows: N of M, see
// [quality.Fold]. Windows of another version than the newest window's say nothing of
// it: a version that took over begins anew.
func Fold(windows []Past, d quality.Debounce) quality.Standing {
	last := recent(windows)
	version := 0
	for _, p := range last {
		if p.Rows > 0 {
			version = p.Version
		}
	}
	var out []quality.WindowVerdict
	for _, p := range last {
		if p.Version == version {
			out = append(out, quality.WindowVerdict{Window: p.Window, Rows: p.Rows, Verdict: p.Verdict})
		}
	}
	return quality.Fold(out, d)
}

// recent are the last windows, oldest first.
func recent(windows []Past) []Past {
	all := slices.SortedFunc(slices.Values(windows), func(a, b Past) int { return cmp.Compare(a.Window, b.Window) })
	return all[max(0, len(all)-quality.HistoryLength):]
}
