package profile

import (
	"math"
	"math/bits"
	"sync"
)

// The exact sums of a loop over plain values are gathered by exponent: values of
// one exponent are whole multiples of one unit, and integers add up in a cycle or
// two, where [sketch.Sum] needs a dozen for each. The result is the same to the bit.
const (
	// Exponent fields of 2^-400 to 2^500: squares are neither subnormal nor infinite. Other values take the slow way.
	leastExponent = 1023 - 400
	exponents     = 901
	// 2^9 mantissas of 53 bits fit into an int64, and their squares into 128 bits.
	floatBlock = 1 << 9
)

// exponentSums are the sums of the values of one exponent, in units of their last bit.
type exponentSums struct {
	sum    int64
	hi, lo uint64 // of the squares
}

type floatSums [exponents]exponentSums

var floatSumsPool = sync.Pool{New: func() any { return new(floatSums) }}

// countFloats is the hot loop of columns without a dictionary.
func countFloats[T int32 | int64 | float32 | float64](t *Tally, col int, values []T) {
	if len(values) < 64 {
		for _, v := range values {
			t.float(col, float64(v))
		}
		return
	}
	sums := floatSumsPool.Get().(*floatSums)
	for len(values) > 0 {
		n := min(len(values), floatBlock)
		countFloatBlock(t, col, values[:n], sums)
		values = values[n:]
	}
	floatSumsPool.Put(sums)
}

func (t *Tally) float(col int, x float64) {
	if math.IsNaN(x) {
		t.States[col].Rows++
		t.States[col].NaN++
		return
	}
	c := &t.baseline.Columns[col]
	x = round(x, c.Bits)
	t.States[col].one(x, c.index(x))
}

// countFloatBlock counts at most floatBlock values. sums is empty before and after.
func countFloatBlock[T int32 | int64 | float32 | float64](t *Tally, col int, values []T, sums *floatSums) {
	c, s := &t.baseline.Columns[col], &t.States[col]
	cells, size, score := s.Cells, c.Bits, c.Score
	least, largest := math.Inf(1), math.Inf(-1)
	low, high := uint64(exponents), uint64(0)
	counted := uint64(0)
	for _, v := range values {
		x := float64(v)
		if size != 0 {
			x = round(x, size)
		}
		b := math.Float64bits(x)
		e := b>>52&0x7ff - leastExponent
		if e >= exponents {
			if x == 0 {
				x = 0 // −0 is 0
				least, largest = min(least, x), max(largest, x)
				cells[c.index(x)]++
				counted++
			} else {
				t.float(col, x)
			}
			continue
		}
		m := b&(1<<52-1) | 1<<52
		a := &sums[e]
		sign := int64(b) >> 63
		a.sum += int64(m) ^ sign - sign
		hi, lo := bits.Mul64(m, m)
		var carry uint64
		a.lo, carry = bits.Add64(a.lo, lo, 0)
		a.hi += hi + carry
		if e < low {
			low = e
		}
		if e > high {
			high = e
		}
		if x < least {
			least = x
		}
		if x > largest {
			largest = x
		}
		if score {
			cells[c.index(x)]++
		} else {
			cells[c.Bins.Index(x)]++
		}
		counted++
	}
	if counted == 0 {
		return
	}
	s.Rows += counted
	s.extend(least, largest)
	for e := low; e <= high && e < exponents; e++ {
		if a := &sums[e]; a.hi|a.lo != 0 {
			s.addSums(a, int(e)+leastExponent-1075)
			*a = exponentSums{}
		}
	}
}

// addSums adds sums in units of 2^unit, in parts that a float64 holds exactly.
func (s *State) addSums(a *exponentSums, unit int) {
	s.Sum.Add(float64(a.sum>>32) * power(unit+32))
	s.Sum.Add(float64(a.sum&(1<<32-1)) * power(unit))
	for k, part := range [...]uint64{a.lo & (1<<32 - 1), a.lo >> 32, a.hi & (1<<32 - 1), a.hi >> 32} {
		if part != 0 {
			s.Squares.Add(float64(part) * power(2*unit+32*k))
		}
	}
}

// power is 2^n, for n of a normal float64.
func power(n int) float64 { return math.Float64frombits(uint64(n+1023) << 52) }
