package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/webpage"
)

// view is the report in words: the template decides nothing.
type view struct {
	Title   string
	R       *drift.Report
	Verdict label
	What    string // "Window 2026-11-24", "Batch …"
	Facts   []fact
	Left    []left
	History []tile
	State   []fact
	Columns []column
	Cuts    []cut
}

// cut is the segments by one column: those that drift first, then by size.
type cut struct {
	ID, Column, Counts string
	Rows               []segment
}

type segment struct {
	label
	Name, Reference, Current string
	Because                  []string // a line for each column that drifts, else the nearest one
}

// label is a verdict as a class, a sign and a word, so that colour is never alone.
type label struct{ Class, Sign, Word string }

type fact struct{ Name, Value string }

type left struct{ Count, Reason, Detail, Examples string }

type tile struct {
	label
	Window, Title string
	Here          bool
}

type column struct {
	ID, Name, Kind string
	label
	Note     string
	Deciding string // the gate that decides, in a few words
	Numbers  *numbers
	Bars     []bar
	Gates    []gateRow
	Measures []fact
	Sides    []side
}

type gateRow struct {
	label
	Name, Value, Interval, Tolerance, Rows, Needed, Reason string
	Plot                                                   plot
}

type side struct{ Name, Reference, Current string }

func labelOf(v drift.Verdict) label {
	switch v {
	case drift.Drifted:
		return label{"drift", "▲", "Drift"}
	case drift.NoDrift:
		return label{"ok", "✓", "No drift"}
	}
	return label{"unknown", "?", "Not enough data"}
}

var offLabel = label{"off", "–", "Not gating"}

func viewOf(r *drift.Report) *view {
	v := &view{R: r, Verdict: labelOf(r.Verdict), What: "Window " + r.Window.ID}
	if r.Window.Batch {
		v.What = "Batch " + r.Window.ID
	}
	v.Title = strings.TrimSpace(fmt.Sprintf("%s: %s · %s", v.Verdict.Word, r.Model, v.What))
	v.Facts = factsOf(r)
	for _, l := range r.LeftOut {
		v.Left = append(v.Left, left{Count: webpage.Whole(l.Count) + " " + l.Unit, Reason: strings.ReplaceAll(l.Reason, "_", " "), Detail: l.Detail, Examples: strings.Join(l.Examples, ", ")})
	}
	for _, p := range r.History {
		t := tile{label: labelOf(p.Verdict), Window: p.Window, Here: p.Window == r.Window.ID}
		if p.Rows == 0 {
			t.label = label{"empty", "·", "No rows"}
		}
		t.Title = fmt.Sprintf("%s: %s, %s rows", p.Window, strings.ToLower(t.Word), webpage.Whole(p.Rows))
		v.History = append(v.History, t)
	}
	v.State = []fact{{"Model before", stateOf(&r.Standing.Before)}, {"Model now", stateOf(&r.Standing.After)}}
	for i := range r.Columns {
		v.Columns = append(v.Columns, columnOf(&r.Columns[i]))
	}
	for i := range r.Segments {
		c := cutOf(&r.Segments[i])
		c.ID = fmt.Sprintf("segments-%d", i+1)
		v.Cuts = append(v.Cuts, c)
	}
	slices.SortStableFunc(v.Columns, func(a, b column) int { return cmp.Compare(rank[a.Class], rank[b.Class]) })
	for i := range v.Columns {
		v.Columns[i].ID = fmt.Sprintf("column-%d", i+1)
	}
	return v
}

// rank is the order of verdicts on the page, by class.
var rank = map[string]int{"drift": 0, "unknown": 1, "ok": 2, "off": 3}

func cutOf(s *drift.SegmentColumn) cut {
	c := cut{Column: s.Column}
	n := map[drift.Verdict]int{}
	for i := range s.Values {
		n[s.Values[i].Verdict]++
		c.Rows = append(c.Rows, segmentOf(&s.Values[i]))
	}
	slices.SortStableFunc(c.Rows, func(a, b segment) int { return cmp.Compare(min(rank[a.Class], 1), min(rank[b.Class], 1)) })
	c.Counts = fmt.Sprintf("%d drift, %d do not, %d have not enough data.", n[drift.Drifted], n[drift.NoDrift], n[drift.NotEnoughData])
	return c
}

