// Package score partitions prediction scores into bins that are frozen once, on
// the reference scores of a version, so that counts of any parts of a window add
// up to the counts of the whole.
//
// It counts nothing (see quality). Its invariant: bins keep the order of scores,
// so that what depends on ranks alone, such as the area under the ROC curve, is
// known from the counts up to half of Σ p⁺p⁻ over the bins that are no atoms.
//
//	bins := score.Freeze(reference)
//	counts[bins.Index(0.73)]++
package score

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

const (
	// MaxBins is the number of equi-mass bins, and the number of distinct scores up to which every score
	// is a bin of its own (docs/statistics.md).
	MaxBins = 1000
	// limit is the most bins that Freeze can make: each of MaxBins atoms needs a bound below and one at it,
	// and the open bins between them hold 1/MaxBins of the scores each.
	limit = 3*MaxBins + 2
)

// Bins are the cells of the scores from −Inf to +Inf. Cell i holds the scores above
// bound i−1 up to and including bound i; NaN is in no cell. A Bins is not changed
// after it was made: many may read it at once.
//
// An atom is the cell of a single score, and of what is so near to it that it is the
// same answer: the same model gives scores that differ in their last digits from
// processor to processor.
type Bins struct {
	upper []float64 // the last one is +Inf
	atoms []float64 // by cell: the score of an atom, else NaN
	table table
}

// tolerance is how far two scores may part, relative to them, and still be the same
// answer: what registration tolerates between the trainer's scores and the
// runtime's. Next to 0 it is floor.
const (
	tolerance = 1e-5
	floor     = 1e-9
	// beyond it there are no bins of their own: bounds around a score would not be finite.
	beyond = 1e300
)

// Freeze makes the bins of reference scores, which it does not change; NaN,
// infinities and what is next to them are left out. Scores that hold at least 1/MaxBins of the rows become
// atoms, or all of them where at most MaxBins are distinct; the others are cut into
// bins of about 1/MaxBins of the rows each. Without a score there is one bin.
func Freeze(scores []float64) *Bins { return FreezeTo(MaxBins, scores) }

// FreezeTo is Freeze with n bins instead of MaxBins, n between 1 and MaxBins, for
// tasks that have bins for each of many classes.
func FreezeTo(n int, scores []float64) *Bins {
	n = min(max(n, 1), MaxBins)
	sorted := make([]float64, 0, len(scores))
	for _, s := range scores {
		if math.Abs(s) < beyond { // false of NaN
			sorted = append(sorted, s+0) // −0 is 0
		}
	}
	slices.Sort(sorted)
	few := distinct(sorted) <= n
	var b Bins
	mass := 0 // of the open bin that is being filled
	before := math.Inf(-1)
	for i := 0; i < len(sorted); {
		v, rows := sorted[i], 1
		for i+rows < len(sorted) && sorted[i+rows] == v {
			rows++
		}
		i += rows
		after := math.Inf(1)
		if i < len(sorted) {
			after = sorted[i]
		}
		mass += rows
		switch {
		case few || rows*n >= len(sorted):
			b.atom(before, v, after)
			mass = 0
		case mass*n >= len(sorted) && i < len(sorted):
			b.close(between(v, after), math.NaN())
			mass = 0
		}
		before = v
	}
	b.close(math.Inf(1), math.NaN())
	b.table.fill(b.upper[:len(b.upper)-1])
	return &b
}

// atom adds the cell of v, between the scores before and after it.
func (b *Bins) atom(before, v, after float64) {
	near := max(floor, tolerance*math.Abs(v))
	lo, hi := v-near, v+near
	if before >= lo {
		lo = between(before, v)
	}
	if after <= hi {
		hi = between(v, after)
	}
	if len(b.upper) == 0 || b.upper[len(b.upper)-1] < lo {
		b.close(lo, math.NaN()) // the bin before, which may be empty
	}
	if len(b.upper) == 0 || b.upper[len(b.upper)-1] < hi {
		b.close(hi, v)
	}
}

