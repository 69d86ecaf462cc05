package evaluation

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/registry"
)

// Job is all that a report is made from. Nothing of it is changed.
type Job struct {
	Model  string
	Window period.Window
	Tally  *Tally // of the whole window; its setup holds the policy
	// Champion is the version to judge; 0: the one that served most rows as champion.
	Champion   int
	References map[int]Reference // by version
	Names      map[int]string    // of tables of predictions, by version
	Comparison comparison.Policy // in force, where the setup has a pairing; a zero one is the default
	Decision   *comparison.Decision
	Uncompared string // why the setup has no pairing; "" where that is plain
	// Measured is what earlier windows say of the label delay; see [MeasuredDelay].
	Measured time.Duration
	LeftOut  []LeftOut // what the caller has left out
	// History is what the latest reports of the other windows say, and what the superseded one said, in any order.
	History    []Past
	Chunks     []Past // of a table, oldest first
	Supersedes *Report
}

// Reference is what a version is compared with; a zero one has the reason in Why.
type Reference struct {
	Reference *quality.Reference
	SHA256    string // of its stored form
	Why       string // there is none
	// Estimator is that of Reference, where several reports use it; nil makes one.
	Estimator *quality.Estimator
}

// subject is a version in one role.
type subject struct {
	version int
	role    capture.Role
}

// champion is the version that the verdict is of.
func (job *Job) champion() int {
	if job.Champion != 0 {
		return job.Champion
	}
	// More rows as champion first, then in any slot, then the newer one.
	type served struct{ version, asChampion, all uint64 }
	by := map[int]*served{}
	for k, c := range job.Tally.cells {
		if c.state == nil || k.role != capture.Served || k.slot == registry.Pinned {
			continue
		}
		s := by[k.version]
		if s == nil {
			s = &served{version: uint64(k.version)}
			by[k.version] = s
		}
		s.all += c.state.Counts.Predictions
		if k.slot == registry.Champion {
			s.asChampion += c.state.Counts.Predictions
		}
	}
	best := served{}
	for _, s := range by {
		if cmp.Or(cmp.Compare(s.asChampion, best.asChampion), cmp.Compare(s.all, best.all), cmp.Compare(s.version, best.version)) > 0 {
			best = *s
		}
	}
	return int(best.version)
}

// subjects are the versions of the window in their order in the report: the
// champion, then those that served, then those that predicted beside another.
func (job *Job) subjects(champion int) []subject {
	all := map[subject]bool{}
	if champion != 0 {
		all[subject{champion, capture.Served}] = true // even without a row
	}
	for k := range job.Tally.cells {
		if k.slot != registry.Pinned {
			all[subject{k.version, k.role}] = true
		}
	}
	first := func(s subject) int {
		if s == (subject{champion, capture.Served}) {
			return 0
		}
		return 1
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b subject) int {
		return cmp.Or(first(a)-first(b), -cmp.Compare(a.role, b.role), cmp.Compare(a.version, b.version))
	})
}
