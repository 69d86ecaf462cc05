package drift

import (
	"fmt"
	"sort"

	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/profile"
)

// Verdict is what a comparison says of a column or a job.
type Verdict string

// The verdicts. Drift and NoDrift are both claims with an error; NotEnoughData is neither.
const (
	Drifted       Verdict = "drift"
	NoDrift       Verdict = "no_drift"
	NotEnoughData Verdict = "not_enough_data"
)

func verdictOf(a gate.Answer) Verdict {
	switch a {
	case gate.Yes:
		return Drifted
	case gate.No:
		return NoDrift
	}
	return NotEnoughData
}

// Rules say how to compare. The zero value is not valid; see [DefaultRules].
type Rules struct {
	Alpha        float64               `json:"alpha" validate:"gt=0,lt=1"`
	Tolerances   Tolerances            `json:"tolerances"`
	Columns      map[string]Tolerances `json:"columns,omitempty" validate:"dive"` // overrides
	Off          []string              `json:"off,omitempty"`                     // columns that are reported and do not gate
	DesignEffect float64               `json:"design_effect" validate:"gte=1"`
	// DesignEffects are those of single columns, where they were measured, and ReferenceEffects those of the
	// baseline's rows, where they are others.
	DesignEffects    map[string]float64 `json:"design_effects,omitempty"`
	ReferenceEffects map[string]float64 `json:"reference_effects,omitempty"`
	// Solitary are, by column, the baseline's rows whose value one cluster alone has. Then clusters are what is
	// drawn, and not rows: see [clustered].
	Solitary map[string]uint64 `json:"solitary,omitempty"`
	// Share of alpha that the gates of the columns have; 0 is all of it.
	Share float64 `json:"share,omitempty" validate:"gte=0,lte=1"`
}

func (r *Rules) designEffect(column string) float64 {
	if e, ok := r.DesignEffects[column]; ok {
		return e
	}
	return r.DesignEffect
}

func (r *Rules) referenceEffect(column string) float64 {
	if e, ok := r.ReferenceEffects[column]; ok {
		return e
	}
	return r.designEffect(column)
}

// DefaultRules are those of docs/statistics.md: at most 5 % of clean jobs alarm.
func DefaultRules() Rules {
	return Rules{Alpha: 0.05, Tolerances: DefaultTolerances(), DesignEffect: 1}
}

func (r *Rules) tolerances(column string) Tolerances {
	if t, ok := r.Columns[column]; ok {
		return t
	}
	return r.Tolerances
}

// ColumnResult is the comparison of one column.
type ColumnResult struct {
	Name    string       `json:"name"`
	Kind    profile.Kind `json:"kind"`
	Score   bool         `json:"score,omitempty"`
	Verdict Verdict      `json:"verdict"`
	Gating  bool         `json:"gating"` // false: off by policy, or nothing of it can be compared
	Note    string       `json:"note,omitempty"`
	Gates   []Gate       `json:"gates"`
	// RowsNeeded is the largest of the gates' that are not decided; 0 when none can say.
	RowsNeeded int64    `json:"rows_needed,omitempty"`
	Measures   Measures `json:"measures"`
}

// Result is the comparison of one job.
type Result struct {
	Verdict Verdict        `json:"verdict"`
	Alpha   float64        `json:"alpha"`
	Gates   int            `json:"gates"` // over which alpha was divided
	Columns []ColumnResult `json:"columns"`
}

// Drifted are the names of the gating columns with the verdict drift, sorted.
func (r *Result) Drifted() []string {
	var names []string
	for _, c := range r.Columns {
		if c.Gating && c.Verdict == Drifted {
			names = append(names, c.Name)
		}
	}
	sort.Strings(names)
	return names
}

