package score

import (
	"math"
	"math/bits"
	"slices"
)

// tableSlots is a power of two. With the slots' 16-bit entries the table takes half of a first-level cache.
const tableSlots = 1 << 13

// table narrows down the bins that a score can be in. A slot is a range of the
// scores' bit patterns, which have their order: slots become narrower towards
// zero, as scores of rare events lie there. The ends of the bounds, one in two
// hundred, share the first and the last slot, so that a single extreme bound does
// not widen all others.
type table struct {
	first []uint16 // by slot, and one more: the first bin that a score of the slot can be in
	base  uint64   // where slot 0 ends, in ordered bits
	shift uint
}

// fill makes the table of ascending finite bounds.
func (t *table) fill(bounds []float64) {
	t.first = make([]uint16, tableSlots+1)
	if len(bounds) > 0 {
		ends := len(bounds) / 200
		t.base = ordered(bounds[ends])
		span := ordered(bounds[len(bounds)-1-ends]) - t.base
		t.shift = uint(max(0, bits.Len64(span)-bits.Len(tableSlots-1)))
		for span>>t.shift >= tableSlots-2 {
			t.shift++
		}
		if t.shift > 0 && span>>(t.shift-1) < tableSlots-2 {
			t.shift--
		}
	}
	at := make([]int, len(bounds))
	for i, u := range bounds {
		at[i] = t.slot(u)
	}
	for s := range t.first {
		i, _ := slices.BinarySearch(at, s)
		t.first[s] = uint16(i)
	}
}

func (t *table) slot(x float64) int {
	v := ordered(x)
	if v < t.base {
		return 0
	}
	return int(min((v-t.base)>>t.shift+1, tableSlots-1))
}

// Index is the bin of x, which must not be NaN.
func (b *Bins) Index(x float64) int {
	slot := b.table.slot(x + 0)
	lo, n := int(b.table.first[slot]), int(b.table.first[slot+1])-int(b.table.first[slot])
	upper := b.upper
	for n > 1 { // halves, as crowded slots are rare
		half := n / 2
		if x > upper[lo+half-1] {
			lo += half
			n -= half
		} else {
			n = half
		}
	}
	if x > upper[lo] {
		lo++
	}
	return lo
}

// ordered maps floats to integers in the same order.
func ordered(x float64) uint64 {
	b := math.Float64bits(x)
	return b ^ (uint64(int64(b)>>63) | 1<<63)
}
