package stat

import (
	"cmp"
	"math"
	"slices"
)

// Two histograms p and q of the same cells have the same length; they need not be
// normalised. A distance of an empty histogram is NaN.

// KolmogorovSmirnov is the largest difference of the cumulative shares at the cell
// borders: at most the largest min(p_b, q_b) below that of the values themselves.
func KolmogorovSmirnov(p, q []float64) float64 {
	n, m := total(p), total(q)
	var cp, cq, d float64
	for i := range p {
		cp += p[i]
		cq += q[i]
		d = math.Max(d, math.Abs(cp/n-cq/m))
	}
	if n == 0 || m == 0 {
		return math.NaN()
	}
	return d
}

// KolmogorovPValue is the asymptotic two-sided p-value of distance d between
// samples of sizes n and m.
func KolmogorovPValue(d, n, m float64) float64 {
	return kolmogorovSurvival(d * math.Sqrt(n*m/(n+m)))
}

// kolmogorovSurvival is P(K ≥ x) of the Kolmogorov distribution, by the series that
// converges fast on its side of 1.
func kolmogorovSurvival(x float64) float64 {
	if x <= 0 {
		return 1
	}
	if x < 1 {
		// 1 − √(2π)/x Σ exp(−(2k−1)²π²/(8x²))
		var sum float64
		for k := 1.0; k <= 20; k++ {
			term := math.Exp(-(2*k - 1) * (2*k - 1) * math.Pi * math.Pi / (8 * x * x))
			sum += term
			if term < 1e-20 {
				break
			}
		}
		return 1 - math.Sqrt(2*math.Pi)/x*sum
	}
	var sum float64
	sign := 1.0
	for k := 1.0; k <= 20; k++ {
		term := math.Exp(-2 * k * k * x * x)
		sum += sign * term
		sign = -sign
		if term < 1e-300 {
			break
		}
	}
	return math.Max(0, 2*sum)
}

// TotalVariation is half the sum of the absolute differences of shares.
func TotalVariation(p, q []float64) float64 {
	n, m := total(p), total(q)
	if n == 0 || m == 0 {
		return math.NaN()
	}
	var sum float64
	for i := range p {
		sum += math.Abs(p[i]/n - q[i]/m)
	}
	return sum / 2
}

// JensenShannon is the Jensen-Shannon distance with base-2 logarithms: the square
// root of the divergence, in [0, 1].
func JensenShannon(p, q []float64) float64 {
	n, m := total(p), total(q)
	if n == 0 || m == 0 {
		return math.NaN()
	}
	var sum float64
	for i := range p {
		a, b := p[i]/n, q[i]/m
		mid := (a + b) / 2
		if a > 0 {
			sum += a * math.Log2(a/mid)
		}
		if b > 0 {
			sum += b * math.Log2(b/mid)
		}
	}
	return math.Sqrt(math.Max(0, sum/2))
}

// PSI is the population stability index, with half a count added to each cell of
// both sides so that an empty cell does not make it infinite.
func PSI(p, q []float64) float64 {
	if total(p) == 0 || total(q) == 0 {
		return math.NaN()
	}
	cells := float64(len(p)) / 2
	n, m := total(p)+cells, total(q)+cells
	var sum float64
	for i := range p {
		a, b := (p[i]+0.5)/n, (q[i]+0.5)/m
		sum += (b - a) * math.Log(b/a)
	}
	return sum
}

// PSINull is the 95 % quantile of PSI between samples of sizes n and m of one
// distribution with the given number of cells, asymptotically.
func PSINull(cells int, n, m float64) float64 {
	return ChiSquareQuantile(0.95, float64(cells-1)) * (1/n + 1/m)
}

// Wasserstein is the area between the cumulative shares of values spread evenly
// within cells: edges has one more entry than p. It is an approximation of the
// distance of the values, within a cell's width.
func Wasserstein(p, q, edges []float64) float64 {
	n, m := total(p), total(q)
	if n == 0 || m == 0 {
		return math.NaN()
	}
	var area, before float64
	for i := range p {
		after := before + p[i]/n - q[i]/m
		width := edges[i+1] - edges[i]
		if before*after >= 0 {
			area += width * math.Abs(before+after) / 2
		} else { // the difference crosses zero within the cell: two triangles
			area += width * (before*before + after*after) / (2 * math.Abs(after-before))
		}
		before = after
	}
	return area
}

// Homogeneity is the chi-square test that two histograms come from one
// distribution. Cells whose expected count on either side is below 5 are pooled
// into one, and that one into the smallest other cell while it stays below.
type Homogeneity struct {
	ChiSquare float64 `json:"chi_square"`
	DF        int     `json:"df"`
	PValue    float64 `json:"p_value"`
	CramersV  float64 `json:"cramers_v"`
}

// ChiSquareHomogeneity tests p against q; fewer than two cells left give p-value 1.
func ChiSquareHomogeneity(p, q []float64) Homogeneity {
	n, m := total(p), total(q)
	a, b := pool(p, q, n, m)
	h := Homogeneity{DF: len(a) - 1, PValue: 1}
	if n == 0 || m == 0 || h.DF < 1 {
		h.DF = max(h.DF, 0)
		return h
	}
	for i := range a {
		both := a[i] + b[i]
		ea, eb := both*n/(n+m), both*m/(n+m)
		h.ChiSquare += (a[i]-ea)*(a[i]-ea)/ea + (b[i]-eb)*(b[i]-eb)/eb
	}
	h.PValue = ChiSquareSurvival(h.ChiSquare, float64(h.DF))
	h.CramersV = math.Sqrt(h.ChiSquare / (n + m)) // two rows: min(rows, cells) − 1 is 1
	return h
}

const leastExpected = 5

func pool(p, q []float64, n, m float64) (a, b []float64) {
	share := math.Min(n, m) / (n + m)
	var pa, pb float64
	for i := range p {
		if (p[i]+q[i])*share >= leastExpected {
			a, b = append(a, p[i]), append(b, q[i])
		} else {
			pa, pb = pa+p[i], pb+q[i]
		}
	}
	if pa+pb == 0 {
		return a, b
	}
	if (pa+pb)*share >= leastExpected || len(a) == 0 {
		return append(a, pa), append(b, pb)
	}
	least := 0
	for i := range a {
		if a[i]+b[i] < a[least]+b[least] {
			least = i
		}
	}
	a[least] += pa
	b[least] += pb
	return a, b
}

func total(xs []float64) float64 {
	var sum float64
	for _, x := range xs {
		sum += x
	}
	return sum
}

func ascending(xs []float64) []int {
	order := make([]int, len(xs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(xs[i], xs[j]) })
	return order
}
