package score

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// samples are reference scores of many shapes.
func samples() map[string][]float64 {
	rng := rand.New(rand.NewPCG(3, 5))
	draw := func(n int, f func() float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = f()
		}
		return out
	}
	return map[string][]float64{
		"none":     nil,
		"nan only": {math.NaN(), math.Inf(1)},
		"constant": draw(50, func() float64 { return 0.25 }),
		"uniform":  draw(50_000, rng.Float64),
		"rare":     draw(50_000, func() float64 { return math.Pow(rng.Float64(), 9) }),
		"sure":     draw(50_000, func() float64 { return 1 - math.Pow(rng.Float64(), 9) }),
		"margins":  draw(20_000, func() float64 { return 4 * rng.NormFloat64() }),
		"hundreds": draw(20_000, func() float64 { return math.Round(100*rng.Float64()) / 100 }),
		"mixed": draw(50_000, func() float64 {
			if rng.IntN(3) == 0 {
				return 0
			}
			return rng.Float64()
		}),
		"thousand": draw(30_000, func() float64 { return float64(rng.IntN(1000)) / 1000 }),
		"more":     draw(30_000, func() float64 { return float64(rng.IntN(1300)) / 1300 }),
		"one":      {0.5},
		"huge":     {-math.MaxFloat64, -1e299, 1e299, math.MaxFloat64},
		"extremes": append(draw(3000, rng.Float64), -math.MaxFloat64, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1)),
	}
}

func TestIndexIsTheFirstBoundNotBelow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, scores := range samples() {
		t.Run(name, func(t *testing.T) {
			b := Freeze(scores)
			probe := []float64{math.Inf(-1), math.Inf(1), 0, math.Copysign(0, -1), math.MaxFloat64, -math.MaxFloat64, 1e-300, -1e-300}
			for _, s := range scores[:min(len(scores), 2000)] {
				if !math.IsNaN(s) {
					probe = append(probe, s)
				}
			}
			for i := range b.Len() - 1 {
				u := b.Upper(i)
				probe = append(probe, u, math.Nextafter(u, math.Inf(1)), math.Nextafter(u, math.Inf(-1)), u*(1+rng.NormFloat64()/1e4))
			}
			for _, x := range probe {
				want := slices.IndexFunc(b.upper, func(u float64) bool { return x <= u })
				if got := b.Index(x); got != want {
					t.Fatalf("Index(%v) = %d, want %d", x, got, want)
				}
			}
		})
	}
}

func TestBinsHoldEqualMass(t *testing.T) {
	for name, scores := range samples() {
		b := Freeze(scores)
		if b.Len() >= limit {
			t.Errorf("%s: %d bins", name, b.Len())
		}
		counts, n := make([]int, b.Len()), 0
		values := make([]map[float64]int, b.Len())
		for _, s := range scores {
			if !(math.Abs(s) < beyond) {
				continue
			}
			i := b.Index(s)
			counts[i]++
			n++
			if values[i] == nil {
				values[i] = map[float64]int{}
			}
			values[i][s+0]++
		}
		for i, c := range counts {
			for _, rows := range values[i] {
				if rows*MaxBins >= n && !b.Atom(i) {
					t.Errorf("%s: bin %d holds %d of %d rows with one score and is no atom", name, i, rows, n)
				}
			}
			if !b.Atom(i) && c*MaxBins >= 2*n && n > 0 {
				t.Errorf("%s: bin %d holds %d of %d rows", name, i, c, n)
			}
			if b.Atom(i) && len(values[i]) > 1 {
				t.Errorf("%s: the atom %d holds %d scores", name, i, len(values[i]))
			}
		}
	}
	for _, name := range []string{"hundreds", "thousand", "constant", "one"} {
		b := Freeze(samples()[name])
		for _, s := range samples()[name] {
			if !b.Atom(b.Index(s)) {
				t.Fatalf("%s: %g is not kept exactly", name, s)
			}
		}
	}
}

