package drift

import (
	"math"
	"slices"
	"strconv"

	"github.com/tidegate/tidegate/shared/profile"
)

// Distribution is what a page draws of a column: shares of the rows with a value,
// bar by bar, of both sides. Numeric columns have Edges, one more than bars, whose
// end bars take what lies outside; the others have Names.
type Distribution struct {
	Edges     []float64 `json:"edges,omitempty"`
	Names     []string  `json:"names,omitempty"`
	Reference []float64 `json:"reference,omitempty"`
	Current   []float64 `json:"current,omitempty"`
}

const (
	numericBars = 40
	namedBars   = 15
	tail        = 0.005 // share of either side that an end bar may take
)

// Names of bars that stand for more than one value.
const (
	barOthers = "other known values"
	barUnseen = "new values"
)

func distributionOf(c *profile.Column, ref, cur *Sample, strata []Stratum) Distribution {
	if c.Identifier || ref.N() == 0 {
		return Distribution{}
	}
	if c.Kind == profile.Categorical {
		return categoryBars(c, ref, cur)
	}
	if c.Few {
		return valueBars(c, ref, cur)
	}
	edges := edgesOf(c, strata)
	if edges == nil {
		return Distribution{}
	}
	return numberBars(edges, ref.Cells, cur.Cells)
}

func categoryBars(c *profile.Column, ref, cur *Sample) Distribution {
	var d Distribution
	named := min(len(c.Cells.Named), namedBars)
	p, q := slices.Clone(ref.Cells[:named]), slices.Clone(cur.Cells[:named])
	d.Names = slices.Clone(c.Cells.Named[:named])
	var others, othersNow float64
	unseen := c.Cells.Unseen()
	for i := named; i < unseen; i++ {
		others, othersNow = others+ref.Cells[i], othersNow+cur.Cells[i]
	}
	d.Names = append(d.Names, barOthers, barUnseen)
	d.Reference = shares(append(p, others, ref.Cells[unseen]))
	d.Current = shares(append(q, othersNow, cur.Cells[unseen]))
	return d
}

// valueBars has a bar for each value of a numeric column with few of them.
func valueBars(c *profile.Column, ref, cur *Sample) Distribution {
	var d Distribution
	var p, q []float64
	var rest, restNow float64
	for i := range ref.Cells {
		if c.Bins.Atom(i) {
			d.Names = append(d.Names, strconv.FormatFloat(c.Bins.Upper[i], 'g', 6, 64))
			p, q = append(p, ref.Cells[i]), append(q, cur.Cells[i])
		} else {
			rest, restNow = rest+ref.Cells[i], restNow+cur.Cells[i]
		}
	}
	d.Names = append(d.Names, barUnseen)
	d.Reference, d.Current = shares(append(p, rest)), shares(append(q, restNow))
	return d
}

// numberBars spreads the mass of each cell evenly over its width and collects it
// in bars of equal width. What is drawn is therefore smooth within a cell; the
// gates use the cells.
func numberBars(edges, ref, cur []float64) Distribution {
	lo := min(quantileOf(edges, ref, tail), quantileOf(edges, cur, tail))
	hi := max(quantileOf(edges, ref, 1-tail), quantileOf(edges, cur, 1-tail))
	if !(hi > lo) || math.IsInf(hi-lo, 0) {
		lo, hi = edges[0], edges[len(edges)-1]
	}
	if !(hi > lo) || math.IsInf(hi-lo, 0) {
		return Distribution{Names: []string{strconv.FormatFloat(lo, 'g', 6, 64)}, Reference: shares([]float64{1}), Current: shares([]float64{total(cur)})}
	}
	var d Distribution
	for i := range numericBars + 1 {
		d.Edges = append(d.Edges, round(lo+(hi-lo)*float64(i)/numericBars))
	}
	bar := func(x float64) int { return max(0, min(numericBars-1, int((x-lo)/(hi-lo)*numericBars))) }
	spread := func(cells []float64) []float64 {
		bars := make([]float64, numericBars)
		for i, mass := range cells {
			a, b := edges[i], edges[i+1]
			first, last := bar(a), bar(b)
			if first == last || math.Nextafter(a, math.Inf(1)) >= b {
				bars[bar(b)] += mass
				continue
			}
			for k := first; k <= last; k++ {
				from, to := a, b
				if k > first {
					from = lo + (hi-lo)*float64(k)/numericBars
				}
				if k < last {
					to = lo + (hi-lo)*float64(k+1)/numericBars
				}
				bars[k] += mass * (to - from) / (b - a)
			}
		}
		return shares(bars)
	}
	d.Reference, d.Current = spread(ref), spread(cur)
	return d
}

// quantileOf interpolates within a cell; the lower edge where there are no rows.
func quantileOf(edges, cells []float64, q float64) float64 {
	want := q * total(cells)
	if want == 0 {
		return edges[0] + (edges[len(edges)-1]-edges[0])*q
	}
	var before float64
	for i, n := range cells {
		if before+n >= want && n > 0 {
			return edges[i] + (edges[i+1]-edges[i])*(want-before)/n
		}
		before += n
	}
	return edges[len(edges)-1]
}

func total(xs []float64) float64 {
	var sum float64
	for _, x := range xs {
		sum += x
	}
	return sum
}

func shares(counts []float64) []float64 {
	sum := total(counts)
	for i := range counts {
		if sum > 0 {
			counts[i] = math.Round(counts[i]/sum*1e6) / 1e6
		}
	}
	return counts
}

// round keeps six digits, which is what is drawn.
func round(x float64) float64 {
	y, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 6, 64), 64)
	if err != nil {
		return x
	}
	return y
}
