package drift

import (
	"fmt"
	"math"
	"slices"

	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/profile"
)

// SegmentColumn is the comparison of the rows split by one column of the policy.
type SegmentColumn struct {
	Column string    `json:"column"`
	Values []Segment `json:"values"` // by falling baseline rows; then all other values, then none
}

// Segment is the comparison of the rows with one value: each gating column against
// the baseline's rows with it. A segment blocks where drift is shown in it; it never
// has to prove that there is none.
type Segment struct {
	Name      string          `json:"name"`
	Reference uint64          `json:"reference"` // rows, as they came
	Current   uint64          `json:"current"`
	Verdict   Verdict         `json:"verdict"`
	Drifted   []string        `json:"drifted,omitempty"` // columns
	Columns   []SegmentResult `json:"columns"`
}

// SegmentResult is one column in one segment, by the gate that decides it.
type SegmentResult struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Gate    Gate    `json:"gate"`
}

// SegmentName is the name of a segment in lists: "carrier=UA".
func SegmentName(column, value string) string {
	return profile.Cut(column) + "=" + value
}

// segments compares the segments that the policy names and the baseline has. The
// gates of all of them share half of alpha; the other half is the columns'.
func (job *Job) segments(rules *Rules) (out []SegmentColumn, gates int, err error) {
	cuts := job.cuts()
	for _, k := range cuts {
		for i := range job.Baseline.Segments[k].Len() {
			job.eachColumn(k, i, rules, func(_ int, c *profile.Column) { gates += len(segmentGates(c)) })
		}
	}
	l := level{alpha: rules.Alpha, gates: gates, share: 0.5}
	for _, k := range cuts {
		cut := SegmentColumn{Column: job.Baseline.Segments[k].Column}
		for i := range job.Baseline.Segments[k].Len() {
			s, err := job.segment(k, i, rules, l)
			if err != nil {
				return nil, 0, err
			}
			if s.Reference+s.Current > 0 {
				cut.Values = append(cut.Values, s)
			}
		}
		out = append(out, cut)
	}
	return out, gates, nil
}

// cuts are the baseline's splits that the policy asks for.
func (job *Job) cuts() (cuts []int) {
	if job.Baseline.Split == nil {
		return nil
	}
	for k := range job.Baseline.Segments {
		if slices.Contains(job.Policy.Segments, job.Baseline.Segments[k].Column) {
			cuts = append(cuts, k)
		}
	}
	return cuts
}

// eachColumn visits the columns that are compared in segment i of cut k: those that
// gate, but for the segments' own. Their counts are the baseline's in the segment.
func (job *Job) eachColumn(k, i int, rules *Rules, visit func(col int, c *profile.Column)) {
	b := job.Baseline
	for col := range b.Columns {
		if name := b.Columns[col].Name; name == b.Segments[k].Column || rules.off(name) {
			continue
		}
		c := b.Columns[col]
		c.State = b.Split.Segments[k][i*len(b.Columns)+col].State()
		visit(col, &c)
	}
}

// segmentGates are the gates that a column takes part in within a segment: those of
// all rows but for new values, whose share the baseline predicts for all rows together.
func segmentGates(c *profile.Column) []string {
	return slices.DeleteFunc(gatesOf(c), func(name string) bool { return name == GateUnseen })
}

func (job *Job) segment(k, i int, rules *Rules, l level) (Segment, error) {
	b := job.Baseline
	by := &b.Segments[k]
	s := Segment{Name: by.Name(i), Columns: []SegmentResult{}}
	s.Reference = b.SegmentRows(b.Split, k, i)
	for _, st := range job.Strata {
		s.Current += b.SegmentRows(st.Split, k, i)
	}
	var answers []gate.Answer
	var failed error
	job.eachColumn(k, i, rules, func(col int, c *profile.Column) {
		if failed != nil {
			return
		}
		gates, err := job.segmentColumn(k, i, col, c, rules, l)
		if err != nil || len(gates) == 0 {
			failed = err
			return
		}
		r := SegmentResult{Name: c.Name, Verdict: verdictOf(answerOf(gates))}
		r.Gate = Deciding(gates, r.Verdict)
		s.Columns = append(s.Columns, r)
		answers = append(answers, answerOf(gates))
		if r.Verdict == Drifted {
			s.Drifted = append(s.Drifted, c.Name)
		}
	})
	slices.Sort(s.Drifted)
	s.Verdict = verdictOf(gate.Any(answers...))
	return s, failed
}

