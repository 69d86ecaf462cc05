// Package stat holds the statistics that drift and evaluation share, as pure
// functions on counts: intervals of proportions, distances between binned
// distributions, tests of homogeneity.
//
// Counts are float64, so that weighted counts and counts divided by a design
// effect are allowed. Every function is checked against SciPy or statsmodels
// (testdata/golden.json, written by testdata/golden.py). The functions decide
// nothing: verdicts are in drift and evaluation.
package stat

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Z is the standard normal quantile of probability p, 0 < p < 1.
func Z(p float64) float64 { return distuv.UnitNormal.Quantile(p) }

// Interval is a closed interval.
type Interval struct {
	Lo float64 `json:"lo"`
	Hi float64 `json:"hi"`
}

// Wilson is the score interval of the proportion k/n at the two-sided normal
// quantile z (Wilson 1927). n = 0 gives [0, 1].
func Wilson(k, n, z float64) Interval {
	if n <= 0 {
		return Interval{0, 1}
	}
	p, zz := k/n, z*z
	mid := (p + zz/(2*n)) / (1 + zz/n)
	half := z / (1 + zz/n) * math.Sqrt(p*(1-p)/n+zz/(4*n*n))
	lo, hi := math.Max(0, mid-half), math.Min(1, mid+half)
	if k == 0 {
		lo = 0 // not a rounding error away from it
	}
	if k == n {
		hi = 1
	}
	return Interval{lo, hi}
}

// Newcombe is the hybrid score interval of k1/n1 − k2/n2 (Newcombe 1998, method
// 10, without continuity correction). An empty side gives [-1, 1].
func Newcombe(k1, n1, k2, n2, z float64) Interval {
	if n1 <= 0 || n2 <= 0 {
		return Interval{-1, 1}
	}
	p1, p2 := k1/n1, k2/n2
	a, b := Wilson(k1, n1, z), Wilson(k2, n2, z)
	d := p1 - p2
	return Interval{
		Lo: d - math.Hypot(p1-a.Lo, b.Hi-p2),
		Hi: d + math.Hypot(a.Hi-p1, p2-b.Lo),
	}
}

// ChiSquareSurvival is P(X ≥ x) of the chi-square distribution with df degrees of freedom.
func ChiSquareSurvival(x, df float64) float64 { return distuv.ChiSquared{K: df}.Survival(x) }

// ChiSquareQuantile is the quantile of probability p of the chi-square
// distribution with df degrees of freedom.
func ChiSquareQuantile(p, df float64) float64 { return distuv.ChiSquared{K: df}.Quantile(p) }

// BenjaminiHochberg adjusts p-values to control the false discovery rate
// (Benjamini and Hochberg 1995). The result is in the order of ps.
func BenjaminiHochberg(ps []float64) []float64 {
	order := ascending(ps)
	adjusted := make([]float64, len(ps))
	least := 1.0
	for rank := len(order) - 1; rank >= 0; rank-- {
		i := order[rank]
		least = math.Min(least, ps[i]*float64(len(ps))/float64(rank+1))
		adjusted[i] = least
	}
	return adjusted
}
