package drift

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
)

// Job is all that a report is made from. Nothing of it is changed.
type Job struct {
	Model    string
	Window   period.Window
	Version  int
	Baseline *profile.Baseline // nil: there is none, and the report says so
	Digest   string            // sha256 of the baseline
	Policy   Policy
	Strata   []profile.Stratum // of the window, by sampling probability, in any order
	Totals   profile.Totals
	// Blocks are the strata by block of Policy.Cluster, and Days those by day, when the window has them.
	Blocks  [][]profile.Stratum
	Days    [][]profile.Stratum
	LeftOut []LeftOut // what the caller has left out
	// History is what the latest reports of the other windows say, and what the superseded one said, in any order.
	History    []Past
	Supersedes *Report
}

// Judge compares and writes the report. Errors: InvalidArgument, the policy;
// FailedPrecondition, the counts are of another baseline.
//
// It is pure: the same job gives the same bytes.
func Judge(job Job) (*Report, error) {
	if err := job.Policy.Check(); err != nil {
		return nil, err
	}
	job.Strata = slices.Clone(job.Strata) // job is a copy, its slices are not
	slices.SortFunc(job.Strata, func(a, b profile.Stratum) int { return cmp.Compare(a.Sampled, b.Sampled) })
	r := &Report{V: ReportVersion, Revision: 1, Model: job.Model, Window: job.Window, Version: job.Version, Policy: job.Policy,
		Alpha: job.Policy.Alpha, Verdict: NotEnoughData, Columns: []Column{}}
	r.Rows = Rows{Compared: job.Totals.Report.Rows, Requests: job.Totals.Requests, Errors: job.Totals.Errors}
	r.leaveOut(&job)
	if job.Baseline != nil {
		r.Baseline = BaselineRef{SHA256: job.Digest, Rows: job.Baseline.Rows}
		if err := r.compare(&job); err != nil {
			return nil, err
		}
		r.New, r.Absent = job.Totals.Report.Extra, job.Totals.Report.Absent
	}
	r.warn(&job)
	r.Summary = r.sentence(job.Baseline == nil)
	id, err := job.id(r.LeftOut)
	if err != nil {
		return nil, err
	}
	r.ID = id
	if job.Supersedes != nil {
		r.supersede(job.Supersedes)
	}
	r.stand(&job)
	return r, nil
}

// strataOf are the strata by column name.
func strataOf(b *profile.Baseline, strata []profile.Stratum) (map[string][]Stratum, error) {
	out := make(map[string][]Stratum, len(b.Columns))
	for i := range strata {
		if err := b.Fits(strata[i].Columns, strata[i].Split); err != nil {
			return nil, err
		}
		for k := range b.Columns {
			name := b.Columns[k].Name
			out[name] = append(out[name], Stratum{State: &strata[i].Columns[k], P: strata[i].Sampled})
		}
	}
	return out, nil
}

func (r *Report) compare(job *Job) error {
	b := job.Baseline
	current, err := strataOf(b, job.Strata)
	if err != nil {
		return err
	}
	rules, off := job.Policy.Rules(b, current)
	rules.DesignEffect = job.Policy.DesignEffect
	rules.DesignEffects, rules.ReferenceEffects = job.measuredEffects()
	if rules.ReferenceEffects != nil {
		rules.Solitary = map[string]uint64{}
		for i, rows := range b.Cluster.Solitary {
			rules.Solitary[b.Columns[i].Name] = rows
		}
	}
	if len(job.cuts()) > 0 {
		rules.Share = 0.5 // the segments have the other half
		if r.Segments, r.SegmentGates, err = job.segments(&rules); err != nil {
			return fault.Wrap(err, fault.FailedPrecondition, "the segments cannot be compared with the baseline: %v", err)
		}
		r.DriftedSegments = driftedSegments(r.Segments)
	}
	result, err := Compare(b, current, rules)
	if err != nil {
		return fault.Wrap(err, fault.FailedPrecondition, "the counts cannot be compared with the baseline: %v", err)
	}
	r.Verdict, r.Gates, r.Drifted = result.Verdict, result.Gates, result.Drifted()
	if len(r.DriftedSegments) > 0 {
		r.Verdict = Drifted
	}
	weight, squares := 0.0, 0.0
	for i := range job.Strata {
		n, w := float64(job.Strata[i].Rows), 1/job.Strata[i].Sampled
		weight, squares = weight+n*w, squares+n*w*w
	}
	if squares > 0 {
		r.Rows.Effective = math.Round(weight * weight / squares)
	}
	for i := range b.Columns {
		c := &b.Columns[i]
		column, err := columnOf(c, result.Columns[i], current[c.Name])
		if err != nil {
			return err
		}
		column.Off = off[c.Name]
		if e := rules.designEffect(c.Name); e != 1 {
			column.DesignEffect = round(e)
		}
		if e := rules.referenceEffect(c.Name); e != rules.designEffect(c.Name) {
			column.ReferenceEffect = round(e)
		}
		if column.Gating && column.Verdict == NotEnoughData {
			r.Undecided = append(r.Undecided, c.Name)
		}
		r.Columns = append(r.Columns, column)
	}
	r.RowsNeeded = r.needed()
	slices.Sort(r.Undecided)
	return nil
}

func columnOf(c *profile.Column, result ColumnResult, strata []Stratum) (Column, error) {
	states := make([]*profile.State, len(strata))
	for i, s := range strata {
		states[i] = s.State
	}
	ref, err := NewSample(1, Stratum{State: &c.State, P: 1})
	if err != nil {
		return Column{}, err
	}
	cur, err := NewSample(1, strata...)
	if err != nil {
		return Column{}, err
	}
	if cur.Cells == nil {
		cur.Cells = make([]float64, c.CellCount())
	}
	return Column{ColumnResult: result, Reference: sideOf(c, &c.State), Current: sideOf(c, states...),
		Distribution: distributionOf(c, &ref, &cur, strata)}, nil
}