// close adds a cell up to upper, the atom of a score or NaN.
func (b *Bins) close(upper, atom float64) {
	b.upper, b.atoms = append(b.upper, upper), append(b.atoms, atom)
}

// Uniform are n bins of equal width in [0, 1], n between 1 and MaxBins, for scores
// without a reference; scores outside are in the end bins.
func Uniform(n int) *Bins {
	n = min(max(n, 1), MaxBins)
	var b Bins
	for i := 1; i < n; i++ {
		b.close(float64(i)/float64(n), math.NaN())
	}
	b.close(math.Inf(1), math.NaN())
	b.table.fill(b.upper[:n-1])
	return &b
}

func distinct(sorted []float64) int {
	n := 0
	for i, v := range sorted {
		if i == 0 || v != sorted[i-1] {
			n++
		}
	}
	return n
}

// between cuts halfway, so that new scores near a bound do not all fall on one side.
func between(a, b float64) float64 {
	mid := a/2 + b/2
	if mid < a || mid >= b {
		return a
	}
	return mid
}

// Len is the number of bins, at least 1.
func (b *Bins) Len() int { return len(b.upper) }

// Upper is the largest score of bin i; +Inf of the last one.
func (b *Bins) Upper(i int) float64 { return b.upper[i] }

// Atom says whether bin i holds a single score.
func (b *Bins) Atom(i int) bool { return !math.IsNaN(b.atoms[i]) }

// Least is the least score of bin i, that of an atom; −Inf of the first bin.
func (b *Bins) Least(i int) float64 {
	switch {
	case b.Atom(i):
		return b.atoms[i]
	case i == 0:
		return math.Inf(-1)
	}
	return math.Nextafter(b.upper[i-1], math.Inf(1))
}

// Equal says whether o has the same bins, so that counts on both can be added.
func (b *Bins) Equal(o *Bins) bool {
	same := func(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) }
	return b == o || b != nil && o != nil && slices.Equal(b.upper, o.upper) && slices.EqualFunc(b.atoms, o.atoms, same)
}

type stored struct {
	Upper []float64 `json:"upper"` // without the last, which is +Inf
	Atoms []atom    `json:"atoms,omitempty"`
}

type atom struct {
	Bin   int     `json:"bin"`
	Score float64 `json:"score"`
}

// MarshalJSON writes the bounds without the last one, which is +Inf, and the atoms.
func (b *Bins) MarshalJSON() ([]byte, error) {
	s := stored{Upper: b.upper[:len(b.upper)-1]}
	for i, v := range b.atoms {
		if b.Atom(i) {
			s.Atoms = append(s.Atoms, atom{i, v})
		}
	}
	return json.Marshal(s)
}

// UnmarshalJSON reads what MarshalJSON wrote. Bounds must be finite and ascend, and
// atoms lie in their bins.
func (b *Bins) UnmarshalJSON(raw []byte) error {
	var s stored
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	if len(s.Upper) >= limit {
		return fmt.Errorf("score: %d bounds, more than the %d that bins can have", len(s.Upper), limit-1)
	}
	var out Bins
	for i, u := range s.Upper {
		u += 0 // −0 is 0
		if i > 0 && u <= out.upper[i-1] {
			return fmt.Errorf("score: bound %d does not ascend", i)
		}
		out.close(u, math.NaN())
	}
	out.close(math.Inf(1), math.NaN())
	last := 0 // the first bin is none: it has no lower bound
	for _, a := range s.Atoms {
		if a.Bin <= last || a.Bin >= len(s.Upper) || a.Score <= out.upper[a.Bin-1] || a.Score > out.upper[a.Bin] {
			return fmt.Errorf("score: atom of bin %d is out of order, or not in its bin", a.Bin)
		}
		out.atoms[a.Bin], last = a.Score+0, a.Bin
	}
	out.table.fill(s.Upper)
	*b = out
	return nil
}