// segmentColumn judges one column in one segment.
func (job *Job) segmentColumn(k, i, col int, c *profile.Column, rules *Rules, l level) ([]Gate, error) {
	names := segmentGates(c)
	if len(names) == 0 {
		return nil, nil
	}
	ref, err := NewSample(rules.referenceEffect(c.Name), Stratum{State: &c.State, P: 1})
	if err != nil {
		return nil, err
	}
	var strata []Stratum
	for _, st := range job.Strata {
		if st.Split != nil {
			state := st.Split.Segments[k][i*len(job.Baseline.Columns)+col].State()
			strata = append(strata, Stratum{State: &state, P: st.Sampled})
		}
	}
	cur, err := NewSample(rules.designEffect(c.Name), strata...)
	if err != nil {
		return nil, fmt.Errorf("column %q in segment %d by %q: %w", c.Name, i, job.Baseline.Segments[k].Column, err)
	}
	if cur.Cells == nil {
		cur.Cells = make([]float64, c.CellCount())
	}
	tol := rules.tolerances(c.Name)
	gates := make([]Gate, 0, len(names))
	for _, name := range names {
		if name == GateCategorical {
			gates = append(gates, sharesGate(c, segmentCells(c, &ref, &cur, l), ref.N(), cur.N(), tol.Categorical, l))
			continue
		}
		gates = append(gates, gateOf(name, c, &ref, &cur, tol, l))
	}
	return gates, nil
}

// segmentCells are the cells of a categorical comparison within a segment: the
// named values, and all others together. How much of these is new in one segment
// the baseline does not say, but known and new ones together are the same share.
func segmentCells(c *profile.Column, ref, cur *Sample, l level) cells {
	if c.Kind == profile.Numeric {
		return fewCells(c, ref, cur, l.z(1))
	}
	named := len(c.Cells.Named)
	rest := func(all []float64) []float64 {
		return append(slices.Clone(all[:named]), total(all[named:]))
	}
	return cells{ref: rest(ref.Cells), cur: rest(cur.Cells), unseen: -1}
}

// Deciding is the gate that a verdict hangs on: of those that say drift the one
// furthest above its tolerance; of undecided ones the one that needs most rows; of
// those that say no drift the one nearest to its tolerance.
func Deciding(gates []Gate, v Verdict) Gate {
	want, weight := gate.No, func(g *Gate) float64 { return g.Hi / g.Bound }
	switch v {
	case Drifted:
		want, weight = gate.Yes, func(g *Gate) float64 { return g.Lo / g.Bound }
	case NotEnoughData:
		want, weight = gate.Unknown, func(g *Gate) float64 {
			if g.Undecidable() {
				return math.Inf(1)
			}
			return float64(g.RowsNeeded) // 0 where it is not known
		}
	}
	best, most := -1, 0.0
	for i := range gates {
		if g := &gates[i]; g.Answer == want && (best < 0 || weight(g) > most) {
			best, most = i, weight(g)
		}
	}
	return gates[max(best, 0)]
}

// Undecidable says whether no number of rows decides the gate, while its distance stays.
func (g *Gate) Undecidable() bool {
	return g.Answer == gate.Unknown && g.N > 0 && g.RowsNeeded == 0
}

// driftedSegments are the names of the segments with the verdict drift, sorted.
func driftedSegments(columns []SegmentColumn) (names []string) {
	for i := range columns {
		for k := range columns[i].Values {
			if s := &columns[i].Values[k]; s.Verdict == Drifted {
				names = append(names, SegmentName(columns[i].Column, s.Name))
			}
		}
	}
	slices.Sort(names)
	return names
}
