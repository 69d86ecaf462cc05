// Package sketch holds the mergeable state of statistics: counts and exact sums
// whose bytes do not depend on how the rows were split or in which order the
// parts were merged.
//
// It holds no sampling sketch whose content depends on sharding (no KLL, no
// frequent-items sketch) and no verdicts. It is a leaf.
//
//	var s sketch.Sum
//	s.Add(0.1)
//	s.Add(1e300)
//	s.Add(-1e300)
//	s.Float64() // 0.1, whatever the order
package sketch

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

const (
	chunkBits = 32
	chunkMask = 1<<chunkBits - 1
	// A float64 has 2,046 finite exponents; the exponent's upper six bits choose the chunk, and the
	// mantissa spills into the next one. Two more hold carries of up to 2^63 additions.
	chunks = 2046/chunkBits + 4
	// unit is the exponent of the lowest bit of chunk 0: value = mantissa · 2^(exponent field − 1075).
	unit = -1075
	// A chunk receives at most 52 bits an addition, so 2^11 − 1 additions cannot overflow its 63 bits.
	maxPending = 1<<11 - 1
)

// Sum is an exact sum of float64 values: the small superaccumulator of Radford
// Neal, "Fast exact summation using small and large superaccumulators" (2015).
// Rounding happens once, in [Sum.Float64]. The zero value is an empty sum; equal
// multisets of values give equal sums in every order and grouping. Its size is
// about 550 bytes.
//
// Non-finite values are not summed: callers count them (see [Sum.Add]).
type Sum struct {
	chunk   [chunks]int64
	pending int // additions since the last propagation of carries
}

// Add adds x. It returns false, and adds nothing, when x is NaN or infinite.
func (s *Sum) Add(x float64) bool {
	b := math.Float64bits(x)
	exp := int(b>>52) & 0x7ff
	mant := int64(b & (1<<52 - 1))
	switch exp {
	case 0x7ff:
		return false
	case 0:
		if mant == 0 {
			return true
		}
		exp = 1 // subnormal: the same unit as exponent 1, without the implicit bit
	default:
		mant |= 1 << 52
	}
	if s.pending == maxPending {
		s.propagate()
	}
	s.pending++
	i, shift := exp>>5, uint(exp&31)
	low := int64(uint64(mant) << shift & chunkMask)
	high := mant >> (chunkBits - shift)
	if int64(b) < 0 {
		low, high = -low, -high
	}
	s.chunk[i] += low
	s.chunk[i+1] += high
	return true
}

// AddN adds n times x exactly (n < 2^53), as from a dictionary-encoded column.
func (s *Sum) AddN(x float64, n uint64) bool {
	return s.AddProduct(x, float64(n))
}

// AddSquare adds x² exactly, as its rounded value and the rest that a fused
// multiply-add leaves. It returns false when x² is not finite.
func (s *Sum) AddSquare(x float64) bool { return s.AddProduct(x, x) }

// AddProduct adds x·y exactly unless the product is subnormal, where the rest
// below 2^-1074 is dropped, the same way for every order. It returns false, and
// adds nothing, when the product is not finite.
func (s *Sum) AddProduct(x, y float64) bool {
	p := x * y
	if !s.Add(p) {
		return false
	}
	s.Add(math.FMA(x, y, -p))
	return true
}

// Merge adds o to s.
func (s *Sum) Merge(o *Sum) {
	if s.pending+o.pending+1 > maxPending {
		s.propagate()
		other := *o
		other.propagate()
		o = &other
	}
	for i, c := range o.chunk {
		s.chunk[i] += c
	}
	s.pending += o.pending + 1
}

// propagate carries, so that every chunk but the last is in [0, 2^32): the one
// form of this value.
func (s *Sum) propagate() {
	var carry int64
	for i := range chunks - 1 {
		c := s.chunk[i] + carry
		s.chunk[i] = c & chunkMask
		carry = c >> chunkBits
	}
	s.chunk[chunks-1] += carry
	s.pending = 0
}

// integer returns the sum in units of 2^unit.
func (s *Sum) integer() *big.Int {
	c := *s
	c.propagate()
	v := new(big.Int).SetInt64(c.chunk[chunks-1])
	part := new(big.Int)
	for i := chunks - 2; i >= 0; i-- {
		v.Lsh(v, chunkBits)
		v.Add(v, part.SetInt64(c.chunk[i]))
	}
	return v
}

// Float64 returns the sum rounded once, to nearest even; ±Inf beyond the range.
func (s *Sum) Float64() float64 {
	v := s.integer()
	if v.Sign() == 0 {
		return 0
	}
	f := new(big.Float).SetInt(v) // the precision of SetInt holds v exactly
	f.SetMantExp(f, unit)
	x, _ := f.Float64()
	return x
}

// IsZero says whether the sum is exactly zero.
func (s *Sum) IsZero() bool { return s.integer().Sign() == 0 }

// MarshalText writes the exact sum as "[-]0x<odd mantissa>p<exponent>", or "0":
// one text for one value. It has a value receiver, or encoding/json would miss it
// in structs that are not addressable.
func (s Sum) MarshalText() ([]byte, error) {
	v := s.integer()
	if v.Sign() == 0 {
		return []byte("0"), nil
	}
	zeros := v.TrailingZeroBits()
	neg := v.Sign() < 0
	v.Abs(v).Rsh(v, zeros)
	out := make([]byte, 0, 32)
	if neg {
		out = append(out, '-')
	}
	out = append(out, "0x"...)
	out = v.Append(out, 16)
	out = append(out, 'p')
	return strconv.AppendInt(out, int64(zeros)+unit, 10), nil
}

// UnmarshalText reads what MarshalText wrote. It refuses values outside of what
// a Sum can hold.
func (s *Sum) UnmarshalText(text []byte) error {
	*s = Sum{}
	t := string(text)
	if t == "0" {
		return nil
	}
	digits, neg := strings.CutPrefix(t, "-")
	digits, ok := strings.CutPrefix(digits, "0x")
	mantissa, exponent, found := strings.Cut(digits, "p")
	if !ok || !found || mantissa == "" || len(mantissa) > chunks*chunkBits/4 || strings.ContainsAny(mantissa, "+-_") {
		return fmt.Errorf("sketch: an exact sum has the form [-]0x<hex>p<exponent>")
	}
	e, err := strconv.Atoi(exponent)
	if err != nil {
		return fmt.Errorf("sketch: the exponent of an exact sum is not a number")
	}
	v, ok := new(big.Int).SetString(mantissa, 16)
	if !ok {
		return fmt.Errorf("sketch: the mantissa of an exact sum is not hexadecimal")
	}
	shift := e - unit
	if shift < 0 || shift+v.BitLen() > (chunks-1)*chunkBits+62 {
		return fmt.Errorf("sketch: an exact sum is outside of the range of its accumulator")
	}
	s.set(v.Lsh(v, uint(shift)))
	if neg {
		for i := range s.chunk {
			s.chunk[i] = -s.chunk[i]
		}
		s.propagate()
	}
	return nil
}

// set fills the chunks from a non-negative integer that fits.
func (s *Sum) set(v *big.Int) {
	for w, word := range v.Bits() {
		for half := 0; half < bits.UintSize/chunkBits; half++ {
			i := w*(bits.UintSize/chunkBits) + half
			part := int64(uint64(word) >> (half * chunkBits) & chunkMask)
			if i < chunks {
				s.chunk[i] = part
			} else {
				s.chunk[chunks-1] += part << (chunkBits * (i - chunks + 1))
			}
		}
	}
}
