package onnx

import (
	"runtime"
	"strings"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// newValue makes an ONNX Runtime value over t's own memory (a copy for strings and
// scalars). ONNX Runtime keeps the pointer beyond the call that makes the value,
// which cgo allows for pinned memory only: pinner holds it until the run is over.
func newValue(t *tensor.Tensor, pinner *runtime.Pinner) (ort.Value, error) {
	switch t.Datatype {
	case tensor.Bool:
		return over(t, t.Bools, pinner)
	case tensor.Uint8:
		return over(t, t.U8s, pinner)
	case tensor.Uint16:
		return over(t, t.U16s, pinner)
	case tensor.Uint32:
		return over(t, t.U32s, pinner)
	case tensor.Uint64:
		return over(t, t.U64s, pinner)
	case tensor.Int8:
		return over(t, t.I8s, pinner)
	case tensor.Int16:
		return over(t, t.I16s, pinner)
	case tensor.Int32:
		return over(t, t.I32s, pinner)
	case tensor.Int64:
		return over(t, t.I64s, pinner)
	case tensor.FP32:
		return over(t, t.FP32s, pinner)
	case tensor.FP64:
		return over(t, t.FP64s, pinner)
	case tensor.FP16:
		return overHalves(t, pinner)
	case tensor.Bytes:
		return copyStrings(t)
	}
	return nil, fault.New(fault.InvalidArgument, "tensor %q has the datatype %q, which is not served", t.Name, t.Datatype)
}

func over[T ort.TensorData](t *tensor.Tensor, data []T, pinner *runtime.Pinner) (ort.Value, error) {
	if len(data) == 0 {
		return nil, empty(t)
	}
	if len(t.Shape) == 0 {
		v, err := ort.NewScalar(data[0])
		if err != nil {
			return nil, refused(t, err)
		}
		return v, nil
	}
	pinner.Pin(unsafe.SliceData(data))
	v, err := ort.NewTensor(ort.Shape(t.Shape), data)
	if err != nil {
		return nil, refused(t, err)
	}
	return v, nil
}

// overHalves shows FP16 as bytes: onnxruntime_go has no Go type for halves.
func overHalves(t *tensor.Tensor, pinner *runtime.Pinner) (ort.Value, error) {
	if len(t.U16s) == 0 {
		return nil, empty(t)
	}
	shape := t.Shape
	if len(shape) == 0 {
		return nil, fault.New(fault.Unimplemented, "tensor %q is a scalar of FP16, which is not served", t.Name)
	}
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(t.U16s))), 2*len(t.U16s))
	pinner.Pin(unsafe.SliceData(data))
	v, err := ort.NewCustomDataTensor(ort.Shape(shape), data, ort.TensorElementDataTypeFloat16)
	if err != nil {
		return nil, refused(t, err)
	}
	return v, nil
}

func copyStrings(t *tensor.Tensor) (ort.Value, error) {
	if len(t.Strings) == 0 {
		return nil, empty(t)
	}
	if len(t.Shape) == 0 {
		return nil, fault.New(fault.Unimplemented, "tensor %q is a scalar of BYTES, which is not served", t.Name)
	}
	v, err := ort.NewStringTensor(ort.Shape(t.Shape))
	if err != nil {
		return nil, refused(t, err)
	}
	if err := fillStrings(v, t); err != nil {
		_ = v.Destroy()
		return nil, err
	}
	return v, nil
}

// fillStrings costs about 0.2 µs a string: onnxruntime_go copies each into C
// memory of its own.
func fillStrings(v *ort.StringTensor, t *tensor.Tensor) error {
	for _, text := range t.Strings {
		if strings.IndexByte(text, 0) >= 0 { // onnxruntime_go passes C strings: the rest would be lost silently
			return fault.New(fault.InvalidArgument, "tensor %q has a string with a NUL byte, which models cannot be given", t.Name)
		}
	}
	return refused(t, v.SetContents(t.Strings))
}

// copyElements copies the numbers of a tensor of the same datatype and length.
func copyElements(to, from *tensor.Tensor) {
	copy(to.Bools, from.Bools)
	copy(to.U8s, from.U8s)
	copy(to.U16s, from.U16s)
	copy(to.U32s, from.U32s)
	copy(to.U64s, from.U64s)
	copy(to.I8s, from.I8s)
	copy(to.I16s, from.I16s)
	copy(to.I32s, from.I32s)
	copy(to.I64s, from.I64s)
	copy(to.FP32s, from.FP32s)
	copy(to.FP64s, from.FP64s)
}

func empty(t *tensor.Tensor) error {
	return fault.New(fault.InvalidArgument, "tensor %q has no elements", t.Name)
}

func refused(t *tensor.Tensor, err error) error {
	return fault.Wrap(err, fault.Internal, "tensor %q cannot be handed to ONNX Runtime", t.Name)
}

