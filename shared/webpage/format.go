package webpage

import (
	"math"
	"strconv"
	"strings"
)

// Coordinate is a number of a drawing.
func Coordinate(x float64) string { return trim(strconv.FormatFloat(x, 'f', 1, 64)) }

func trim(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}

// Short is a distance: at most four decimals.
func Short(x float64) string {
	if x != 0 && math.Abs(x) < 0.00005 {
		return "0"
	}
	if math.Abs(x) >= 10 {
		return Number(x)
	}
	return strings.Replace(trim(strconv.FormatFloat(x, 'f', 4, 64)), "-", "−", 1)
}

// Number is a value: whole numbers as they are, others with four digits.
func Number(x float64) string {
	if x == math.Trunc(x) && math.Abs(x) < 1e15 {
		sign := ""
		if x < 0 {
			sign = "−"
		}
		return sign + Whole(uint64(math.Abs(x)))
	}
	return strings.Replace(strconv.FormatFloat(x, 'g', 4, 64), "-", "−", 1)
}

// Measure is a measured value: four decimals below 10, fewer above, so that values
// of one column stand below each other.
func Measure(x float64) string {
	a := math.Abs(x)
	var s string
	switch {
	case a == 0:
		return "0"
	case a < 0.001:
		s = strconv.FormatFloat(x, 'g', 2, 64)
	case a < 10:
		s = strconv.FormatFloat(x, 'f', 4, 64)
	case a < 100:
		s = strconv.FormatFloat(x, 'f', 2, 64)
	case a < 1000:
		s = strconv.FormatFloat(x, 'f', 1, 64)
	case a < 1e15:
		return Number(math.Round(x))
	default:
		s = strconv.FormatFloat(x, 'g', 4, 64)
	}
	return strings.ReplaceAll(s, "-", "−")
}

// Signed is a difference: a Measure with its sign, + included.
func Signed(x float64) string {
	if x > 0 {
		return "+" + Measure(x)
	}
	return Measure(x)
}

// Optional is a value that may be missing.
func Optional(x *float64) string {
	if x == nil {
		return "–"
	}
	return Number(*x)
}

// Percent is a share of 1.
func Percent(x float64) string {
	switch y := 100 * x; {
	case y == 0:
		return "0 %"
	case math.Abs(y) < 0.05:
		return "< 0.1 %"
	default:
		return trim(strconv.FormatFloat(y, 'f', 1, 64)) + " %"
	}
}

// PValue is a p-value with four decimals.
func PValue(p float64) string {
	if p < 0.0001 {
		return "< 0.0001"
	}
	return trim(strconv.FormatFloat(p, 'f', 4, 64))
}

// OfRows is k of n rows, with their share.
func OfRows(k, n uint64) string {
	if n == 0 || k == 0 {
		return Whole(k)
	}
	return Whole(k) + " (" + Percent(float64(k)/float64(n)) + ")"
}

// Whole groups digits by thin spaces.
func Whole(n uint64) string {
	s := strconv.FormatUint(n, 10)
	if len(s) < 5 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(r)
	}
	return b.String()
}
