package label

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	uuidLength = 36
	maxRow     = 1<<31 - 1
	// MaxRequestID is the longest request id that predict captures (docs/formats/http.md), in bytes.
	MaxRequestID = 256
)

// TimeOf is the moment at which a prediction was made, to the millisecond: that of
// the UUIDv7 of its inference id (RFC 9562, 5.7), with or without a row behind it.
// ok is false for every other text.
func TimeOf(id string) (at time.Time, ok bool) {
	ms, ok := millis(id)
	if !ok {
		return time.Time{}, false
	}
	return time.UnixMilli(ms).UTC(), true
}

// millis reads the first 48 bits of a UUIDv7 in lower case.
func millis(id string) (ms int64, ok bool) {
	if len(id) < uuidLength || !validUUIDv7(id[:uuidLength]) || len(id) > uuidLength && !validRow(id[uuidLength:]) {
		return 0, false
	}
	for i := range 13 {
		if i != 8 {
			ms = ms<<4 | int64(hexValue[id[i]])
		}
	}
	return ms, true
}

// hexValue is the value of a lower-case hex digit, 0xff for every other byte.
var hexValue = func() (t [256]uint8) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = uint8(i)
	}
	return t
}()

func validUUIDv7(id string) bool {
	var all uint8
	for i := range uuidLength {
		switch c := id[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			all |= hexValue[c]
		}
	}
	variant := hexValue[id[19]]
	return all <= 0xf && id[14] == '7' && variant >= 8 && variant <= 11
}

// validRow says whether suffix is "#" and the number of a row without leading zeros.
func validRow(suffix string) bool {
	digits := suffix[1:]
	if suffix[0] != '#' || digits == "" || len(digits) > 10 || digits[0] == '0' && len(digits) > 1 {
		return false
	}
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return false
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return err == nil && n <= maxRow
}

// SplitID cuts the row off an id: "<id>#3" is "<id>" and 3, true; an id without a
// row is that of a request of one row: 0, false. It takes inference ids and
// request ids; of the latter only what stands behind the last "#" can be a row.
func SplitID(id string) (base string, row int, found bool) {
	i := strings.LastIndexByte(id, '#')
	if i < 0 || !validRow(id[i:]) {
		return id, 0, false
	}
	row, _ = strconv.Atoi(id[i+1:])
	return id[:i], row, true
}

// normalID brings the hex digits of an inference id into lower case.
func normalID(id string) string {
	for i := range len(id) {
		if c := id[i]; c >= 'A' && c <= 'F' {
			return strings.ToLower(id)
		}
	}
	return id
}

// checkRequestID says what keeps id from being a client's own id; "" for nothing.
func checkRequestID(id string) (problem string) {
	base, _, _ := SplitID(id)
	switch {
	case base == "":
		return "is empty"
	case len(base) > MaxRequestID:
		return "is longer than 256 bytes"
	case !utf8.ValidString(id):
		return "is not valid UTF-8"
	}
	return ""
}
