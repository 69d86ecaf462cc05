package profile

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// Selection says which groups of stored profiles belong to a window. Zero fields
// select everything.
type Selection struct {
	Version  int             // the version whose rows are looked at
	From, To time.Time       // intervals that begin in [From, To)
	Slots    []registry.Slot // any of them
	Roles    []capture.Role  // any of them; input drift takes served rows only
}

func (s *Selection) takes(g *Group) bool {
	return (s.Version == 0 || g.Version == s.Version) &&
		(s.From.IsZero() || !g.Interval.Before(s.From)) && (s.To.IsZero() || g.Interval.Before(s.To)) &&
		(len(s.Slots) == 0 || slices.Contains(s.Slots, g.Slot)) && (len(s.Roles) == 0 || slices.Contains(s.Roles, g.Role))
}

// Stratum is what a window holds of the rows that were captured with one probability.
type Stratum struct {
	Sampled  float64 `json:"sampled"`
	Requests uint64  `json:"requests,omitempty"`
	Errors   uint64  `json:"errors,omitempty"`
	Rows     uint64  `json:"rows"`
	Columns  []State `json:"columns"` // in the order of the baseline's columns
	Split    *Split  `json:"split,omitempty"`
}

// Window adds up stored profiles, one at a time: its memory is that of one
// profile and of one state per column and sampling probability. What it holds
// depends on neither the order of the profiles nor on how rows were split among them.
//
//	w := profile.NewWindow(baseline, digest, profile.Selection{Version: 7, From: day, To: day.AddDate(0, 0, 1), Roles: []capture.Role{capture.Served}})
//	for … { if err := w.Add(document); err != nil { … } }
//	for _, s := range w.Strata() { … s.Columns[i] beside baseline.Columns[i], weight 1/s.Sampled … }
type Window struct {
	baseline *Baseline
	digest   string
	sel      Selection
	strata   []Stratum // by Sampled
	totals   Totals
	first    string // source of Report.First
	sample   map[uint64]struct{}
}

// Totals is what a window found beside the counts.
type Totals struct {
	Profiles   uint64 `json:"profiles"` // that had rows of the window, or none at all
	Requests   uint64 `json:"requests,omitempty"`
	Errors     uint64 `json:"errors,omitempty"`
	Duplicates uint64 `json:"duplicates,omitempty"`
	Skewed     uint64 `json:"skewed,omitempty"`
	// Of the records whose identities were kept, Looked in all, so many were in another source before.
	Looked   uint64 `json:"looked,omitempty"`
	Repeated uint64 `json:"repeated,omitempty"`
	// Report is the sum of the profiles' reports; Rows are those of the window. What a profile left out is
	// counted whole, also where only a part of its rows is in the window.
	Report Report `json:"report"`
}

// NewWindow returns an empty window of rows counted on b, whose sha256 is digest.
func NewWindow(b *Baseline, digest string, sel Selection) *Window {
	return &Window{baseline: b, digest: registry.Hex(digest), sel: sel}
}

// Add adds the selected groups of d. FailedPrecondition: one of them is counted on
// another baseline; then nothing of d is added.
func (w *Window) Add(d *Document) error {
	taken := 0
	for i := range d.Groups {
		g := &d.Groups[i]
		if !w.sel.takes(g) {
			continue
		}
		if registry.Hex(g.Baseline) != w.digest {
			return fault.New(fault.FailedPrecondition, "the profile of %q counts version %d on another baseline (sha256 %.12s…) than the one to compare with (%.12s…); profile its source again, or compare with that baseline",
				Cut(d.Source.Key), g.Version, registry.Hex(g.Baseline), w.digest)
		}
		if err := w.baseline.Fits(g.Columns, g.Split); err != nil {
			return err
		}
		taken++
	}
	if taken == 0 && len(d.Groups) > 0 {
		return nil
	}
	for i := range d.Groups {
		if g := &d.Groups[i]; w.sel.takes(g) {
			if err := w.add(g); err != nil {
				return err
			}
		}
	}
	w.note(d)
	return nil
}

func (w *Window) add(g *Group) error {
	i, found := slices.BinarySearchFunc(w.strata, g.Sampled, func(s Stratum, p float64) int { return cmp.Compare(s.Sampled, p) })
	if !found {
		t := NewTally(w.baseline)
		w.strata = slices.Insert(w.strata, i, Stratum{Sampled: g.Sampled, Columns: t.States, Split: t.Split})
	}
	s := &w.strata[i]
	s.Requests += g.Requests
	s.Errors += g.Errors
	s.Rows += g.Rows
	for _, id := range g.Sample {
		if w.totals.Looked++; w.sample == nil {
			w.sample = map[uint64]struct{}{}
		}
		if _, ok := w.sample[id]; ok {
			w.totals.Repeated++
		}
		w.sample[id] = struct{}{}
	}
	w.totals.Requests += g.Requests
	w.totals.Errors += g.Errors
	w.totals.Report.Rows += g.Rows
	for c := range g.Columns {
		if err := s.Columns[c].Merge(&g.Columns[c]); err != nil {
			return err
		}
	}
	return s.Split.merge(g.Split)
}

// note adds what d reports.
func (w *Window) note(d *Document) {
	t := &w.totals
	t.Profiles++
	t.Duplicates += d.Duplicates
	t.Skewed += d.Skewed
	t.Report.Malformed += d.Report.Malformed
	if d.Report.Malformed > 0 {
		if at := d.Source.Key + ", " + d.Report.First; w.first == "" || at < w.first {
			w.first, t.Report.First = at, at
		}
	}
	for _, l := range d.Report.LeftOut {
		t.Report.leaveColumn(l.Column, l.Reason)
	}
	t.Report.Extra = union(t.Report.Extra, d.Report.Extra)
	t.Report.Absent = union(t.Report.Absent, d.Report.Absent)
	for _, u := range d.Report.Uncounted {
		t.Report.leave(u.Rows, u.Reason)
	}
}

// leaveColumn notes once that a column was left out for a reason.
func (r *Report) leaveColumn(column, reason string) {
	l := LeftOut{column, reason}
	i, found := slices.BinarySearchFunc(r.LeftOut, l, func(a, b LeftOut) int {
		return cmp.Or(strings.Compare(a.Column, b.Column), strings.Compare(a.Reason, b.Reason))
	})
	if !found {
		r.LeftOut = slices.Insert(r.LeftOut, i, l)
	}
}

// union adds names to a sorted list, up to maxExtra.
func union(have, names []string) []string {
	for _, name := range names {
		if i, found := slices.BinarySearch(have, name); !found {
			have = slices.Insert(have, i, name)
		}
	}
	return have[:min(len(have), maxExtra)]
}

// Strata are the counts by sampling probability, ascending. They belong to the window.
func (w *Window) Strata() []Stratum { return w.strata }

// Totals are the sums beside the counts.
func (w *Window) Totals() Totals { return w.totals }

// Rows is the number of rows of the window.
func (w *Window) Rows() uint64 { return w.totals.Report.Rows }
