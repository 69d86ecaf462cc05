package wire

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unsafe"
)

// number is a JSON number taken apart: ±mant·10^exp. With more than 19
// significant digits mant has overflowed and long is set: the text decides then.
type number struct {
	mant     uint64
	exp      int
	neg      bool
	integral bool // neither fraction nor exponent
	long     bool
}

// scan reads the grammar of a JSON number at i and returns its end, or i when
// there is none. It is the innermost loop of the decoder.
func (n *number) scan(b []byte, i int) int {
	start := i
	n.neg = i < len(b) && b[i] == '-'
	if n.neg {
		i++
	}
	first := i
	mant := uint64(0)
	for i < len(b) && b[i]-'0' <= 9 {
		mant = mant*10 + uint64(b[i]-'0')
		i++
	}
	digits := i - first
	if digits == 0 || (digits > 1 && b[first] == '0') {
		return start
	}
	exp := 0
	integral := true
	if i < len(b) && b[i] == '.' {
		integral = false
		i++
		from := i
		mant, i = fraction(mant, b, i)
		if i == from {
			return start
		}
		exp = from - i
		digits -= exp
	}
	end := i
	n.long = digits > 19 && significant(b[first:end]) > 19
	if i < len(b) && b[i]|0x20 == 'e' {
		integral = false
		var e int
		if e, i = exponent(b, i+1); i == 0 {
			return start
		}
		exp += e
	}
	n.mant, n.exp, n.integral = mant, exp, integral
	return i
}

// short reads what most floats look like: a sign or none, one digit, a point and 1
// to 15 digits, as ±mant·10^-scale. Where signs and lengths are as good as random, a
// loop over them is guessed wrong at every number: nothing here branches on them.
// end is i for everything else, which scan reads.
func short(b []byte, i int) (mant uint64, scale int, neg bool, end int) {
	if i+longestShort > len(b) {
		return 0, 0, false, i
	}
	neg = b[i] == '-'
	from := i + int(one(neg))
	first := uint64(b[from] - '0')
	head, tail := binary.LittleEndian.Uint64(b[from+2:]), binary.LittleEndian.Uint64(b[from+10:])
	h := bits.TrailingZeros64(nonDigits(head)) / 8
	t := bits.TrailingZeros64(nonDigits(tail)) / 8 & -(h >> 3) // digits go on there only after eight
	end = from + 2 + h + t
	if first > 9 || b[from+1] != '.' || h == 0 || t == 8 || b[end]|0x20 == 'e' {
		return 0, 0, false, i
	}
	return (first*tens[h]+parseFew(head, h))*tens[t&7] + parseFew(tail, t), h + t, neg, end
}

// longestShort is how far short looks.
const longestShort = len("-0.") + 16

// float32s reads numbers as short knows them, each with a comma behind it, and stops
// at the first other one, behind white space. It is Float32 without a call and a copy
// a number.
func float32s(b []byte, i int, dst []float32) (next, n int) {
	for n < len(dst) {
		mant, scale, neg, end := short(b, i)
		if end == i || b[end] != ',' {
			break
		}
		v, ok := narrow(float64(int64(mant))*tenths[scale], neg)
		if !ok {
			break
		}
		dst[n] = v
		n++
		if i = end + 1; i < len(b) && b[i] <= ' ' {
			i = Space(b, i)
		}
	}
	return i, n
}

// one is 1 for true, without a branch.
func one(v bool) uint8 {
	var n uint8
	if v {
		n = 1
	}
	return n
}

// exponent reads [+-]digits at i; its position is 0 when there is none. Values
// beyond ±100000 are cut there: they are far out of every range already.
func exponent(b []byte, i int) (e, next int) {
	neg := false
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		neg = b[i] == '-'
		i++
	}
	from := i
	for i < len(b) && b[i]-'0' <= 9 {
		if e < 100000 {
			e = e*10 + int(b[i]-'0')
		}
		i++
	}
	if i == from {
		return 0, 0
	}
	if neg {
		e = -e
	}
	return e, i
}

