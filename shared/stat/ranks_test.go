package stat

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

type ranksGolden struct {
	Ranks []struct {
		Pos, Neg    []float64
		AUC, AP, SE float64
		FineAUC     []float64 `json:"fine_auc"`
		FineAP      []float64 `json:"fine_ap"`
	}
	Isotonic    []struct{ X, Y, W, At, Want []float64 }
	Newcombe    []struct{ AUC, N1, N0, Lo, Hi float64 }
	Percentiles struct{ Draws, Want []float64 }
}

func loadRanks(t *testing.T) ranksGolden {
	t.Helper()
	raw, err := os.ReadFile("testdata/ranks.json")
	if err != nil {
		t.Fatal(err)
	}
	var g ranksGolden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func several(int) bool { return false }

func TestRanks(t *testing.T) {
	for _, c := range loadRanks(t).Ranks {
		roc := NewROC(c.Pos, c.Neg)
		near(t, "roc_auc", roc.AUC, c.AUC)
		if c.SE == 0 {
			if se := roc.DeLong(c.Pos, c.Neg); se != 0 {
				t.Errorf("DeLong of one bin is %g", se)
			}
		} else {
			near(t, "DeLong", roc.DeLong(c.Pos, c.Neg), c.SE)
		}
		ap := NewAveragePrecision(c.Pos, c.Neg, several)
		near(t, "average_precision", ap.Value, c.AP)
		bound := TieBound(c.Pos, c.Neg, several)
		for _, fine := range c.FineAUC {
			if math.Abs(fine-roc.AUC) > bound+1e-12 {
				t.Errorf("roc_auc of finer scores is %g, not within %g of %g", fine, bound, roc.AUC)
			}
		}
		near(t, "the best order's area", roc.AUC+bound, c.FineAUC[0])
		for _, fine := range c.FineAP {
			if fine < ap.Bounds.Lo-1e-12 || fine > ap.Bounds.Hi+1e-12 {
				t.Errorf("average_precision of finer scores is %g, not in %v", fine, ap.Bounds)
			}
		}
		if exact := NewAveragePrecision(c.Pos, c.Neg, func(int) bool { return true }); math.Abs(exact.Bounds.Hi-exact.Bounds.Lo) > 1e-12 {
			t.Errorf("average_precision of single scores is open: %v", exact.Bounds)
		}
	}
}

// TestDerivatives compares influences with what a small change of a count does.
func TestDerivatives(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	pos, neg := make([]float64, 12), make([]float64, 12)
	for i := range pos {
		pos[i], neg[i] = float64(rng.IntN(30)), float64(rng.IntN(40))
	}
	pos[3], neg[5] = 0, 0
	roc, ap := NewROC(pos, neg), NewAveragePrecision(pos, neg, several)
	const h = 1e-5
	slope := func(counts []float64, i int, f func() float64) float64 {
		counts[i] += h
		up := f()
		counts[i] -= h
		return (up - f()) / h
	}
	for i := range pos {
		p, n := roc.Influence(i)
		for _, c := range []struct {
			what      string
			got, want float64
		}{
			{"area by positives", p, slope(pos, i, func() float64 { return NewROC(pos, neg).AUC })},
			{"area by negatives", n, slope(neg, i, func() float64 { return NewROC(pos, neg).AUC })},
			{"precision by positives", ap.Positive[i], slope(pos, i, func() float64 { return NewAveragePrecision(pos, neg, several).Value })},
			{"precision by negatives", ap.Negative[i], slope(neg, i, func() float64 { return NewAveragePrecision(pos, neg, several).Value })},
		} {
			if math.Abs(c.got-c.want) > 1e-6 {
				t.Errorf("bin %d: %s %g, want %g", i, c.what, c.got, c.want)
			}
		}
	}
}

func TestUndefinedRanks(t *testing.T) {
	none, some := []float64{0, 0}, []float64{1, 2}
	if !math.IsNaN(NewROC(some, none).AUC) || !math.IsNaN(NewROC(none, some).AUC) || !math.IsNaN(NewAveragePrecision(none, some, several).Value) {
		t.Error("ranks of one class are defined")
	}
	one := NewROC([]float64{1, 0}, some)
	if !math.IsNaN(one.DeLong([]float64{1, 0}, some)) {
		t.Error("DeLong of one positive row is defined")
	}
	if TieBound(none, some, several) != 0 {
		t.Error("one class has ties")
	}
	z := Z(0.975)
	for least, want := range map[float64]float64{10: math.Pow(0.025, 0.1), 100: math.Pow(0.025, 0.01)} {
		if iv := AUCInterval(1, 0, least, z); math.Abs(iv.Lo-want) > 1e-12 || iv.Hi != 1 {
			t.Errorf("interval of a perfect area over %g rows is %v", least, iv)
		}
		if iv := AUCInterval(0, 0, least, z); math.Abs(iv.Hi-(1-want)) > 1e-12 || iv.Lo != 0 {
			t.Errorf("interval of a reversed area over %g rows is %v", least, iv)
		}
	}
}

func TestAUCScoreInterval(t *testing.T) {
	for _, c := range loadRanks(t).Newcombe {
		iv := AUCScoreInterval(c.AUC, c.N1, c.N0, Z(0.975))
		within(t, "lower end", iv.Lo, c.Lo, 1e-8)
		within(t, "upper end", iv.Hi, c.Hi, 1e-8)
	}
	if iv := AUCScoreInterval(1, 20, 30, 1.96); iv.Hi != 1 || iv.Lo < 0.8 || iv.Lo > 0.95 {
		t.Errorf("of a perfect area %v", iv)
	}
	if iv := AUCScoreInterval(0, 20, 30, 1.96); iv.Lo != 0 || iv.Hi < 0.05 || iv.Hi > 0.2 {
		t.Errorf("of a reversed area %v", iv)
	}
}

func TestIsotonic(t *testing.T) {
	for _, c := range loadRanks(t).Isotonic {
		f := FitIsotonic(c.X, c.Y, c.W)
		for i, x := range c.At {
			if got := f.At(x); math.Abs(got-c.Want[i]) > 1e-9 {
				t.Errorf("%d points: at %g it is %g, want %g", len(c.X), x, got, c.Want[i])
			}
		}
	}
	empty := FitIsotonic([]float64{1}, []float64{1}, []float64{0})
	if !math.IsNaN(empty.At(1)) {
		t.Error("a fit of nothing has a value")
	}
}

func TestPercentiles(t *testing.T) {
	g := loadRanks(t).Percentiles
	iv := Percentiles(g.Draws, 0.95)
	near(t, "2.5 %", iv.Lo, g.Want[0])
	near(t, "97.5 %", iv.Hi, g.Want[1])
	if iv := Percentiles([]float64{3}, 0.95); iv != (Interval{3, 3}) {
		t.Errorf("percentiles of one draw are %v", iv)
	}
	if !math.IsNaN(Percentiles(nil, 0.95).Lo) {
		t.Error("percentiles of nothing are defined")
	}
}

// TestPoisson compares draws with the distribution, by a chi-square test that fails for one seed in 10^6.
func TestPoisson(t *testing.T) {
	const n = 200_000
	for _, mean := range []float64{0, 1e-9, 0.3, 1, 4, 10, 27.5, 400, 10_000, 20_000} {
		p, rng := NewPoisson(mean), rand.New(rand.NewPCG(11, uint64(mean*10)))
		counts := map[int]float64{}
		for range n {
			counts[int(p.Draw(rng))]++
		}
		var chi, cells, restGot, restWant float64
		restWant, restGot = n, n
		for k := range int(mean + 10*math.Sqrt(mean) + 30) {
			lg, _ := math.Lgamma(float64(k + 1))
			want := n * math.Exp(-mean+float64(k)*math.Log(math.Max(mean, 1e-300))-lg)
			if want < 10 {
				continue
			}
			chi += (counts[k] - want) * (counts[k] - want) / want
			cells++
			restWant, restGot = restWant-want, restGot-counts[k]
		}
		if restWant > 10 {
			chi += (restGot - restWant) * (restGot - restWant) / restWant
		}
		if mean > 0 && ChiSquareSurvival(chi, cells) < 1e-6 {
			t.Errorf("mean %g: chi-square %g with %g cells", mean, chi, cells)
		}
		if mean == 0 && counts[0] != n {
			t.Errorf("draws of mean 0 are %v", counts)
		}
	}
}

func TestCalibrationCurve(t *testing.T) {
	n := []float64{0, 10, 10, 0, 60, 10, 10, 0}
	scores := []float64{0, 1, 2, 0, 30, 7, 9, 0}
	positives := []float64{0, 0, 3, 0, 20, 6, 10, 0}
	curve := CalibrationCurve(n, scores, positives, 4)
	want := []CalibrationBin{{1, 3, 20, 0.15, 0.15}, {4, 5, 60, 0.5, 1.0 / 3}, {5, 7, 20, 0.8, 0.8}}
	if len(curve) != len(want) {
		t.Fatalf("%v", curve)
	}
	for i := range want {
		if c := curve[i]; c.From != want[i].From || c.To != want[i].To || math.Abs(c.Mean-want[i].Mean) > 1e-12 || math.Abs(c.Share-want[i].Share) > 1e-12 || c.N != want[i].N {
			t.Errorf("group %d is %+v, want %+v", i, c, want[i])
		}
	}
	ece, _ := CalibrationError(curve)
	near(t, "ece", ece, 0.6/6)
	if CalibrationCurve(nil, nil, nil, 10) != nil {
		t.Error("a curve of nothing")
	}
}

// TestCalibrationErrorExpected draws labels of calibrated scores: the mean error is the expected one.
func TestCalibrationErrorExpected(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	const bins, rows, rounds = 50, 40, 400
	var mean, want float64
	for range rounds {
		n, scores, pos := make([]float64, bins), make([]float64, bins), make([]float64, bins)
		for i := range n {
			s := (float64(i) + 0.5) / bins
			n[i], scores[i] = rows, rows*s
			for range rows {
				if rng.Float64() < s {
					pos[i]++
				}
			}
		}
		var ece float64
		ece, want = CalibrationError(CalibrationCurve(n, scores, pos, 10))
		mean += ece / rounds
	}
	within(t, "mean calibration error of calibrated scores", mean, want, 0.05)
}
