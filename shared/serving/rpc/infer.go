package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/serving/rpc/inferencepb"
)

// call is the memory of one, kept for later ones.
type call struct {
	req  httpapi.Request
	body []byte
}

// keep bounds the memory that is kept, in bytes.
const keep = 4 << 20

var calls = sync.Pool{New: func() any { return &call{req: httpapi.Request{Header: httpapi.Header{}}} }}

func (c *call) rest() {
	clear(c.req.Header)
	c.req = httpapi.Request{Header: c.req.Header}
	if cap(c.body) > keep {
		c.body = nil
	}
	calls.Put(c)
}

// ModelInfer implements the service.
func (s *Service) ModelInfer(ctx context.Context, in *inferencepb.ModelInferRequest) (*inferencepb.ModelInferResponse, error) {
	c := calls.Get().(*call)
	var length int
	var err error
	if c.body, length, err = appendRequest(c.body[:0], in); err != nil {
		c.rest()
		return nil, refused(err)
	}
	c.req.Method, c.req.Body, c.req.Path = "POST", c.body, path(in.ModelName, in.ModelVersion)+"/infer"
	c.req.Header[oip.HeaderName] = strconv.Itoa(length)
	if key := first(ctx, "tidegate-key"); key != "" {
		c.req.Header["tidegate-key"] = key
	}
	resp := s.api.Serve(ctx, &c.req)
	defer s.after.Do(resp.After, c.rest)
	tell(ctx, resp.Header)
	if resp.Status != 200 {
		return nil, failed(&resp)
	}
	return answer(&resp)
}

// path of a model or of a version of it.
func path(model, version string) string {
	p := "/v2/models/" + url.PathEscape(model)
	if version != "" {
		p += "/versions/" + url.PathEscape(version)
	}
	return p
}

// tell sends who answered as the call's headers.
func tell(ctx context.Context, header httpapi.Header) {
	var md metadata.MD
	for name, value := range header {
		if name == "Retry-After" || strings.HasPrefix(name, "Tidegate-") {
			if md == nil {
				md = make(metadata.MD, 8)
			}
			md[strings.ToLower(name)] = []string{value}
		}
	}
	_ = grpc.SetHeader(ctx, md) // it fails only outside of a call
}

// answer reads our own answer back: a JSON part and the outputs' bytes, which are
// copied, since the message is sent after the handler's memory is given back.
func answer(resp *httpapi.Response) (*inferencepb.ModelInferResponse, error) {
	body := bytes.Clone(resp.Body)
	length := len(body)
	if text := resp.Header["Inference-Header-Content-Length"]; text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > len(body) {
			return nil, status.Error(codes.Internal, "internal error")
		}
		length = n
	}
	out := &inferencepb.ModelInferResponse{}
	if err := readAnswer(body[:length], body[length:], out); err != nil {
		return nil, status.Error(codes.Internal, "internal error")
	}
	return out, nil
}

// codeOf is the status code of an answer's status.
func codeOf(httpStatus int) codes.Code {
	switch httpStatus {
	case 400, 405, 415:
		return codes.InvalidArgument
	case 403:
		return codes.PermissionDenied
	case 404:
		return codes.NotFound
	case 409:
		return codes.FailedPrecondition
	case 413, 429:
		return codes.ResourceExhausted
	case 501:
		return codes.Unimplemented
	case 503:
		return codes.Unavailable
	case 504:
		return codes.DeadlineExceeded
	}
	return codes.Internal
}

// failed is the status of an answer that is an error.
func failed(resp *httpapi.Response) error {
	var body struct {
		Error      string            `json:"error"`
		Violations []fault.Violation `json:"violations"`
	}
	if err := json.Unmarshal(resp.Body, &body); err != nil || body.Error == "" {
		body.Error = "the request failed"
	}
	return status.Error(codeOf(resp.Status), message(body.Error, body.Violations))
}

// refused is the status of a call that never reached the handlers.
func refused(err error) error {
	public := fault.Public(err)
	return status.Error(codeOf(public.Kind.HTTPStatus()), message(public.Message, public.Violations))
}

// maxMessage bounds a status message, which travels in a header.
const maxMessage = 4096

// message is text with all violations, when there is more than the one it tells.
func message(text string, violations []fault.Violation) string {
	if len(violations) < 2 {
		return text
	}
	var b strings.Builder
	b.WriteString(strconv.Itoa(len(violations)) + " faults")
	for i, v := range violations {
		one := v.Path + " " + v.Problem
		if b.Len()+len(one) > maxMessage {
			b.WriteString("; …")
			break
		}
		b.WriteString([]string{": ", "; "}[min(i, 1)] + one)
	}
	return b.String()
}