func segmentOf(s *drift.Segment) segment {
	out := segment{label: labelOf(s.Verdict), Name: s.Name, Reference: webpage.Whole(s.Reference), Current: webpage.Whole(s.Current)}
	nearest, ratio := "", -1.0
	for i := range s.Columns {
		c := &s.Columns[i]
		text := fmt.Sprintf("%s: %s %s, tolerance %s", c.Name, cmp.Or(gateNames[c.Gate.Name], c.Gate.Name), webpage.Short(c.Gate.Value), webpage.Short(c.Gate.Bound))
		if c.Verdict == drift.Drifted {
			out.Because = append(out.Because, text)
		} else if near := c.Gate.Value / c.Gate.Bound; near > ratio {
			nearest, ratio = text, near
		}
	}
	if len(out.Because) == 0 && nearest != "" {
		out.Because = []string{nearest}
	}
	return out
}

func factsOf(r *drift.Report) []fact {
	facts := []fact{{"Rows compared", webpage.Whole(r.Rows.Compared)}}
	if r.Rows.In != r.Rows.Compared {
		facts = append(facts, fact{"Rows in", webpage.Whole(r.Rows.In)})
	}
	if r.Rows.Effective > 0 && uint64(r.Rows.Effective) != r.Rows.Compared {
		facts = append(facts, fact{"Worth, after sampling", webpage.Number(r.Rows.Effective)})
	}
	if r.Version > 0 {
		facts = append(facts, fact{"Version", fmt.Sprint(r.Version)})
	}
	if r.Baseline.Rows > 0 {
		facts = append(facts, fact{"Baseline rows", webpage.Whole(r.Baseline.Rows)})
	}
	if r.Gates > 0 {
		over := fmt.Sprintf("%d gates", r.Gates)
		if r.SegmentGates > 0 {
			over = fmt.Sprintf("%d gates of columns and %d of segments", r.Gates, r.SegmentGates)
		}
		facts = append(facts, fact{"False alarms", fmt.Sprintf("at most %s of clean jobs, over %s", webpage.Percent(r.Alpha), over)})
	}
	if r.RowsNeeded > 0 {
		facts = append(facts, fact{"Rows needed", "about " + webpage.Whole(uint64(r.RowsNeeded))})
	}
	if r.Rows.Requests > 0 {
		facts = append(facts, fact{"Requests", fmt.Sprintf("%s, %s failed", webpage.Whole(r.Rows.Requests), webpage.Whole(r.Rows.Errors))})
	}
	if !r.Window.Start.IsZero() {
		const minute = "2006-01-02 15:04"
		facts = append(facts, fact{"Time", r.Window.Start.UTC().Format(minute) + " to " + r.Window.End.UTC().Format(minute) + " UTC"})
	}
	return append(facts, fact{"Report", fmt.Sprintf("%s, revision %d", r.ID, r.Revision)})
}

func stateOf(s *drift.Standing) string {
	text := string(s.Model)
	if d := append(s.Drifted(), s.DriftedSegments()...); len(d) > 0 {
		text += " (" + strings.Join(d, ", ") + ")"
	}
	return text
}

func columnOf(c *drift.Column) column {
	v := column{Name: c.Name, Kind: string(c.Kind), label: labelOf(c.Verdict), Note: c.Note}
	if c.Score {
		v.Kind = "score, " + v.Kind
	}
	if !c.Gating {
		v.label = offLabel
	}
	if c.Off != "" {
		v.Note = "Does not gate: " + c.Off + "."
	} else if v.Note != "" {
		v.Note = strings.ToUpper(v.Note[:1]) + v.Note[1:] + "."
	}
	if c.DesignEffect > 0 {
		v.Note = strings.TrimSpace(v.Note + fmt.Sprintf(" Rows count as 1/%s each: they depend on one another.", webpage.Number(c.DesignEffect)))
	}
	v.Deciding = deciding(c)
	v.Numbers, v.Bars = numbersOf(&c.Distribution), barsOf(&c.Distribution)
	for i := range c.Gates {
		v.Gates = append(v.Gates, gateOf(&c.Gates[i]))
	}
	v.Measures = measuresOf(&c.Measures)
	v.Sides = sidesOf(c)
	return v
}

// gateNames are the gates in words.
var gateNames = map[string]string{
	drift.GateNumeric: "Distribution (Kolmogorov-Smirnov)", drift.GateCategorical: "Shares (total variation)",
	drift.GateUnseen: "New values, above expectation", drift.GateMissing: "Missing", drift.GateWrongType: "Wrong type",
}