// significant counts the digits of a decimal from the first that is not 0.
func significant(text []byte) int {
	n := 0
	for _, c := range text {
		if c != '.' && (n > 0 || c != '0') {
			n++
		}
	}
	return n
}

// fraction appends the digits at i to mant, eight at a time: fractions are long,
// and a loop over digits would guess their end wrong almost every time.
func fraction(mant uint64, b []byte, i int) (uint64, int) {
	for i+8 <= len(b) {
		v := binary.LittleEndian.Uint64(b[i:])
		other := nonDigits(v)
		if other == 0 {
			mant = mant*100000000 + parseEight(v)
			i += 8
			continue
		}
		k := bits.TrailingZeros64(other) / 8
		return mant*tens[k] + parseFew(v, k), i + k
	}
	for i < len(b) && b[i]-'0' <= 9 {
		mant = mant*10 + uint64(b[i]-'0')
		i++
	}
	return mant, i
}

var tens = [...]uint64{1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000}

// nonDigits flags, by their top bits, the bytes that are no digits. The lowest one
// flagged is exact: digits below it neither carry nor borrow.
func nonDigits(v uint64) uint64 { return ((v + 0x4646464646464646) | (v - 0x3030303030303030)) & tops }

// parseFew is the value of the first k of eight ASCII characters, k < 9, which are digits.
func parseFew(v uint64, k int) uint64 {
	return parseEight(v<<(64-8*k) | uint64(0x3030303030303030)>>(8*k)) // zeros before k digits
}

// parseEight is the value of eight ASCII digits, the first in the lowest byte.
// Source: D. Lemire, "Quickly parsing eight digits" (2018).
func parseEight(v uint64) uint64 {
	v -= 0x3030303030303030
	v = v*10 + v>>8
	return ((v&0x000000ff000000ff)*0x000f424000000064 + (v>>16&0x000000ff000000ff)*0x0000271000000001) >> 32
}

// pow10 holds the powers of ten that a float64 represents exactly.
var pow10 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// tenths are the float64s nearest to 10^-k.
var tenths = [...]float64{1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11,
	1e-12, 1e-13, 1e-14, 1e-15, 1e-16, 1e-17, 1e-18, 1e-19, 1e-20, 1e-21, 1e-22}

// pow5 holds the powers of five that a uint64 represents.
var pow5 = [...]uint64{1, 5, 25, 125, 625, 3125, 15625, 78125, 390625, 1953125, 9765625, 48828125, 244140625, 1220703125,
	6103515625, 30517578125, 152587890625, 762939453125, 3814697265625, 19073486328125, 95367431640625, 476837158203125,
	2384185791015625, 11920928955078125, 59604644775390625, 298023223876953125, 1490116119384765625, 7450580596923828125}

// Float64 reads a number, correctly rounded; null is NaN, the missing value.
func Float64(b []byte, i int) (float64, int, Code) {
	var n number
	end := n.scan(b, i)
	if end == i {
		return notNumber(b, i)
	}
	if v, ok := n.float64(); ok {
		return v, end, OK
	}
	v, err := strconv.ParseFloat(text(b, i, end), 64)
	if err != nil {
		return 0, end, Range
	}
	return v, end, OK
}

// Float32 reads a number, rounded once from its decimal form; null is NaN.
func Float32(b []byte, i int) (float32, int, Code) {
	var n number
	end := n.scan(b, i)
	if end == i {
		v, next, code := notNumber(b, i)
		return float32(v), next, code
	}
	if v, ok := n.float32(); ok {
		return v, end, OK
	}
	v, err := strconv.ParseFloat(text(b, i, end), 32)
	if err != nil {
		return 0, end, Range
	}
	return float32(v), end, OK
}

func text(b []byte, i, end int) string { return unsafe.String(&b[i], end-i) }

func notNumber(b []byte, i int) (float64, int, Code) {
	if IsNull(b, i) {
		return math.NaN(), i + 4, OK
	}
	return 0, i, misfit(b, i)
}

