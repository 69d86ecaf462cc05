package endpoint

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// maxElements bounds a tensor of an answer: more than fits into Lambda's 6 MB.
const maxElements = 8 << 20

type tensorHead struct {
	Name       string          `json:"name"`
	Datatype   tensor.Datatype `json:"datatype"`
	Shape      []int64         `json:"shape"`
	Parameters map[string]any  `json:"parameters,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
}

// encodeInference writes the body of a request, and for binary tensors the length
// of its JSON part.
func encodeInference(in *Inference) (body []byte, jsonLength int, err error) {
	var doc struct {
		ID         string         `json:"id,omitempty"`
		Parameters map[string]any `json:"parameters,omitempty"`
		Inputs     []tensorHead   `json:"inputs"`
	}
	doc.ID = in.RequestID
	var tail []byte
	for i := range in.Inputs {
		t := &in.Inputs[i]
		head := tensorHead{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape}
		if in.Binary {
			from := len(tail)
			if tail, err = appendBinary(tail, t); err != nil {
				return nil, 0, err
			}
			head.Parameters = map[string]any{"binary_data_size": len(tail) - from}
		} else if head.Data, err = jsonData(t); err != nil {
			return nil, 0, err
		}
		doc.Inputs = append(doc.Inputs, head)
	}
	if in.Binary {
		doc.Parameters = map[string]any{"binary_data_output": true}
	}
	head, err := json.Marshal(doc)
	if err != nil {
		return nil, 0, fault.Wrap(err, fault.Internal, "the request cannot be encoded")
	}
	return append(head, tail...), len(head), nil
}

// jsonData writes the flat data of t; a missing value is null, and so is NaN, which JSON does not have.
func jsonData(t *tensor.Tensor) (json.RawMessage, error) {
	switch t.Datatype {
	case tensor.FP32:
		b := append(make([]byte, 0, 8*len(t.FP32s)+2), '[')
		for i, v := range t.FP32s {
			b = appendFloat(b, i, float64(v), 32)
		}
		return append(b, ']'), nil
	case tensor.FP64:
		b := append(make([]byte, 0, 12*len(t.FP64s)+2), '[')
		for i, v := range t.FP64s {
			b = appendFloat(b, i, v, 64)
		}
		return append(b, ']'), nil
	}
	values, err := plain(t)
	if err != nil {
		return nil, err
	}
	return json.Marshal(values)
}

// plain is the slice of t that encoding/json writes as numbers, booleans or strings.
func plain(t *tensor.Tensor) (any, error) {
	switch t.Datatype {
	case tensor.Bool:
		return t.Bools, nil
	case tensor.Uint8: // []uint8 would become base64
		wide := make([]uint16, len(t.U8s))
		for i, v := range t.U8s {
			wide[i] = uint16(v)
		}
		return wide, nil
	case tensor.Uint16:
		return t.U16s, nil
	case tensor.Uint32:
		return t.U32s, nil
	case tensor.Uint64:
		return t.U64s, nil
	case tensor.Int8:
		return t.I8s, nil
	case tensor.Int16:
		return t.I16s, nil
	case tensor.Int32:
		return t.I32s, nil
	case tensor.Int64:
		return t.I64s, nil
	case tensor.Bytes:
		if len(t.Missing) == 0 {
			return t.Strings, nil
		}
		optional := make([]*string, len(t.Strings))
		for i := range t.Strings {
			optional[i] = &t.Strings[i]
		}
		for _, i := range t.Missing {
			optional[i] = nil
		}
		return optional, nil
	}
	return nil, fault.New(fault.Unimplemented, "input %q: datatype %s cannot be sent as JSON; send it as binary", t.Name, t.Datatype)
}

func appendFloat(b []byte, i int, v float64, bits int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, bits)
}

// appendBinary writes t little-endian, row-major; BYTES as a u32 length and the bytes, each.
func appendBinary(b []byte, t *tensor.Tensor) ([]byte, error) {
	if t.Datatype == tensor.Bytes {
		for _, s := range t.Strings {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
			b = append(b, s...)
		}
		return b, nil
	}
	data, ok := fixed(t)
	if !ok {
		return nil, fault.New(fault.Unimplemented, "input %q: datatype %s cannot be sent", t.Name, t.Datatype)
	}
	return binary.Append(b, binary.LittleEndian, data)
}

// fixed is the slice of a tensor whose elements have one size.
func fixed(t *tensor.Tensor) (any, bool) {
	switch t.Datatype {
	case tensor.Bool:
		return t.Bools, true
	case tensor.Uint8:
		return t.U8s, true
	case tensor.Uint16, tensor.FP16:
		return t.U16s, true
	case tensor.Uint32:
		return t.U32s, true
	case tensor.Uint64:
		return t.U64s, true
	case tensor.Int8:
		return t.I8s, true
	case tensor.Int16:
		return t.I16s, true
	case tensor.Int32:
		return t.I32s, true
	case tensor.Int64:
		return t.I64s, true
	case tensor.FP32:
		return t.FP32s, true
	case tensor.FP64:
		return t.FP64s, true
	}
	return nil, false
}

// DecodeAnswer reads the body of an answer: JSON, of as many bytes as jsonLength
// says ("" is all), then the bytes of the tensors that have a binary_data_size.
// ID is what was sent as the request's. Errors: Internal.
func DecodeAnswer(jsonLength string, body []byte) (Result, error) {
	head, tail := body, []byte(nil)
	if jsonLength != "" {
		n, err := strconv.Atoi(jsonLength)
		if err != nil || n < 0 || n > len(body) {
			return Result{}, badAnswer("%s does not fit the body", headerJSONLength)
		}
		head, tail = body[:n], body[n:]
	}
	var doc struct {
		ID      string       `json:"id"`
		Version string       `json:"model_version"`
		Outputs []tensorHead `json:"outputs"`
	}
	if err := json.Unmarshal(head, &doc); err != nil {
		return Result{}, fault.Wrap(err, fault.Internal, "the answer is not JSON; is the endpoint a Tidegate API?")
	}
	outputs := make([]tensor.Tensor, len(doc.Outputs))
	for i, h := range doc.Outputs {
		t := &outputs[i]
		t.Name, t.Datatype, t.Shape = h.Name, h.Datatype, h.Shape
		n, err := tensor.Elements(h.Shape, maxElements)
		if err != nil {
			return Result{}, badAnswer("output %q: %v", h.Name, err)
		}
		size, isBinary := h.Parameters["binary_data_size"].(float64)
		if !isBinary {
			if err := decodeData(t, h.Data, int(n)); err != nil {
				return Result{}, err
			}
			continue
		}
		if size < 0 || size > float64(len(tail)) {
			return Result{}, badAnswer("output %q is longer than the body", h.Name)
		}
		if err := decodeBinary(t, tail[:int(size)], int(n)); err != nil {
			return Result{}, err
		}
		tail = tail[int(size):]
	}
	if len(tail) > 0 {
		return Result{}, badAnswer("%d bytes follow the last output", len(tail))
	}
	version, _ := strconv.Atoi(doc.Version) // what is no number is none
	return Result{ID: doc.ID, Version: version, Outputs: outputs}, nil
}

func decodeBinary(t *tensor.Tensor, b []byte, n int) error {
	if t.Datatype == tensor.Bytes {
		if n > len(b)/4 {
			return badAnswer("output %q is shorter than its shape", t.Name)
		}
		t.Strings = make([]string, n)
		for i := range t.Strings {
			if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
				return badAnswer("output %q is shorter than its shape", t.Name)
			}
			end := 4 + int(binary.LittleEndian.Uint32(b))
			t.Strings[i], b = string(b[4:end]), b[end:]
		}
		return nil
	}
	if size := t.Datatype.Size(); size <= 0 || n*size != len(b) {
		return badAnswer("output %q does not have the bytes of its shape", t.Name)
	}
	t.Resize(n)
	data, _ := fixed(t)
	_, err := binary.Decode(b, binary.LittleEndian, data)
	return err
}

// decodeData reads flat JSON data, which is what Tidegate answers; null is NaN.
func decodeData(t *tensor.Tensor, data json.RawMessage, n int) error {
	var err error
	switch t.Datatype {
	case tensor.FP32:
		var values []*float32
		err = json.Unmarshal(data, &values)
		t.FP32s = make([]float32, len(values))
		for i, v := range values {
			if t.FP32s[i] = float32(math.NaN()); v != nil {
				t.FP32s[i] = *v
			}
		}
	case tensor.FP64:
		var values []*float64
		err = json.Unmarshal(data, &values)
		t.FP64s = make([]float64, len(values))
		for i, v := range values {
			if t.FP64s[i] = math.NaN(); v != nil {
				t.FP64s[i] = *v
			}
		}
	case tensor.Bytes:
		err = json.Unmarshal(data, &t.Strings)
	case tensor.Bool:
		err = json.Unmarshal(data, &t.Bools)
	case tensor.Uint8:
		var wide []uint16
		err = json.Unmarshal(data, &wide)
		for _, v := range wide {
			t.U8s = append(t.U8s, uint8(v))
		}
	case tensor.Int8:
		err = json.Unmarshal(data, &t.I8s)
	case tensor.Uint16:
		err = json.Unmarshal(data, &t.U16s)
	case tensor.Int16:
		err = json.Unmarshal(data, &t.I16s)
	case tensor.Uint32:
		err = json.Unmarshal(data, &t.U32s)
	case tensor.Int32:
		err = json.Unmarshal(data, &t.I32s)
	case tensor.Uint64:
		err = json.Unmarshal(data, &t.U64s)
	case tensor.Int64:
		err = json.Unmarshal(data, &t.I64s)
	default:
		return badAnswer("output %q: datatype %s is not known", t.Name, t.Datatype)
	}
	if err != nil {
		return fault.Wrap(err, fault.Internal, "output %q of the answer is not %s data", t.Name, t.Datatype)
	}
	if t.Len() != n {
		return badAnswer("output %q has %d elements, its shape %d", t.Name, t.Len(), n)
	}
	return nil
}

func badAnswer(format string, args ...any) error {
	return fault.New(fault.Internal, "the answer cannot be read: %s", fmt.Sprintf(format, args...))
}
