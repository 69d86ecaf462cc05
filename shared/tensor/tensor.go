// Package tensor holds the one in-memory form of model inputs and outputs:
// a name, a datatype of the Open Inference Protocol, a shape and a flat,
// row-major, typed slice.
//
// It is a leaf: no codec, no runtime. Codecs fill tensors, the contract check
// reads them, runtimes run them and capture writes them down, all on the same
// backing slices without copies.
//
//	t := tensor.Tensor{Name: "x", Datatype: tensor.FP32, Shape: []int64{2, 1}, FP32s: []float32{1, 2}}
package tensor

import (
	"fmt"
	"math"
)

// Datatype is a datatype name of the Open Inference Protocol v2.
type Datatype string

// The datatypes that are served.
const (
	Bool   Datatype = "BOOL"
	Uint8  Datatype = "UINT8"
	Uint16 Datatype = "UINT16"
	Uint32 Datatype = "UINT32"
	Uint64 Datatype = "UINT64"
	Int8   Datatype = "INT8"
	Int16  Datatype = "INT16"
	Int32  Datatype = "INT32"
	Int64  Datatype = "INT64"
	FP16   Datatype = "FP16"
	FP32   Datatype = "FP32"
	FP64   Datatype = "FP64"
	Bytes  Datatype = "BYTES"
)

// Size returns the bytes of one element, 0 for BYTES (variable) and -1 for an unknown datatype.
func (d Datatype) Size() int {
	switch d {
	case Bool, Uint8, Int8:
		return 1
	case Uint16, Int16, FP16:
		return 2
	case Uint32, Int32, FP32:
		return 4
	case Uint64, Int64, FP64:
		return 8
	case Bytes:
		return 0
	}
	return -1
}

// Tensor is one named tensor. Exactly one of the slices is used, chosen by Datatype:
// Bools BOOL; U8s UINT8; U16s UINT16 and FP16 (IEEE 754 half bits); and so on; Strings BYTES.
// Its length is the product of Shape.
type Tensor struct {
	Name     string
	Datatype Datatype
	Shape    []int64

	Bools   []bool
	U8s     []uint8
	U16s    []uint16
	U32s    []uint32
	U64s    []uint64
	I8s     []int8
	I16s    []int16
	I32s    []int32
	I64s    []int64
	FP32s   []float32
	FP64s   []float64
	Strings []string

	// Missing holds the indexes, ascending, of BYTES elements that were JSON null; their string is "".
	// A missing float is NaN and needs no mark; other datatypes cannot be missing.
	Missing []int
}

// Elements returns the product of shape, or an error when a dimension is
// negative or the product exceeds limit. A shape without dimensions is a scalar.
func Elements(shape []int64, limit int64) (int64, error) {
	n := int64(1)
	for i, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("dimension %d is negative", i)
		}
		if d != 0 && n > math.MaxInt64/d {
			return 0, fmt.Errorf("the product of the dimensions overflows")
		}
		n *= d
	}
	if n > limit {
		return 0, fmt.Errorf("%d elements are over the limit of %d", n, limit)
	}
	return n, nil
}

// Len returns the number of elements held.
func (t *Tensor) Len() int {
	switch t.Datatype {
	case Bool:
		return len(t.Bools)
	case Uint8:
		return len(t.U8s)
	case Uint16, FP16:
		return len(t.U16s)
	case Uint32:
		return len(t.U32s)
	case Uint64:
		return len(t.U64s)
	case Int8:
		return len(t.I8s)
	case Int16:
		return len(t.I16s)
	case Int32:
		return len(t.I32s)
	case Int64:
		return len(t.I64s)
	case FP32:
		return len(t.FP32s)
	case FP64:
		return len(t.FP64s)
	case Bytes:
		return len(t.Strings)
	}
	return 0
}

// Rows returns the first dimension, 1 for a scalar.
func (t *Tensor) Rows() int64 {
	if len(t.Shape) == 0 {
		return 1
	}
	return t.Shape[0]
}

// Resize makes the backing slice of t's datatype n elements long, reusing its
// capacity. The content is unspecified.
func (t *Tensor) Resize(n int) {
	switch t.Datatype {
	case Bool:
		t.Bools = sized(t.Bools, n)
	case Uint8:
		t.U8s = sized(t.U8s, n)
	case Uint16, FP16:
		t.U16s = sized(t.U16s, n)
	case Uint32:
		t.U32s = sized(t.U32s, n)
	case Uint64:
		t.U64s = sized(t.U64s, n)
	case Int8:
		t.I8s = sized(t.I8s, n)
	case Int16:
		t.I16s = sized(t.I16s, n)
	case Int32:
		t.I32s = sized(t.I32s, n)
	case Int64:
		t.I64s = sized(t.I64s, n)
	case FP32:
		t.FP32s = sized(t.FP32s, n)
	case FP64:
		t.FP64s = sized(t.FP64s, n)
	case Bytes:
		t.Strings = sized(t.Strings, n)
	}
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
