package wire

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// AppendFloat32 appends the shortest decimal that reads back to v as a float32;
// NaN and infinities, which JSON does not have, are null.
func AppendFloat32(dst []byte, v float32) []byte { return appendFloat(dst, float64(v), 32) }

// AppendFloat64 appends the shortest decimal that reads back to v; see AppendFloat32.
func AppendFloat64(dst []byte, v float64) []byte { return appendFloat(dst, v, 64) }

// appendFloat writes the form of encoding/json: positional from 1e-6 to 1e21, else with an exponent.
func appendFloat(dst []byte, v float64, size int) []byte {
	if v-v != 0 {
		return append(dst, "null"...)
	}
	// Integers below 2^24 are exact in both sizes, so that their digits are the shortest.
	if v == float64(int32(v)) && math.Abs(v) < 1<<24 && (v != 0 || !math.Signbit(v)) {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	abs, format := math.Abs(v), byte('f')
	if abs != 0 && ((size == 64 && (abs < 1e-6 || abs >= 1e21)) || (size == 32 && (float32(abs) < 1e-6 || float32(abs) >= 1e21))) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, v, format, -1, size)
	if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 to e-9
		dst = dst[:n-1]
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD: JSON cannot carry them (ask for binary outputs).
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[from:i]...), "\ufffd"...)
				from = i + 1
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}
