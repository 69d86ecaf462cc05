package httpapi

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
)

// inflate undoes a Content-Encoding into dst. "deflate" is zlib by the standard
// and raw DEFLATE from some clients: both are read. Errors: InvalidArgument,
// PayloadTooLarge as soon as limit bytes are passed, whatever is still to come.
func inflate(dst []byte, encoding string, body []byte, limit int) ([]byte, error) {
	var r io.Reader
	var err error
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		if r, err = zlib.NewReader(bytes.NewReader(body)); err != nil {
			r, err = flate.NewReader(bytes.NewReader(body)), nil
		}
	default:
		return dst, fault.New(fault.InvalidArgument, "this Content-Encoding is not supported; send gzip, deflate or none")
	}
	if err != nil {
		return dst, fault.Wrap(err, fault.InvalidArgument, "the body is not in the Content-Encoding that its header names")
	}
	buf := bytes.NewBuffer(dst[:0])
	n, err := buf.ReadFrom(io.LimitReader(r, int64(limit)+1))
	if n > int64(limit) {
		return buf.Bytes(), fault.New(fault.PayloadTooLarge, "the body inflates to more than %d bytes", limit)
	}
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return buf.Bytes(), fault.Wrap(err, fault.InvalidArgument, "the compressed body is cut off")
		}
		return buf.Bytes(), fault.Wrap(err, fault.InvalidArgument, "the body is not in the Content-Encoding that its header names")
	}
	return buf.Bytes(), nil
}
