package httpapi

import (
	"net/url"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/registry"
)

// What handlers of other routes have in common with those of predictions.

// Payload is the body of req without its Content-Encoding; buf is memory for it,
// kept for the next. Errors: InvalidArgument; PayloadTooLarge above limit bytes, with
// what to send fewer of.
func (req *Request) Payload(buf *[]byte, limit int, what string) ([]byte, error) {
	if len(req.Body) > limit {
		return nil, fault.New(fault.PayloadTooLarge, "the body has more than %d bytes; send fewer %s a request", limit, what)
	}
	encoding := req.Header["content-encoding"]
	if encoding == "" || encoding == "identity" {
		return req.Body, nil
	}
	var err error
	*buf, err = inflate(*buf, encoding, req.Body, limit)
	return *buf, err
}

// AppendError appends the error body of all routes:
// {"error", "violations"?, "request_id"?}.
func AppendError(b []byte, f *fault.Error, requestID string) []byte {
	b = append(b, `{"error":`...)
	b = wire.AppendString(b, f.Message)
	if len(f.Violations) > 0 {
		b = append(b, `,"violations":[`...)
		for i, v := range f.Violations {
			if i > 0 {
				b = append(b, ',')
			}
			b = wire.AppendString(append(b, `{"path":`...), v.Path)
			b = wire.AppendString(append(b, `,"problem":`...), v.Problem)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	if requestID != "" {
		b = wire.AppendString(append(b, `,"request_id":`...), requestID)
	}
	return append(b, '}')
}

// ModelName reads a segment of a path as the name of a model. Errors:
// InvalidArgument, a percent sign that encodes nothing; NotFound, no model can have that name.
func ModelName(segment string) (string, *fault.Error) {
	name, err := url.PathUnescape(segment)
	if err != nil {
		return "", fault.New(fault.InvalidArgument, "the path has a percent sign that encodes nothing")
	}
	if registry.CheckName(name) != nil {
		return "", fault.New(fault.NotFound, "there is no such model: the path does not hold a valid model name")
	}
	return name, nil
}

// Recovered is the error for a recovered panic, without anything of the input.
func Recovered(r any) error { return panicked(r) }
