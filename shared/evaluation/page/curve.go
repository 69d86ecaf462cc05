package page

import (
	"fmt"
	"math"
	"strings"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/webpage"
)

// calibration is the curve of a binary model: in each tenth of the rows the share of
// positive labels over the mean score, on two equal axes from 0.
type calibration struct {
	Points []calibrationPoint
	Line   string // path data through the points
	Middle string // of the axes
	End    string
}

type calibrationPoint struct {
	X, Y, Low, High              string // coordinates, Y from the top
	Score, Positive, Span, Worth string // in words
	label                               // whether the interval holds the mean score
}

// ends are where the axes of a calibration curve may end.
var ends = []float64{0.05, 0.1, 0.25, 0.5, 1}

func calibrationOf(points []quality.CalibrationPoint) *calibration {
	if len(points) == 0 {
		return nil
	}
	most := 0.0
	for i := range points {
		most = math.Max(most, math.Max(points[i].Score, points[i].Interval.Hi))
	}
	end := 1.0
	for _, e := range ends {
		if e >= most {
			end = e
			break
		}
	}
	a := axis{0, end}
	up := func(x float64) string { return webpage.Coordinate(100 - a.at(x)) }
	c := &calibration{Middle: webpage.Number(end / 2), End: webpage.Number(end)}
	var line strings.Builder
	for i := range points {
		p := &points[i]
		x, y := webpage.Coordinate(a.at(p.Score)), up(p.Positive)
		line.WriteString(map[bool]string{true: "M", false: "L"}[i == 0] + x + " " + y)
		point := calibrationPoint{X: x, Y: y, Low: up(p.Interval.Lo), High: up(p.Interval.Hi), Score: webpage.Measure(p.Score), Positive: webpage.Measure(p.Positive),
			Span: spanOf(&p.Interval), Worth: webpage.Whole(uint64(math.Round(p.Rows))), label: label{"ok", "✓", "Held"}}
		switch {
		case p.Interval.Hi < p.Score:
			point.label = label{"drift", "▼", "Scores too high"}
		case p.Interval.Lo > p.Score:
			point.label = label{"drift", "▲", "Scores too low"}
		}
		c.Points = append(c.Points, point)
	}
	c.Line = line.String()
	return c
}

// Words says how many points the diagonal misses.
func (c *calibration) Words() string {
	off := 0
	for i := range c.Points {
		if c.Points[i].Class != "ok" {
			off++
		}
	}
	switch off {
	case 0:
		return fmt.Sprintf("All %d points hold the diagonal: the scores can be read as probabilities.", len(c.Points))
	case 1:
		return fmt.Sprintf("1 of %d points misses the diagonal.", len(c.Points))
	}
	return fmt.Sprintf("%d of %d points miss the diagonal.", off, len(c.Points))
}

// confusion is a matrix of labels and predicted classes in words; of more classes
// than mostClasses only what each is taken for.
type confusion struct {
	Classes []string
	Rows    []confusionRow
	Taken   []taken
}

const mostClasses = 8

type confusionRow struct {
	Class, All string
	Cells      []confusionCell
}

type confusionCell struct {
	Predicted, Count, Share string
	Right                   bool
}

type taken struct{ Class, All, Right, Most string }

func confusionOf(q *quality.Confusion) *confusion {
	if q == nil || len(q.Rows) == 0 {
		return nil
	}
	count := func(x float64) string { return webpage.Whole(uint64(math.Round(x))) }
	c := &confusion{Classes: q.Classes}
	total := 0.0
	for l, cells := range q.Rows {
		all, most := 0.0, -1
		for p, n := range cells {
			all += n
			if p != l && n > 0 && (most < 0 || n > cells[most]) {
				most = p
			}
		}
		total += all
		row := confusionRow{Class: q.Classes[l], All: count(all)}
		for p, n := range cells {
			row.Cells = append(row.Cells, confusionCell{Predicted: q.Classes[p], Count: count(n), Share: shareOf(n, all), Right: p == l})
		}
		t := taken{Class: q.Classes[l], All: count(all), Right: shareOf(cells[l], all), Most: "–"}
		if most >= 0 {
			t.Most = q.Classes[most] + " (" + shareOf(cells[most], all) + ")"
		}
		c.Rows, c.Taken = append(c.Rows, row), append(c.Taken, t)
	}
	if total == 0 {
		return nil
	}
	if len(c.Classes) > mostClasses {
		c.Rows = nil
	} else {
		c.Taken = nil
	}
	return c
}

func shareOf(n, all float64) string {
	if all == 0 {
		return "–"
	}
	return webpage.Percent(n / all)
}

// threshold is a line of the threshold table.
type threshold struct{ Score, Flagged, TPR, FPR, Precision string }

func thresholdsOf(q []quality.Threshold) []threshold {
	share := func(x *float64) string {
		if x == nil {
			return "–"
		}
		return webpage.Percent(*x)
	}
	var out []threshold
	for i := range q {
		t := &q[i]
		out = append(out, threshold{webpage.Measure(t.Score), webpage.Percent(t.Flagged), share(t.TPR), share(t.FPR), share(t.Precision)})
	}
	return out
}
