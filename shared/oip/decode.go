package oip

import (
	"fmt"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Decoder decodes requests and keeps its memory from one to the next. It is not
// safe for concurrent use. What Decode returned is valid until the next Decode.
type Decoder struct {
	req   Request
	mem   arenas
	found []fault.Violation
	count int // faults, also those beyond MaxViolations

	text []byte // the JSON part
	raw  []byte // the binary part not yet taken by a tensor
	bin  bool   // there is a binary part, maybe empty
	list string // what tensors are entries of: inputs, in an answer outputs
}

// Decode reads a request whose first jsonLength bytes are JSON and whose rest
// are binary tensors; with [AllJSON] all of it is JSON. All faults that leave the
// text readable are reported together. Errors: InvalidArgument.
func (d *Decoder) Decode(body []byte, jsonLength int) (*Request, error) {
	d.reset(body, jsonLength, "inputs")
	if i := wire.Space(d.text, 0); i == len(d.text) {
		return nil, fault.New(fault.InvalidArgument, "the request has no body; send a JSON object with \"inputs\"")
	}
	if at, code := d.request(); code == wire.Stop {
		return nil, d.faults()
	} else if code != wire.OK {
		return nil, Broken(code, at)
	}
	d.exhausted()
	return &d.req, d.faults()
}

// exhausted notes bytes that no tensor has claimed.
func (d *Decoder) exhausted() {
	if len(d.raw) > 0 && d.count == 0 {
		d.fault("binary data", "is longer than the sum of binary_data_size")
	}
}

func (d *Decoder) reset(body []byte, jsonLength int, list string) {
	d.text, d.raw, d.bin, d.list = body, nil, jsonLength >= 0, list
	if d.bin {
		d.text, d.raw = body[:jsonLength], body[jsonLength:]
	}
	if cap(d.req.Inputs) > 256 {
		d.req.Inputs = nil
	}
	clear(d.req.Inputs[:cap(d.req.Inputs)]) // they point into the last body
	d.req = Request{Inputs: d.req.Inputs[:0], Outputs: d.req.Outputs[:0]}
	d.mem.reset()
	d.found, d.count = nil, 0
}

// fault notes a violation; reading goes on.
func (d *Decoder) fault(path, problem string) {
	if d.count++; d.count <= MaxViolations {
		d.found = append(d.found, fault.Violation{Path: path, Problem: problem})
	}
}

func (d *Decoder) faults() error {
	if d.count == 0 {
		return nil
	}
	err := fault.Invalid(d.found...)
	if d.count > len(d.found) {
		err.Message = fmt.Sprintf("%d faults, the first %d listed: %s %s; …", d.count, len(d.found), d.found[0].Path, d.found[0].Problem)
	}
	return err
}

// Broken is the error for text that cannot be read on behind byte at.
func Broken(code wire.Code, at int) *fault.Error {
	if code == wire.Depth {
		return fault.New(fault.InvalidArgument, "the request is nested deeper than %d levels, at byte %d", wire.MaxDepth, at)
	}
	return fault.New(fault.InvalidArgument, "the request is not valid JSON, or is cut off, at byte %d", at)
}

// members walks the object at i; a value of another kind is noted and skipped.
func (d *Decoder) members(i int, path string, member func(key string, i int) (int, wire.Code)) (int, wire.Code) {
	next, code := wire.Members(d.text, i, member)
	if code == wire.WrongKind {
		d.fault(path, "is not an object")
		return next, wire.OK
	}
	return next, code
}

// elements walks the array at i like members.
func (d *Decoder) elements(i int, path string, element func(n, i int) (int, wire.Code)) (int, wire.Code) {
	next, code := wire.Elements(d.text, i, element)
	if code == wire.WrongKind {
		d.fault(path, "is not an array")
		return next, wire.OK
	}
	return next, code
}

func (d *Decoder) skip(i, depth int) (int, wire.Code) { return wire.Skip(d.text, i, depth) }

// once notes a repeated key and says whether the key is the first of its kind.
func (d *Decoder) once(seen *uint, bit uint, path string) bool {
	if *seen&(1<<bit) != 0 {
		d.fault(path, "is given twice")
		return false
	}
	*seen |= 1 << bit
	return true
}

// request reads the whole JSON part.
func (d *Decoder) request() (int, wire.Code) {
	var seen uint
	i, code := d.members(wire.Space(d.text, 0), "the request", func(key string, i int) (int, wire.Code) {
		switch key {
		case "id":
			if d.once(&seen, 0, "id") {
				var id string
				next, code := d.string(i, "id", &id)
				d.req.ID = strings.Clone(id)
				return next, code
			}
		case "parameters":
			if d.once(&seen, 1, "parameters") {
				return d.parameters(i)
			}
		case "inputs":
			if d.once(&seen, 2, "inputs") {
				return d.elements(i, "inputs", d.input)
			}
		case "outputs":
			if d.once(&seen, 3, "outputs") {
				return d.elements(i, "outputs", d.output)
			}
		}
		return d.skip(i, 1)
	})
	if code != wire.OK {
		return i, code
	}
	if i = wire.Space(d.text, i); i != len(d.text) {
		return i, wire.Syntax
	}
	if seen&(1<<2) == 0 {
		d.fault("inputs", "is missing")
	} else if len(d.req.Inputs) == 0 && d.count == 0 {
		d.fault("inputs", "is empty; send one entry for each input of the model")
	}
	d.duplicates()
	return i, wire.OK
}

// duplicates finds input names that are given twice.
func (d *Decoder) duplicates() {
	in := d.req.Inputs
	if len(in) <= 32 {
		for i := range in {
			for j := range in[:i] {
				if in[i].Name == in[j].Name {
					d.fault(d.path(i)+".name", "repeats that of "+d.path(j))
					break
				}
			}
		}
		return
	}
	first := make(map[string]int, len(in))
	for i := range in {
		if j, ok := first[in[i].Name]; ok {
			d.fault(d.path(i)+".name", "repeats that of "+d.path(j))
			continue
		}
		first[in[i].Name] = i
	}
}

// string reads a string value; one of another kind is noted and skipped.
func (d *Decoder) string(i int, path string, v *string) (int, wire.Code) {
	s, next, code := wire.String(d.text, i)
	if code == wire.OK {
		*v = s
		return next, wire.OK
	}
	return d.misfit(i, path, "a string", code)
}

func (d *Decoder) bool(i int, path string, v *bool) (int, wire.Code) {
	s, next, code := wire.Bool(d.text, i)
	if code == wire.OK {
		*v = s
		return next, wire.OK
	}
	return d.misfit(i, path, "true or false", code)
}

// misfit notes that the value at i is not what was wanted and skips it.
func (d *Decoder) misfit(i int, path, want string, code wire.Code) (int, wire.Code) {
	if code == wire.NotFinite {
		d.fault(path, code.Problem(want))
		return i, wire.Stop
	}
	next, skipped := wire.Skip(d.text, i, 1)
	if skipped == wire.OK {
		d.fault(path, code.Problem(want))
	}
	return next, skipped
}

func (d *Decoder) parameters(i int) (int, wire.Code) {
	var seen uint
	return d.members(i, "parameters", func(key string, i int) (int, wire.Code) {
		switch key {
		case "binary_data_output":
			if d.once(&seen, 0, "parameters.binary_data_output") {
				return d.bool(i, "parameters.binary_data_output", &d.req.BinaryOutputs)
			}
		case "key":
			if d.once(&seen, 1, "parameters.key") {
				var k string
				next, code := d.string(i, "parameters.key", &k)
				d.req.Key = strings.Clone(k)
				return next, code
			}
		}
		return d.skip(i, 2)
	})
}

func (d *Decoder) output(n, i int) (int, wire.Code) {
	path := fmt.Sprintf("outputs[%d]", n)
	if n >= MaxTensors {
		d.fault("outputs", fmt.Sprintf("has more than %d entries", MaxTensors))
		return i, wire.Stop
	}
	var out Output
	var seen uint
	next, code := d.members(i, path, func(key string, i int) (int, wire.Code) {
		switch key {
		case "name":
			if d.once(&seen, 0, path+".name") {
				return d.string(i, path+".name", &out.Name)
			}
		case "parameters":
			if d.once(&seen, 1, path+".parameters") {
				return d.outputParameters(i, path+".parameters", &out)
			}
		}
		return d.skip(i, 3)
	})
	if code == wire.OK && out.Name == "" {
		d.fault(path+".name", "is missing")
	}
	d.req.Outputs = append(d.req.Outputs, out)
	return next, code
}

func (d *Decoder) outputParameters(i int, path string, out *Output) (int, wire.Code) {
	var seen uint
	return d.members(i, path, func(key string, i int) (int, wire.Code) {
		switch key {
		case "binary_data":
			if d.once(&seen, 0, path+".binary_data") {
				var raw bool
				next, code := d.bool(i, path+".binary_data", &raw)
				if out.Binary = JSON; raw {
					out.Binary = Raw
				}
				return next, code
			}
		case "classification", "shared_memory_region":
			d.fault(path+"."+key, "is not supported")
		}
		return d.skip(i, 4)
	})
}

// path is the place of tensor n, in a request among its inputs, in an answer among its outputs.
func (d *Decoder) path(n int) string { return fmt.Sprintf("%s[%d]", d.list, n) }

// limitRank is an array's worth of dimensions, kept off the heap.
type limitRank [MaxRank]int64

// pending is an input whose object is being read: the data may come before the
// datatype and shape that say how to read it.
type pending struct {
	t        *tensor.Tensor
	n        int
	rank     int
	dims     limitRank
	shaped   bool
	dataAt   int // position of the data, 0 = none yet
	read     bool
	rawSize  int64 // binary_data_size, -1 = none
	rejected bool  // a fault makes its data unreadable
}
