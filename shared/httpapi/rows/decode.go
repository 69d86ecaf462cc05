package rows

import (
	"encoding/base64"
	"fmt"

	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// instances reads an array of rows.
func (d *Decoder) instances(i int, key string) (int, wire.Code) {
	next, code := wire.Elements(d.text, i, func(n, i int) (int, wire.Code) {
		if code := d.reserve(n + 1); code != wire.OK {
			return i, code
		}
		switch {
		case wire.Is(d.text, i, '{'):
			return d.object(n, i)
		case wire.Is(d.text, i, '['):
			return d.array(n, i)
		}
		return d.scalar(n, i)
	})
	if code == wire.WrongKind {
		d.fault(key, "is not an array")
		code = wire.OK
	}
	return next, code
}

// object reads a row by column names.
func (d *Decoder) object(row, i int) (int, wire.Code) {
	have, k := 0, 0
	next, code := wire.Members(d.text, i, func(key string, i int) (int, wire.Code) {
		p, ok := d.column(key, k)
		k++
		if !ok {
			d.fault(fmt.Sprintf("instances[%d]", row), "has a column that is not an input of the model; its inputs are listed by GET /v1/models/<model>/metadata")
			return wire.Skip(d.text, i, 3)
		}
		for c := p.First; c < p.First+p.Count; c++ {
			if d.seen[c] == row+1 {
				d.fault(d.path(p, row), "is given twice")
				return wire.Skip(d.text, i, 3)
			}
			d.seen[c] = row + 1
		}
		have += p.Count
		return d.value(p, row, i)
	})
	if code == wire.OK && have < len(d.seen) {
		columns := d.check.Columns()
		for c := range columns {
			if d.seen[c] != row+1 {
				d.miss(&columns[c], row)
			}
		}
	}
	return next, code
}

// column finds the place of the k-th key of a row. Rows mostly repeat the order
// of the one before, so that comparing two strings does.
func (d *Decoder) column(key string, k int) (*schema.Place, bool) {
	if k < len(d.expect) && d.expect[k].Name == key {
		return d.expect[k], true
	}
	p, ok := d.check.Place(key)
	if ok {
		d.expect = append(d.expect[:min(k, len(d.expect))], p)
	}
	return p, ok
}

// array reads a row in the order of the signature. For a model with one column
// the array is that column's value.
func (d *Decoder) array(row, i int) (int, wire.Code) {
	columns := d.check.Columns()
	if len(columns) == 1 {
		return d.value(&columns[0], row, i)
	}
	have := 0
	next, code := wire.Elements(d.text, i, func(n, i int) (int, wire.Code) {
		if have++; n >= len(columns) {
			return wire.Skip(d.text, i, 3)
		}
		return d.value(&columns[n], row, i)
	})
	if code == wire.OK && have != len(columns) {
		d.fault(fmt.Sprintf("instances[%d]", row), fmt.Sprintf("does not have %d values, one for each column of the model", len(columns)))
	}
	return next, code
}

func (d *Decoder) scalar(row, i int) (int, wire.Code) {
	columns := d.check.Columns()
	if len(columns) == 1 {
		return d.value(&columns[0], row, i)
	}
	next, code := wire.Skip(d.text, i, 2)
	if code == wire.OK {
		d.fault(fmt.Sprintf("instances[%d]", row), "is neither an object nor an array, but the model has several columns")
	}
	return next, code
}

// columns reads the value of "inputs": an object of columns, or the plain rows of a model with one input.
func (d *Decoder) columns(i int) (int, wire.Code) {
	if wire.Is(d.text, i, '[') {
		if len(d.req.Inputs) == 1 {
			return d.instances(i, "inputs")
		}
		d.fault("inputs", "is an array, but the model has several inputs; send an object by column name")
		return wire.Skip(d.text, i, 1)
	}
	first := true
	next, code := wire.Members(d.text, i, func(key string, i int) (int, wire.Code) {
		p, ok := d.check.Place(key)
		if !ok {
			d.fault("inputs", "has a column that is not an input of the model; its inputs are listed by GET /v1/models/<model>/metadata")
			return wire.Skip(d.text, i, 2)
		}
		for c := p.First; c < p.First+p.Count; c++ {
			if d.seen[c] > 0 {
				d.fault("inputs."+p.Name, "is given twice")
				return wire.Skip(d.text, i, 2)
			}
			d.seen[c] = 1
		}
		next, code := d.whole(p, i, first)
		first = false
		return next, code
	})
	if code == wire.WrongKind {
		d.fault("inputs", "is neither an object nor an array")
		return next, wire.OK
	}
	if code == wire.OK && d.count == 0 {
		columns := d.check.Columns()
		for c := range columns {
			for row := 0; d.seen[c] == 0 && row < d.req.Rows; row++ {
				d.miss(&columns[c], row)
			}
		}
	}
	return next, code
}

// whole reads all rows of a column; the first column decides how many there are.
func (d *Decoder) whole(p *schema.Place, i int, first bool) (int, wire.Code) {
	n := 0
	next, code := wire.Elements(d.text, i, func(row, i int) (int, wire.Code) {
		n++
		if row >= d.req.Rows {
			if !first {
				return wire.Skip(d.text, i, 3)
			}
			if code := d.reserve(row + 1); code != wire.OK {
				return i, code
			}
		}
		return d.value(p, row, i)
	})
	switch {
	case code == wire.WrongKind:
		d.fault("inputs."+p.Name, "is not an array of rows")
		code = wire.OK
	case code == wire.OK && n != d.req.Rows:
		d.fault("inputs."+p.Name, "has other rows than the first column")
	}
	return next, code
}

// value reads the value of a column in a row: a scalar, a scalar in arrays of
// one, or an array of the shape of the input behind its batch dimension.
func (d *Decoder) value(p *schema.Place, row, i int) (int, wire.Code) {
	t := &d.req.Inputs[p.Input]
	at := row*d.widths[p.Input] + p.Offset
	open := 0
	var next int
	var code wire.Code
	if p.Width == 1 {
		j := i
		for open < len(t.Shape) && wire.Is(d.text, j, '[') {
			open++
			j = wire.Space(d.text, j+1)
		}
		next, code = d.element(t, at, j)
		for ; code == wire.OK && open > 0; open-- {
			if next = wire.Space(d.text, next); !wire.Is(d.text, next, ']') {
				code = wire.TooMany
			}
			next++
		}
	} else {
		next, code = d.elements(t, at, p.Width, i)
	}
	switch {
	case code == wire.OK:
		return next, code
	case d.count >= enough:
		return next, wire.Stop
	case code == wire.NotFinite:
		d.fault(d.path(p, row), code.Problem(""))
		return next, wire.Stop
	}
	next, skipped := wire.Skip(d.text, i, 3)
	if skipped == wire.OK {
		d.fault(d.path(p, row), code.Problem(wanted(t.Datatype, p.Width)))
	}
	return next, skipped
}

func wanted(t tensor.Datatype, width int) string {
	what := "an integer"
	switch t {
	case tensor.Bool:
		what = "true or false"
	case tensor.Bytes:
		what = "a string"
	case tensor.FP16, tensor.FP32, tensor.FP64:
		what = "a number"
	}
	if width > 1 {
		return fmt.Sprintf("an array of %d values, each %s", width, what)
	}
	return what
}

// element reads one scalar into element k of t.
func (d *Decoder) element(t *tensor.Tensor, k, i int) (next int, code wire.Code) {
	switch t.Datatype {
	case tensor.FP32:
		t.FP32s[k], next, code = wire.Float32(d.text, i)
	case tensor.Bytes:
		t.Strings[k], next, code = d.string(i)
		if code == wire.Null {
			t.Missing = append(t.Missing, k)
			return i + len("null"), wire.OK
		}
	case tensor.FP64:
		t.FP64s[k], next, code = wire.Float64(d.text, i)
	case tensor.Int64:
		t.I64s[k], next, code = wire.Int[int64](d.text, i)
	default:
		return d.elementsOf(t, k, 1, i, nil)
	}
	return next, code
}

// elements reads an array of width values into t from element k on.
func (d *Decoder) elements(t *tensor.Tensor, k, width, i int) (int, wire.Code) {
	if !wire.Is(d.text, i, '[') {
		if next, code := wire.Skip(d.text, i, 3); code != wire.OK {
			return next, code
		}
		return i, wire.WrongKind
	}
	return d.elementsOf(t, k, width, i, t.Shape[1:])
}

// elementsOf reads into t[k:k+width]: an array of the given shape, or with a nil
// shape one scalar.
func (d *Decoder) elementsOf(t *tensor.Tensor, k, width, i int, shape []int64) (int, wire.Code) {
	b := d.text
	switch t.Datatype {
	case tensor.FP32:
		return read(b, i, shape, t.FP32s[k:k+width], wire.Float32)
	case tensor.FP64:
		return read(b, i, shape, t.FP64s[k:k+width], wire.Float64)
	case tensor.FP16:
		return read(b, i, shape, t.U16s[k:k+width], oip.Half)
	case tensor.Bytes:
		missing := len(t.Missing)
		next, _, code := wire.Array(b, i, shape, t.Strings[k:k+width], d.stringAt, &t.Missing)
		for m := missing; m < len(t.Missing); m++ {
			t.Missing[m] += k
		}
		return next, code
	case tensor.Bool:
		return read(b, i, shape, t.Bools[k:k+width], wire.Bool)
	case tensor.Int64:
		return read(b, i, shape, t.I64s[k:k+width], wire.Int[int64])
	case tensor.Int32:
		return read(b, i, shape, t.I32s[k:k+width], wire.Int[int32])
	case tensor.Int16:
		return read(b, i, shape, t.I16s[k:k+width], wire.Int[int16])
	case tensor.Int8:
		return read(b, i, shape, t.I8s[k:k+width], wire.Int[int8])
	case tensor.Uint64:
		return read(b, i, shape, t.U64s[k:k+width], wire.Uint[uint64])
	case tensor.Uint32:
		return read(b, i, shape, t.U32s[k:k+width], wire.Uint[uint32])
	case tensor.Uint16:
		return read(b, i, shape, t.U16s[k:k+width], wire.Uint[uint16])
	}
	return read(b, i, shape, t.U8s[k:k+width], wire.Uint[uint8])
}

func read[T any](b []byte, i int, shape []int64, dst []T, elem wire.Elem[T]) (next int, code wire.Code) {
	if shape == nil {
		dst[0], next, code = elem(b, i)
		return next, code
	}
	next, _, code = wire.Array(b, i, shape, dst, elem, nil)
	return next, code
}

func (d *Decoder) stringAt(_ []byte, i int) (string, int, wire.Code) { return d.string(i) }

// string reads a string, or bytes as {"b64": "…"}.
func (d *Decoder) string(i int) (string, int, wire.Code) {
	if !wire.Is(d.text, i, '{') {
		return wire.String(d.text, i)
	}
	var value string
	keys, read := 0, 0
	next, code := wire.Members(d.text, i, func(key string, i int) (int, wire.Code) {
		keys++
		text, next, code := wire.String(d.text, i)
		if code != wire.OK || key != "b64" {
			return wire.Skip(d.text, i, 4)
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err == nil {
			value = string(raw)
			read++
		}
		return next, wire.OK
	})
	if code == wire.OK && (keys != 1 || read != 1) { // exactly one key, b64, that decodes
		code = wire.WrongKind
	}
	return value, next, code
}