// Compare judges every column of the baseline. current holds the window's strata
// by column name; a column that the window lacks altogether counts as missing in
// all of rows.
func Compare(b *profile.Baseline, current map[string][]Stratum, rules Rules) (Result, error) {
	l := level{alpha: rules.Alpha, share: rules.Share}
	for i := range b.Columns {
		if !rules.off(b.Columns[i].Name) {
			l.gates += len(gatesOf(rules.clustered(&b.Columns[i])))
		}
	}
	out := Result{Alpha: rules.Alpha, Gates: l.gates}
	var answers []gate.Answer
	for i := range b.Columns {
		c := &b.Columns[i]
		ref, err := NewSample(rules.referenceEffect(c.Name), Stratum{State: &c.State, P: 1})
		if err != nil {
			return Result{}, err
		}
		cur, err := NewSample(rules.designEffect(c.Name), current[c.Name]...)
		if err != nil {
			return Result{}, fmt.Errorf("column %q: %w", c.Name, err)
		}
		if cur.Cells == nil {
			cur.Cells = make([]float64, c.CellCount())
		}
		r := compareColumn(rules.clustered(c), &ref, &cur, rules.tolerances(c.Name), l)
		r.Gating = r.Gating && !rules.off(c.Name)
		r.Measures = measure(c, current[c.Name], &ref, &cur)
		if r.Gating {
			answers = append(answers, answerOf(r.Gates))
		}
		out.Columns = append(out.Columns, r)
	}
	adjust(out.Columns)
	out.Verdict = verdictOf(gate.Any(answers...))
	return out, nil
}

func (r *Rules) off(column string) bool {
	for _, name := range r.Off {
		if name == column {
			return true
		}
	}
	return false
}

// gatesOf are the names of the gates that a column takes part in.
func gatesOf(c *profile.Column) []string {
	var names []string
	if c.State.Values() > 0 {
		switch {
		case c.Kind == profile.Numeric && c.Few:
			names = append(names, GateNumeric, GateCategorical)
		case c.Kind == profile.Numeric:
			names = append(names, GateNumeric)
		case !c.Identifier:
			names = append(names, GateCategorical, GateUnseen)
		}
	}
	if c.State.Rows > 0 {
		names = append(names, GateMissing, GateWrongType)
	}
	return names
}

func compareColumn(c *profile.Column, ref, cur *Sample, tol Tolerances, l level) ColumnResult {
	r := ColumnResult{Name: c.Name, Kind: c.Kind, Score: c.Score}
	for _, name := range gatesOf(c) {
		r.Gates = append(r.Gates, gateOf(name, c, ref, cur, tol, l))
	}
	r.Gating = len(r.Gates) > 0
	r.Verdict = verdictOf(answerOf(r.Gates))
	r.RowsNeeded = neededOf(r.Gates)
	switch {
	case !r.Gating:
		r.Note = "the baseline has no rows of this column"
	case c.State.Values() == 0:
		r.Note = "the baseline holds no value: only missing values and types are compared"
	case c.Identifier:
		r.Note = "an identifier: its values hardly repeat, so only missing values and types are compared"
	}
	return r
}

// gateOf judges one of the gates of a column.
func gateOf(name string, c *profile.Column, ref, cur *Sample, tol Tolerances, l level) Gate {
	switch name {
	case GateNumeric:
		t := tol.Numeric
		if c.Score {
			t = tol.Score
		}
		return numericGate(c, ref, cur, t, l)
	case GateCategorical:
		return categoricalGate(c, ref, cur, tol.Categorical, l)
	case GateUnseen:
		return unseenGate(c, ref, cur, tol.Unseen, l)
	case GateMissing:
		return shareGate(name, cur.Missing, cur.Rows, ref.Missing, ref.Rows, tol.Missing, l)
	}
	return shareGate(name, cur.WrongType, cur.Rows, ref.WrongType, ref.Rows, tol.WrongType, l)
}

func answerOf(gates []Gate) gate.Answer {
	answers := make([]gate.Answer, len(gates))
	for i, g := range gates {
		answers[i] = g.Answer
	}
	return gate.Any(answers...)
}

// neededOf is the largest number of rows that an undecided gate asks for; 0 when
// one of them cannot be decided by any window.
func neededOf(gates []Gate) int64 {
	var most int64
	for _, g := range gates {
		if g.Answer != gate.Unknown {
			continue
		}
		if g.RowsNeeded == 0 {
			return 0
		}
		most = max(most, g.RowsNeeded)
	}
	return most
}
