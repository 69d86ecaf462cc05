package quality

import (
	"math"
	"math/bits"
)

const (
	fixedUnit = -80 // the exponent of the lowest bit of a fixed
	// maxTerm bounds what is added, so that 2^37 rows do not overflow. Probabilities and their losses are
	// far below; other scores are cut, as nothing is computed of their sums.
	maxTerm = 1 << 10
)

// fixed is a sum of numbers of moderate size as an integer of 128 bits in units of
// 2^−80. Each number is cut to the unit before it is added, so the sum does not
// depend on the order; what is cut of a row is below 10^−24. It takes 16 bytes where
// a sketch.Sum takes 550: a state has thousands of them.
type fixed struct {
	hi int64
	lo uint64
}

// add adds x, cut to ±maxTerm; x must not be NaN.
func (f *fixed) add(x float64) {
	b := math.Float64bits(min(max(x, -maxTerm), maxTerm))
	exponent := int(b >> 52 & 0x7ff)
	if exponent == 0 {
		return // 0, or far below the unit
	}
	m := b&(1<<52-1) | 1<<52
	var hi, lo uint64
	switch shift := exponent - 1075 - fixedUnit; {
	case shift >= 64:
		hi = m << uint(shift-64)
	case shift >= 0:
		hi, lo = m>>uint(64-shift), m<<uint(shift)
	default:
		lo = m >> uint(-shift)
	}
	var carry uint64
	if b>>63 != 0 {
		f.lo, carry = bits.Sub64(f.lo, lo, 0)
		f.hi -= int64(hi + carry)
		return
	}
	f.lo, carry = bits.Add64(f.lo, lo, 0)
	f.hi += int64(hi + carry)
}

// merge adds o.
func (f *fixed) merge(o fixed) {
	lo, carry := bits.Add64(f.lo, o.lo, 0)
	f.lo, f.hi = lo, f.hi+o.hi+int64(carry)
}

// float is the sum, within two roundings.
func (f fixed) float() float64 {
	if f.hi < 0 { // of the magnitude, or small negative sums would lose their digits
		lo, borrow := bits.Sub64(0, f.lo, 0)
		return -fixed{-f.hi - int64(borrow), lo}.float()
	}
	return math.Ldexp(float64(f.hi), 64+fixedUnit) + math.Ldexp(float64(f.lo), fixedUnit)
}
