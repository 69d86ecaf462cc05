package profile

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

const (
	// MaxBins is the number of equi-mass bins of a numeric column.
	MaxBins = 200
	// FewDistinct is the number of distinct values up to which every value of a numeric column is a
	// bin of its own.
	FewDistinct = 20
)

// Bins partitions the numbers, from −Inf to +Inf, into cells frozen at the
// baseline. Cell i holds the values above Upper[i-1] up to and including
// Upper[i]; the last Upper is +Inf. As float64 values are discrete, an atom, the
// cell of the single value v, is the cell above the predecessor of v.
//
// Infinities fall into the end cells and are counted beside them; NaN is in no cell.
type Bins struct {
	Upper []float64
	table []uint16 // see index
	lo    float64
	scale float64
}

// newBins makes the cells from the baseline's groups of values, in ascending
// order. Single values that hold at least 1/MaxBins of the rows, or every value
// when there are at most FewDistinct, become atoms; the rest is cut into cells of
// about 1/MaxBins of the rows each, between groups.
func newBins(groups []group) Bins {
	var total uint64
	for _, g := range groups {
		total += g.count
	}
	if total == 0 {
		return bins([]float64{math.Inf(1)})
	}
	few := len(groups) <= FewDistinct
	var upper []float64
	var mass uint64 // of the open cell that is being filled
	for i, g := range groups {
		if g.lo == g.hi && (few || g.count*MaxBins >= total) {
			below := math.Nextafter(g.lo, math.Inf(-1))
			if len(upper) == 0 || upper[len(upper)-1] < below {
				upper = append(upper, below) // closes the cell before, which may be empty
			}
			upper = append(upper, g.lo)
			mass = 0
			continue
		}
		mass += g.count
		if mass*MaxBins >= total && i+1 < len(groups) {
			upper = append(upper, between(g.hi, groups[i+1].lo))
			mass = 0
		}
	}
	return bins(append(upper, math.Inf(1)))
}

// between cuts halfway, so that new values near a border of the sample do not all fall on one side.
func between(a, b float64) float64 {
	mid := a/2 + b/2
	if mid < a || mid >= b {
		return a
	}
	return mid
}

// BinsOf restores cells from their stored upper bounds. They must ascend strictly
// and end with +Inf.
func BinsOf(upper []float64) (Bins, error) {
	if len(upper) == 0 || !math.IsInf(upper[len(upper)-1], 1) {
		return Bins{}, fmt.Errorf("profile: the last upper bound of a numeric column must be +Inf")
	}
	if len(upper) > 4*MaxBins {
		return Bins{}, fmt.Errorf("profile: %d cells, more than the %d that a baseline can have", len(upper), 4*MaxBins)
	}
	for i, u := range upper {
		if math.IsNaN(u) || i > 0 && u <= upper[i-1] {
			return Bins{}, fmt.Errorf("profile: upper bound %d does not ascend", i)
		}
	}
	return bins(slices.Clone(upper)), nil
}

// tableSize is the number of slots of the look-up table: enough that most
// slots lie within one cell, small enough to stay in the first-level cache.
const tableSize = 1024

// bins adds the look-up table: slot s holds the first cell that the values of the
// slot can be in, so that a search only walks over the few cells of its slot.
func bins(upper []float64) Bins {
	b := Bins{Upper: upper}
	finite := upper[:len(upper)-1]
	if len(finite) < 8 {
		return b
	}
	lo, hi := finite[0], finite[len(finite)-1]
	b.lo, b.scale = lo, tableSize/(hi-lo)
	if !(b.scale > 0) || math.IsInf(b.scale, 0) {
		b.scale = 0
		return b
	}
	b.table = make([]uint16, tableSize+1)
	for s := range b.table {
		b.table[s] = uint16(len(upper) - 1)
	}
	// The slot of a border is computed as for values, so that rounding is the same on both sides.
	for i := len(finite) - 1; i >= 0; i-- {
		for s := b.slot(finite[i]); s >= 0 && int(b.table[s]) > i; s-- {
			b.table[s] = uint16(i)
		}
	}
	return b
}

func (b *Bins) slot(x float64) int {
	s := (x - b.lo) * b.scale
	if s < 0 {
		return 0
	}
	if s >= tableSize {
		return tableSize
	}
	return int(s)
}

// Len is the number of cells.
func (b *Bins) Len() int { return len(b.Upper) }

// Index is the cell of x, which must not be NaN.
func (b *Bins) Index(x float64) int {
	if b.table == nil {
		return sort.Search(len(b.Upper)-1, func(i int) bool { return x <= b.Upper[i] })
	}
	s := b.slot(x)
	i := int(b.table[s])
	if s < tableSize {
		// A crowded slot, as in a skewed column, is searched by halves.
		for j := int(b.table[s+1]); j-i > 4; {
			if mid := (i + j) / 2; x <= b.Upper[mid] {
				j = mid
			} else {
				i = mid + 1
			}
		}
	}
	// Nearly every slot has at most one border: the first step is taken without a branch, which would be guessed wrong
	// every other time. The sign of a difference is exact.
	if d := b.Upper[i] - x; d == d {
		i += int(math.Float64bits(d) >> 63)
	}
	for x > b.Upper[i] {
		i++
	}
	return i
}

// Atom says whether cell i holds a single value.
func (b *Bins) Atom(i int) bool {
	return i > 0 && i < len(b.Upper) && math.Nextafter(b.Upper[i-1], math.Inf(1)) == b.Upper[i]
}
