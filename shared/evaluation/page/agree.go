package page

import (
	"fmt"
	"strings"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/stat"
	"github.com/tidegate/tidegate/shared/webpage"
)

// agreement is how often each side has the class right, and McNemar's test of it.
type agreement struct {
	BothRight, ChampionOnly, ChallengerOnly, BothWrong string
	Words                                              string
}

func agreementOf(a *comparison.Agreement, m *stat.McNemar) *agreement {
	all := a.BothRight + a.ChampionOnly + a.ChallengerOnly + a.BothWrong
	if all == 0 {
		return nil
	}
	out := &agreement{BothRight: webpage.OfRows(a.BothRight, all), ChampionOnly: webpage.OfRows(a.ChampionOnly, all),
		ChallengerOnly: webpage.OfRows(a.ChallengerOnly, all), BothWrong: webpage.OfRows(a.BothWrong, all)}
	out.Words = fmt.Sprintf("The same class for %s of %s pairs. McNemar's test, for one look and for reading only: exact p %s, with continuity correction p %s.",
		webpage.OfRows(a.SameClass, all), webpage.Whole(all), equals(m.Exact), equals(m.Corrected))
	return out
}

func equals(p float64) string {
	s := webpage.PValue(p)
	if strings.HasPrefix(s, "<") {
		return s
	}
	return "= " + s
}

// segmentDifference is the difference of the primary metric in a segment.
type segmentDifference struct {
	label
	Name, Pairs, Champion, Challenger, Delta, Interval, Note string
	Draw                                                     *reach
}

func segmentName(s string) string {
	if s == "" {
		return "(missing)"
	}
	return s
}

// segmentsAxis holds the segments that are looked at: a tiny one would make all others a dot. Without any it holds all.
func segmentsAxis(c *comparison.Report) axis {
	looked, all := []float64{0}, []float64{0}
	for i := range c.Segments {
		s := &c.Segments[i]
		all = append(all, s.Difference.Lo, s.Difference.Hi)
		if s.Bound.Unknown == "" {
			looked = append(looked, s.Difference.Lo, s.Difference.Hi, -s.Bound.Margin)
		}
	}
	if len(looked) > 1 {
		return holding(looked...)
	}
	return holding(all...)
}

func segmentDifferences(c *comparison.Report) []segmentDifference {
	a := segmentsAxis(c)
	var out []segmentDifference
	for i := range c.Segments {
		s := &c.Segments[i]
		row := segmentDifference{label: label{"ok", "✓", "No harm shown"}, Name: segmentName(s.Segment), Pairs: webpage.Whole(s.Difference.Pairs),
			Champion: "–", Challenger: "–", Delta: "–", Interval: "–"}
		switch {
		case s.Bound.Unknown != "":
			row.label, row.Note = label{"unknown", "?", "Not looked at"}, sentence(s.Bound.Unknown)
		case s.Bound.Harm < -s.Bound.Margin:
			row.label = label{"drift", "▲", "Worse"}
		}
		if d := &s.Difference; d.Unknown == "" {
			row.Champion, row.Challenger, row.Delta = webpage.Measure(d.Champion.Value), webpage.Measure(d.Challenger.Value), webpage.Signed(d.Delta)
			row.Interval = webpage.Signed(d.Lo) + " to " + webpage.Signed(d.Hi)
			r := a.draw(d.Delta, &stat.Interval{Lo: d.Lo, Hi: d.Hi})
			r.Mark = a.on(0)
			if s.Bound.Unknown == "" {
				r.limit(a, -s.Bound.Margin)
			}
			r.Label = fmt.Sprintf("Segment %s: difference %s, 95 %% interval %s: %s", row.Name, row.Delta, row.Interval, strings.ToLower(row.Word))
			row.Draw = &r
		}
		out = append(out, row)
	}
	return out
}

// unpairedRow is a difference between the rows that each slot served.
type unpairedRow struct{ Name, Rows, Delta, Interval, Note string }

func unpairedOf(u *comparison.Unpaired) unpairedRow {
	row := unpairedRow{Name: metricName(u.Metric), Rows: webpage.Whole(u.Champion) + " and " + webpage.Whole(u.Challenger), Delta: "–", Interval: "–", Note: sentence(u.Unknown)}
	if u.Unknown == "" {
		row.Delta, row.Interval = webpage.Signed(u.Delta), webpage.Signed(u.Lo)+" to "+webpage.Signed(u.Hi)
	}
	return row
}

// reasonRow is a gate behind a decision.
type reasonRow struct {
	Sign, Word, Class         string
	Name, Value, Bound, Notes string
}

// reasonOf puts a gate in words. A harm that is shown is a yes that stops.
func reasonOf(g *gate.Result) reasonRow {
	bad := strings.HasPrefix(g.Name, "harm.") || g.Name == "same_answers"
	row := reasonRow{Sign: "?", Word: "Unknown", Class: "unknown", Name: reasonName(g.Name), Value: webpage.Number(g.Value), Bound: webpage.Number(g.Bound), Notes: sentence(g.Reason)}
	if strings.Contains(g.Name, ".") { // of a metric, not of a number of rows or seconds
		row.Value, row.Bound = webpage.Signed(g.Value), webpage.Signed(g.Bound)
	}
	switch {
	case g.Answer == gate.Unknown:
	case g.Answer == gate.Yes && bad:
		row.Sign, row.Word, row.Class = "▲", "Yes", "drift"
	case g.Answer == gate.No && bad:
		row.Sign, row.Word, row.Class = "✓", "No", "ok"
	case g.Answer == gate.Yes:
		row.Sign, row.Word, row.Class = "✓", "Yes", "ok"
	default:
		row.Sign, row.Word, row.Class = "▲", "No", "drift"
	}
	return row
}

// reasonName turns "harm.roc_auc.segment.UA" into words.
func reasonName(name string) string {
	kind, rest, found := strings.Cut(name, ".")
	if !found {
		return strings.ToUpper(name[:min(1, len(name))]) + strings.ReplaceAll(name[min(1, len(name)):], "_", " ")
	}
	metric, segment, cut := strings.Cut(rest, ".segment.")
	out := strings.ToUpper(kind[:1]) + strings.ReplaceAll(kind[1:], "_", " ") + ": " + metricName(metric)
	if cut {
		out += ", segment " + segmentName(segment)
	}
	return out
}
