package wire

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// plain returns the position of the first byte at or behind i that is a quote,
// a backslash, a control character or not ASCII; len(b) when there is none.
func plain(b []byte, i int) int {
	for i+8 <= len(b) {
		v := binary.LittleEndian.Uint64(b[i:])
		quote, slash := v^(ones*'"'), v^(ones*'\\')
		// The lowest byte flagged is exact: borrows only run upward from a true hit.
		hit := ((quote-ones)&^quote | (slash-ones)&^slash | (v-ones*0x20)&^v | v) & tops
		if hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
		i += 8
	}
	for i < len(b) && b[i] >= 0x20 && b[i] < 0x80 && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// skipString checks the form of the string at i: quotes, escapes, no control characters.
func skipString(b []byte, i int) (int, Code) {
	if at(b, i) != '"' {
		return i, Syntax
	}
	i++
	for {
		i = plain(b, i)
		switch c := at(b, i); {
		case c == '"':
			return i + 1, OK
		case c >= 0x80:
			i++
		case c == '\\':
			_, next, code := escape(b, i)
			if code == Syntax {
				return i, Syntax
			}
			i = next
		default:
			return i, Syntax
		}
	}
}

// String reads a string. Without escapes it shares memory with b: it is valid,
// and constant, as long as b is not written to.
func String(b []byte, i int) (string, int, Code) {
	if at(b, i) != '"' {
		return "", i, misfit(b, i)
	}
	start := i + 1
	i = plain(b, start)
	if at(b, i) == '"' {
		return alias(b[start:i]), i + 1, OK
	}
	end, code := skipString(b, start-1)
	if code != OK {
		return "", start, code
	}
	raw := b[start : end-1]
	if !utf8.Valid(raw) {
		return "", end, UTF8
	}
	for k := i - start; k < len(raw); k++ {
		if raw[k] == '\\' {
			s, code := unescape(raw, k)
			return s, end, code
		}
	}
	return alias(raw), end, OK
}

func alias(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

// unescape copies raw, whose form has been checked, from its first backslash at k on.
func unescape(raw []byte, k int) (string, Code) {
	out := append(make([]byte, 0, len(raw)), raw[:k]...)
	for k < len(raw) {
		if raw[k] != '\\' {
			out = append(out, raw[k])
			k++
			continue
		}
		r, next, code := escape(raw, k)
		if code != OK {
			return "", code
		}
		out = utf8.AppendRune(out, r)
		k = next
	}
	return alias(out), OK
}

// escape reads the escape sequence at i; a surrogate pair is one rune.
func escape(b []byte, i int) (rune, int, Code) {
	switch c := at(b, i+1); c {
	case '"', '\\', '/':
		return rune(c), i + 2, OK
	case 'b':
		return '\b', i + 2, OK
	case 'f':
		return '\f', i + 2, OK
	case 'n':
		return '\n', i + 2, OK
	case 'r':
		return '\r', i + 2, OK
	case 't':
		return '\t', i + 2, OK
	case 'u':
		r, ok := hex4(b, i+2)
		if !ok {
			return 0, i, Syntax
		}
		if !utf16.IsSurrogate(r) {
			return r, i + 6, OK
		}
		if at(b, i+6) == '\\' && at(b, i+7) == 'u' {
			if low, ok := hex4(b, i+8); ok {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					return pair, i + 12, OK
				}
			}
		}
		return 0, i + 6, Surrogate
	}
	return 0, i, Syntax
}

func hex4(b []byte, i int) (rune, bool) {
	if i+4 > len(b) {
		return 0, false
	}
	var r rune
	for _, c := range b[i : i+4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
