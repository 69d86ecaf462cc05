package stat

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
)

type pairedGolden struct {
	McNemar []struct {
		B, C                   uint64
		Exact, Chi2, Corrected float64
	} `json:"mcnemar"`
	DeLong []struct {
		Y, Group              []int
		A, B                  []float64
		AUCA                  float64 `json:"auc_a"`
		AUCB                  float64 `json:"auc_b"`
		SEA                   float64 `json:"se_a"`
		SEB                   float64 `json:"se_b"`
		Delta, SE, P, Cluster float64
		SECluster             float64 `json:"se_cluster"`
	} `json:"delong"`
	Clustered []struct {
		D         []float64
		Group     []int
		Mean, SE  float64
		SECluster float64 `json:"se_cluster"`
	}
}

func loadPaired(t *testing.T) pairedGolden {
	t.Helper()
	raw, err := os.ReadFile("testdata/paired.json")
	if err != nil {
		t.Fatal(err)
	}
	var g pairedGolden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestMcNemarAsStatsmodels(t *testing.T) {
	for _, c := range loadPaired(t).McNemar {
		m := NewMcNemar(c.B, c.C)
		near(t, "exact p-value", m.Exact, c.Exact)
		near(t, "corrected p-value", m.Corrected, c.Corrected)
		near(t, "chi-square", m.ChiSquare, c.Chi2)
	}
}

// R's mcnemar.test corrects only where the counts differ.
func TestMcNemarOfEqualCounts(t *testing.T) {
	for _, n := range []uint64{0, 1, 50} {
		if m := NewMcNemar(n, n); m.Exact != 1 || m.Corrected != 1 || m.ChiSquare != 0 {
			t.Errorf("%d and %d: %+v", n, n, m)
		}
	}
}

// binned makes bins of the distinct scores: nothing of their order is lost.
func binned(y []int, scores []float64) (*Placements, []int) {
	distinct := slices.Compact(slices.Sorted(slices.Values(scores)))
	var counts [2][]uint64
	counts[0], counts[1] = make([]uint64, len(distinct)), make([]uint64, len(distinct))
	index := make([]int, len(scores))
	for i, s := range scores {
		index[i], _ = slices.BinarySearch(distinct, s)
		counts[y[i]][index[i]]++
	}
	return NewPlacements(counts[Negative], counts[Positive]), index
}

func TestPairedDeLong(t *testing.T) {
	for _, c := range loadPaired(t).DeLong {
		a, ia := binned(c.Y, c.A)
		b, ib := binned(c.Y, c.B)
		near(t, "AUC of the first", a.ROCAUC(), c.AUCA)
		near(t, "AUC of the second", b.ROCAUC(), c.AUCB)
		var first, second, both DeLong
		groups := map[int]*GroupPlacements{}
		for i, y := range c.Y {
			d := b.Of(y, ib[i]) - a.Of(y, ia[i])
			first.Add(y, a.Of(y, ia[i]), 1)
			second.Add(y, b.Of(y, ib[i]), 1)
			both.Add(y, d, 1)
			g := groups[c.Group[i]]
			if g == nil {
				g = &GroupPlacements{}
				groups[c.Group[i]] = g
			}
			g.N[y]++
			g.Sum[y] += d
		}
		_, se := first.Estimate()
		near(t, "se of the first", se, c.SEA)
		_, se = second.Estimate()
		near(t, "se of the second", se, c.SEB)
		delta, se := both.Estimate()
		near(t, "difference", delta, c.Delta)
		near(t, "se of the difference", se, c.SE)
		near(t, "p-value", Normal(delta, se), c.P)
		var clusters Clusters
		for _, g := range groups {
			clusters.Add(both.Influence(g))
		}
		near(t, "cluster se", clusters.Error(), c.SECluster)
	}
}

func TestDeLongAddsCountsAsRows(t *testing.T) {
	var rows, counts DeLong
	for _, c := range []struct {
		class int
		place int64
		n     uint64
	}{{1, 1 << 31, 1000}, {1, -7, 3}, {0, -1 << 31, 70}, {0, 12, 1}} {
		for range c.n {
			rows.Add(c.class, c.place, 1)
		}
		counts.Add(c.class, c.place, c.n)
	}
	if rows != counts {
		t.Errorf("row by row %+v, at once %+v", rows, counts)
	}
}

// TestPlacementsAgreeWithROC: the whole numbers here and the shares of NewROC are one thing.
func TestPlacementsAgreeWithROC(t *testing.T) {
	neg, pos := []uint64{2, 1, 0, 9}, []uint64{1, 2, 4, 0}
	p := NewPlacements(neg, pos)
	r := NewROC([]float64{1, 2, 4, 0}, []float64{2, 1, 0, 9})
	near(t, "AUC", p.ROCAUC(), r.AUC)
	for b := range pos {
		near(t, "placement of a positive row", float64(p.Of(Positive, b))/(2*float64(p.N(Negative))), r.Positive[b])
		near(t, "placement of a negative row", float64(p.Of(Negative, b))/(2*float64(p.N(Positive))), r.Negative[b])
	}
}

func TestOneClassHasNoArea(t *testing.T) {
	p := NewPlacements([]uint64{3, 4}, []uint64{0, 0})
	var d DeLong
	d.Add(Negative, p.Of(Negative, 0), 3)
	area, se := d.Estimate()
	if !math.IsNaN(p.ROCAUC()) || !math.IsNaN(area) || !math.IsNaN(se) {
		t.Errorf("AUC %g, estimate %g ± %g of one class, want NaN", p.ROCAUC(), area, se)
	}
}

func TestClusteredErrorsAsStatsmodels(t *testing.T) {
	for _, c := range loadPaired(t).Clustered {
		n := float64(len(c.D))
		var sum, squares float64
		for _, d := range c.D {
			sum, squares = sum+d, squares+d*d
		}
		near(t, "mean", sum/n, c.Mean)
		near(t, "se", MeanError(n, sum, squares), c.SE)
		groups := map[int]float64{}
		for i, d := range c.D {
			groups[c.Group[i]] += (d - c.Mean) / n
		}
		var clusters Clusters
		for _, psi := range groups {
			clusters.Add(psi)
		}
		near(t, "cluster se", clusters.Error(), c.SECluster)
		if clusters.Groups() != len(groups) {
			t.Errorf("%d groups, want %d", clusters.Groups(), len(groups))
		}
	}
	var one Clusters
	one.Add(1)
	if !math.IsNaN(one.Error()) || !math.IsNaN(MeanError(1, 3, 9)) {
		t.Error("one group or one row has no standard error")
	}
}

// TestAverageIsNotPooled: within each hour both sides are alike; their shares of
// hours differ, so that the pooled sides would not be.
func TestAverageIsNotPooled(t *testing.T) {
	a := Average([]Stratum{{Difference: 0, Variance: 4e-4, First: 900, Second: 100}, {Difference: 0, Variance: 4e-4, First: 100, Second: 900}})
	if a.Difference != 0 || a.Effective != 180 || a.Strata != 2 {
		t.Errorf("%+v", a)
	}
	near(t, "error of two equal strata", a.Error, 0.02/math.Sqrt2)
	b := Average([]Stratum{{Difference: 0.3, Variance: 1e-8, First: 10, Second: 10}, {Difference: -0.3, Variance: 1e-8, First: 10, Second: 10}})
	near(t, "error where strata disagree", b.Error, 0.3)
	if none := Average(nil); !math.IsNaN(none.Difference) || none.Strata != 0 {
		t.Errorf("of nothing: %+v", none)
	}
}
