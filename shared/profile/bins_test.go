package profile

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"
)

func draw(rng *rand.Rand, kind string, n int) []float64 {
	xs := make([]float64, n)
	for i := range xs {
		switch kind {
		case "normal":
			xs[i] = rng.NormFloat64()
		case "lognormal":
			xs[i] = math.Exp(5 * rng.NormFloat64())
		case "skewed":
			xs[i] = math.Exp(1.5 * rng.NormFloat64())
		case "atoms":
			xs[i] = rng.NormFloat64()
			if rng.IntN(3) == 0 {
				xs[i] = float64(rng.IntN(3))
			}
		case "few":
			xs[i] = float64(rng.IntN(FewDistinct))
		case "wild":
			xs[i] = math.Float64frombits(rng.Uint64())
		case "constant":
			xs[i] = 42
		}
	}
	return xs
}

func numbersOf(xs []float64) *Numbers {
	c := NewNumbers()
	for _, x := range xs {
		c.Add(x, 1)
	}
	return c
}

// numericColumn freezes a column of values and rows without one.
func numericColumn(name string, xs []float64, missing, wrongType uint64) Column {
	c := numbersOf(xs)
	c.Missing(missing)
	c.WrongType(wrongType)
	return c.Column(name)
}

func binsOf(xs []float64) Bins { return numbersOf(xs).Column("x").Bins }

var kinds = []string{"normal", "lognormal", "skewed", "atoms", "few", "wild", "constant"}

func TestIndexEqualsSearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, kind := range kinds {
		b := binsOf(draw(rng, kind, 20000))
		probes := append(draw(rng, kind, 5000), math.Inf(1), math.Inf(-1), 0, math.MaxFloat64, -math.MaxFloat64)
		for _, u := range b.Upper {
			probes = append(probes, u, math.Nextafter(u, math.Inf(1)), math.Nextafter(u, math.Inf(-1)))
		}
		for _, x := range probes {
			if math.IsNaN(x) {
				continue
			}
			want := sort.Search(len(b.Upper)-1, func(i int) bool { return x <= b.Upper[i] })
			if got := b.Index(x); got != want {
				t.Fatalf("%s: Index(%g) = %d, want %d", kind, x, got, want)
			}
			if math.IsInf(x, 0) {
				continue
			}
			var cell [1]uint16
			if b.indices([]float64{x}, cell[:]); int(cell[0]) != want {
				t.Fatalf("%s: indices(%g) = %d, want %d", kind, x, cell[0], want)
			}
		}
	}
}

func TestBinsAreEquiMass(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const n = 100000
	for _, kind := range kinds {
		xs := draw(rng, kind, n)
		values := map[float64]int{}
		b := binsOf(xs)
		counts := make([]int, b.Len())
		finite := 0
		for _, x := range xs {
			if !math.IsNaN(x) && !math.IsInf(x, 0) {
				counts[b.Index(x)]++
				values[x+0]++
				finite++
			}
		}
		for i, c := range counts {
			if !b.Atom(i) && c*MaxBins > 2*finite+MaxBins {
				t.Errorf("%s: open cell %d holds %d of %d rows", kind, i, c, finite)
			}
		}
		for v, n := range values {
			if n*MaxBins >= finite && !b.Atom(b.Index(v)) {
				t.Errorf("%s: %g holds %d of %d rows and has no cell of its own", kind, v, n, finite)
			}
		}
		if b.Len() > 3*MaxBins {
			t.Errorf("%s: %d cells", kind, b.Len())
		}
	}
}

func TestFewDistinctValuesAreAtoms(t *testing.T) {
	c := NewNumbers()
	for v, n := range map[float64]uint64{-1: 1, 0: 100000, 3.5: 2} {
		c.Add(v, n)
	}
	b := c.Column("few").Bins
	seen := map[int]bool{}
	for _, v := range []float64{-1, 0, 3.5} {
		i := b.Index(v)
		if !b.Atom(i) || seen[i] {
			t.Errorf("%g is in cell %d, which is not its own", v, i)
		}
		seen[i] = true
	}
	for _, x := range []float64{-2, -0.5, 1, 4} {
		if b.Atom(b.Index(x)) {
			t.Errorf("%g, which is new, falls on an atom", x)
		}
	}
}

func TestBinsOf(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	want := binsOf(draw(rng, "atoms", 5000))
	got, err := BinsOf(want.Upper)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range draw(rng, "normal", 1000) {
		if got.Index(x) != want.Index(x) {
			t.Fatalf("restored cells put %g elsewhere", x)
		}
	}
	inf := math.Inf(1)
	for _, bad := range [][]float64{nil, {1}, {2, 1, inf}, {1, 1, inf}, {math.NaN(), inf}, make([]float64, 5000)} {
		if _, err := BinsOf(bad); err == nil {
			t.Errorf("%d bounds accepted", len(bad))
		}
	}
	if b := binsOf(nil); b.Len() != 1 || b.Index(7) != 0 {
		t.Error("a column without values must have one cell")
	}
}

var sinkInt int

func BenchmarkIndex(b *testing.B) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, kind := range []string{"normal", "lognormal", "skewed", "atoms", "few"} {
		cells := binsOf(draw(rng, kind, 100000))
		xs := draw(rng, kind, 4096)
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(int64(len(xs)))
			for b.Loop() {
				for _, x := range xs {
					sinkInt += cells.Index(x)
				}
			}
		})
	}
}
