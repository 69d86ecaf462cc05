package stat

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

type golden struct {
	Z []struct {
		P, Z float64
	}
	Kolmogorov []struct {
		X, SF float64
	}
	ChiSquare []struct {
		X, DF, SF, P, Q float64
	} `json:"chi_square"`
	Wilson []struct {
		K, N, Alpha, Lo, Hi float64
	}
	ClopperPearson []struct {
		K, N, Z, Lo, Hi float64
	} `json:"clopper_pearson"`
	Newcombe []struct {
		K1, N1, K2, N2, Alpha, Lo, Hi float64
	}
	Histograms []struct {
		P, Q        []float64
		KS          float64
		KSP         float64 `json:"ks_p"`
		TV, JS      float64
		Wasserstein float64
		Chi2        *float64
		DF          int
		Chi2P       float64 `json:"chi2_p"`
		V           float64
	}
	BH struct{ P, Adjusted []float64 }
}

func load(t *testing.T) golden {
	t.Helper()
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// near compares within a relative tolerance of 1e-9, the bar of docs/statistics.
func near(t *testing.T, what string, got, want float64) { within(t, what, got, want, 1e-9) }

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance*math.Max(math.Abs(want), 1e-12) {
		t.Errorf("%s = %.17g, want %.17g", what, got, want)
	}
}

func TestDistributions(t *testing.T) {
	g := load(t)
	for _, c := range g.Z {
		if c.Z == 0 {
			if math.Abs(Z(c.P)) > 1e-15 {
				t.Errorf("Z(%g) = %g", c.P, Z(c.P))
			}
			continue
		}
		// A probability near 1 loses digits in the argument itself.
		within(t, "z", Z(c.P), c.Z, 1e-8)
	}
	for _, c := range g.Kolmogorov {
		near(t, "Kolmogorov survival", kolmogorovSurvival(c.X), c.SF)
	}
	for _, c := range g.ChiSquare {
		near(t, "chi-square survival", ChiSquareSurvival(c.X, c.DF), c.SF)
		near(t, "chi-square quantile", ChiSquareQuantile(c.P, c.DF), c.Q)
	}
}

func TestProportions(t *testing.T) {
	g := load(t)
	for _, c := range g.Wilson {
		iv := Wilson(c.K, c.N, Z(1-c.Alpha/2))
		within(t, "wilson lo", iv.Lo, c.Lo, 1e-8)
		within(t, "wilson hi", iv.Hi, c.Hi, 1e-8)
	}
	for _, c := range g.ClopperPearson {
		iv := ClopperPearson(c.K, c.N, c.Z)
		near(t, "clopper-pearson lo", iv.Lo, c.Lo)
		near(t, "clopper-pearson hi", iv.Hi, c.Hi)
	}
	for _, c := range g.Newcombe {
		iv := Newcombe(c.K1, c.N1, c.K2, c.N2, Z(1-c.Alpha/2))
		near(t, "newcombe lo", iv.Lo, c.Lo)
		near(t, "newcombe hi", iv.Hi, c.Hi)
	}
	if iv := Wilson(0, 0, 2); iv != (Interval{0, 1}) {
		t.Errorf("Wilson of nothing is %v", iv)
	}
	if iv := ClopperPearson(0, 0, 2); iv != (Interval{0, 1}) {
		t.Errorf("Clopper-Pearson of nothing is %v", iv)
	}
	if iv := Newcombe(0, 0, 1, 2, 2); iv != (Interval{-1, 1}) {
		t.Errorf("Newcombe of nothing is %v", iv)
	}
}

// TestFractionsAreRoundedOutwards: counts divided by a design effect never give a narrower interval than the whole
// numbers beside them, and a rounding error gives none that is wider.
func TestFractionsAreRoundedOutwards(t *testing.T) {
	const z = 3
	got := ClopperPearson(3.5, 20.25, z)
	if want := (Interval{ClopperPearson(3, 20, z).Lo, ClopperPearson(4, 20, z).Hi}); got != want {
		t.Errorf("3.5 of 20.25 is %v, want %v", got, want)
	}
	if got, want := ClopperPearson(38.4, 38.4, z), ClopperPearson(38, 38, z); got != want {
		t.Errorf("all of 38.4 is %v, want that of all of 38, %v", got, want)
	}
	if got, want := ClopperPearson(0.3, 0.3, z), (Interval{0, 1}); got != want {
		t.Errorf("0.3 of 0.3 is %v, want %v", got, want)
	}
	for k := range 21 {
		want := ClopperPearson(float64(k), 20, z)
		for _, e := range []float64{-1e-13, 1e-13} {
			if got := ClopperPearson(float64(k)*(1+e), 20*(1+e), z); got != want {
				t.Errorf("%d of 20 with an error of %g is %v, want %v", k, e, got, want)
			}
		}
	}
}

