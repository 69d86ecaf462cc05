package page

import (
	"math"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/drift"
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
		b.WriteString("M0 " + coordinate(height))
		step := width / float64(len(shares))
		for i, s := range shares {
			y := coordinate(height * (1 - s/top*0.96))
			b.WriteString("L" + coordinate(step*float64(i)) + " " + y + "L" + coordinate(step*float64(i+1)) + " " + y)
		}
		b.WriteString("L" + coordinate(width) + " " + coordinate(height))
		if closed {
			b.WriteString("Z")
		}
		return b.String()
	}
	last := d.Edges[len(d.Edges)-1]
	return &numbers{Reference: outline(d.Reference, true), Current: outline(d.Current, false), Top: percent(top),
		Low: number(d.Edges[0]), Middle: number(d.Edges[0]/2 + last/2), High: number(last)}
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
		out = append(out, bar{Name: name, Reference: percent(d.Reference[i]), Current: percent(d.Current[i]),
			RefWidth: coordinate(100 * d.Reference[i] / top), CurWidth: coordinate(100 * d.Current[i] / top)})
	}
	return out
}

// plot is a gate's interval beside its tolerance, on an axis of 100 from 0.
type plot struct{ From, Length, Dot, Tolerance string }

func plotOf(g *drift.Gate) plot {
	lo, hi := math.Max(0, g.Lo), math.Min(1, math.Max(0, g.Hi))
	end := math.Max(2*g.Bound, math.Max(hi, g.Value)*1.05)
	at := func(x float64) float64 { return 100 * math.Min(1, math.Max(0, x/end)) }
	return plot{From: coordinate(at(lo)), Length: coordinate(math.Max(0.6, at(hi)-at(lo))), Dot: coordinate(at(g.Value)), Tolerance: coordinate(at(g.Bound))}
}

func coordinate(x float64) string { return trim(strconv.FormatFloat(x, 'f', 1, 64)) }

func trim(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}

// short is a distance.
func short(x float64) string {
	if x != 0 && math.Abs(x) < 0.00005 {
		return "0"
	}
	if math.Abs(x) >= 10 {
		return number(x)
	}
	return strings.Replace(trim(strconv.FormatFloat(x, 'f', 4, 64)), "-", "−", 1)
}

func number(x float64) string {
	if x == math.Trunc(x) && math.Abs(x) < 1e15 {
		sign := ""
		if x < 0 {
			sign = "−"
		}
		return sign + whole(uint64(math.Abs(x)))
	}
	return strings.Replace(strconv.FormatFloat(x, 'g', 4, 64), "-", "−", 1)
}

func optional(x *float64) string {
	if x == nil {
		return "–"
	}
	return number(*x)
}

func percent(x float64) string {
	switch y := 100 * x; {
	case y == 0:
		return "0 %"
	case math.Abs(y) < 0.05:
		return "< 0.1 %"
	default:
		return trim(strconv.FormatFloat(y, 'f', 1, 64)) + " %"
	}
}

func pvalue(p float64) string {
	if p < 0.0001 {
		return "< 0.0001"
	}
	return trim(strconv.FormatFloat(p, 'f', 4, 64))
}

func ofRows(k, n uint64) string {
	if n == 0 || k == 0 {
		return whole(k)
	}
	return whole(k) + " (" + percent(float64(k)/float64(n)) + ")"
}

// whole groups digits by thin spaces.
func whole(n uint64) string {
	s := strconv.FormatUint(n, 10)
	if len(s) < 5 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(r)
	}
	return b.String()
}
