package endpoint

import (
	"strconv"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip"
)

// encode writes the body of a request; jsonLength is oip.AllJSON if all of it is JSON.
func (in *Inference) encode() (body []byte, jsonLength int) {
	return oip.AppendCall(nil, &oip.Call{ID: in.RequestID, Inputs: in.Inputs, Text: !in.Binary})
}

// DecodeAnswer reads the body of an answer: JSON, of as many bytes as jsonLength
// says ("" is all), then the bytes of the tensors that have a binary_data_size.
// Outputs share memory with body. ID is what was sent as the request's. Errors:
// Internal.
func DecodeAnswer(jsonLength string, body []byte) (Result, error) {
	n := oip.AllJSON
	if jsonLength != "" {
		var err error
		if n, err = strconv.Atoi(jsonLength); err != nil || n < 0 || n > len(body) {
			return Result{}, fault.New(fault.Internal, "the answer cannot be read: %s does not fit the body", headerJSONLength)
		}
	}
	answer, err := new(oip.Decoder).DecodeAnswer(body, n)
	if err != nil {
		return Result{}, fault.Wrap(err, fault.Internal, "the answer cannot be read: %s; is the endpoint a server of the Open Inference Protocol?", fault.Public(err).Message)
	}
	version, _ := strconv.Atoi(answer.Version) // what is no number is none
	return Result{ID: answer.ID, Version: version, Outputs: answer.Outputs}, nil
}