func gateLabel(a gate.Answer) label {
	switch a {
	case gate.Yes:
		return labelOf(drift.Drifted)
	case gate.No:
		return labelOf(drift.NoDrift)
	}
	return labelOf(drift.NotEnoughData)
}

func gateOf(g *drift.Gate) gateRow {
	row := gateRow{label: gateLabel(g.Answer), Name: cmp.Or(gateNames[g.Name], g.Name), Value: webpage.Short(g.Value),
		Interval: webpage.Short(max(g.Lo, -1)) + " to " + webpage.Short(min(g.Hi, 1)), Tolerance: webpage.Short(g.Bound), Rows: webpage.Whole(uint64(max(0, g.N))), Reason: g.Reason, Plot: plotOf(g)}
	switch {
	case g.Answer != gate.Unknown:
		row.Needed = "–"
	case g.RowsNeeded > 0:
		row.Needed = webpage.Whole(uint64(g.RowsNeeded))
	default:
		row.Needed = "cannot say"
	}
	return row
}

// deciding is the gate that made the verdict: the first that drifted, else the one nearest to its tolerance.
func deciding(c *drift.Column) string {
	best, ratio := "", -1.0
	for i := range c.Gates {
		g := &c.Gates[i]
		text := fmt.Sprintf("%s %s, tolerance %s", cmp.Or(gateNames[g.Name], g.Name), webpage.Short(g.Value), webpage.Short(g.Bound))
		if g.Answer == gate.Yes {
			return text
		}
		near := g.Value / g.Bound
		if g.Answer == gate.Unknown && c.Verdict == drift.NotEnoughData {
			near += 1e6
		}
		if near > ratio {
			best, ratio = text, near
		}
	}
	return best
}

func measuresOf(m *drift.Measures) []fact {
	var out []fact
	add := func(name string, x *float64, format func(float64) string) {
		if x != nil {
			out = append(out, fact{name, format(*x)})
		}
	}
	add("Population stability index (PSI)", m.PSI, webpage.Short)
	add("PSI that 95 % of clean windows stay below", m.PSINull, webpage.Short)
	add("Jensen-Shannon distance, base 2", m.JensenShannon, webpage.Short)
	add("Wasserstein distance over σ, approximate", m.Wasserstein, webpage.Short)
	add("Kolmogorov-Smirnov p-value", m.KSPValue, webpage.PValue)
	if m.ChiSquare != nil {
		add("Chi-square p-value", &m.ChiSquare.PValue, webpage.PValue)
		add("Cramér's V", &m.ChiSquare.CramersV, webpage.Short)
	}
	add("p-value adjusted over columns, exploratory", m.Exploratory, webpage.PValue)
	add("Share of values that vanished, above expectation", m.Vanished, webpage.Percent)
	return out
}

func sidesOf(c *drift.Column) []side {
	out := []side{{"Rows", webpage.Whole(c.Reference.Rows), webpage.Whole(c.Current.Rows)},
		{"Missing", webpage.OfRows(c.Reference.Missing, c.Reference.Rows), webpage.OfRows(c.Current.Missing, c.Current.Rows)},
		{"Wrong type", webpage.OfRows(c.Reference.WrongType, c.Reference.Rows), webpage.OfRows(c.Current.WrongType, c.Current.Rows)}}
	if c.Reference.Unseen+c.Current.Unseen > 0 || c.Kind == "categorical" {
		out = append(out, side{"New values", "–", webpage.OfRows(c.Current.Unseen, c.Current.Rows)})
	}
	if c.Reference.Infinite+c.Current.Infinite > 0 {
		out = append(out, side{"Infinite", webpage.OfRows(c.Reference.Infinite, c.Reference.Rows), webpage.OfRows(c.Current.Infinite, c.Current.Rows)})
	}
	for _, x := range []struct {
		name     string
		ref, cur *float64
	}{{"Least", c.Reference.Min, c.Current.Min}, {"Mean", c.Reference.Mean, c.Current.Mean}, {"Largest", c.Reference.Max, c.Current.Max}} {
		if x.ref != nil || x.cur != nil {
			out = append(out, side{x.name, webpage.Optional(x.ref), webpage.Optional(x.cur)})
		}
	}
	return out
}
