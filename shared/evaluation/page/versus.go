package page

import (
	"fmt"
	"math"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/stat"
	"github.com/tidegate/tidegate/shared/webpage"
)

// versus is a challenger against the champion in words.
type versus struct {
	label
	Champion, Challenger string
	Pairs                string
	Summary              string
	Facts                []fact
	Primary              *contrast
	Metrics              []differenceRow
	Guards               []guardRow
	Reasons              []reasonRow
	Agreement            *agreement
	Segments             []segmentDifference
	Unchecked            string
	Unpaired             []unpairedRow
	Warnings             []string
}

// actions are the decisions of a comparison as labels.
var actions = map[comparison.Action]label{
	comparison.Start: {"ok", "✓", "Start"}, comparison.Advance: {"ok", "✓", "Advance"}, comparison.Promote: {"ok", "✓", "Promote"},
	comparison.NoStart: {"drift", "▲", "Do not start"}, comparison.Abort: {"drift", "▲", "Abort"}, comparison.Futility: {"drift", "▲", "Not better"},
	comparison.Wait: {"unknown", "?", "Wait"}, comparison.Pause: {"unknown", "?", "Ask a person"},
}

// betterLabel is the answer for one look, where nothing was decided.
func betterLabel(better *gate.Result) label {
	switch {
	case better == nil || better.Answer == gate.Unknown:
		return label{"unknown", "?", "Not decided"}
	case better.Answer == gate.Yes:
		return label{"ok", "✓", "Better"}
	}
	return label{"drift", "▲", "Not better"}
}

func versusOf(c *comparison.Report, better *gate.Result) *versus {
	v := &versus{Champion: c.Champion.Name, Challenger: c.Challenger.Name, Pairs: webpage.Whole(c.Pairs.Pairs), Warnings: c.Warnings, Facts: factsOfPairs(c), label: betterLabel(better)}
	if len(c.Bounds) > 0 && len(c.Metrics) > 0 {
		v.Primary = contrastOf(c)
		v.Summary = inWords(&c.Metrics[0], better)
	}
	if d := c.Decision; d != nil {
		v.label, v.Summary = actions[d.Action], d.Summary
		for i := range d.Reasons {
			v.Reasons = append(v.Reasons, reasonOf(&d.Reasons[i]))
		}
	}
	for i := range c.Metrics {
		v.Metrics = append(v.Metrics, differenceOf(&c.Metrics[i]))
	}
	v.Guards = guardsOf(c)
	if a := c.Agreement; a != nil && c.McNemar != nil {
		v.Agreement = agreementOf(a, c.McNemar)
	}
	v.Segments = segmentDifferences(c)
	if len(c.Segments) > 0 && c.Unchecked > 0 {
		v.Unchecked = webpage.Percent(c.Unchecked) + " of the pairs are in no segment that could be looked at."
	}
	for i := range c.Unpaired {
		v.Unpaired = append(v.Unpaired, unpairedOf(&c.Unpaired[i]))
	}
	return v
}

// inWords is the difference of the primary metric, and what one look at it says.
func inWords(d *comparison.Difference, better *gate.Result) string {
	name := metricName(d.Metric)
	if d.Unknown != "" {
		return name + " is not known: " + sentence(d.Unknown)
	}
	text := fmt.Sprintf("%s %s instead of %s: a difference of %s, 95 %% interval %s to %s.", name, webpage.Measure(d.Challenger.Value), webpage.Measure(d.Champion.Value),
		webpage.Signed(d.Delta), webpage.Signed(d.Lo), webpage.Signed(d.Hi))
	if better != nil && better.Reason != "" {
		text += " " + sentence(better.Reason)
	}
	return text
}

