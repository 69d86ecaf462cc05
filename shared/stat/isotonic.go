package stat

import (
	"cmp"
	"math"
	"slices"
)

// Isotonic is a non-decreasing step-and-line function fitted by least squares, as
// scikit-learn's IsotonicRegression: linear between its knots, constant outside.
type Isotonic struct {
	X, Y []float64 // knots, X ascending strictly
}

// FitIsotonic fits y at x with weights w by pooling adjacent violators (Barlow et
// al. 1972; Best and Chakravarti 1990). Points of equal x are averaged first; those
// without weight are left out. Without a point the fit is empty.
func FitIsotonic(x, y, w []float64) Isotonic {
	order := make([]int, 0, len(x))
	for i := range x {
		if w[i] > 0 {
			order = append(order, i)
		}
	}
	if !slices.IsSortedFunc(order, func(a, b int) int { return cmp.Compare(x[a], x[b]) }) {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	}
	type block struct {
		sum, weight float64
		from, to    int // positions of at
	}
	at := make([]float64, 0, len(order))
	blocks := make([]block, 0, len(order))
	for k := 0; k < len(order); {
		b := block{from: len(at), to: len(at)}
		v := x[order[k]]
		for ; k < len(order) && x[order[k]] == v; k++ {
			i := order[k]
			b.sum, b.weight = b.sum+y[i]*w[i], b.weight+w[i]
		}
		at = append(at, v)
		for len(blocks) > 0 {
			last := &blocks[len(blocks)-1]
			if last.sum*b.weight < b.sum*last.weight {
				break
			}
			b = block{b.sum + last.sum, b.weight + last.weight, last.from, b.to}
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	var f Isotonic
	for _, b := range blocks {
		level := b.sum / b.weight
		f.X, f.Y = append(f.X, at[b.from]), append(f.Y, level)
		if b.to > b.from {
			f.X, f.Y = append(f.X, at[b.to]), append(f.Y, level)
		}
	}
	return f
}

// At is the fit at x; NaN of an empty fit.
func (f *Isotonic) At(x float64) float64 {
	n := len(f.X)
	if n == 0 {
		return math.NaN()
	}
	i, found := slices.BinarySearch(f.X, x)
	switch {
	case found:
		return f.Y[i]
	case i == 0:
		return f.Y[0]
	case i == n:
		return f.Y[n-1]
	}
	t := (x - f.X[i-1]) / (f.X[i] - f.X[i-1])
	return f.Y[i-1] + t*(f.Y[i]-f.Y[i-1])
}
