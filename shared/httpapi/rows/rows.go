// Package rows is the codec of TensorFlow Serving's REST form: rows or columns
// of a table in JSON to the tensors of a model's signature, and its outputs back
// to predictions.
//
//	{"instances": [{"dep_delay": 12, "carrier": "UA"}, …]}   row objects, by column name
//	{"instances": [[12, "UA"], …]}                           row arrays, in the signature's order
//	{"instances": [12, 7]}                                   scalars, for a model with one column
//	{"inputs": {"dep_delay": [12, 7], "carrier": ["UA", null]}}
//	{"inputs": [[0.1, 0.2], …]}                              for a model with one input
//
// It decides where a value goes and of which datatype it is; whether it is
// accepted is decided by [schema.Checker]. A column that a row lacks is a missing
// value, as null is. Binary strings may be sent as {"b64": "…"}.
//
// Invariants are those of package oip: memory in proportion to the body, faults
// with places and never values, strings may share memory with the body.
package rows

import (
	"fmt"
	"math"
	"slices"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Request is a decoded request: all inputs of the signature in its order.
type Request struct {
	Inputs   []tensor.Tensor
	Rows     int
	Columnar bool // sent as "inputs": the answer is "outputs"
}

// Decoder decodes requests and keeps its memory from one to the next. It is not
// safe for concurrent use. What Decode returned is valid until the next Decode.
type Decoder struct {
	req    Request
	text   []byte
	check  *schema.Checker
	expect []*schema.Place // columns in the order of the last row object
	seen   []int           // by column: the last row that has it, from 1
	widths []int           // by input: values in a row
	cells  int             // values held, present or missing
	found  []fault.Violation
	count  int
}

// Decode reads a request for the model that c checks. Errors: InvalidArgument,
// Unimplemented when the signature cannot be addressed by rows.
func (d *Decoder) Decode(body []byte, c *schema.Checker) (*Request, error) {
	if err := d.begin(body, c); err != nil {
		return nil, err
	}
	at, code := d.request()
	switch {
	case code == wire.OK, code == wire.Stop:
	default:
		return nil, oip.Broken(code, at)
	}
	if d.count > 0 {
		return nil, d.faults()
	}
	for i := range d.req.Inputs {
		t := &d.req.Inputs[i]
		t.Shape[0] = int64(d.req.Rows)
		slices.Sort(t.Missing) // rows may name columns in any order
	}
	return &d.req, nil
}

func (d *Decoder) begin(body []byte, c *schema.Checker) error {
	specs := c.Schema().Signature.Inputs
	d.text, d.check, d.cells = body, c, 0
	d.found, d.count, d.expect = nil, 0, d.expect[:0]
	d.seen = append(d.seen[:0], make([]int, len(c.Columns()))...)
	letGo(d.req.Inputs[:cap(d.req.Inputs)])
	d.req = Request{Inputs: slices.Grow(d.req.Inputs[:0], len(specs))[:len(specs)]}
	d.widths = d.widths[:0]
	for i := range specs {
		spec := &specs[i]
		d.widths = append(d.widths, spec.Width())
		if !spec.Batched() || d.widths[i] == 0 {
			return fault.New(fault.Unimplemented, "input %q of shape %v cannot be given by rows; use the Open Inference Protocol", spec.Name, spec.Shape)
		}
		t := &d.req.Inputs[i]
		t.Name, t.Datatype, t.Missing = spec.Name, spec.Datatype, t.Missing[:0]
		t.Shape = append(t.Shape[:0], spec.Shape...)
		t.Resize(0)
	}
	if i := wire.Space(body, 0); i == len(body) {
		return fault.New(fault.InvalidArgument, `the request has no body; send a JSON object with "instances" or "inputs"`)
	}
	return nil
}

// keep bounds the elements of each kind that a tensor holds between requests.
const keep = 1 << 20

// letGo empties tensors of what points into the last body, and of very large buffers.
func letGo(tensors []tensor.Tensor) {
	for i := range tensors {
		t := &tensors[i]
		if max(cap(t.FP32s), cap(t.FP64s), cap(t.I64s), cap(t.Strings), cap(t.I32s)) > keep {
			*t = tensor.Tensor{}
		}
		clear(t.Strings)
		t.Strings = t.Strings[:0]
	}
}

// enough is the number of faults at which reading ends: what follows would not be listed.
const enough = 10 * oip.MaxViolations

func (d *Decoder) fault(path, problem string) {
	if d.count++; d.count <= oip.MaxViolations {
		d.found = append(d.found, fault.Violation{Path: path, Problem: problem})
	}
}

func (d *Decoder) faults() error {
	err := fault.Invalid(d.found...)
	if d.count > len(d.found) {
		err.Message = fmt.Sprintf("%d faults, the first %d listed: %s %s; …", d.count, len(d.found), d.found[0].Path, d.found[0].Problem)
	}
	return err
}

// request reads the top-level object. Keys that are not ours (signature_name) are skipped.
func (d *Decoder) request() (int, wire.Code) {
	sent := 0
	i, code := wire.Members(d.text, wire.Space(d.text, 0), func(key string, i int) (int, wire.Code) {
		if key != "instances" && key != "inputs" {
			return wire.Skip(d.text, i, 1)
		}
		if sent++; sent > 1 {
			d.fault("the request", `has more than one of "instances" and "inputs"`)
			return wire.Skip(d.text, i, 1)
		}
		if key == "instances" {
			return d.instances(i, key)
		}
		d.req.Columnar = true
		return d.columns(i)
	})
	if code == wire.WrongKind {
		d.fault("the request", "is not an object")
		code = wire.OK
	}
	if code != wire.OK {
		return i, code
	}
	if i = wire.Space(d.text, i); i != len(d.text) {
		return i, wire.Syntax
	}
	if sent == 0 && d.count == 0 {
		d.fault("the request", `has neither "instances" nor "inputs"`)
	} else if d.req.Rows == 0 && d.count == 0 {
		d.fault("the request", "has no rows; send at least one")
	}
	return i, wire.OK
}

// reserve makes room for rows [d.req.Rows, n) in every input.
func (d *Decoder) reserve(n int) wire.Code {
	if d.count >= enough {
		return wire.Stop
	}
	for i := range d.req.Inputs {
		t := &d.req.Inputs[i]
		d.cells += (n - d.req.Rows) * d.widths[i]
		extend(t, n*d.widths[i])
	}
	d.req.Rows = n
	if d.cells > len(d.text)+schema.SpareElements { // a body of empty rows must not grow into gigabytes
		d.fault("the request", "has too many values; send fewer rows a request")
		return wire.Stop
	}
	return wire.OK
}

// miss sets the value of a column in a row to the missing value. Datatypes that have none are a fault.
func (d *Decoder) miss(p *schema.Place, row int) {
	t := &d.req.Inputs[p.Input]
	from := row*d.widths[p.Input] + p.Offset
	for k := from; k < from+p.Width; k++ {
		switch t.Datatype {
		case tensor.FP32:
			t.FP32s[k] = float32(math.NaN())
		case tensor.FP64:
			t.FP64s[k] = math.NaN()
		case tensor.FP16:
			t.U16s[k] = 0x7e00
		case tensor.Bytes:
			t.Strings[k] = ""
			t.Missing = append(t.Missing, k)
		default:
			d.fault(d.path(p, row), "is missing")
			return
		}
	}
}

// path names a column in a row.
func (d *Decoder) path(p *schema.Place, row int) string {
	if d.req.Columnar {
		return fmt.Sprintf("inputs.%s[%d]", p.Name, row)
	}
	return fmt.Sprintf("instances[%d].%s", row, p.Name)
}

// extend makes t n elements long and keeps what it holds.
func extend(t *tensor.Tensor, n int) {
	switch t.Datatype {
	case tensor.Bool:
		t.Bools = grow(t.Bools, n)
	case tensor.Uint8:
		t.U8s = grow(t.U8s, n)
	case tensor.Uint16, tensor.FP16:
		t.U16s = grow(t.U16s, n)
	case tensor.Uint32:
		t.U32s = grow(t.U32s, n)
	case tensor.Uint64:
		t.U64s = grow(t.U64s, n)
	case tensor.Int8:
		t.I8s = grow(t.I8s, n)
	case tensor.Int16:
		t.I16s = grow(t.I16s, n)
	case tensor.Int32:
		t.I32s = grow(t.I32s, n)
	case tensor.Int64:
		t.I64s = grow(t.I64s, n)
	case tensor.FP32:
		t.FP32s = grow(t.FP32s, n)
	case tensor.FP64:
		t.FP64s = grow(t.FP64s, n)
	case tensor.Bytes:
		t.Strings = grow(t.Strings, n)
	}
}

func grow[T any](s []T, n int) []T {
	if n <= cap(s) {
		return s[:n]
	}
	return slices.Grow(s, n-len(s))[:n]
}