// needed is the number of rows that decides all undecided columns; 0 when one of them cannot say.
func (r *Report) needed() int64 {
	var most int64
	for i := range r.Columns {
		c := &r.Columns[i]
		if !c.Gating || c.Verdict != NotEnoughData {
			continue
		}
		if c.RowsNeeded == 0 {
			return 0
		}
		most = max(most, c.RowsNeeded)
	}
	return most
}

// leaveOut lists the caller's findings and those of the profiles, sorted.
func (r *Report) leaveOut(job *Job) {
	r.LeftOut = append(r.LeftOut, job.LeftOut...)
	rep := &job.Totals.Report
	if n := rep.Malformed; n > 0 {
		r.LeftOut = append(r.LeftOut, LeftOut{Reason: LeftMalformed, Count: n, Unit: UnitRows, Detail: "lines that are no rows; the first: " + rep.First})
	}
	for _, u := range rep.Uncounted {
		l := LeftOut{Reason: LeftUncounted, Count: u.Rows, Unit: UnitRows, Detail: u.Reason}
		if u.Rows == 0 {
			l.Count, l.Unit = 1, UnitObjects
		}
		r.LeftOut = append(r.LeftOut, l)
	}
	for _, c := range rep.LeftOut {
		r.LeftOut = append(r.LeftOut, LeftOut{Reason: LeftColumn, Count: 1, Unit: UnitColumns, Detail: fmt.Sprintf("%q: %s", profile.Cut(c.Column), c.Reason)})
	}
	if n := job.Totals.Duplicates; n > 0 {
		r.LeftOut = append(r.LeftOut, LeftOut{Reason: LeftDuplicate, Count: n, Unit: UnitRecords, Detail: "delivered more than once and counted once"})
	}
	slices.SortFunc(r.LeftOut, func(a, b LeftOut) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Detail, b.Detail), cmp.Compare(a.Count, b.Count))
	})
	r.Rows.In = r.Rows.Compared
	for i := range r.LeftOut {
		l := &r.LeftOut[i]
		l.Examples = slices.Sorted(slices.Values(l.Examples))
		l.Examples = l.Examples[:min(len(l.Examples), maxExamples)]
		if l.Unit == UnitRows {
			r.Rows.In += l.Count
		}
	}
}

func (r *Report) sentence(noBaseline bool) string {
	compared, do := count(r.Rows.Compared, UnitRows), "do"
	if r.Rows.Compared == 1 {
		do = "does"
	}
	switch {
	case noBaseline && r.Rows.In > 0:
		return fmt.Sprintf("Not judged: none of the %s belongs to a version with a baseline.", count(r.Rows.In, UnitRows))
	case r.Rows.Compared == 0:
		return "Not enough data: there are no rows to compare."
	case len(r.Drifted) == 0 && len(r.DriftedSegments) > 0:
		return fmt.Sprintf("Drift within segments alone (%s), over %s.", list(r.DriftedSegments), compared)
	case r.Verdict == Drifted && len(r.Drifted) == 1:
		return fmt.Sprintf("Drift in %q%s, over %s.", r.Drifted[0], r.within(), compared)
	case r.Verdict == Drifted:
		return fmt.Sprintf("Drift in %d columns (%s)%s, over %s.", len(r.Drifted), list(r.Drifted), r.within(), compared)
	case r.Verdict == NoDrift && len(r.Segments) > 0:
		return fmt.Sprintf("No drift: every gating column stays within its tolerance, and no segment shows drift, over %s.", compared)
	case r.Verdict == NoDrift:
		return fmt.Sprintf("No drift: every gating column stays within its tolerance, over %s.", compared)
	case r.Gates == 0:
		return "Not judged: no column gates."
	case r.RowsNeeded > 0:
		return fmt.Sprintf("Not enough data: %s %s not decide %s; about %d would, if the distances stay as they are.", compared, do, list(r.Undecided), r.RowsNeeded)
	}
	return fmt.Sprintf("Not enough data: %s %s not decide %s.", compared, do, list(r.Undecided))
}

// within names the segments that drift, behind the columns.
func (r *Report) within() string {
	if len(r.DriftedSegments) == 0 {
		return ""
	}
	return fmt.Sprintf(" and within segments (%s)", list(r.DriftedSegments))
}

// list writes at most five names.
func list(names []string) string {
	const most = 5
	cut := make([]string, 0, most)
	for _, n := range names[:min(len(names), most)] {
		cut = append(cut, profile.Cut(n))
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(cut, ", "), len(names)-most)
	}
	return strings.Join(cut, ", ")
}

// id is a digest of what was compared and how; neither of how the rows were split nor of the history.
func (job *Job) id(leftOut []LeftOut) (string, error) {
	raw, err := json.Marshal(struct {
		V       int
		Model   string
		Window  period.Window
		Version int
		Digest  string
		Policy  Policy
		Strata  []profile.Stratum
		LeftOut []LeftOut
		Extra   []string
		Absent  []string
		Skewed  uint64
	}{ReportVersion, job.Model, job.Window, job.Version, job.Digest, job.Policy, job.Strata, leftOut,
		job.Totals.Report.Extra, job.Totals.Report.Absent, job.Totals.Skewed})
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "the counts of a window cannot be encoded")
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16]), nil
}
