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

	"gonum.org/v1/gonum/mathext"
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

// ClopperPearson is the exact interval of the proportion k/n (Clopper and Pearson
// 1934): each end is left out by at most Φ(−z) of samples, however few the rows,
// where [Wilson] leaves out several times as many. n = 0 gives [0, 1].
//
// Counts that are no whole numbers, such as those divided by a design effect, are
// rounded so that neither end comes nearer: at the lower one k down and n − k up,
// at the upper one the other way round.
func ClopperPearson(k, n, z float64) Interval {
	if n <= 0 {
		return Interval{0, 1}
	}
	tail := math.Erfc(z/math.Sqrt2) / 2
	return Interval{
		Lo: leastShare(down(k), up(n-k), tail),
		Hi: 1 - leastShare(down(n-k), up(k), tail),
	}
}

// leastShare is the p at which s or more successes beside f failures have the
// probability tail: I_p(s, f+1) = tail, the regularised incomplete beta function.
func leastShare(s, f, tail float64) float64 {
	switch {
	case s == 0:
		return 0
	case f == 0:
		return math.Pow(tail, 1/s)
	}
	// At s/(s+f) the probability is above ½. Bisection, as the function rises: an
	// inverse by Newton's steps loses itself in tails as far as these.
	lo, hi := 0.0, s/(s+f)
	for {
		mid := lo + (hi-lo)/2
		if mid <= lo || mid >= hi || hi-lo <= 1e-14*hi {
			return lo
		}
		if mathext.RegIncBeta(s, f+1, mid) < tail {
			lo = mid
		} else {
			hi = mid
		}
	}
}

// down and up are the whole numbers below and above x, and x's nearest where only rounding errors lie between.
func down(x float64) float64 { return math.Floor(x + 1e-9*math.Max(1, x)) }
func up(x float64) float64   { return math.Max(0, math.Ceil(x-1e-9*math.Max(1, x))) }

// Newcombe is the hybrid score interval of k1/n1 − k2/n2 (Newcombe 1998, method
// 10, without continuity correction). An empty side gives [-1, 1].
func Newcombe(k1, n1, k2, n2, z float64) Interval {
	if n1 <= 0 || n2 <= 0 {
		return Interval{-1, 1}
	}
	return Hybrid(k1/n1, Wilson(k1, n1, z), k2/n2, Wilson(k2, n2, z))
}

// Hybrid is Newcombe's interval of p1 − p2 from an interval of each.
func Hybrid(p1 float64, a Interval, p2 float64, b Interval) Interval {
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
