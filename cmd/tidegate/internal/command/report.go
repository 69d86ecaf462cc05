package command

import (
	"fmt"
	"io"
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
	fmt.Fprintf(w, "reference %d rows, current %d rows; alpha %g over %d gates", r.Baseline.Rows, r.Rows.Compared, r.Alpha, r.Gates)
	if r.SegmentGates > 0 {
		fmt.Fprintf(w, ", half of it, and half over %d of segments", r.SegmentGates)
	}
	fmt.Fprint(w, "\n\n")
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
	segmentsTable(w, r)
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

// segmentsTable prints what drifts within segments, and counts the others.
func segmentsTable(w io.Writer, r *drift.Report) {
	for i := range r.Segments {
		by := &r.Segments[i]
		var cells [][]string
		verdicts := map[drift.Verdict]int{}
		for k := range by.Values {
			s := &by.Values[k]
			verdicts[s.Verdict]++
			for _, c := range s.Columns {
				if c.Verdict == drift.Drifted {
					cells = append(cells, append([]string{drift.SegmentName(by.Column, s.Name), fmt.Sprint(s.Current)}, gateRow(c.Name, c.Verdict, c.Gate)...))
				}
			}
		}
		fmt.Fprintf(w, "segments by %s: %d drift, %d do not, %d not enough data\n", profile.Cut(by.Column), verdicts[drift.Drifted], verdicts[drift.NoDrift], verdicts[drift.NotEnoughData])
		if len(cells) > 0 {
			table(w, []string{"SEGMENT", "ROWS", "COLUMN", "VERDICT", "GATE", "DISTANCE", "INTERVAL", "TOLERANCE", "ROWS NEEDED"}, cells)
			fmt.Fprintln(w)
		}
	}
}

func verdictRow(c *drift.Column) []string {
	return gateRow(c.Name, c.Verdict, drift.Deciding(c.Gates, c.Verdict))
}

func gateRow(name string, v drift.Verdict, g drift.Gate) []string {
	needed := ""
	if g.Answer == gate.Unknown {
		switch {
		case g.RowsNeeded > 0:
			needed = fmt.Sprint(g.RowsNeeded)
		case g.Undecidable():
			needed = "no number"
		default:
			needed = "more"
		}
	}
	distance, interval := fmt.Sprintf("%.4f", g.Value), fmt.Sprintf("%.4f … %.4f", g.Lo, g.Hi)
	if g.N == 0 {
		distance, interval, needed = "", "", ""
	}
	return []string{profile.Cut(name), drift.Words(v), strings.ReplaceAll(g.Name, "_", " "), distance, interval, fmt.Sprintf("%.2g", g.Bound), needed}
}

// reason says in words what the deciding gate found, and where the rest of the column has drifted too.
func reason(c *drift.Column) string {
	g := drift.Deciding(c.Gates, c.Verdict)
	text := strings.ReplaceAll(g.Name, "_", " ") + ", " + g.Reason
	if g.Undecidable() {
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
