package page

import (
	"fmt"
	"strings"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/webpage"
)

// segments are a version's quality by the values of one column, beside its quality
// over all rows.
type segments struct {
	Column, Note, Metric, All string
	Base                      bool // some of them has a base rate
	Rows                      []segmentRow
}

type segmentRow struct {
	label
	Name, Rows, Judged, Coverage, Base, Value, Interval, Note string
	Draw                                                      *reach
}

// segmentsOf compares each segment with the version as a whole, in tolerances: a
// segment has no reference of its own.
func segmentsOf(x *evaluation.VersionReport, m *measured) []segments {
	metric := quality.Primary(x.Quality.Task)
	if len(x.Gates) > 0 {
		metric = x.Gates[0].Name
	}
	whole := measured{policy: m.policy, reference: x.Quality.Metrics}
	to := whole.tolerances(metric)
	all := x.Quality.Metric(metric)
	var out []segments
	for i := range x.Segments {
		c := &x.Segments[i]
		s := segments{Column: c.Column, Note: sentence(c.Note), Metric: metricName(metric)}
		if all != nil && all.Value != nil {
			s.All = webpage.Measure(*all.Value)
		}
		rows := c.Segments
		if c.Other != nil {
			rows = append(rows[:len(rows):len(rows)], *c.Other)
		}
		a := segmentAxis(rows, metric, to)
		for k := range rows {
			row := segmentOf(&rows[k], metric, to, a)
			if c.Other != nil && k == len(c.Segments) {
				row.Name = fmt.Sprintf("all %s other values", webpage.Whole(c.Values-min(c.Values, uint64(len(c.Segments)))))
				if c.Values <= uint64(len(c.Segments)) {
					row.Name = "all other values"
				}
			}
			s.Base = s.Base || row.Base != "–"
			s.Rows = append(s.Rows, row)
		}
		out = append(out, s)
	}
	return out
}

func metricOf(s *evaluation.Segment, name string) *quality.Metric {
	for i := range s.Metrics {
		if s.Metrics[i].Name == name {
			return &s.Metrics[i]
		}
	}
	return nil
}

func segmentAxis(rows []evaluation.Segment, metric string, to func(float64) float64) axis {
	var ends []float64
	for i := range rows {
		if x := metricOf(&rows[i], metric); x != nil && x.Value != nil && to != nil {
			d, span := inTolerances(to, *x.Value, x.Interval)
			ends = append(ends, d)
			if span != nil {
				ends = append(ends, span.Lo, span.Hi)
			}
		}
	}
	return around(leastTolerances, mostTolerances, ends...)
}

func segmentOf(s *evaluation.Segment, metric string, to func(float64) float64, a axis) segmentRow {
	row := segmentRow{label: undecided, Name: s.Value, Rows: fmt.Sprintf("%s (%s)", webpage.Whole(s.Counts.Predictions), webpage.Percent(s.Share)), Judged: webpage.Whole(s.Counts.Judged),
		Coverage: "–", Base: "–", Value: "–", Interval: "–"}
	if s.Missing {
		row.Name = segmentName("")
	}
	if s.Counts.Mature > 0 {
		row.Coverage = webpage.Percent(s.Coverage)
	}
	if len(s.BaseRates) == 2 && s.Counts.Judged > 0 {
		row.Base = webpage.Percent(s.BaseRates[1])
	}
	x := metricOf(s, metric)
	if x == nil {
		row.Note = "Not measured."
		return row
	}
	row.Note = sentence(x.Reason)
	if x.Value == nil {
		return row
	}
	row.Value, row.Interval = webpage.Measure(*x.Value), spanOf(x.Interval)
	if to == nil {
		return row
	}
	d, span := inTolerances(to, *x.Value, x.Interval)
	switch {
	case span == nil:
	case span.Hi < -1:
		row.label = label{"drift", "▲", "Worse"}
	case span.Lo > -1:
		row.label = label{"ok", "✓", "Not worse"}
	}
	r := a.draw(d, span)
	r.Mark = a.on(0)
	r.limit(a, -1)
	r.Label = fmt.Sprintf("%s: %s, 95 %% interval %s: %s", row.Name, row.Value, row.Interval, strings.ToLower(row.Word))
	row.Draw = &r
	return row
}
