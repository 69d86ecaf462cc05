package evaluation

import (
	"math"
	"time"
)

// delays is a histogram of how long labels took: 16 cells to a doubling of
// milliseconds, cut by the bits of the number, so that it is the same on every machine.
type delays [delayCells]uint64

const (
	delayCells = 1 + 16*46 // up to 2^46 ms, two thousand years
	firstDelay = 1023 << 4 // the bits of 1
)

func (d *delays) add(ms int64) { d[delayCell(ms)]++ }

// delayCell is 0 of a label that was known before its prediction, or at once.
func delayCell(ms int64) int {
	if ms < 1 {
		return 0
	}
	return min(delayCells-1, 1+int(math.Float64bits(float64(ms))>>48)-firstDelay)
}

// upper is the largest delay of a cell, in milliseconds.
func upper(cell int) int64 {
	if cell == 0 {
		return 0
	}
	return int64(math.Ceil(math.Float64frombits(uint64(firstDelay+cell) << 48)))
}

func (d *delays) merge(o *delays) {
	for i, n := range o {
		d[i] += n
	}
}

// quantile is the delay within which the share p of the labels came.
func (d *delays) quantile(p float64) (delay time.Duration, n uint64) {
	for _, k := range d {
		n += k
	}
	var below uint64
	for cell, k := range d {
		if below += k; n > 0 && float64(below) >= p*float64(n) {
			return time.Duration(upper(cell)) * time.Millisecond, n
		}
	}
	return 0, n
}

// filled are the cells with labels as pairs of cell and number, ascending.
func (d *delays) filled() [][2]uint64 {
	var out [][2]uint64
	for cell, k := range d {
		if k > 0 {
			out = append(out, [2]uint64{uint64(cell), k})
		}
	}
	return out
}
