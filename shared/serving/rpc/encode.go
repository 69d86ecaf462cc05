package rpc

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/serving/rpc/inferencepb"
	"github.com/tidegate/tidegate/shared/tensor"
)

// maxTensors is the decoder's bound; beyond it nothing is worth being encoded.
const maxTensors = 4096

// appendRequest appends the HTTP form of a request: JSON, then its tensors' bytes.
// Names, datatypes, shapes and sizes are left to the decoder to judge. Errors:
// InvalidArgument for what has no HTTP form.
func appendRequest(dst []byte, req *inferencepb.ModelInferRequest) (body []byte, jsonLength int, err error) {
	raw, err := contents(req)
	if err != nil {
		return dst, 0, err
	}
	start := len(dst)
	dst = append(dst, '{')
	if req.Id != "" {
		dst = append(wire.AppendString(append(dst, `"id":`...), req.Id), ',')
	}
	dst = append(dst, `"parameters":{`...)
	dst = appendParameters(dst, req.Parameters, "binary_data_output")
	dst = append(dst, `"binary_data_output":true},"inputs":[`...)
	for i, in := range req.Inputs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = wire.AppendString(append(dst, `{"name":`...), in.GetName())
		dst = wire.AppendString(append(dst, `,"datatype":`...), in.GetDatatype())
		dst = append(dst, `,"shape":[`...)
		for k, d := range in.GetShape() {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, d, 10)
		}
		dst = append(dst, `],"parameters":{`...)
		dst = appendParameters(dst, in.GetParameters(), "binary_data_size")
		dst = strconv.AppendInt(append(dst, `"binary_data_size":`...), int64(len(raw[i])), 10)
		dst = append(dst, `}}`...)
	}
	dst = append(dst, ']')
	if len(req.Outputs) > 0 {
		dst = append(dst, `,"outputs":[`...)
		for i, out := range req.Outputs {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = wire.AppendString(append(dst, `{"name":`...), out.GetName())
			dst = append(dst, `,"parameters":{`...)
			dst = appendParameters(dst, out.GetParameters(), "binary_data")
			dst = append(dst, `"binary_data":true}}`...)
		}
		dst = append(dst, ']')
	}
	dst = append(dst, '}')
	jsonLength = len(dst) - start
	for _, r := range raw {
		dst = append(dst, r...)
	}
	return dst, jsonLength, nil
}

// appendParameters appends members, each with a comma, without the one called not,
// which is ours to set.
func appendParameters(dst []byte, parameters map[string]*inferencepb.InferParameter, not string) []byte {
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if name == not {
			continue
		}
		at := len(dst)
		dst = append(wire.AppendString(dst, name), ':')
		switch v := parameters[name].GetParameterChoice().(type) {
		case *inferencepb.InferParameter_BoolParam:
			dst = strconv.AppendBool(dst, v.BoolParam)
		case *inferencepb.InferParameter_Int64Param:
			dst = strconv.AppendInt(dst, v.Int64Param, 10)
		case *inferencepb.InferParameter_Uint64Param:
			dst = strconv.AppendUint(dst, v.Uint64Param, 10)
		case *inferencepb.InferParameter_StringParam:
			dst = wire.AppendString(dst, v.StringParam)
		case *inferencepb.InferParameter_DoubleParam:
			if math.IsNaN(v.DoubleParam) || math.IsInf(v.DoubleParam, 0) {
				dst = dst[:at] // JSON has no such number, and no parameter that we read is one
				continue
			}
			dst = wire.AppendFloat64(dst, v.DoubleParam)
		default:
			dst = append(dst, "null"...)
		}
		dst = append(dst, ',')
	}
	return dst
}