// glanceOf is the comparison's line of the overview: the champion in the middle, in margins.
func glanceOf(v *versus, c *comparison.Report) glance {
	g := glance{label: v.label, ID: "comparison", Name: v.Challenger + " against " + v.Champion, Role: v.Pairs + " pairs", Value: "–", Coverage: "–"}
	if v.Primary == nil {
		return g
	}
	g.Value, g.Interval = v.Primary.Name+" "+v.Primary.Delta, v.Primary.Interval
	d, margin := &c.Metrics[0], c.Bounds[0].Margin
	if margin > 0 {
		lo, hi := d.Lo/margin, d.Hi/margin
		a := around(leastTolerances, 2*mostTolerances, lo, hi)
		r := a.draw(d.Delta/margin, &stat.Interval{Lo: lo, Hi: hi})
		r.Mark, r.Label = a.on(0), v.Primary.Label
		r.limit(a, -1)
		g.Draw = &r
	}
	return g
}

func factsOfPairs(c *comparison.Report) []fact {
	pairs := webpage.Whole(c.Pairs.Pairs)
	if c.Pairs.Positives+c.Pairs.Negatives > 0 {
		pairs += fmt.Sprintf(" (%s positive)", webpage.Whole(c.Pairs.Positives))
	}
	facts := []fact{{"Pairs: rows both answered", pairs}, {"Same answer", webpage.OfRows(c.Identical, c.Pairs.Pairs)}}
	if c.Block != comparison.NoTime {
		facts = append(facts, fact{"Time blocks", fmt.Sprintf("%s (by %s)", webpage.Whole(uint64(c.Blocks)), c.Block)})
	}
	if n := c.Champion.Unmatched + c.Challenger.Unmatched; n > 0 {
		facts = append(facts, fact{"Answered by one side only", webpage.Whole(n)})
	}
	if c.Refused > 0 {
		facts = append(facts, fact{"Could not be counted", webpage.Whole(c.Refused)})
	}
	if !c.First.IsZero() {
		facts = append(facts, fact{"Time", c.First.UTC().Format(minute) + " to " + c.Last.UTC().Format(minute) + " UTC"})
	}
	for _, side := range []*comparison.SideInfo{&c.Champion, &c.Challenger} {
		if t := side.TrainedUntil; !t.IsZero() {
			facts = append(facts, fact{side.Name + " trained until", t.UTC().Format(time.DateOnly)})
		}
	}
	return facts
}

// contrast draws the difference of the primary metric: its interval for one look,
// and the bounds that hold at every look.
type contrast struct {
	reach
	Name                  string
	BoundFrom, BoundTo    string
	Goal                  string // how much better it must be, where that is not 0
	Delta, Interval, Ends string
	Margin                string
	Least, Most           string // ends of the axis
	Zero                  string // where 0 is, if its name has room between those of the ends
}

func contrastOf(c *comparison.Report) *contrast {
	d, b := &c.Metrics[0], &c.Bounds[0]
	if d.Unknown != "" || b.Unknown != "" {
		return nil
	}
	a := holding(0, -b.Margin, c.Policy.Delta, d.Lo, d.Hi, b.Lower, b.Upper)
	x := &contrast{reach: a.draw(d.Delta, &stat.Interval{Lo: d.Lo, Hi: d.Hi}), Name: metricName(d.Metric)}
	x.Mark = a.on(0)
	x.limit(a, -b.Margin)
	x.BoundFrom, x.BoundTo = webpage.Coordinate(a.at(b.Lower)), webpage.Coordinate(a.at(b.Upper))
	if c.Policy.Delta > 0 {
		x.Goal = a.on(c.Policy.Delta)
	}
	x.Delta, x.Margin = webpage.Signed(d.Delta), webpage.Signed(-b.Margin)
	x.Interval = webpage.Signed(d.Lo) + " to " + webpage.Signed(d.Hi)
	x.Ends = webpage.Signed(b.Lower) + " to " + webpage.Signed(b.Upper)
	x.Least, x.Most = webpage.Signed(a.from), webpage.Signed(a.to)
	if zero := a.at(0); zero > 30 && zero < 70 {
		x.Zero = webpage.Coordinate(zero)
	}
	x.Label = fmt.Sprintf("Difference of %s: %s, 95 %% interval %s, bounds that hold at every look %s; 0 is no difference, the margin is %s", x.Name, x.Delta, x.Interval, x.Ends, x.Margin)
	return x
}