// readValue makes t the content of v. There is nothing to do when v was made over
// t's own memory.
func readValue(v ort.Value, t *tensor.Tensor) error {
	switch v := v.(type) {
	case *ort.Tensor[bool]:
		return adopt(v, t, tensor.Bool, &t.Bools)
	case *ort.Tensor[uint8]:
		return adopt(v, t, tensor.Uint8, &t.U8s)
	case *ort.Tensor[uint16]:
		return adopt(v, t, tensor.Uint16, &t.U16s)
	case *ort.Tensor[uint32]:
		return adopt(v, t, tensor.Uint32, &t.U32s)
	case *ort.Tensor[uint64]:
		return adopt(v, t, tensor.Uint64, &t.U64s)
	case *ort.Tensor[int8]:
		return adopt(v, t, tensor.Int8, &t.I8s)
	case *ort.Tensor[int16]:
		return adopt(v, t, tensor.Int16, &t.I16s)
	case *ort.Tensor[int32]:
		return adopt(v, t, tensor.Int32, &t.I32s)
	case *ort.Tensor[int64]:
		return adopt(v, t, tensor.Int64, &t.I64s)
	case *ort.Tensor[float32]:
		return adopt(v, t, tensor.FP32, &t.FP32s)
	case *ort.Tensor[float64]:
		return adopt(v, t, tensor.FP64, &t.FP64s)
	case *ort.StringTensor:
		return readStrings(v, t)
	case *ort.CustomDataTensor:
		return readHalves(v, t)
	}
	return readScalar(v, t)
}

func adopt[T ort.TensorData](v *ort.Tensor[T], t *tensor.Tensor, is tensor.Datatype, to *[]T) error {
	if t.Datatype != is {
		return mismatch(t, is)
	}
	if data := v.GetData(); unsafe.SliceData(data) != unsafe.SliceData(*to) || len(data) != len(*to) {
		*to = data // onnxruntime_go made it, in Go memory
		t.Shape = v.GetShape()
	}
	return nil
}

func readStrings(v *ort.StringTensor, t *tensor.Tensor) error {
	if t.Datatype != tensor.Bytes {
		return mismatch(t, tensor.Bytes)
	}
	t.Shape = v.GetShape()
	if n, err := tensor.Elements(t.Shape, maxElements); err != nil || n == 0 {
		t.Strings = t.Strings[:0]
		return err
	}
	text, err := v.GetContents()
	if err != nil {
		return fault.Wrap(err, fault.Internal, "output %q cannot be read", t.Name)
	}
	t.Strings = text
	return nil
}

func readHalves(v *ort.CustomDataTensor, t *tensor.Tensor) error {
	if t.Datatype != tensor.FP16 || v.DataType() != ort.TensorElementDataTypeFloat16 {
		return mismatch(t, "another datatype")
	}
	data := v.GetData()
	if len(t.U16s) > 0 && unsafe.Pointer(unsafe.SliceData(data)) == unsafe.Pointer(unsafe.SliceData(t.U16s)) {
		return nil
	}
	return fault.New(fault.Unimplemented, "output %q is FP16 of a shape that its signature does not tell", t.Name)
}

func readScalar(v ort.Value, t *tensor.Tensor) error {
	switch v := v.(type) {
	case *ort.Scalar[bool]:
		return scalar(v, t, tensor.Bool, t.Bools)
	case *ort.Scalar[uint8]:
		return scalar(v, t, tensor.Uint8, t.U8s)
	case *ort.Scalar[uint16]:
		return scalar(v, t, tensor.Uint16, t.U16s)
	case *ort.Scalar[uint32]:
		return scalar(v, t, tensor.Uint32, t.U32s)
	case *ort.Scalar[uint64]:
		return scalar(v, t, tensor.Uint64, t.U64s)
	case *ort.Scalar[int8]:
		return scalar(v, t, tensor.Int8, t.I8s)
	case *ort.Scalar[int16]:
		return scalar(v, t, tensor.Int16, t.I16s)
	case *ort.Scalar[int32]:
		return scalar(v, t, tensor.Int32, t.I32s)
	case *ort.Scalar[int64]:
		return scalar(v, t, tensor.Int64, t.I64s)
	case *ort.Scalar[float32]:
		return scalar(v, t, tensor.FP32, t.FP32s)
	case *ort.Scalar[float64]:
		return scalar(v, t, tensor.FP64, t.FP64s)
	}
	return fault.New(fault.Unimplemented, "output %q is not a tensor of a served datatype", t.Name)
}

func scalar[T ort.TensorData](v *ort.Scalar[T], t *tensor.Tensor, is tensor.Datatype, to []T) error {
	if t.Datatype != is {
		return mismatch(t, is)
	}
	to[0] = v.GetData()
	return nil
}

func mismatch(t *tensor.Tensor, is tensor.Datatype) error {
	return fault.New(fault.Internal, "output %q is %s, but its signature says %s", t.Name, is, t.Datatype)
}
