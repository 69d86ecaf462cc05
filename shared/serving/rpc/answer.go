package rpc

import (
	"errors"

	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/serving/rpc/inferencepb"
)

var errAnswer = errors.New("rpc: the handlers' answer is not as expected")

// answerReader walks the JSON part of an answer.
type answerReader struct {
	text, raw []byte
	out       *inferencepb.ModelInferResponse
}

// readAnswer fills out with the answer text, whose outputs' bytes are raw; it
// shares their memory.
func readAnswer(text, raw []byte, out *inferencepb.ModelInferResponse) error {
	r := answerReader{text: text, raw: raw, out: out}
	_, code := wire.Members(text, 0, func(key string, i int) (next int, code wire.Code) {
		switch key {
		case "model_name":
			out.ModelName, next, code = wire.String(text, i)
		case "model_version":
			out.ModelVersion, next, code = wire.String(text, i)
		case "id":
			out.Id, next, code = wire.String(text, i)
		case "outputs":
			return wire.Elements(text, i, r.output)
		default:
			return wire.Skip(text, i, 0)
		}
		return next, code
	})
	if code != wire.OK || len(r.raw) != 0 {
		return errAnswer
	}
	return nil
}

func (r *answerReader) output(_, i int) (int, wire.Code) {
	t, size := &inferencepb.ModelInferResponse_InferOutputTensor{}, int64(-1)
	next, code := wire.Members(r.text, i, func(key string, i int) (next int, code wire.Code) {
		switch key {
		case "name":
			t.Name, next, code = wire.String(r.text, i)
		case "datatype":
			t.Datatype, next, code = wire.String(r.text, i)
		case "shape":
			return wire.Elements(r.text, i, func(_, k int) (int, wire.Code) {
				d, next, code := wire.Int[int64](r.text, k)
				t.Shape = append(t.Shape, d)
				return next, code
			})
		case "parameters":
			return wire.Members(r.text, i, func(name string, k int) (next int, code wire.Code) {
				if name != "binary_data_size" {
					return wire.Skip(r.text, k, 0)
				}
				size, next, code = wire.Int[int64](r.text, k)
				return next, code
			})
		default:
			return wire.Skip(r.text, i, 0)
		}
		return next, code
	})
	if code != wire.OK {
		return next, code
	}
	if size < 0 || size > int64(len(r.raw)) { // an output that did not come as bytes
		return next, wire.Stop
	}
	r.out.Outputs = append(r.out.Outputs, t)
	r.out.RawOutputContents = append(r.out.RawOutputContents, r.raw[:size:size])
	r.raw = r.raw[size:]
	return next, wire.OK
}
