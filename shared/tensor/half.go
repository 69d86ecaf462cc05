package tensor

import "math"

// HalfToFloat32 is the value of IEEE 754 binary16 bits; every one is exact in a float32.
func HalfToFloat32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0: // zero or subnormal: frac · 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// HalfFromFloat64 rounds v to the nearest binary16, ties to even; values beyond
// ±65504 by more than half a step become infinite.
func HalfFromFloat64(v float64) uint16 {
	bits := math.Float64bits(v)
	sign := uint16(bits >> 48 & 0x8000)
	abs := math.Abs(v)
	switch {
	case v != v:
		return sign | 0x7e00
	case abs >= 65520:
		return sign | 0x7c00
	case abs < 0x1p-14: // subnormal: multiples of 2^-24
		return sign | uint16(math.RoundToEven(abs*0x1p24))
	}
	// Keep 10 of 52 fraction bits; a carry runs into the exponent as it should.
	b := bits & (1<<63 - 1)
	b += 1<<41 - 1 + b>>42&1
	return sign | uint16((b>>42)-(1023-15)<<10)
}