// differenceRow is a metric of both sides.
type differenceRow struct {
	Name, Champion, Challenger, Delta, Interval, PValue, Note string
	Draw                                                      *reach
}

func differenceOf(d *comparison.Difference) differenceRow {
	row := differenceRow{Name: metricName(d.Metric), Champion: "–", Challenger: "–", Delta: "–", Interval: "–", PValue: "–", Note: d.Unknown}
	if d.Unknown != "" {
		return row
	}
	row.Champion, row.Challenger, row.Delta = webpage.Measure(d.Champion.Value), webpage.Measure(d.Challenger.Value), webpage.Signed(d.Delta)
	row.Interval, row.PValue = webpage.Signed(d.Lo)+" to "+webpage.Signed(d.Hi), webpage.PValue(d.PValue)
	if d.Resolution > 0.0005 {
		row.Note = "bins leave ±" + webpage.Measure(d.Resolution) + " open"
	}
	a := around(math.SmallestNonzeroFloat64, math.Inf(1), d.Lo, d.Hi, d.Delta)
	r := a.draw(d.Delta, &stat.Interval{Lo: d.Lo, Hi: d.Hi})
	r.Mark = a.on(0)
	r.Label = fmt.Sprintf("%s: difference %s, 95 %% interval %s", row.Name, row.Delta, row.Interval)
	row.Draw = &r
	return row
}

// guardRow is a guardrail: what must not get worse.
type guardRow struct {
	label
	Name, Delta, Ends, Margin, N, Note string
	Draw                               *reach
}

func guardLabel(b *comparison.Bound) label {
	switch {
	case b.Unknown != "":
		return label{"unknown", "?", "Cannot say"}
	case b.Harm < -b.Margin:
		return label{"drift", "▲", "Worse"}
	case b.Lower > -b.Margin:
		return label{"ok", "✓", "Kept"}
	}
	return label{"unknown", "?", "Not shown yet"}
}

// guardsOf draws every guardrail in its margins, as the metrics in their tolerances.
func guardsOf(c *comparison.Report) []guardRow {
	var ends []float64
	for i := range c.Bounds {
		if b := &c.Bounds[i]; i > 0 && b.Unknown == "" && b.Margin > 0 {
			ends = append(ends, b.Lower/b.Margin, b.Upper/b.Margin)
		}
	}
	a := around(leastTolerances, mostTolerances, ends...)
	var out []guardRow
	for i := range c.Bounds {
		b := &c.Bounds[i]
		if i == 0 {
			continue
		}
		row := guardRow{label: guardLabel(b), Name: metricName(b.Metric), Delta: "–", Ends: "–", Margin: "–", N: "–", Note: sentence(b.Unknown)}
		if b.Unknown == "" {
			row.Delta, row.Ends, row.Margin = webpage.Signed(b.Delta), webpage.Signed(b.Lower)+" to "+webpage.Signed(b.Upper), webpage.Signed(-b.Margin)
			row.N = webpage.Whole(uint64(math.Max(0, math.Round(b.N))))
			if b.Margin > 0 {
				r := a.draw(b.Delta/b.Margin, &stat.Interval{Lo: b.Lower / b.Margin, Hi: b.Upper / b.Margin})
				r.Mark = a.on(0)
				r.limit(a, -1)
				r.Label = fmt.Sprintf("%s: difference %s, bounds %s, margin %s", row.Name, row.Delta, row.Ends, row.Margin)
				row.Draw = &r
			}
		}
		out = append(out, row)
	}
	return out
}
