package stat

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestSequentialZ holds the printed numbers of docs/comparison.md.
func TestSequentialZ(t *testing.T) {
	s := Sequential{Alpha: 0.05, Expected: 5000}
	for n, want := range map[float64]float64{500: 3.63, 1000: 3.12, 5000: 2.76, 20000: 2.86, 100000: 3.09} {
		if got := s.Z(n); math.Abs(got-want) > 0.005 {
			t.Errorf("z(%g) = %.4f, want %.2f", n, got, want)
		}
	}
	if !math.IsInf(s.Z(0), 1) || !math.IsInf(s.Z(math.NaN()), 1) {
		t.Error("without observations there is no bound")
	}
}

// TestSequentialHoldsAtEveryLook: of 2,000 random walks without drift, looked at
// after every one of 5,000 steps from the 100th, at most 5 % ever cross the bound.
func TestSequentialHoldsAtEveryLook(t *testing.T) {
	const walks, steps, first = 2000, 5000, 100
	s := Sequential{Alpha: 0.05, Expected: 1000}
	bound := make([]float64, steps+1)
	for n := first; n <= steps; n++ {
		bound[n] = s.Z(float64(n)) * math.Sqrt(float64(n))
	}
	rng := rand.New(rand.NewPCG(1970, 5))
	crossed := 0
	for range walks {
		sum := 0.0
		for n := 1; n <= steps; n++ {
			sum += rng.NormFloat64()
			if n >= first && sum > bound[n] {
				crossed++
				break
			}
		}
	}
	t.Logf("%d of %d walks cross the bound", crossed, walks)
	if crossed > walks*5/100 {
		t.Errorf("%d of %d walks cross a bound at 5 %%", crossed, walks)
	}
	if crossed == 0 {
		t.Error("no walk crosses the bound: it is not the bound at 5 %")
	}
}
