package httpapi

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

const (
	typeJSON   = "application/json"
	typeBinary = "application/octet-stream"
)

// fail answers with what the client may see of err and keeps the rest for the log.
func (x *exchange) fail(err error) Response {
	public := fault.Public(err)
	x.obs.Cause = err
	if public.Kind == fault.DeadlineExceeded {
		public.Message = x.overdue()
	}
	return x.answerError(public.Kind.HTTPStatus(), public)
}

// overdue names the stage in which the deadline passed, and where the time went.
func (x *exchange) overdue() string {
	x.stage("")
	stages := x.obs.Stages
	if len(stages) == 0 {
		return "the deadline of the request has passed"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the deadline of the request passed in stage %q (", stages[len(stages)-1].Name)
	for i, s := range stages {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %.0f ms", s.Name, float64(s.Duration)/1e6)
	}
	b.WriteString(")")
	return b.String()
}

// answerError writes the error body that both protocols share.
func (x *exchange) answerError(status int, f *fault.Error) Response {
	x.obs.ErrorKind, x.pred.ErrorKind = string(f.Kind), string(f.Kind)
	x.pred.Inputs, x.pred.Outputs = nil, nil
	x.body = AppendError(x.body[:0], f, x.req.ID)
	x.header["Content-Type"] = typeJSON
	if f.RetryAfter > 0 {
		x.header["Retry-After"] = strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds())))
	}
	return x.complete(status, false)
}

// travels is the size of a body on its way: escaped or base64 in a Lambda's result.
func (x *exchange) travels(body []byte, binary bool) int {
	switch {
	case !x.api.opt.Enveloped:
		return len(body)
	case binary:
		return (len(body) + 2) / 3 * 4
	case len(body)*6 <= x.api.opt.MaxAnswer: // no text escapes to more than six bytes each
		return len(body)
	}
	// Bodies hold no control characters: they are escaped as JSON already.
	return len(body) + bytes.Count(body, []byte{'"'}) + bytes.Count(body, []byte{'\\'})
}

// form is how the outputs of an answer are written.
type form struct {
	raw   func(name string) bool // binary tensors; nil = none
	names bool                   // output names are repeated in each row
}

// fits refuses a request whose answer is sure to be larger than the limit, before
// the model runs: the least size of each output whose row is of known size. What
// is not sure is measured when it is encoded.
func (x *exchange) fits(s *schema.Schema, rows int, f form) error {
	least, likely, raw := 0, 0, false
	for _, out := range s.Signature.Outputs {
		width := out.Width()
		if !x.wants(out.Name) || !out.Batched() || width == 0 {
			continue
		}
		if f.raw != nil && f.raw(out.Name) {
			n := rows * width * max(out.Datatype.Size(), 4*btoi(out.Datatype == tensor.Bytes))
			least, likely, raw = least+n, likely+n, true
			continue
		}
		l, m := textSize(out.Datatype)
		if f.names {
			l, m = l+(len(out.Name)+4)/width, m+(len(out.Name)+6)/width
		}
		least, likely = least+rows*width*l, likely+rows*width*m
	}
	if raw && x.api.opt.Enveloped {
		least, likely = least/3*4, likely/3*4
	}
	if least <= x.api.opt.MaxAnswer {
		return nil
	}
	return x.advise(float64(rows) * float64(x.api.opt.MaxAnswer) / float64(likely))
}

// textSize is the least and the usual number of bytes of an element in JSON, with its comma.
func textSize(d tensor.Datatype) (least, usual int) {
	switch d {
	case tensor.FP32:
		return 2, 11
	case tensor.FP64:
		return 2, 20
	case tensor.Bool:
		return 5, 6
	case tensor.Bytes:
		return 3, 14
	}
	return 2, 5
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// wants says whether the output called name is in the answer.
func (x *exchange) wants(name string) bool {
	if len(x.want) == 0 {
		return true
	}
	for _, w := range x.want {
		if w == name {
			return true
		}
	}
	return false
}

// tooLarge is the error for an answer of size bytes that has been encoded.
func (x *exchange) tooLarge(size int) error {
	return x.advise(float64(x.pred.Rows) * float64(x.api.opt.MaxAnswer) / float64(size))
}

// advise says how many rows would do, with a margin of a tenth.
func (x *exchange) advise(rows float64) error {
	n := int(rows * 0.9)
	if n < 1 {
		return fault.New(fault.PayloadTooLarge, "the answer would be larger than %d bytes; ask for fewer outputs or for binary outputs", x.api.opt.MaxAnswer)
	}
	return fault.New(fault.PayloadTooLarge, "the answer would be larger than %d bytes; send at most %d rows a request, or ask for binary outputs", x.api.opt.MaxAnswer, n)
}
