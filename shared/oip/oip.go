// Package oip is the codec of the Open Inference Protocol v2: request bytes to
// tensors and tensors to answer bytes, as JSON, as binary tensors (the
// binary_tensor_data extension) and mixed.
//
// It knows no model: what a request may contain is decided by shared/schema. It
// knows no HTTP either: the caller hands over the body and the length of its JSON
// part ([JSONLength]).
//
// Invariants: memory is only spent in proportion to the body, whatever shapes it
// claims; a fault names its place ("inputs[1].data[3]") and never repeats a value;
// decoded tensors may share memory with the body, which therefore must stay
// unchanged until they are done with. Hosts are little-endian (amd64, arm64), as
// the wire is.
//
//	var d oip.Decoder
//	req, err := d.Decode(body, oip.AllJSON)
//	…
//	answer, jsonLength := oip.AppendAnswer(nil, &oip.Answer{Model: "flights", Version: "7", Outputs: outputs})
package oip

import (
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Limits of the format. They bound work, not models: each is far above what is of use.
const (
	MaxTensors    = 4096
	MaxRank       = 8
	MaxViolations = 100 // faults listed in one answer
)

// AllJSON says that the body has no binary part.
const AllJSON = -1

// Request is a decoded inference request.
type Request struct {
	ID            string // the client's own id
	Key           string // parameter "key": the sticky key
	Inputs        []tensor.Tensor
	Outputs       []Output // outputs asked for; empty = all
	BinaryOutputs bool     // parameter "binary_data_output"
}

// Output is one requested output.
type Output struct {
	Name   string
	Binary Binary
}

// Binary is whether an output was asked for as a binary tensor.
type Binary int8

// The forms of an output; Default follows the request's binary_data_output.
const (
	Default Binary = iota
	JSON
	Raw
)

// WantsBinary says in which form the output called name was asked for.
func (r *Request) WantsBinary(name string) bool {
	for i := range r.Outputs {
		if r.Outputs[i].Name == name && r.Outputs[i].Binary != Default {
			return r.Outputs[i].Binary == Raw
		}
	}
	return r.BinaryOutputs
}

// HeaderName is the header that carries the length of the JSON part, in lower case.
const HeaderName = "inference-header-content-length"

// SageMakerType is the media type of binary tensors where custom headers are
// lost on the way; its parameter json-header-size replaces the header.
const SageMakerType = "application/vnd.sagemaker-triton.binary+json"

// JSONLength returns the length of the JSON part of a body, or AllJSON, from the
// header [HeaderName] ("" = absent) and the content type. Errors: InvalidArgument
// when the header is not a decimal number within size.
func JSONLength(header, contentType string, size int) (int, error) {
	name := "Inference-Header-Content-Length"
	if header == "" {
		media, param, ok := strings.Cut(contentType, ";")
		if !ok || !strings.EqualFold(strings.TrimSpace(media), SageMakerType) {
			return AllJSON, nil
		}
		key, value, ok := strings.Cut(param, "=")
		if name = "json-header-size"; !ok || !strings.EqualFold(strings.TrimSpace(key), name) {
			return 0, fault.New(fault.InvalidArgument, "Content-Type %s needs the parameter json-header-size", SageMakerType)
		}
		header = strings.TrimSpace(value)
	}
	// No sign, no white space, no prefix: strconv accepts less than clients have tried.
	n, err := strconv.ParseUint(header, 10, 31)
	if err != nil {
		return 0, fault.New(fault.InvalidArgument, "%s is not the length of the JSON part in bytes", name)
	}
	if int(n) > size {
		return 0, fault.New(fault.InvalidArgument, "%s is larger than the body", name)
	}
	return int(n), nil
}
