package page

import (
	"math"
	"strings"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/webpage"
)

// Drawings are made in a box of fixed units that the page stretches; text is HTML
// beside them, so that it is as large on a phone as on a desk.
const (
	width  = 1000.0
	height = 240.0
)

// numbers is a numeric column: two outlines over the same bars.
type numbers struct {
	Reference, Current string // path data; the reference is closed and filled
	Low, Middle, High  string // what the horizontal axis spans
	Top                string // the largest share of a bar
}

func numbersOf(d *drift.Distribution) *numbers {
	if len(d.Edges) < 2 {
		return nil
	}
	top := 0.0
	for i := range d.Reference {
		top = max(top, d.Reference[i], d.Current[i])
	}
	if top == 0 {
		return nil
	}
	outline := func(shares []float64, closed bool) string {
		var b strings.Builder
		b.WriteString("M0 " + webpage.Coordinate(height))
		step := width / float64(len(shares))
		for i, s := range shares {
			y := webpage.Coordinate(height * (1 - s/top*0.96))
			b.WriteString("L" + webpage.Coordinate(step*float64(i)) + " " + y + "L" + webpage.Coordinate(step*float64(i+1)) + " " + y)
		}
		b.WriteString("L" + webpage.Coordinate(width) + " " + webpage.Coordinate(height))
		if closed {
			b.WriteString("Z")
		}
		return b.String()
	}
	last := d.Edges[len(d.Edges)-1]
	return &numbers{Reference: outline(d.Reference, true), Current: outline(d.Current, false), Top: webpage.Percent(top),
		Low: webpage.Number(d.Edges[0]), Middle: webpage.Number(d.Edges[0]/2 + last/2), High: webpage.Number(last)}
}

// bar is one value of a column with few: two widths of 100.
type bar struct {
	Name, Reference, Current string // shares in words
	RefWidth, CurWidth       string
}

func barsOf(d *drift.Distribution) []bar {
	top := 0.0
	for i := range d.Names {
		top = max(top, d.Reference[i], d.Current[i])
	}
	var out []bar
	for i, name := range d.Names {
		if d.Reference[i] == 0 && d.Current[i] == 0 {
			continue
		}
		out = append(out, bar{Name: name, Reference: webpage.Percent(d.Reference[i]), Current: webpage.Percent(d.Current[i]),
			RefWidth: webpage.Coordinate(100 * d.Reference[i] / top), CurWidth: webpage.Coordinate(100 * d.Current[i] / top)})
	}
	return out
}

// plot is a gate's interval beside its tolerance, on an axis of 100 from 0.
type plot struct{ From, Length, Dot, Tolerance string }

func plotOf(g *drift.Gate) plot {
	lo, hi := math.Max(0, g.Lo), math.Min(1, math.Max(0, g.Hi))
	end := math.Max(2*g.Bound, math.Max(hi, g.Value)*1.05)
	at := func(x float64) float64 { return 100 * math.Min(1, math.Max(0, x/end)) }
	return plot{From: webpage.Coordinate(at(lo)), Length: webpage.Coordinate(math.Max(0.6, at(hi)-at(lo))), Dot: webpage.Coordinate(at(g.Value)), Tolerance: webpage.Coordinate(at(g.Bound))}
}
