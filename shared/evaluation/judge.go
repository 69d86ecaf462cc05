package evaluation

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/gate"
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

// Judge measures, judges and writes the report. Errors: InvalidArgument, the policy;
// FailedPrecondition, a reference is of another layout than the counts, or the
// comparison proves nothing.
//
// It is pure: the same job gives the same bytes.
func Judge(job Job) (*Report, error) {
	s := job.Tally.Setup()
	if err := s.Policy.CheckTask(s.Task); err != nil {
		return nil, err
	}
	if job.Comparison == (comparison.Policy{}) {
		job.Comparison = comparison.DefaultPolicy()
	}
	r := &Report{V: ReportVersion, Revision: 1, Model: job.Model, Window: job.Window, Task: s.Task, Classes: job.Tally.plan.classes,
		Verdict: quality.NotEnoughData, Versions: []VersionReport{}, Join: job.Tally.Join, Policy: s.Policy, Chunks: job.Chunks}
	r.Champion = job.champion()
	r.Incomplete = !s.MatureBefore.IsZero() && !job.Window.End.IsZero() && s.MatureBefore.Before(job.Window.End)
	r.delay(&job)
	for _, who := range job.subjects(r.Champion) {
		v, err := job.version(who, r.Incomplete)
		if err != nil {
			return nil, err
		}
		r.Versions = append(r.Versions, *v)
	}
	if err := r.compare(&job); err != nil {
		return nil, err
	}
	r.leaveOut(&job)
	r.warn(&job)
	if v := r.Version(r.Champion); v != nil {
		r.Verdict = v.Verdict
	}
	r.Summary = r.sentence()
	var err error
	if r.ID, err = r.digest(&job); err != nil {
		return nil, err
	}
	if job.Supersedes != nil {
		r.supersede(job.Supersedes)
	}
	r.stand(&job)
	return r, nil
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

// delay says which label delay is in force and what the window's own labels took.
func (r *Report) delay(job *Job) {
	p := &r.Policy
	r.Delay = LabelDelay{Seconds: int64(p.LabelDelay(job.Measured) / time.Second), Source: "default"}
	switch {
	case job.Tally.Setup().MatureBefore.IsZero():
		r.Delay = LabelDelay{Source: "none"}
	case p.LabelDelayMinutes != nil:
		r.Delay.Source = "policy"
	case job.Measured > 0:
		r.Delay.Source = "measured"
	}
	measured, n := job.Tally.LabelDelay()
	r.Delay.Measured, r.Delay.Labels = int64((measured+time.Second-1)/time.Second), n
}

// MeasuredDelay is the label delay that earlier windows show: the longest of those
// whose labels are complete; 0 where there is none.
func MeasuredDelay(history []Past) time.Duration {
	var most int64
	for _, p := range history {
		most = max(most, p.Delay)
	}
	return time.Duration(most) * time.Second
}

// compare adds the comparison, or why there is none.
func (r *Report) compare(job *Job) error {
	pairing := job.Tally.Setup().Pairing
	if pairing == nil {
		r.Uncompared = job.Uncompared
		return nil
	}
	if job.Tally.pairs.Pairs() == 0 {
		r.Uncompared = "no row with a label was predicted by both versions"
		return nil
	}
	c, err := comparison.NewReport(job.Tally.pairs, job.Comparison, job.Decision)
	if fault.Is(err, fault.FailedPrecondition) && !pairing.Spec.Pinned { // a result: these rows prove nothing
		r.Uncompared = fault.Public(err).Message
		return nil
	}
	if err != nil {
		return err
	}
	better, err := comparison.Better(job.Tally.pairs, job.Comparison)
	if err != nil {
		return err
	}
	r.Comparison, r.Better = c, &better
	return nil
}

func (r *Report) sentence() string {
	v := r.Version(r.Champion)
	switch {
	case v == nil || v.Quality.Counts.Predictions == 0:
		return "Not enough data: there are no predictions."
	case v.Reference == nil && r.Better != nil: // of tables that are compared
		return r.better()
	case v.EstimatedLow != "" && v.Verdict == quality.NotEnoughData:
		return v.Summary + " " + v.EstimatedLow
	}
	return v.Summary
}

// better says whether the challenger is better, as a sentence.
func (r *Report) better() string {
	d := &r.Comparison.Metrics[0]
	by := fmt.Sprintf("%s differs by %.4g [%.4g, %.4g] over %s", d.Metric, d.Delta, d.Lo, d.Hi, count(d.Pairs, "pairs"))
	switch {
	case r.Comparison.Identical == r.Comparison.Pairs.Pairs:
		return "The same answers: no row tells the two apart."
	case d.Unknown != "":
		return fmt.Sprintf("Not enough data: %s, %s.", d.Metric, d.Unknown)
	case r.Better.Answer == gate.Yes:
		return "The challenger is better: " + by + "."
	case r.Better.Answer == gate.No && d.Hi < 0:
		return "The challenger is worse: " + by + "."
	case r.Better.Answer == gate.No:
		return "The challenger is not better: " + by + "."
	}
	return "Not enough data to say which is better: " + by + "."
}

// digest is of what was counted and how it was judged; not of the history.
func (r *Report) digest(job *Job) (string, error) {
	counts, err := job.Tally.Encode()
	if err != nil {
		return "", err
	}
	references := map[int]string{}
	for n, ref := range job.References {
		references[n] = ref.SHA256 + ref.Why
	}
	raw, err := json.Marshal(struct {
		V          int
		Model      string
		Window     period.Window
		Champion   int
		Policy     quality.Policy
		Comparison comparison.Policy
		Decision   *comparison.Decision
		Uncompared string
		References map[int]string
		Names      map[int]string
		Measured   time.Duration
		Counts     [sha256.Size]byte
		LeftOut    []LeftOut
		Chunks     []Past
	}{ReportVersion, job.Model, job.Window, r.Champion, r.Policy, job.Comparison, job.Decision, r.Uncompared, references, job.Names,
		job.Measured, sha256.Sum256(counts), r.LeftOut, job.Chunks})
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "what was evaluated cannot be encoded")
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16]), nil
}

// count writes "1 row", "12 rows".
func count(n uint64, unit string) string {
	if n == 1 {
		unit = unit[:len(unit)-1]
	}
	return fmt.Sprintf("%d %s", n, unit)
}
