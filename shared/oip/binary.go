package oip

import (
	"encoding/binary"
	"strconv"
	"unsafe"

	"github.com/tidegate/tidegate/shared/tensor"
)

func itoa(n int) string { return strconv.Itoa(n) }

// binary takes the next binary_data_size bytes of the binary part as p's data.
func (d *Decoder) binary(p *pending) {
	path := func() string { return d.path(p.n) + ".parameters.binary_data_size" }
	switch {
	case !d.bin:
		d.fault(path(), "is given, but the request has no Inference-Header-Content-Length")
		return
	case p.rawSize > int64(len(d.raw)):
		d.fault(path(), "is larger than what is left of the body")
		return
	}
	raw := d.raw[:p.rawSize:p.rawSize]
	d.raw = d.raw[p.rawSize:]
	if p.rejected {
		return
	}
	width := p.t.Datatype.Size()
	room := len(raw) / max(width, 1)
	if width == 0 {
		room = len(raw) / 4 // each of BYTES has a length of four bytes
	}
	n, ok := d.size(p, int64(room))
	if !ok {
		return
	}
	if width > 0 && n*width != len(raw) {
		d.fault(path(), "does not agree with shape and datatype")
		return
	}
	if problem := d.take(p.t, raw, n); problem != "" {
		d.fault(d.path(p.n), problem)
	}
}

// take makes raw the data of t, in place where alignment allows it.
func (d *Decoder) take(t *tensor.Tensor, raw []byte, n int) (problem string) {
	m := &d.mem
	switch t.Datatype {
	case tensor.FP32:
		t.FP32s = view(raw, n, &m.f32s)
	case tensor.FP64:
		t.FP64s = view(raw, n, &m.f64s)
	case tensor.Int64:
		t.I64s = view(raw, n, &m.i64s)
	case tensor.Int32:
		t.I32s = view(raw, n, &m.i32s)
	case tensor.Int16:
		t.I16s = view(raw, n, &m.i16s)
	case tensor.Int8:
		t.I8s = view(raw, n, &m.i8s)
	case tensor.Uint64:
		t.U64s = view(raw, n, &m.u64s)
	case tensor.Uint32:
		t.U32s = view(raw, n, &m.u32s)
	case tensor.Uint16, tensor.FP16:
		t.U16s = view(raw, n, &m.u16s)
	case tensor.Uint8:
		t.U8s = raw
	case tensor.Bool:
		t.Bools = m.bools.take(n)
		for i, c := range raw {
			if c > 1 { // any other byte in a Go bool is undefined
				return "has a BOOL that is neither 0 nor 1"
			}
			t.Bools[i] = c == 1
		}
	case tensor.Bytes:
		t.Strings = m.strings.take(n)
		return takeStrings(t.Strings, raw)
	}
	return ""
}

// takeStrings reads length-prefixed strings that must fill raw exactly.
func takeStrings(dst []string, raw []byte) (problem string) {
	for k := range dst {
		if len(raw) < 4 {
			return "has BYTES data that ends before its last element"
		}
		size := binary.LittleEndian.Uint32(raw)
		raw = raw[4:]
		if uint64(size) > uint64(len(raw)) {
			return "has a BYTES element that is longer than its data"
		}
		dst[k] = ""
		if size > 0 {
			dst[k] = unsafe.String(&raw[0], int(size))
		}
		raw = raw[size:]
	}
	if len(raw) > 0 {
		return "has BYTES data behind its last element"
	}
	return ""
}

// view is raw as n elements of T: the same memory if it is aligned, else a copy.
func view[T any](raw []byte, n int, a *arena[T]) []T {
	if n == 0 {
		return a.take(0)
	}
	var zero T
	if uintptr(unsafe.Pointer(&raw[0]))%unsafe.Alignof(zero) == 0 {
		return unsafe.Slice((*T)(unsafe.Pointer(&raw[0])), n)
	}
	s := a.take(n)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(raw)), raw)
	return s
}
