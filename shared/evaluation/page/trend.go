package page

import (
	"fmt"
	"math"
	"strings"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/webpage"
)

// trend is a metric over windows: the value with its interval, the reference, and
// the band of the estimate behind them.
type trend struct {
	Metric             string
	Points             []trendPoint
	Band               []string // path data, one for each run of windows with an estimate
	Line, Reference    string   // path data; gaps where a window has none
	Most, Middle, Low  string
	First, Last, Label string
	Estimated          bool
}

type trendPoint struct {
	X, Y, Low, High string
	Limits          bool // it has an interval
}

// A trend is drawn in a box of these units.
const (
	trendWidth  = 1000.0
	trendHeight = 240.0
)

// pointsOf are the points of a metric by window, nil where a window has none.
func pointsOf(past []evaluation.Past, metric string) (points []*evaluation.Point, ends []float64) {
	for i := range past {
		var found *evaluation.Point
		for k := range past[i].Points {
			if past[i].Points[k].Name == metric {
				found = &past[i].Points[k]
			}
		}
		points = append(points, found)
		if found == nil {
			continue
		}
		for _, x := range []*float64{found.Value, found.Lo, found.Hi, found.Reference, found.Estimate, found.EstimateLo, found.EstimateHi} {
			if x != nil {
				ends = append(ends, *x)
			}
		}
	}
	return points, ends
}

// trendOf draws the metric, or the first gate of the policy; nil where fewer than two windows have a value.
func trendOf(past []evaluation.Past, metric string, p *quality.Policy) *trend {
	if len(p.Metrics) > 0 {
		metric = p.Metrics[0]
	}
	points, ends := pointsOf(past, metric)
	seen := 0
	for _, x := range points {
		if x != nil && (x.Value != nil || x.Estimate != nil) {
			seen++
		}
	}
	if seen < 2 {
		return nil
	}
	a := holding(ends...)
	t := &trend{Metric: metricName(metric), Most: webpage.Measure(a.to), Middle: webpage.Measure((a.from + a.to) / 2), Low: webpage.Measure(a.from),
		First: past[0].Window, Last: past[len(past)-1].Window}
	t.draw(points, a)
	t.Label = fmt.Sprintf("%s of %d windows from %s to %s, between %s and %s", t.Metric, seen, t.First, t.Last, t.Low, t.Most)
	return t
}

func (t *trend) draw(points []*evaluation.Point, a axis) {
	step := trendWidth / float64(len(points))
	y := func(v float64) string { return webpage.Coordinate(trendHeight * (1 - a.at(v)/100)) }
	x := func(i int) string { return webpage.Coordinate(step * (float64(i) + 0.5)) }
	var line, reference strings.Builder
	var upper, lower []string // of the run of estimates
	flush := func() {
		if len(upper) > 0 {
			for i := len(lower) - 1; i >= 0; i-- {
				upper = append(upper, lower[i])
			}
			t.Band = append(t.Band, "M"+strings.Join(upper, "L")+"Z")
		}
		upper, lower = nil, nil
	}
	drawn := false
	for i, p := range points {
		if p == nil || p.EstimateLo == nil || p.EstimateHi == nil {
			flush()
		} else {
			left, right := webpage.Coordinate(step*float64(i)), webpage.Coordinate(step*float64(i+1))
			upper = append(upper, left+" "+y(*p.EstimateHi), right+" "+y(*p.EstimateHi))
			lower = append(lower, left+" "+y(*p.EstimateLo), right+" "+y(*p.EstimateLo))
			t.Estimated = true
		}
		if p != nil && p.Reference != nil {
			r := y(*p.Reference)
			fmt.Fprintf(&reference, "M%s %sL%s %s", webpage.Coordinate(step*float64(i)), r, webpage.Coordinate(step*float64(i+1)), r)
		}
		if p == nil || p.Value == nil {
			drawn = false
			continue
		}
		point := trendPoint{X: x(i), Y: y(*p.Value)}
		if p.Lo != nil && p.Hi != nil {
			point.Low, point.High, point.Limits = y(*p.Lo), y(*p.Hi), true
		}
		line.WriteString(map[bool]string{false: "M", true: "L"}[drawn] + point.X + " " + point.Y)
		drawn = true
		t.Points = append(t.Points, point)
	}
	flush()
	t.Line, t.Reference = line.String(), reference.String()
}

// tile is a window in the strip of the last ones.
type tile struct {
	label
	Window, Title string
	Here          bool
}

func tileOf(p *evaluation.Past, here string) tile {
	t := tile{label: labelOf(p.Verdict), Window: p.Window, Here: p.Window == here}
	if p.Rows == 0 {
		t.label = label{"empty", "·", "No predictions"}
	}
	t.Title = fmt.Sprintf("%s: %s, %s predictions, %s judged", p.Window, strings.ToLower(t.Word), webpage.Whole(p.Rows), webpage.Whole(p.Judged))
	if p.Low {
		t.Title += ", estimated quality low"
	}
	return t
}

func historyOf(r *evaluation.Report) (tiles []tile, state []fact) {
	for i := range r.History {
		tiles = append(tiles, tileOf(&r.History[i], r.Window.ID))
	}
	changed := "no"
	if r.Standing.Changed {
		changed = "yes"
	}
	return tiles, []fact{{"Model before", standing(r.Standing.Before)}, {"Model now", standing(r.Standing.After)}, {"Changed by this report", changed}}
}

func standing(s quality.Standing) string {
	switch s {
	case quality.StandingOK:
		return "✓ ok"
	case quality.StandingDegraded:
		return "▲ degraded"
	}
	return "? unknown"
}

// chunks is what the rows of a table say by stretch of time.
type chunks struct {
	Trend *trend
	Rows  []chunkRow
}

type chunkRow struct {
	label
	Window, Rows, Judged, Coverage, Value, Interval, Estimate, Band string
}

func chunksOf(r *evaluation.Report) *chunks {
	if len(r.Chunks) == 0 {
		return nil
	}
	metric := quality.Primary(r.Task)
	c := &chunks{Trend: trendOf(r.Chunks, metric, &r.Policy)}
	if len(r.Policy.Metrics) > 0 {
		metric = r.Policy.Metrics[0]
	}
	points, _ := pointsOf(r.Chunks, metric)
	for i := range r.Chunks {
		p := &r.Chunks[i]
		row := chunkRow{label: tileOf(p, "").label, Window: p.Window, Rows: webpage.Whole(p.Rows), Judged: webpage.Whole(p.Judged), Coverage: webpage.Percent(p.Coverage), Value: "–", Interval: "–", Estimate: "–", Band: "–"}
		if x := points[i]; x != nil {
			row.Value, row.Interval = valueOf(x.Value), between(x.Lo, x.Hi)
			if x.Estimate != nil {
				row.Estimate, row.Band = "≈ "+webpage.Measure(*x.Estimate), between(x.EstimateLo, x.EstimateHi)
			}
		}
		c.Rows = append(c.Rows, row)
	}
	return c
}

func valueOf(x *float64) string {
	if x == nil || math.IsNaN(*x) {
		return "–"
	}
	return webpage.Measure(*x)
}

func between(lo, hi *float64) string {
	if lo == nil || hi == nil {
		return "–"
	}
	return webpage.Measure(*lo) + " to " + webpage.Measure(*hi)
}
