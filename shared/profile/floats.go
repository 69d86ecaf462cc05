package profile

import (
	"math"
	"math/bits"
	"sync"
)

// Plain values are counted in blocks, in two passes: one takes the values over and adds them up, the other finds their
// cells. The sums of a block are gathered by exponent: values of one exponent are whole multiples of one unit, and
// integers add up in a cycle or two, where [sketch.Sum] needs a dozen for each. The result is the same to the bit.
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

// block is values of one column, each 0 or of an exponent in range.
type block struct {
	n              int
	least, largest float64
	low, high      uint64 // exponents that sums may hold something of
	values         [floatBlock]float64
	cells          [floatBlock]uint16
	sums           [2048]exponentSums // by exponent field; empty between blocks
}

var blocks = sync.Pool{New: func() any { return new(block) }}

// number is what columns of numbers hold.
type number interface {
	int32 | int64 | float32 | float64
}

// countFloats is the hot loop of columns without a dictionary.
func countFloats[T number](t *Tally, col int, values []T) {
	if len(values) < 64 {
		for _, v := range values {
			t.float(col, float64(v))
		}
		return
	}
	c, s := &t.baseline.Columns[col], &t.States[col]
	b := blocks.Get().(*block)
	odd := func(x float64) { t.float(col, x) }
	for len(values) > 0 {
		n := min(len(values), floatBlock)
		gather(b, values[:n], c.Bits, odd)
		b.sum(s)
		b.tally(c, s.Cells)
		values = values[n:]
	}
	blocks.Put(b)
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

// gather takes over at most floatBlock values, rounded to floats of size bits, and adds them up; those that cannot be
// counted in a block it hands to odd.
func gather[T number](b *block, values []T, size int, odd func(x float64)) {
	least, largest := math.Inf(1), math.Inf(-1)
	low, high := uint64(len(b.sums)), uint64(0)
	n := 0
	for _, value := range values {
		x := float64(value)
		if size != 0 {
			x = round(x, size)
		}
		x += 0 // −0 is 0
		v := math.Float64bits(x)
		e := v >> 52 & 0x7ff
		if e-leastExponent < exponents {
			m := v&(1<<52-1) | 1<<52
			a := &b.sums[e]
			sign := int64(v) >> 63
			a.sum += int64(m) ^ sign - sign
			hi, lo := bits.Mul64(m, m)
			var carry uint64
			a.lo, carry = bits.Add64(a.lo, lo, 0)
			a.hi += hi + carry
			low, high = min(low, e), max(high, e)
		} else if x != 0 {
			odd(x)
			continue
		}
		b.values[n&(floatBlock-1)] = x
		n++
		if x < least {
			least = x
		}
		if x > largest {
			largest = x
		}
	}
	b.n, b.least, b.largest, b.low, b.high = n, least, largest, low, high
}

// sum adds the values of the block to the rows, the least and largest value and the sums of s.
func (b *block) sum(s *State) {
	if b.n == 0 {
		return
	}
	s.Rows += uint64(b.n)
	s.extend(b.least, b.largest)
	for e := b.low; e <= b.high; e++ {
		if a := &b.sums[e]; a.hi|a.lo != 0 {
			s.addSums(a, int(e)-1075)
			*a = exponentSums{}
		}
	}
}

// tally counts the block on the cells of c.
func (b *block) tally(c *Column, counts []uint64) {
	values, cells := b.values[:b.n], b.cells[:b.n]
	c.Bins.indices(values, cells)
	if c.Score {
		for i, x := range values {
			cells[i] = uint16(c.beside(int(cells[i]), x))
		}
	}
	for _, i := range cells {
		counts[i]++
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
