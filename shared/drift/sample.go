package drift

import (
	"fmt"
	"math"

	"github.com/tidegate/tidegate/shared/profile"
)

// Sample is what the gates see of one side of a comparison: shares, and the
// number of independent rows that they are worth.
type Sample struct {
	Rows      float64   // effective rows, with or without a value
	Missing   float64   // of them without a value, NaN included
	WrongType float64   // of them of another type
	Cells     []float64 // of them by cell; the sum is the n of the distances
}

// Stratum is a state whose rows were kept with probability P.
type Stratum struct {
	State *profile.State
	P     float64 // 0 < P ≤ 1
}

// NewSample weighs strata by 1/P and divides by the design effect. Its rows are
// n_eff = (Σ n/p)² / Σ n/p², so that sampling never makes rows that were not seen.
func NewSample(designEffect float64, strata ...Stratum) (Sample, error) {
	if !(designEffect >= 1) {
		return Sample{}, fmt.Errorf("drift: design effect %g, want at least 1", designEffect)
	}
	var s Sample
	var weight, squares float64
	for _, st := range strata {
		if !(st.P > 0 && st.P <= 1) {
			return Sample{}, fmt.Errorf("drift: sampling probability %g, want above 0 and at most 1", st.P)
		}
		if s.Cells == nil {
			s.Cells = make([]float64, len(st.State.Cells))
		}
		if len(s.Cells) != len(st.State.Cells) {
			return Sample{}, fmt.Errorf("drift: states of %d and %d cells: the profiles are of different baselines", len(s.Cells), len(st.State.Cells))
		}
		n, w := float64(st.State.Rows), 1/st.P
		weight += n * w
		squares += n * w * w
		s.Rows += n * w
		s.Missing += float64(st.State.Missing+st.State.NaN) * w
		s.WrongType += float64(st.State.WrongType) * w
		for i, c := range st.State.Cells {
			s.Cells[i] += float64(c) * w
		}
	}
	if weight == 0 {
		return s, nil
	}
	scale := weight / squares / designEffect // n_eff / Σ n/p
	s.Rows *= scale
	s.Missing *= scale
	s.WrongType *= scale
	for i := range s.Cells {
		s.Cells[i] *= scale
	}
	return s, nil
}

// N is the effective number of rows with a value.
func (s *Sample) N() float64 {
	var n float64
	for _, c := range s.Cells {
		n += c
	}
	return n
}

// share is k/n, 0 for nothing of nothing.
func share(k, n float64) float64 {
	if n == 0 {
		return 0
	}
	return k / n
}

// harmonic is (n+m)/(nm), the variance factor of a difference between samples.
func harmonic(n, m float64) float64 {
	if n == 0 || m == 0 {
		return math.Inf(1)
	}
	return (n + m) / (n * m)
}