// float64 is the correctly rounded value when a fast way to it exists.
func (n *number) float64() (float64, bool) {
	var v float64
	switch {
	case n.long:
		return 0, false
	case n.mant>>53 == 0 && n.exp >= -22 && n.exp <= 22:
		// Both factors are exact, so that the one operation rounds correctly (W. D. Clinger, 1990).
		if v = float64(n.mant); n.exp < 0 {
			v /= pow10[-n.exp]
		} else {
			v *= pow10[n.exp]
		}
	case n.mant == 0:
	case n.exp <= 0 && n.exp > -len(pow5):
		v = quotient(n.mant, -n.exp)
	default:
		return 0, false
	}
	return math.Float64frombits(math.Float64bits(v) | uint64(one(n.neg))<<63), true
}

// quotient is mant/10^k, correctly rounded, for mant > 0 and k < len(pow5): an
// integer division by 5^k that keeps at least 62 bits and the remainder, then the
// shift by 2^k. The result is never subnormal: it is at least 10^-27.
func quotient(mant uint64, k int) float64 {
	lm := bits.LeadingZeros64(mant)
	ld := bits.LeadingZeros64(pow5[k])
	m := mant << lm
	q, r := bits.Div64(m>>1, m<<63, pow5[k]<<ld) // floor(m·2^63 / d), d normalised: 62 < bits ≤ 64
	if r != 0 {
		q |= 1 // sticky: bits lost are below every bit that decides rounding
	}
	// mant/5^k = q · 2^(ld-lm-63); float64(q) rounds to nearest even once.
	return float64(q) * math.Float64frombits(uint64(1023+ld-lm-63-k)<<52)
}

// float32 is the correctly rounded value when a fast way to it exists. It goes
// through a float64 that is within 3 units in the last place: rounding that once
// more is right unless it lies on the boundary between two float32, which then
// is left to strconv.
func (n *number) float32() (float32, bool) {
	if n.long || n.exp < -22 || n.exp > 22 {
		return 0, false
	}
	v := float64(n.mant)
	if n.exp < 0 {
		v *= tenths[-n.exp] // at most 1.5 units off, and a third of a division's time
	} else {
		v *= pow10[n.exp]
	}
	return narrow(v, n.neg)
}

// narrow rounds ±v, which is within 3 units in the last place, to a float32 where that is sure to be right.
func narrow(v float64, neg bool) (float32, bool) {
	const half, slack = 1 << 28, 8
	if low := math.Float64bits(v) & (1<<29 - 1); low-(half-slack) <= 2*slack || v > math.MaxFloat32 || (v < 0x1p-126 && v != 0) {
		return 0, false
	}
	return math.Float32frombits(math.Float32bits(float32(v)) | uint32(one(neg))<<31), true
}

// Int reads an integer that fits T.
func Int[T int8 | int16 | int32 | int64](b []byte, i int) (T, int, Code) {
	var n number
	end := n.scan(b, i)
	if end == i {
		return 0, i, misfit(b, i)
	}
	if !n.integral {
		return 0, end, Fraction
	}
	limit := uint64(math.MaxInt64)
	v := int64(n.mant)
	if n.neg {
		limit++
		v = -v
	}
	if n.long || n.mant > limit || int64(T(v)) != v {
		return 0, end, Range
	}
	return T(v), end, OK
}

// Uint reads an integer that fits T.
func Uint[T uint8 | uint16 | uint32 | uint64](b []byte, i int) (T, int, Code) {
	var n number
	end := n.scan(b, i)
	if end == i {
		return 0, i, misfit(b, i)
	}
	if !n.integral {
		return 0, end, Fraction
	}
	v := n.mant
	if n.long { // 20 digits can still be a uint64
		long, err := strconv.ParseUint(text(b, i, end), 10, 64)
		if err != nil {
			return 0, end, Range
		}
		v = long
	}
	if (n.neg && v != 0) || uint64(T(v)) != v {
		return 0, end, Range
	}
	return T(v), end, OK
}
