package table

import (
	"math"
	"strconv"
	"time"
	"unsafe"

	"github.com/tidegate/tidegate/shared/oip/wire"
)

// convert makes numbers or times of the texts; wrong is how many are none.
func (v *Values) convert(want Kind) (wrong uint64) {
	n := len(v.Texts)
	v.Wrong = v.Wrong[:0]
	if want == Number {
		v.Form, v.Floats = Floats, sized(v.Floats, n)
		for i, text := range v.Texts {
			x, ok := number(text)
			if !ok {
				v.Wrong = append(v.Wrong, i)
			}
			v.Floats[i] = x
		}
		return uint64(len(v.Wrong))
	}
	v.Form, v.Ints, v.Null = Ints, sized(v.Ints, n), sized(v.Null, n)
	for i, text := range v.Texts {
		ms, ok := moment(text)
		v.Ints[i], v.Null[i] = ms, !ok
		if !ok && !missing(text) {
			v.Wrong = append(v.Wrong, i)
		}
	}
	return uint64(len(v.Wrong))
}

// missing says whether a text stands for a missing value: what profile takes for one, too.
func missing(text string) bool {
	switch text {
	case "", "NA", "N/A", "null", "None", "NaN", "nan":
		return true
	}
	return false
}

// number reads a number, or a truth value as 0 or 1; a missing one is NaN and ok.
func number(text string) (float64, bool) {
	if len(text) > 0 { // the form of nearly all, several times faster
		b := unsafe.Slice(unsafe.StringData(text), len(text))
		if x, end, code := wire.Float64(b, 0); code == wire.OK && end == len(b) && x == x {
			return x, true
		}
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil || math.IsInf(x, 0) {
		return x, true
	}
	switch text {
	case "true", "True", "TRUE":
		return 1, true
	case "false", "False", "FALSE":
		return 0, true
	}
	return math.NaN(), missing(text)
}

// layouts of times without a zone are UTC.
var layouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02"}

// moment reads a time, in milliseconds since 1970.
func moment(text string) (int64, bool) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), true
		}
	}
	return 0, false
}
