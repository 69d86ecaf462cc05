package command

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/profile"
)

// reportTable prints a report: the verdict first, then the gate that decides each
// column, then what does not gate and what was left out.
func reportTable(w io.Writer, r *drift.Report) {
	fmt.Fprintln(w, r.Summary)
	fmt.Fprintf(w, "reference %d rows, current %d rows; alpha %g over %d gates\n\n", r.Baseline.Rows, r.Rows.Compared, r.Alpha, r.Gates)
	var cells [][]string
	for _, v := range []drift.Verdict{drift.Drifted, drift.NotEnoughData, drift.NoDrift} {
		for i := range r.Columns {
			if c := &r.Columns[i]; c.Gating && c.Verdict == v {
				cells = append(cells, verdictRow(c))
			}
		}
	}
	if len(cells) > 0 {
		table(w, []string{"COLUMN", "VERDICT", "GATE", "DISTANCE", "INTERVAL", "TOLERANCE", "ROWS NEEDED"}, cells)
		fmt.Fprintln(w)
	}
	for i := range r.Columns {
		c := &r.Columns[i]
		if c.Gating && c.Verdict != drift.NoDrift {
			fmt.Fprintf(w, "%s: %s\n", profile.Cut(c.Name), reason(c))
		}
	}
	notGating(w, r)
	for _, l := range r.LeftOut {
		unit := l.Unit
		if l.Count == 1 {
			unit = strings.TrimSuffix(unit, "s")
		}
		fmt.Fprintf(w, "left out: %d %s, %s\n", l.Count, unit, l.Detail)
	}
	if len(r.New) > 0 {
		fmt.Fprintf(w, "not compared, as the reference does not have them: %s\n", few(r.New))
	}
	if len(r.Absent) > 0 {
		fmt.Fprintf(w, "in no current file, so missing in all rows: %s\n", few(r.Absent))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
}

func verdictRow(c *drift.Column) []string {
	g := deciding(c)
	needed := ""
	if g.Answer == gate.Unknown {
		switch {
		case g.RowsNeeded > 0:
			needed = fmt.Sprint(g.RowsNeeded)
		case undecidable(g):
			needed = "no number"
		default:
			needed = "more"
		}
	}
	distance, interval := fmt.Sprintf("%.4f", g.Value), fmt.Sprintf("%.4f … %.4f", g.Lo, g.Hi)
	if g.N == 0 {
		distance, interval, needed = "", "", ""
	}
	return []string{profile.Cut(c.Name), drift.Words(c.Verdict), strings.ReplaceAll(g.Name, "_", " "), distance, interval, fmt.Sprintf("%.2g", g.Bound), needed}
}

// deciding is the gate that the column's verdict hangs on: of those that say drift
// the one furthest above its tolerance; of undecided ones the one that needs most
// rows; of those that say no drift the one nearest to its tolerance.
func deciding(c *drift.Column) drift.Gate {
	want, weight := gate.No, func(g drift.Gate) float64 { return g.Hi / g.Bound }
	switch c.Verdict {
	case drift.Drifted:
		want, weight = gate.Yes, func(g drift.Gate) float64 { return g.Lo / g.Bound }
	case drift.NotEnoughData:
		want, weight = gate.Unknown, func(g drift.Gate) float64 {
			if undecidable(g) {
				return math.Inf(1)
			}
			return float64(g.RowsNeeded) // 0 where it is not known
		}
	}
	var able []drift.Gate
	for _, g := range c.Gates {
		if g.Answer == want {
			able = append(able, g)
		}
	}
	return slices.MaxFunc(able, func(a, b drift.Gate) int { return cmp.Compare(weight(a), weight(b)) })
}

// undecidable says whether no number of rows decides the gate, while its distance stays.
func undecidable(g drift.Gate) bool {
	return g.Answer == gate.Unknown && g.N > 0 && g.RowsNeeded == 0
}

// reason says in words what the deciding gate found, and where the rest of the column has drifted too.
func reason(c *drift.Column) string {
	g := deciding(c)
	text := strings.ReplaceAll(g.Name, "_", " ") + ", " + g.Reason
	if undecidable(g) {
		text += "; no window decides: the reference is too small, or the distance is at the tolerance"
	}
	var others []string
	for _, o := range c.Gates {
		if o.Answer == gate.Yes && o.Name != g.Name {
			others = append(others, strings.ReplaceAll(o.Name, "_", " "))
		}
	}
	if len(others) > 0 {
		text += "; also " + strings.Join(others, ", ")
	}
	return text
}

// notGating lists the columns that are reported and do not gate, by reason.
func notGating(w io.Writer, r *drift.Report) {
	var order []string
	names := map[string][]string{}
	for i := range r.Columns {
		c := &r.Columns[i]
		if c.Gating {
			continue
		}
		why := first(c.Off, c.Note, "nothing of it can be compared")
		if names[why] == nil {
			order = append(order, why)
		}
		names[why] = append(names[why], profile.Cut(c.Name))
	}
	slices.Sort(order)
	for _, why := range order {
		fmt.Fprintf(w, "not gating: %s (%s)\n", few(names[why]), why)
	}
}
