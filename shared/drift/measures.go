package drift

import (
	"math"

	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/stat"
)

// Measures are reported beside the gates and decide nothing. A measure that is
// not defined for the column is nil.
type Measures struct {
	PSI           *float64          `json:"psi,omitempty"`      // on at most psiGroups groups of cells, half a row added to each
	PSINull       *float64          `json:"psi_null,omitempty"` // what 95 % of clean samples of these sizes stay below
	JensenShannon *float64          `json:"jensen_shannon_distance,omitempty"`
	Wasserstein   *float64          `json:"wasserstein_over_sigma,omitempty"` // numeric; approximate, by cells
	ChiSquare     *stat.Homogeneity `json:"chi_square,omitempty"`
	KSPValue      *float64          `json:"ks_p_value,omitempty"` // numeric; asymptotic
	// Exploratory is the p-value above, adjusted over the columns of the job (Benjamini-Hochberg).
	Exploratory *float64 `json:"adjusted_p_value,omitempty"`
	// Vanished is the baseline's share of named values that the window does not hold, less what its size explains.
	Vanished *float64 `json:"vanished,omitempty"`
}

const psiGroups = 10

func measure(c *profile.Column, strata []Stratum, ref, cur *Sample) Measures {
	var m Measures
	n, w := ref.N(), cur.N()
	if n == 0 || w == 0 || c.Identifier {
		return m
	}
	p, q := grouped(c, ref.Cells, cur.Cells)
	m.PSI = ptr(stat.PSI(p, q))
	if len(p) > 1 {
		m.PSINull = ptr(stat.PSINull(len(p), n, w))
	}
	m.JensenShannon = ptr(stat.JensenShannon(ref.Cells, cur.Cells))
	h := stat.ChiSquareHomogeneity(ref.Cells, cur.Cells)
	m.ChiSquare = &h
	if c.Kind == profile.Categorical {
		m.Vanished = ptr(vanished(c, ref, cur))
		return m
	}
	m.KSPValue = ptr(stat.KolmogorovPValue(stat.KolmogorovSmirnov(ref.Cells, cur.Cells), n, w))
	if edges, sigma := edgesOf(c, strata), sigma(&c.State); edges != nil && sigma > 0 {
		m.Wasserstein = ptr(stat.Wasserstein(ref.Cells, cur.Cells, edges) / sigma)
	}
	return m
}

// grouped pools cells into at most psiGroups groups of about equal baseline mass,
// neighbours together where cells have an order.
func grouped(c *profile.Column, ref, cur []float64) (p, q []float64) {
	if c.Kind == profile.Categorical {
		return groupedCategories(c, ref, cur)
	}
	var total, before float64
	for _, x := range ref {
		total += x
	}
	for i := range ref {
		group := min(psiGroups-1, int(before/total*psiGroups))
		if len(p) <= group {
			p, q = append(p, 0), append(q, 0)
		}
		p[len(p)-1] += ref[i]
		q[len(q)-1] += cur[i]
		before += ref[i]
	}
	return p, q
}

// groupedCategories keeps the most frequent values, the other seen ones and the unseen ones apart.
func groupedCategories(c *profile.Column, ref, cur []float64) (p, q []float64) {
	named := min(len(c.Cells.Named), psiGroups-2)
	p, q = append(p, ref[:named]...), append(q, cur[:named]...)
	var others, othersNow float64
	for i := named; i < c.Cells.Unseen(); i++ {
		others, othersNow = others+ref[i], othersNow+cur[i]
	}
	unseen := c.Cells.Unseen()
	return append(p, others, ref[unseen]), append(q, othersNow, cur[unseen])
}

// vanished is the share of named values without a row in the window, less the
// share that a clean window of its size would miss.
func vanished(c *profile.Column, ref, cur *Sample) float64 {
	n, m := ref.N(), cur.N()
	var gone, expected float64
	for i := range c.Cells.Named {
		p := ref.Cells[i] / n
		expected += p * math.Pow(1-p, m)
		if cur.Cells[i] == 0 {
			gone += p
		}
	}
	return gone - expected
}

// edgesOf are the borders of the cells, the end cells closed at the least and
// largest value of both sides; nil when a side has no finite value.
func edgesOf(c *profile.Column, strata []Stratum) []float64 {
	lo, hi := math.Inf(1), math.Inf(-1)
	sides := []*profile.State{&c.State}
	for _, s := range strata {
		sides = append(sides, s.State)
	}
	for _, s := range sides {
		if s.Min != nil {
			lo, hi = math.Min(lo, *s.Min), math.Max(hi, *s.Max)
		}
	}
	if lo > hi {
		return nil
	}
	upper := c.Bins.Upper
	edges := make([]float64, len(upper)+1)
	edges[0] = lo
	for i, u := range upper[:len(upper)-1] {
		edges[i+1] = math.Min(math.Max(u, edges[i]), math.Max(hi, edges[i]))
	}
	edges[len(upper)] = math.Max(hi, edges[len(upper)-1])
	return edges
}

// sigma is the standard deviation of the finite values of a state.
func sigma(s *profile.State) float64 {
	n := float64(s.Values() - s.PosInf - s.NegInf)
	if n == 0 {
		return 0
	}
	mean := s.Sum.Float64() / n
	return math.Sqrt(math.Max(0, s.Squares.Float64()/n-mean*mean))
}

// adjust fills in the exploratory p-values of a job.
func adjust(columns []ColumnResult) {
	var ps []float64
	var at []int
	for i := range columns {
		m := &columns[i].Measures
		switch {
		case m.KSPValue != nil:
			ps, at = append(ps, *m.KSPValue), append(at, i)
		case m.ChiSquare != nil:
			ps, at = append(ps, m.ChiSquare.PValue), append(at, i)
		}
	}
	for k, p := range stat.BenjaminiHochberg(ps) {
		columns[at[k]].Measures.Exploratory = ptr(p)
	}
}

func ptr(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil // JSON has neither
	}
	return &x
}
