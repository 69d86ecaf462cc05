package rows

import (
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/tensor"
)

// AppendPredictions appends {"predictions":[…]}: for each row the value when the
// model has one output, else an object by output name. A value is a scalar when
// the output has one per row, else an array of its shape.
func AppendPredictions(dst []byte, outputs []tensor.Tensor, rows int) []byte {
	dst = append(dst, `{"predictions":[`...)
	for row := 0; row < rows; row++ {
		if row > 0 {
			dst = append(dst, ',')
		}
		if len(outputs) == 1 {
			dst = appendRow(dst, &outputs[0], row, rows)
			continue
		}
		dst = append(dst, '{')
		for i := range outputs {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(wire.AppendString(dst, outputs[i].Name), ':')
			dst = appendRow(dst, &outputs[i], row, rows)
		}
		dst = append(dst, '}')
	}
	return append(dst, `]}`...)
}

// AppendOutputs appends {"outputs":…}: the tensor of a single output, else an
// object of them by name; each nested as its shape, with [N,1] as [N].
func AppendOutputs(dst []byte, outputs []tensor.Tensor, rows int) []byte {
	dst = append(dst, `{"outputs":`...)
	if len(outputs) == 1 {
		return append(appendRows(dst, &outputs[0], rows), '}')
	}
	dst = append(dst, '{')
	for i := range outputs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(wire.AppendString(dst, outputs[i].Name), ':')
		dst = appendRows(dst, &outputs[i], rows)
	}
	return append(dst, `}}`...)
}

func appendRows(dst []byte, t *tensor.Tensor, rows int) []byte {
	dst = append(dst, '[')
	for row := 0; row < rows; row++ {
		if row > 0 {
			dst = append(dst, ',')
		}
		dst = appendRow(dst, t, row, rows)
	}
	return append(dst, ']')
}

// appendRow appends what t holds for a row. An output without one entry per row
// belongs to the request as a whole and is repeated.
func appendRow(dst []byte, t *tensor.Tensor, row, rows int) []byte {
	if len(t.Shape) == 0 || t.Shape[0] != int64(rows) {
		dst, _ = appendNested(dst, t, t.Shape, 0)
		return dst
	}
	width := t.Len() / rows
	if width == 1 {
		return oip.AppendElement(dst, t, row)
	}
	dst, _ = appendNested(dst, t, t.Shape[1:], row*width)
	return dst
}

// appendNested appends the elements of t from k on as arrays of the given shape.
func appendNested(dst []byte, t *tensor.Tensor, shape []int64, k int) ([]byte, int) {
	if len(shape) == 0 {
		return oip.AppendElement(dst, t, k), k + 1
	}
	dst = append(dst, '[')
	for n := int64(0); n < shape[0]; n++ {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst, k = appendNested(dst, t, shape[1:], k)
	}
	return append(dst, ']'), k
}