// TestTailsOfClopperPearson: at its lower end, as many rows or more have exactly the probability of the tail.
func TestTailsOfClopperPearson(t *testing.T) {
	const z = 3.2
	for n := 1; n <= 60; n++ {
		for k := 1; k <= n; k++ {
			p := ClopperPearson(float64(k), float64(n), z).Lo
			var tail float64
			for i := k; i <= n; i++ {
				tail += math.Exp(lchoose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
			}
			within(t, "tail", tail, math.Erfc(z/math.Sqrt2)/2, 1e-9)
		}
	}
}

func lchoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

func TestDistances(t *testing.T) {
	for _, c := range load(t).Histograms {
		n, m := total(c.P), total(c.Q)
		near(t, "ks", KolmogorovSmirnov(c.P, c.Q), c.KS)
		near(t, "ks p", KolmogorovPValue(c.KS, n, m), c.KSP)
		near(t, "tv", TotalVariation(c.P, c.Q), c.TV)
		near(t, "js", JensenShannon(c.P, c.Q), c.JS)
		edges := make([]float64, len(c.P)+1)
		for i := range edges {
			edges[i] = float64(i)
		}
		// The reference integrates on a grid.
		within(t, "wasserstein", Wasserstein(c.P, c.Q, edges), c.Wasserstein, 1e-4)
		if c.Chi2 != nil {
			h := ChiSquareHomogeneity(c.P, c.Q)
			near(t, "chi2", h.ChiSquare, *c.Chi2)
			near(t, "chi2 p", h.PValue, c.Chi2P)
			near(t, "cramers v", h.CramersV, c.V)
			if h.DF != c.DF {
				t.Errorf("df %d, want %d", h.DF, c.DF)
			}
		}
	}
}

func TestBenjaminiHochberg(t *testing.T) {
	g := load(t).BH
	for i, got := range BenjaminiHochberg(g.P) {
		near(t, "adjusted p", got, g.Adjusted[i])
	}
	if len(BenjaminiHochberg(nil)) != 0 {
		t.Error("no p-values must give none")
	}
}

func TestPoolingKeepsCounts(t *testing.T) {
	p, q := []float64{100, 1, 2, 0, 3}, []float64{90, 0, 1, 1, 9}
	a, b := pool(p, q, total(p), total(q))
	if total(a) != total(p) || total(b) != total(q) {
		t.Errorf("pooled to %v, %v", a, b)
	}
	if h := ChiSquareHomogeneity([]float64{5, 0}, []float64{7, 0}); h.PValue != 1 || h.DF != 0 {
		t.Errorf("one cell left: %+v", h)
	}
	if h := ChiSquareHomogeneity([]float64{0, 0}, []float64{7, 3}); h.PValue != 1 || math.IsNaN(h.CramersV) {
		t.Errorf("an empty side: %+v", h)
	}
}

func TestEmptySidesAreNaN(t *testing.T) {
	none, some := []float64{0, 0}, []float64{1, 2}
	for name, d := range map[string]float64{
		"ks": KolmogorovSmirnov(none, some), "tv": TotalVariation(none, some), "js": JensenShannon(some, none),
		"psi": PSI(none, some), "w": Wasserstein(some, none, []float64{0, 1, 2}),
	} {
		if !math.IsNaN(d) {
			t.Errorf("%s of an empty side is %g", name, d)
		}
	}
}

// TestPSINull draws samples of one distribution: PSI passes its null quantile in about 5 % of them.
func TestPSINull(t *testing.T) {
	const cells, n, m, rounds = 10, 5000, 2000, 2000
	rng := rand.New(rand.NewPCG(7, 7))
	over := 0
	for range rounds {
		p, q := make([]float64, cells), make([]float64, cells)
		for range n {
			p[rng.IntN(cells)]++
		}
		for range m {
			q[rng.IntN(cells)]++
		}
		if PSI(p, q) > PSINull(cells, n, m) {
			over++
		}
	}
	if share := float64(over) / rounds; share < 0.03 || share > 0.07 {
		t.Errorf("PSI passes its 95 %% null value in %.3f of clean draws", share)
	}
}