// TestSameAnswersAreOneAtom: scores of another processor, or in single precision, are those of the reference.
func TestSameAnswersAreOneAtom(t *testing.T) {
	reference := []float64{0, 1e-7, 0.1, 0.100002, 0.2, 0.5, 1}
	b := Freeze(reference)
	for _, v := range reference {
		i := b.Index(v)
		if b.Least(i) != v {
			t.Errorf("%g is in the bin of %g", v, b.Least(i))
		}
		for _, x := range []float64{float64(float32(v)), v * (1 + 3e-6), v * (1 - 3e-6), v + 1e-10, v - 1e-10} {
			if got := b.Index(x); got != i {
				t.Errorf("%.12g is in bin %d (%g), and %g in %d", x, got, b.Least(got), v, i)
			}
		}
	}
	for _, x := range []float64{1e-6, 0.15, 0.3, 0.2001, 2, -1} {
		if i := b.Index(x); b.Atom(i) {
			t.Errorf("%g is taken for %g", x, b.Least(i))
		}
	}
	if !math.IsInf(b.Least(0), -1) || Uniform(4).Least(1) != math.Nextafter(0.25, 1) {
		t.Error("the least scores of open bins are others")
	}
}

func TestBinsDoNotDependOnOrder(t *testing.T) {
	scores := slices.Clone(samples()["mixed"])
	want := Freeze(scores)
	rand.New(rand.NewPCG(9, 9)).Shuffle(len(scores), func(i, j int) { scores[i], scores[j] = scores[j], scores[i] })
	if !want.Equal(Freeze(scores)) {
		t.Error("other bins for the same scores in another order")
	}
	if want.Equal(Uniform(10)) || want.Equal(nil) || (*Bins)(nil).Equal(want) {
		t.Error("different bins are equal")
	}
}

func TestUniform(t *testing.T) {
	b := Uniform(10)
	for x, want := range map[float64]int{-3: 0, 0: 0, 0.1: 0, 0.11: 1, 0.95: 9, 1: 9, 7: 9} {
		if got := b.Index(x); got != want {
			t.Errorf("Index(%g) = %d, want %d", x, got, want)
		}
	}
	if Uniform(0).Len() != 1 || Uniform(1<<20).Len() != MaxBins {
		t.Error("the number of bins is not kept in range")
	}
}

func TestStoredBins(t *testing.T) {
	for name, scores := range samples() {
		b := Freeze(scores)
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(name, err)
		}
		var back Bins
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(name, err)
		}
		if !back.Equal(b) {
			t.Errorf("%s: bins changed on the way", name)
		}
	}
	for raw, want := range map[string]string{
		`{"upper":[1,1]}`:    "does not ascend",
		`{"upper":[0,-0.0]}`: "does not ascend",
		`{"upper":[1,0]}`:    "does not ascend",
		`{"upper":[0,1],"atoms":[{"bin":0,"score":0}]}`: "out of order",
		`{"upper":[0,1],"atoms":[{"bin":2,"score":2}]}`: "out of order",
		`{"upper":[0,1],"atoms":[{"bin":1,"score":0}]}`: "not in its bin",
		`{"upper":[0,1],"atoms":[{"bin":1,"score":2}]}`: "not in its bin",
		`{"upper":["x"]}`:   "cannot unmarshal",
		`{"upper":[1e999]}`: "cannot unmarshal",
		`{"upper":[` + strings.Repeat("0,", 4000) + `1]}`: "more than",
	} {
		if err := json.Unmarshal([]byte(raw), new(Bins)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", raw, err, want)
		}
	}
}

// FuzzBins: what is stored is refused, or finds a bin for every score.
func FuzzBins(f *testing.F) {
	f.Add([]byte(`{"upper":[0,0.1,0.2]}`), 0.15)
	f.Add([]byte(`{"upper":[-1e308,5e-324,1e308]}`), math.Copysign(0, -1))
	f.Fuzz(func(t *testing.T, raw []byte, x float64) {
		var b Bins
		if json.Unmarshal(raw, &b) != nil || math.IsNaN(x) {
			return
		}
		i := b.Index(x)
		if x > b.Upper(i) || i > 0 && x <= b.Upper(i-1) {
			t.Errorf("Index(%v) = %d of %v", x, i, b.upper)
		}
	})
}

func BenchmarkIndex(b *testing.B) {
	for _, name := range []string{"uniform", "rare", "sure", "margins", "hundreds", "mixed"} {
		scores := samples()[name]
		bins := Freeze(scores)
		b.Run(name, func(b *testing.B) {
			sum := 0
			for i := 0; b.Loop(); i++ {
				sum += bins.Index(scores[i%len(scores)])
			}
			_ = sum
		})
	}
}

func BenchmarkFreeze(b *testing.B) {
	scores := samples()["uniform"]
	b.ReportMetric(float64(len(scores)), "scores/op")
	for b.Loop() {
		Freeze(scores)
	}
}
