package sketch

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// wild returns values over the whole range of float64, of both signs, with many
// cancellations.
func wild(rng *rand.Rand, n int) []float64 {
	xs := make([]float64, n)
	for i := range xs {
		switch rng.IntN(6) {
		case 0:
			xs[i] = math.Float64frombits(rng.Uint64()) // any bits
			if math.IsNaN(xs[i]) || math.IsInf(xs[i], 0) {
				xs[i] = math.MaxFloat64
			}
		case 1:
			xs[i] = -xs[rng.IntN(i+1)]
		case 2:
			xs[i] = math.SmallestNonzeroFloat64 * float64(rng.IntN(100))
		default:
			xs[i] = rng.NormFloat64()
		}
	}
	return xs
}

func exact(xs []float64) float64 {
	total := new(big.Float).SetPrec(2300)
	for _, x := range xs {
		total.Add(total, new(big.Float).SetPrec(2300).SetFloat64(x))
	}
	f, _ := total.Float64()
	return f
}

func TestSumEqualsBigFloat(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for round := range 50 {
		xs := wild(rng, 1+rng.IntN(5000))
		var s Sum
		for _, x := range xs {
			s.Add(x)
		}
		if got, want := s.Float64(), exact(xs); got != want {
			t.Fatalf("round %d: sum of %d values is %g, want %g", round, len(xs), got, want)
		}
	}
}

func TestSumDoesNotDependOnSharding(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	xs := wild(rng, 20000)
	var whole Sum
	for _, x := range xs {
		whole.Add(x)
	}
	want, _ := whole.MarshalText()
	for _, shards := range []int{1, 7, 1000} {
		parts := make([]Sum, shards)
		for _, i := range rng.Perm(len(xs)) {
			parts[rng.IntN(shards)].Add(xs[i])
		}
		var merged Sum
		for _, i := range rng.Perm(shards) {
			merged.Merge(&parts[i])
		}
		if got, _ := merged.MarshalText(); string(got) != string(want) {
			t.Errorf("%d shards: %s, want %s", shards, got, want)
		}
	}
}

func TestSumManyMergesKeepCarries(t *testing.T) {
	var one, s Sum
	one.Add(math.MaxFloat64)
	for range 10000 {
		s.Merge(&one)
	}
	for range 9999 {
		s.Add(-math.MaxFloat64)
	}
	if got := s.Float64(); got != math.MaxFloat64 {
		t.Errorf("10,000 merges of the largest value less 9,999 are %g", got)
	}
}

func TestSumText(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		var s, back Sum
		for _, x := range wild(rng, rng.IntN(300)) {
			s.Add(x)
		}
		text, _ := s.MarshalText()
		if err := back.UnmarshalText(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, _ := back.MarshalText()
		if string(again) != string(text) || back.Float64() != s.Float64() {
			t.Fatalf("%s reads back as %s", text, again)
		}
	}
	for _, bad := range []string{"", "1", "0x", "0xp1", "0x1p", "0x1p-1076", "0x1p9999999", "-", "0x-1p0", "0xzp0", "0x1p1e3", "0x_1p0"} {
		var s Sum
		if err := s.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is read without an error", bad)
		}
	}
}

func TestProductsAreExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	var s Sum
	want := new(big.Float).SetPrec(2300)
	for range 1000 {
		x := rng.NormFloat64() * math.Exp2(float64(rng.IntN(200)-100))
		n := uint64(rng.IntN(1 << 30))
		s.AddSquare(x)
		s.AddN(x, n)
		bx := new(big.Float).SetPrec(2300).SetFloat64(x)
		want.Add(want, new(big.Float).SetPrec(2300).Mul(bx, bx))
		want.Add(want, new(big.Float).SetPrec(2300).Mul(bx, new(big.Float).SetUint64(n)))
	}
	if w, _ := want.Float64(); s.Float64() != w {
		t.Errorf("sum of squares and products is %g, want %g", s.Float64(), w)
	}
}

func TestSumRefusesNonFinite(t *testing.T) {
	var s Sum
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if s.Add(x) {
			t.Errorf("Add(%v) says it was added", x)
		}
	}
	if s.AddSquare(1e200) {
		t.Error("a square beyond the range says it was added")
	}
	if !s.IsZero() {
		t.Error("refused values changed the sum")
	}
}

func FuzzSumText(f *testing.F) {
	f.Add([]byte("0x1p-1075"))
	f.Add([]byte("-0xfffffffffffffp12"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s, back Sum
		if s.UnmarshalText(text) != nil {
			return
		}
		out, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if err := back.UnmarshalText(out); err != nil || back.Float64() != s.Float64() {
			t.Fatalf("%q → %q → %v", text, out, err)
		}
	})
}

var sink float64

func BenchmarkSumAdd(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 5))
	xs := make([]float64, 4096)
	for i := range xs {
		xs[i] = rng.NormFloat64()
	}
	b.Run("exact", func(b *testing.B) {
		b.SetBytes(int64(len(xs) * 8))
		for b.Loop() {
			var s Sum
			for _, x := range xs {
				s.Add(x)
			}
			sink = float64(s.chunk[31])
		}
	})
	b.Run("plain", func(b *testing.B) {
		b.SetBytes(int64(len(xs) * 8))
		for b.Loop() {
			var s float64
			for _, x := range xs {
				s += x
			}
			sink = s
		}
	})
}
