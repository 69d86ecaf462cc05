package batching

import (
	"slices"
	"unsafe"

	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// rowsOf is the number of rows that inputs have in common. ok says that they can
// share a batch: every input has the rows in its first dimension, and as many
// elements as its shape says, so that no row of another caller shows through.
func rowsOf(inputs []tensor.Tensor) (rows int, ok bool) {
	for i := range inputs {
		shape := inputs[i].Shape
		if len(shape) == 0 || shape[0] < 1 || shape[0] > maxMaxBatch || i > 0 && int(shape[0]) != rows {
			return most(inputs), false
		}
		rows = int(shape[0])
		if inputs[i].Len() != elements(&inputs[i], rows) {
			return most(inputs), false
		}
	}
	return rows, len(inputs) > 0
}

// most is the rows of the input that has the most of them: a run of its own is timed
// by that. A tensor has no more rows than elements, whatever its shape says.
func most(inputs []tensor.Tensor) int {
	rows := int64(1)
	for i := range inputs {
		rows = max(rows, min(inputs[i].Rows(), int64(inputs[i].Len())))
	}
	return int(rows)
}

// batchable says whether the signature has the batch in the first dimension of
// every tensor. A model with an input that all rows share, or with an output that
// does not grow with the rows, runs its requests one by one.
func batchable(sig *schema.Signature) bool {
	for _, spec := range slices.Concat(sig.Inputs, sig.Outputs) {
		if !spec.Batched() {
			return false
		}
	}
	return len(sig.Inputs) > 0 && len(sig.Outputs) > 0
}

// alike says whether rows of a and b may stand in one tensor each.
func alike(a, b []tensor.Tensor) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Datatype != b[i].Datatype || a[i].Name != b[i].Name || !slices.Equal(a[i].Shape[1:], b[i].Shape[1:]) {
			return false
		}
	}
	return true
}

// elements is how many elements n rows of t have.
func elements(t *tensor.Tensor, n int) int {
	for _, d := range t.Shape[1:] {
		n *= int(d)
	}
	return n
}

// part is the rows [from, to) of t, over the same memory. shape is memory for its
// shape, which is appended to and returned.
func part(t *tensor.Tensor, from, to int, shape []int64) (tensor.Tensor, []int64) {
	at := len(shape)
	shape = append(append(shape, int64(to-from)), t.Shape[1:]...)
	p := tensor.Tensor{Name: t.Name, Datatype: t.Datatype, Shape: shape[at:len(shape):len(shape)]}
	lo, hi := elements(t, from), elements(t, to)
	switch t.Datatype {
	case tensor.Bool:
		p.Bools = t.Bools[lo:hi:hi]
	case tensor.Uint8:
		p.U8s = t.U8s[lo:hi:hi]
	case tensor.Uint16, tensor.FP16:
		p.U16s = t.U16s[lo:hi:hi]
	case tensor.Uint32:
		p.U32s = t.U32s[lo:hi:hi]
	case tensor.Uint64:
		p.U64s = t.U64s[lo:hi:hi]
	case tensor.Int8:
		p.I8s = t.I8s[lo:hi:hi]
	case tensor.Int16:
		p.I16s = t.I16s[lo:hi:hi]
	case tensor.Int32:
		p.I32s = t.I32s[lo:hi:hi]
	case tensor.Int64:
		p.I64s = t.I64s[lo:hi:hi]
	case tensor.FP32:
		p.FP32s = t.FP32s[lo:hi:hi]
	case tensor.FP64:
		p.FP64s = t.FP64s[lo:hi:hi]
	case tensor.Bytes:
		p.Strings = t.Strings[lo:hi:hi]
		for _, m := range t.Missing {
			if m >= lo && m < hi {
				p.Missing = append(p.Missing, m-lo)
			}
		}
	}
	return p, shape
}

// keepBytes bounds the memory that a gatherer holds on to between batches.
const keepBytes = 16 << 20

