package oip

import (
	"encoding/binary"
	"strconv"
	"unsafe"

	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Answer is an inference response.
type Answer struct {
	Model   string
	Version string
	ID      string // the client's own id, echoed when sent
	Outputs []tensor.Tensor
	Binary  func(name string) bool // which outputs go as binary tensors; nil = none
}

// AppendAnswer appends the body of an answer to dst. jsonLength is the length of
// its JSON part when binary tensors follow it, else AllJSON. NaN and infinities
// are null in JSON, and themselves in binary tensors.
func AppendAnswer(dst []byte, a *Answer) (body []byte, jsonLength int) {
	start, raw := len(dst), false
	dst = append(dst, `{"model_name":`...)
	dst = wire.AppendString(dst, a.Model)
	dst = append(dst, `,"model_version":`...)
	dst = wire.AppendString(dst, a.Version)
	if a.ID != "" {
		dst = append(dst, `,"id":`...)
		dst = wire.AppendString(dst, a.ID)
	}
	dst = append(dst, `,"outputs":[`...)
	for i := range a.Outputs {
		t := &a.Outputs[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendHead(dst, t)
		if a.Binary != nil && a.Binary(t.Name) {
			raw = true
			dst = append(dst, `,"parameters":{"binary_data_size":`...)
			dst = strconv.AppendInt(dst, int64(RawSize(t)), 10)
			dst = append(dst, `}}`...)
			continue
		}
		dst = append(dst, `,"data":`...)
		dst = AppendData(dst, t, 0, t.Len())
		dst = append(dst, '}')
	}
	dst = append(dst, `]}`...)
	if !raw {
		return dst, AllJSON
	}
	jsonLength = len(dst) - start
	for i := range a.Outputs {
		if a.Binary(a.Outputs[i].Name) {
			dst = AppendRaw(dst, &a.Outputs[i])
		}
	}
	return dst, jsonLength
}

// appendHead appends name, datatype and shape, with the object left open.
func appendHead(dst []byte, t *tensor.Tensor) []byte {
	dst = append(dst, `{"name":`...)
	dst = wire.AppendString(dst, t.Name)
	dst = append(dst, `,"datatype":"`...)
	dst = append(dst, t.Datatype...)
	dst = append(dst, `","shape":[`...)
	for i, d := range t.Shape {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, d, 10)
	}
	return append(dst, ']')
}

// AppendData appends elements [from, to) of t as a flat JSON array.
func AppendData(dst []byte, t *tensor.Tensor, from, to int) []byte {
	dst = append(dst, '[')
	for i := from; i < to; i++ {
		if i > from {
			dst = append(dst, ',')
		}
		dst = AppendElement(dst, t, i)
	}
	return append(dst, ']')
}

// AppendElement appends element i of t as JSON.
func AppendElement(dst []byte, t *tensor.Tensor, i int) []byte {
	switch t.Datatype {
	case tensor.FP32:
		return wire.AppendFloat32(dst, t.FP32s[i])
	case tensor.FP64:
		return wire.AppendFloat64(dst, t.FP64s[i])
	case tensor.FP16:
		return wire.AppendFloat32(dst, tensor.HalfToFloat32(t.U16s[i]))
	case tensor.Bytes:
		return wire.AppendString(dst, t.Strings[i])
	case tensor.Bool:
		return strconv.AppendBool(dst, t.Bools[i])
	case tensor.Int64:
		return strconv.AppendInt(dst, t.I64s[i], 10)
	case tensor.Int32:
		return strconv.AppendInt(dst, int64(t.I32s[i]), 10)
	case tensor.Int16:
		return strconv.AppendInt(dst, int64(t.I16s[i]), 10)
	case tensor.Int8:
		return strconv.AppendInt(dst, int64(t.I8s[i]), 10)
	case tensor.Uint64:
		return strconv.AppendUint(dst, t.U64s[i], 10)
	case tensor.Uint32:
		return strconv.AppendUint(dst, uint64(t.U32s[i]), 10)
	case tensor.Uint16:
		return strconv.AppendUint(dst, uint64(t.U16s[i]), 10)
	}
	return strconv.AppendUint(dst, uint64(t.U8s[i]), 10)
}

// RawSize is the number of bytes of t as a binary tensor.
func RawSize(t *tensor.Tensor) int {
	if t.Datatype != tensor.Bytes {
		return t.Len() * t.Datatype.Size()
	}
	n := 4 * len(t.Strings)
	for _, s := range t.Strings {
		n += len(s)
	}
	return n
}

// AppendRaw appends t as a binary tensor.
func AppendRaw(dst []byte, t *tensor.Tensor) []byte {
	switch t.Datatype {
	case tensor.FP32:
		return appendView(dst, t.FP32s)
	case tensor.FP64:
		return appendView(dst, t.FP64s)
	case tensor.Int64:
		return appendView(dst, t.I64s)
	case tensor.Int32:
		return appendView(dst, t.I32s)
	case tensor.Int16:
		return appendView(dst, t.I16s)
	case tensor.Int8:
		return appendView(dst, t.I8s)
	case tensor.Uint64:
		return appendView(dst, t.U64s)
	case tensor.Uint32:
		return appendView(dst, t.U32s)
	case tensor.Uint16, tensor.FP16:
		return appendView(dst, t.U16s)
	case tensor.Uint8:
		return append(dst, t.U8s...)
	case tensor.Bool:
		return appendView(dst, t.Bools)
	}
	for _, s := range t.Strings {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

func appendView[T any](dst []byte, s []T) []byte {
	if len(s) == 0 {
		return dst
	}
	return append(dst, unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))...)
}
