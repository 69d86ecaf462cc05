package monitor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/profile"
)

// The check types of constraint_violations.json.
const (
	CheckDataType     = "data_type_check"
	CheckCompleteness = "completeness_check"
	CheckDrift        = "baseline_drift_check"
	CheckMissing      = "missing_column_check"
	CheckExtra        = "extra_column_check"
	CheckCategories   = "categorical_values_check"
)

// Violation is one entry of constraint_violations.json.
type Violation struct {
	Feature     string `json:"feature_name"`
	Check       string `json:"constraint_check_type"`
	Description string `json:"description"`
}

// Violations is constraint_violations.json.
type Violations struct {
	Violations []Violation `json:"violations"`
}

// Report writes what a comparison found as Model Monitor's violations: one entry
// for each gate of a gating column that says drift, and one for columns that are
// missing or new. Descriptions have the form that readers of these files parse
// ("distance: X exceeds threshold: Y", "Value: X does not meet …"). absent are the
// baseline's columns that the window does not hold, types the inferred types by
// feature, for the text alone.
func Report(r *drift.Report, absent []string, types map[string]string) Violations {
	out := Violations{Violations: []Violation{}}
	n := len(r.Columns)
	have := n - len(absent) + len(r.New)
	columns := func(which string) string {
		return fmt.Sprintf("There are %s columns in current dataset. Number of columns in current dataset: %d, Number of columns in baseline constraints: %d", which, have, n)
	}
	if len(absent) > 0 {
		out.add("Missing columns", CheckMissing, columns("missing")+". Missing: "+strings.Join(absent, ", "))
	}
	if len(r.New) > 0 {
		out.add("Extra columns", CheckExtra, columns("extra")+". Extra: "+strings.Join(r.New, ", "))
	}
	for i := range r.Columns {
		if c := &r.Columns[i]; c.Gating && c.Current.Rows > 0 && !slices.Contains(absent, c.Name) {
			out.column(c, types[c.Name])
		}
	}
	return out
}

func (v *Violations) add(feature, check, description string) {
	v.Violations = append(v.Violations, Violation{feature, check, description})
}

func (v *Violations) column(c *drift.Column, inferred string) {
	cur, ref := &c.Current, &c.Reference
	drifted := false
	for _, g := range c.Gates {
		if g.Answer != gate.Yes {
			continue
		}
		switch g.Name {
		case drift.GateNumeric, drift.GateCategorical:
			if !drifted {
				v.add(c.Name, CheckDrift, fmt.Sprintf("Baseline drift distance: %s exceeds threshold: %s", decimal(g.Value), decimal(g.Bound)))
			}
			drifted = true
		case drift.GateUnseen:
			v.add(c.Name, CheckCategories, unmet(1-ratio(cur.Unseen, cur.Rows-cur.Missing-cur.WrongType)))
		case drift.GateMissing:
			if missing := ratio(cur.Missing, cur.Rows); missing > ratio(ref.Missing, ref.Rows) { // more complete is drift, and no violation
				v.add(c.Name, CheckCompleteness, unmet(1-missing))
			}
		case drift.GateWrongType:
			v.add(c.Name, CheckDataType, mistyped(inferred, c))
		}
	}
}

func ratio(k, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return float64(k) / float64(n)
}

func unmet(x float64) string {
	return fmt.Sprintf("Value: %s does not meet the constraint requirement!", decimal(x))
}

func mistyped(inferred string, c *drift.Column) string {
	if inferred == "" {
		if inferred = Fractional; c.Kind == profile.Categorical {
			inferred = String
		}
	}
	expected := 100 * (1 - ratio(c.Reference.WrongType, c.Reference.Rows))
	observed := 100 * (1 - ratio(c.Current.WrongType, c.Current.Rows))
	return fmt.Sprintf("Data type match requirement is not met. Expected data type: %s, Expected match: %s%%. Observed: Only %s%% of data is %s.",
		inferred, decimal(expected), decimal(observed), inferred)
}

// decimal writes x as Java does: with a decimal point.
func decimal(x float64) string {
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
