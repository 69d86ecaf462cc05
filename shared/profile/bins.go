package profile

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
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

	table             // either this is filled
	borders []float64 // with it: Upper, and one more +Inf
	keys    []uint64  // or these, see search
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

// bins adds what cells are found by: a table, or where its slots would be crowded
// or there is next to nothing to look up, keys.
func bins(upper []float64) Bins {
	b := Bins{Upper: upper}
	finite := upper[:len(upper)-1]
	for i := range finite {
		finite[i] += 0 // −0 is 0
	}
	if len(finite) >= 8 && b.table.fill(finite) {
		b.borders = append(slices.Clone(upper), math.Inf(1)) // so that maxBorders follow every cell's
		return b
	}
	b.table = table{}
	b.keys = make([]uint64, 1<<bits.Len(uint(len(finite))))
	for i := range b.keys {
		b.keys[i] = math.MaxUint64
		if i < len(finite) {
			b.keys[i] = ordered(finite[i])
		}
	}
	return b
}

// Len is the number of cells.
func (b *Bins) Len() int { return len(b.Upper) }

// Index is the cell of x, which must not be NaN.
func (b *Bins) Index(x float64) int {
	if b.keys != nil {
		return int(b.search(x))
	}
	i := int(b.first(x))
	for x > b.Upper[i] {
		i++
	}
	return i
}

// indices finds the cells of finite values. Nothing in its loops depends on the
// values but what is looked up: a branch would be guessed wrong for every other one.
func (b *Bins) indices(values []float64, cells []uint16) {
	cells = cells[:len(values)]
	if b.keys != nil {
		for k, x := range values {
			cells[k] = b.search(x)
		}
		return
	}
	t, borders := b.table, b.borders
	for k, x := range values {
		i := t.first(x)
		// Cells go by how many of the next borders are below; the sign of a difference is exact.
		next := borders[i : i+maxBorders]
		cells[k] = i + uint16(math.Float64bits(next[0]-x)>>63+math.Float64bits(next[1]-x)>>63)
	}
}

// search finds a cell by halves, a bit of its number in each step. The number of
// keys is a power of two; the last ones are larger than any.
func (b *Bins) search(x float64) uint16 {
	v, i := ordered(x+0), uint64(0)
	for bit := bits.Len(uint(len(b.keys))) - 2; bit >= 0; bit-- {
		_, below := bits.Sub64(b.keys[i|1<<(bit&63)-1], v, 0)
		i |= below << (bit & 63)
	}
	return uint16(i)
}

// Atom says whether cell i holds a single value.
func (b *Bins) Atom(i int) bool {
	return i > 0 && i < len(b.Upper) && math.Nextafter(b.Upper[i-1], math.Inf(1)) == b.Upper[i]
}
