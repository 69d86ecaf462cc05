package label

import (
	"cmp"
	"math"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/oip/wire"
)

// Kind is the JSON type of a label.
type Kind uint8

// The kinds of values.
const (
	None   Kind = iota
	Number      // finite
	Text        // the name of a class
	Bool
)

// Value is a label: a number, the name of a class, or a truth value.
type Value struct {
	Kind   Kind
	Number float64 // of a truth value 0 or 1
	Text   string  // of Text only
}

// MaxText is the longest name of a class, in bytes.
const MaxText = 256

// Class is the text under which classes are the same: 1 and 1.0 are "1", true is
// "true", a name is itself.
func (v Value) Class() string {
	switch v.Kind {
	case Number:
		return strconv.FormatFloat(v.Number+0, 'f', -1, 64) // -0 + 0 is 0
	case Bool:
		return strconv.FormatBool(v.Number != 0)
	}
	return v.Text
}

// Compare orders values: by kind, then by number or by the bytes of the text. It
// is 0 for equal labels only; -0 is 0.
func Compare(a, b Value) int {
	if a.Kind != b.Kind {
		return cmp.Compare(a.Kind, b.Kind)
	}
	if a.Kind == Text {
		return strings.Compare(a.Text, b.Text)
	}
	return cmp.Compare(a.Number, b.Number)
}

// Append appends the value as JSON. Equal values are equal bytes.
func (v Value) Append(dst []byte) []byte {
	switch v.Kind {
	case Number:
		if v.Number == 0 { // not "-0"
			return append(dst, '0')
		}
		if v.Number == math.Trunc(v.Number) && math.Abs(v.Number) < 1e15 {
			return strconv.AppendInt(dst, int64(v.Number), 10)
		}
		return wire.AppendFloat64(dst, v.Number)
	case Bool:
		return strconv.AppendBool(dst, v.Number != 0)
	case Text:
		return wire.AppendString(dst, v.Text)
	}
	return append(dst, "null"...)
}

// NumberOf, TextOf and BoolOf make values.
func NumberOf(v float64) Value { return Value{Kind: Number, Number: v} }

// TextOf is the name of a class.
func TextOf(s string) Value { return Value{Kind: Text, Text: s} }

// BoolOf is a truth value.
func BoolOf(b bool) Value {
	v := Value{Kind: Bool}
	if b {
		v.Number = 1
	}
	return v
}

// ValueOf reads what Append wrote; the kind is None for anything else. A text may
// share memory with b.
func ValueOf(b []byte) Value {
	var v Value
	if end, code := value(b, 0, &v); code != wire.OK || end != len(b) {
		return Value{}
	}
	return v
}
