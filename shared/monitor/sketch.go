package monitor

import (
	"math"

	"github.com/tidegate/tidegate/shared/profile"
)

// defaultK is the size parameter of Model Monitor's sketches.
const defaultK = 2048

// worth is the number of independent rows that say as much as a sketch of n rows:
// its rank error counts like sampling error. Apache DataSketches states a 99 %
// bound of 2.296/k^0.9021 for KLL (KllSketch.getNormalizedRankError), so the
// error's deviation is that over 2.576, and a sample's is at most 1/(2√n). Buckets
// are made from the sketch and share its error. Up to k rows are kept as they are.
func (k *KLL) worth(n float64) float64 {
	size := float64(defaultK)
	if k.Sketch != nil && k.Sketch.Parameters.K >= 8 {
		size = math.Min(k.Sketch.Parameters.K, 1<<20)
	}
	if n <= size || k.Sketch != nil && len(k.Sketch.Data) == 1 {
		return n
	}
	deviation := 2.296 / math.Pow(size, 0.9021) / 2.576
	return 1 / (1/n + 4*deviation*deviation)
}

// scaler shrinks counts by a factor so that their running sum stays within half a
// row of the exact one: shares are kept, and the total is rounded once.
type scaler struct {
	factor      float64
	exact, done float64
}

func (s *scaler) next(n float64) uint64 {
	s.exact += n
	before := s.done
	s.done = math.Round(s.exact * s.factor)
	return uint64(s.done - before)
}

// shrunk is the column with the rows that its sketch is worth.
func (k *KLL) shrunk(c profile.Column, values []float64, weights []uint64) profile.Column {
	n := float64(c.State.Values())
	s := scaler{factor: k.worth(n) / n}
	if s.factor >= 1 {
		return c
	}
	c.State = profile.NewState(c.CellCount())
	t := profile.NewTally(&profile.Baseline{Columns: []profile.Column{c}})
	for i, x := range values {
		t.Number(0, x, s.next(float64(weights[i])))
	}
	c.State = t.States[0]
	return c
}