// contents is the bytes of each input: those sent raw, or made of those sent typed.
func contents(req *inferencepb.ModelInferRequest) ([][]byte, error) {
	if len(req.Inputs) > maxTensors {
		return nil, fault.New(fault.InvalidArgument, "inputs has more than %d tensors", maxTensors)
	}
	if len(req.RawInputContents) > 0 {
		if len(req.RawInputContents) != len(req.Inputs) {
			return nil, fault.Invalid(fault.Violation{Path: "raw_input_contents", Problem: fmt.Sprintf("has %d entries for %d inputs", len(req.RawInputContents), len(req.Inputs))})
		}
		for i, in := range req.Inputs {
			if in.GetContents() != nil {
				return nil, fault.Invalid(fault.Violation{Path: fmt.Sprintf("inputs[%d].contents", i), Problem: "is there beside raw_input_contents; send one of them"})
			}
		}
		return req.RawInputContents, nil
	}
	all := make([][]byte, len(req.Inputs))
	var bad []fault.Violation
	for i, in := range req.Inputs {
		raw, problem := typed(tensor.Datatype(in.GetDatatype()), in.GetContents())
		if problem != "" && len(bad) < oip.MaxViolations {
			bad = append(bad, fault.Violation{Path: fmt.Sprintf("inputs[%d].contents", i), Problem: problem})
		}
		all[i] = raw
	}
	if len(bad) > 0 {
		return nil, fault.Invalid(bad...)
	}
	return all, nil
}

// typed makes raw bytes of typed contents. problem says why it cannot.
func typed(d tensor.Datatype, c *inferencepb.InferTensorContents) (raw []byte, problem string) {
	fields := 0
	for _, n := range []int{len(c.GetBoolContents()), len(c.GetIntContents()), len(c.GetInt64Contents()), len(c.GetUintContents()), len(c.GetUint64Contents()),
		len(c.GetFp32Contents()), len(c.GetFp64Contents()), len(c.GetBytesContents())} {
		if n > 0 {
			fields++
		}
	}
	given := 0
	switch d {
	case tensor.Bool:
		given = len(c.GetBoolContents())
		for _, v := range c.GetBoolContents() {
			b := byte(0)
			if v {
				b = 1
			}
			raw = append(raw, b)
		}
	case tensor.Int8, tensor.Int16, tensor.Int32:
		given = len(c.GetIntContents())
		raw, problem = integers(c.GetIntContents(), d.Size(), -1<<(8*d.Size()-1), 1<<(8*d.Size()-1)-1)
	case tensor.Uint8, tensor.Uint16, tensor.Uint32:
		given = len(c.GetUintContents())
		raw, problem = integers(c.GetUintContents(), d.Size(), 0, 1<<(8*d.Size())-1)
	case tensor.Int64:
		given = len(c.GetInt64Contents())
		for _, v := range c.GetInt64Contents() {
			raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
		}
	case tensor.Uint64:
		given = len(c.GetUint64Contents())
		for _, v := range c.GetUint64Contents() {
			raw = binary.LittleEndian.AppendUint64(raw, v)
		}
	case tensor.FP32:
		given = len(c.GetFp32Contents())
		for _, v := range c.GetFp32Contents() {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
	case tensor.FP64:
		given = len(c.GetFp64Contents())
		for _, v := range c.GetFp64Contents() {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
		}
	case tensor.Bytes:
		given = len(c.GetBytesContents())
		for _, v := range c.GetBytesContents() {
			raw = append(binary.LittleEndian.AppendUint32(raw, uint32(len(v))), v...)
		}
	case tensor.FP16:
		if fields > 0 {
			problem = "cannot hold FP16; send raw_input_contents"
		}
		return nil, problem
	default:
		return nil, "" // the decoder names the datatype
	}
	if problem == "" && (fields > 1 || fields == 1 && given == 0) {
		problem = "has elements in a field that is not of the datatype"
	}
	return raw, problem
}

// integers appends size bytes of each value, which must be within the datatype.
func integers[T int32 | uint32](values []T, size int, least, most int64) (raw []byte, problem string) {
	for i, v := range values {
		if int64(v) < least || int64(v) > most {
			return nil, fmt.Sprintf("[%d] is out of the range of its datatype", i)
		}
		switch size {
		case 1:
			raw = append(raw, byte(v))
		case 2:
			raw = binary.LittleEndian.AppendUint16(raw, uint16(v))
		default:
			raw = binary.LittleEndian.AppendUint32(raw, uint32(v))
		}
	}
	return raw, ""
}