// gatherer is the memory of one batch: the inputs of its requests, row behind row.
type gatherer struct {
	inputs []tensor.Tensor
	text   []byte // of all strings
	parts  []tensor.Tensor
	shapes []int64
}

// begin prepares for rows like those of like, total of them.
func (g *gatherer) begin(like []tensor.Tensor, total int) {
	for len(g.inputs) < len(like) {
		g.inputs = append(g.inputs, tensor.Tensor{})
	}
	g.inputs = g.inputs[:len(like)]
	for i := range like {
		from, to := &like[i], &g.inputs[i]
		to.Name, to.Datatype = from.Name, from.Datatype
		to.Shape = append(append(to.Shape[:0], int64(total)), from.Shape[1:]...)
		to.Missing = to.Missing[:0]
		to.Resize(elements(to, total))
	}
	g.text = g.text[:0]
}

// reserve makes room for the text of all strings, so that none moves later.
func (g *gatherer) reserve(n int) {
	if cap(g.text) < n {
		g.text = make([]byte, 0, n)
	}
}

func textOf(inputs []tensor.Tensor) (n int) {
	for i := range inputs {
		for _, s := range inputs[i].Strings {
			n += len(s)
		}
	}
	return n
}

// add copies inputs to the rows from row on. Strings are copied too: they may lie
// in the body of a request that is given up while the batch runs.
func (g *gatherer) add(inputs []tensor.Tensor, row int) {
	for i := range inputs {
		from, to := &inputs[i], &g.inputs[i]
		at := elements(to, row)
		switch from.Datatype {
		case tensor.Bool:
			copy(to.Bools[at:], from.Bools)
		case tensor.Uint8:
			copy(to.U8s[at:], from.U8s)
		case tensor.Uint16, tensor.FP16:
			copy(to.U16s[at:], from.U16s)
		case tensor.Uint32:
			copy(to.U32s[at:], from.U32s)
		case tensor.Uint64:
			copy(to.U64s[at:], from.U64s)
		case tensor.Int8:
			copy(to.I8s[at:], from.I8s)
		case tensor.Int16:
			copy(to.I16s[at:], from.I16s)
		case tensor.Int32:
			copy(to.I32s[at:], from.I32s)
		case tensor.Int64:
			copy(to.I64s[at:], from.I64s)
		case tensor.FP32:
			copy(to.FP32s[at:], from.FP32s)
		case tensor.FP64:
			copy(to.FP64s[at:], from.FP64s)
		case tensor.Bytes:
			for k, s := range from.Strings {
				to.Strings[at+k] = g.string(s)
			}
			for _, m := range from.Missing {
				to.Missing = append(to.Missing, at+m)
			}
		}
	}
}

// string copies s into text, whose capacity was reserved.
func (g *gatherer) string(s string) string {
	if s == "" {
		return ""
	}
	at := len(g.text)
	g.text = append(g.text, s...)
	return unsafe.String(&g.text[at], len(s))
}

// slice is the rows [from, to) of the batch; it is valid until the next slice.
func (g *gatherer) slice(from, to int) []tensor.Tensor {
	if len(g.inputs) > 0 && from == 0 && int64(to) == g.inputs[0].Shape[0] {
		return g.inputs
	}
	g.parts, g.shapes = g.parts[:0], g.shapes[:0]
	for i := range g.inputs {
		var p tensor.Tensor
		p, g.shapes = part(&g.inputs[i], from, to, g.shapes)
		g.parts = append(g.parts, p)
	}
	return g.parts
}

// rest drops what is too large to be kept, and all strings.
func (g *gatherer) rest() {
	size := cap(g.text)
	for i := range g.inputs {
		t := &g.inputs[i]
		size += elements(t, int(t.Shape[0])) * max(t.Datatype.Size(), int(unsafe.Sizeof("")))
		clear(t.Strings)
	}
	clear(g.parts)
	if size > keepBytes {
		*g = gatherer{}
	}
}
