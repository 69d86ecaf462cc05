package profile

import (
	"math"
	"slices"
)

const (
	// tableSlots divide the range of the borders, fineSlots each of these again where there are many borders.
	tableSlots = 1 << 10
	fineBits   = 10
	// maxBorders is the most borders that a slot may hold: a search walks over all of them without looking.
	maxBorders = 2
	// maxEntries keeps the table within the first-level cache.
	maxEntries = 1 << 13
)

// table finds the first cell that a value can be in. A value's slot is a fixed
// number of equal parts of the range; slots with many borders are divided again.
type table struct {
	slots []uint32 // the slot's first entry, and in the lowest byte how many low bits of a position it ignores
	cells []uint16 // by entry
	lo    float64
	scale float64 // positions a unit
}

// fill makes the table of ascending borders; false when it would be too large.
func (t *table) fill(borders []float64) bool {
	lo, hi := borders[0], borders[len(borders)-1]
	t.lo, t.scale = lo, tableSlots<<fineBits/(hi-lo)
	if !(t.scale > 0) || math.IsInf(t.scale, 0) {
		return false
	}
	// A border's position is computed as that of a value, so that rounding is the same on both sides.
	at := make([]uint32, len(borders))
	for i, u := range borders {
		at[i] = t.position(u)
	}
	for slot := range uint32(tableSlots + 1) {
		ignored, ok := ignorable(at, slot)
		if !ok || len(t.cells) > maxEntries {
			return false
		}
		t.slots = append(t.slots, uint32(len(t.cells))<<8|ignored)
		for part := range uint32(1) << (fineBits - ignored) {
			i, _ := slices.BinarySearch(at, slot<<fineBits|part<<ignored)
			t.cells = append(t.cells, uint16(i))
		}
	}
	return true
}

// ignorable is how many low bits of positions in the slot can be ignored so that no part holds more than maxBorders.
func ignorable(at []uint32, slot uint32) (ignored uint32, ok bool) {
	from, _ := slices.BinarySearch(at, slot<<fineBits)
	to, _ := slices.BinarySearch(at, (slot+1)<<fineBits)
	here := at[from:to]
	for ignored = fineBits; ; ignored-- {
		crowded := false
		for i := maxBorders; i < len(here); i++ {
			crowded = crowded || here[i]>>ignored == here[i-maxBorders]>>ignored
		}
		if !crowded || ignored == 0 {
			return ignored, !crowded
		}
	}
}

// position is where x is in the range, in parts of 2^-20 of it.
func (t *table) position(x float64) uint32 {
	const end = tableSlots << fineBits
	p := (x - t.lo) * t.scale
	i := int64(p)
	if uint64(i) < end && p >= 0 { // one branch for nearly all
		return uint32(i)
	}
	if p > 0 {
		return end
	}
	return 0
}

// first is the first cell that x can be in.
func (t *table) first(x float64) uint16 {
	p := t.position(x)
	slot := t.slots[p>>fineBits]
	return t.cells[slot>>8+(p&(1<<fineBits-1))>>(slot&31)]
}
