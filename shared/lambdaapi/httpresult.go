package lambdaapi

import (
	"encoding/base64"
	"slices"
	"strconv"

	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/oip/wire"
)

// MaxResult is the most bytes that a result may have: Lambda takes 6 MB each way,
// and the envelope needs some of them.
const MaxResult = 5_900_000

// appendResult encodes r as the result of an HTTP API integration with payload
// format 2.0. Headers are in the order of their names.
func appendResult(dst []byte, r *httpapi.Response, names []string) ([]byte, []string) {
	dst = append(dst, `{"statusCode":`...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, `,"headers":{`...)
	names = names[:0]
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = wire.AppendString(dst, name)
		dst = append(dst, ':')
		dst = wire.AppendString(dst, r.Header[name])
	}
	if r.Binary {
		dst = append(dst, `},"isBase64Encoded":true,"body":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, r.Body)
		return append(dst, `"}`...), names
	}
	dst = append(dst, `},"isBase64Encoded":false,"body":"`...)
	dst = appendEscaped(dst, r.Body)
	return append(dst, `"}`...), names
}

// appendEscaped appends b as the inside of a JSON string. b is UTF-8: handlers
// answer in JSON.
func appendEscaped(dst, b []byte) []byte {
	const hex = "0123456789abcdef"
	plain := 0
	for i, c := range b {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, b[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, b[plain:]...)
}
