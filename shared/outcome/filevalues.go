package outcome

import (
	"encoding/hex"
	"math"
	"strconv"
	"unsafe"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome/table"
)

// eachKey hands out the keys of a column of ids.
func eachKey(name string, rows int, v *table.Values, each func(i int, k Key, missing bool)) error {
	switch v.Form {
	case table.Ints:
		for i, x := range v.Ints {
			each(i, KeyOfNumber(x), v.Null != nil && v.Null[i])
		}
	case table.UUIDs:
		for i, x := range v.Texts {
			if x == "" {
				each(i, Key{}, true)
			} else {
				each(i, KeyOfBytes((*[16]byte)(unsafe.Pointer(unsafe.StringData(x)))), false)
			}
		}
	case table.Floats: // pandas makes floats of whole numbers when one is missing
		for i, x := range v.Floats[:rows] {
			switch {
			case math.IsNaN(x):
				each(i, Key{}, true)
			case x != math.Trunc(x) || math.Abs(x) > 1<<53:
				return fault.New(fault.InvalidArgument, "column %q holds numbers with a fraction, or too large for floats: they are no ids", name)
			default:
				each(i, KeyOfNumber(int64(x)), false)
			}
		}
	default:
		for i, x := range v.Texts {
			each(i, KeyOf(x), x == "")
		}
	}
	return nil
}

// classOf hands out the classes of a column.
func classOf(c *classes, rows int, v *table.Values, each func(i int, class int32)) {
	switch v.Form {
	case table.Floats:
		for i, x := range v.Floats[:rows] {
			each(i, c.num(x))
		}
	case table.Ints:
		for i, x := range v.Ints[:rows] {
			if v.Null != nil && v.Null[i] {
				each(i, none)
			} else {
				each(i, c.num(float64(x)))
			}
		}
	default:
		for i, x := range v.Texts[:rows] {
			each(i, c.text(x))
		}
	}
}

// segmentText is the text of a value of a segment column.
func segmentText(v *table.Values, i int) string {
	switch v.Form {
	case table.Ints:
		if v.Null != nil && v.Null[i] {
			return ""
		}
		return strconv.FormatInt(v.Ints[i], 10)
	case table.Floats:
		if math.IsNaN(v.Floats[i]) {
			return ""
		}
		return strconv.FormatFloat(v.Floats[i], 'g', -1, 64)
	case table.UUIDs:
		return hex.EncodeToString([]byte(v.Texts[i]))
	}
	return v.Texts[i]
}
