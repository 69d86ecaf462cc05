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
}

// Decode reads a request whose first jsonLength bytes are JSON and whose rest
// are binary tensors; with [AllJSON] all of it is JSON. All faults that leave the
// text readable are reported together. Errors: InvalidArgument.
func (d *Decoder) Decode(body []byte, jsonLength int) (*Request, error) {
	d.reset()
	d.text, d.raw, d.bin = body, nil, jsonLength >= 0
	if d.bin {
		d.text, d.raw = body[:jsonLength], body[jsonLength:]
	}
	if i := wire.Space(d.text, 0); i == len(d.text) {
		return nil, fault.New(fault.InvalidArgument, "the request has no body; send a JSON object with \"inputs\"")
	}
	if f := d.request(); f != nil {
		return nil, f
	}
	if len(d.raw) > 0 && d.count == 0 {
		d.fault("binary data", "is longer than the sum of binary_data_size")
	}
	return &d.req, d.faults()
}

func (d *Decoder) reset() {
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

// broken is the error for text that cannot be read on.
func broken(code wire.Code, at int) *fault.Error {
	if code == wire.Depth {
		return fault.New(fault.InvalidArgument, "the request is nested deeper than %d levels, at byte %d", wire.MaxDepth, at)
	}
	return fault.New(fault.InvalidArgument, "the request is not valid JSON, or is cut off, at byte %d", at)
}

// members walks the object at i and calls member with each key and the
// position of its value; member returns the position behind the value. Only
// member's own faults and broken text end the walk.
func (d *Decoder) members(i int, path string, member func(key string, i int) (int, *fault.Error)) (int, *fault.Error) {
	b := d.text
	if !wire.Is(b, i, '{') {
		next, code := wire.Skip(b, i, 0)
		if code != wire.OK {
			return i, broken(code, next)
		}
		d.fault(path, "is not an object")
		return next, nil
	}
	if i = wire.Space(b, i+1); wire.Is(b, i, '}') {
		return i + 1, nil
	}
	for {
		key, next, code := wire.String(b, i)
		if !wire.Is(b, i, '"') || code != wire.OK {
			return i, broken(wire.Syntax, i)
		}
		if i = wire.Space(b, next); !wire.Is(b, i, ':') {
			return i, broken(wire.Syntax, i)
		}
		var err *fault.Error
		if i, err = member(key, wire.Space(b, i+1)); err != nil {
			return i, err
		}
		i = wire.Space(b, i)
		if wire.Is(b, i, '}') {
			return i + 1, nil
		}
		if !wire.Is(b, i, ',') {
			return i, broken(wire.Syntax, i)
		}
		i = wire.Space(b, i+1)
	}
}

// elements walks the array at i like members.
func (d *Decoder) elements(i int, path string, element func(n, i int) (int, *fault.Error)) (int, *fault.Error) {
	b := d.text
	if !wire.Is(b, i, '[') {
		next, code := wire.Skip(b, i, 0)
		if code != wire.OK {
			return i, broken(code, next)
		}
		d.fault(path, "is not an array")
		return next, nil
	}
	if i = wire.Space(b, i+1); wire.Is(b, i, ']') {
		return i + 1, nil
	}
	for n := 0; ; n++ {
		var err *fault.Error
		if i, err = element(n, i); err != nil {
			return i, err
		}
		i = wire.Space(b, i)
		if wire.Is(b, i, ']') {
			return i + 1, nil
		}
		if !wire.Is(b, i, ',') {
			return i, broken(wire.Syntax, i)
		}
		i = wire.Space(b, i+1)
	}
}

func (d *Decoder) skip(i, depth int) (int, *fault.Error) {
	next, code := wire.Skip(d.text, i, depth)
	if code != wire.OK {
		return next, broken(code, next)
	}
	return next, nil
}

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
func (d *Decoder) request() *fault.Error {
	var seen uint
	i, err := d.members(wire.Space(d.text, 0), "the request", func(key string, i int) (int, *fault.Error) {
		switch key {
		case "id":
			if d.once(&seen, 0, "id") {
				var id string
				next, err := d.string(i, "id", &id)
				d.req.ID = strings.Clone(id)
				return next, err
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
	if err != nil {
		return err
	}
	if i = wire.Space(d.text, i); i != len(d.text) {
		return fault.New(fault.InvalidArgument, "the request goes on behind the end of its JSON object, at byte %d", i)
	}
	if seen&(1<<2) == 0 {
		d.fault("inputs", "is missing")
	} else if len(d.req.Inputs) == 0 && d.count == 0 {
		d.fault("inputs", "is empty; send one entry for each input of the model")
	}
	d.duplicates()
	return nil
}

// duplicates finds input names that are given twice.
func (d *Decoder) duplicates() {
	in := d.req.Inputs
	if len(in) <= 32 {
		for i := range in {
			for j := range in[:i] {
				if in[i].Name == in[j].Name {
					d.fault(inputPath(i)+".name", "repeats that of "+inputPath(j))
					break
				}
			}
		}
		return
	}
	first := make(map[string]int, len(in))
	for i := range in {
		if j, ok := first[in[i].Name]; ok {
			d.fault(inputPath(i)+".name", "repeats that of "+inputPath(j))
			continue
		}
		first[in[i].Name] = i
	}
}

// string reads a string value; one of another kind is noted and skipped.
func (d *Decoder) string(i int, path string, v *string) (int, *fault.Error) {
	s, next, code := wire.String(d.text, i)
	if code == wire.OK {
		*v = s
		return next, nil
	}
	return d.misfit(i, path, "a string", code)
}

func (d *Decoder) bool(i int, path string, v *bool) (int, *fault.Error) {
	s, next, code := wire.Bool(d.text, i)
	if code == wire.OK {
		*v = s
		return next, nil
	}
	return d.misfit(i, path, "true or false", code)
}

// misfit notes that the value at i is not what was wanted and skips it.
func (d *Decoder) misfit(i int, path, want string, code wire.Code) (int, *fault.Error) {
	next, skipped := wire.Skip(d.text, i, 1)
	if skipped != wire.OK && code != wire.UTF8 && code != wire.Surrogate {
		if code == wire.NotFinite {
			return i, fault.Invalid(fault.Violation{Path: path, Problem: code.Problem(want)})
		}
		return i, broken(skipped, next)
	}
	d.fault(path, code.Problem(want))
	return next, nil
}

func (d *Decoder) parameters(i int) (int, *fault.Error) {
	var seen uint
	return d.members(i, "parameters", func(key string, i int) (int, *fault.Error) {
		switch key {
		case "binary_data_output":
			if d.once(&seen, 0, "parameters.binary_data_output") {
				return d.bool(i, "parameters.binary_data_output", &d.req.BinaryOutputs)
			}
		case "key":
			if d.once(&seen, 1, "parameters.key") {
				var k string
				next, err := d.string(i, "parameters.key", &k)
				d.req.Key = strings.Clone(k)
				return next, err
			}
		}
		return d.skip(i, 2)
	})
}

func (d *Decoder) output(n, i int) (int, *fault.Error) {
	path := fmt.Sprintf("outputs[%d]", n)
	if n >= MaxTensors {
		return i, fault.New(fault.InvalidArgument, "outputs has more than %d entries", MaxTensors)
	}
	var out Output
	var seen uint
	next, err := d.members(i, path, func(key string, i int) (int, *fault.Error) {
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
	if err == nil && out.Name == "" {
		d.fault(path+".name", "is missing")
	}
	d.req.Outputs = append(d.req.Outputs, out)
	return next, err
}

func (d *Decoder) outputParameters(i int, path string, out *Output) (int, *fault.Error) {
	var seen uint
	return d.members(i, path, func(key string, i int) (int, *fault.Error) {
		switch key {
		case "binary_data":
			if d.once(&seen, 0, path+".binary_data") {
				var raw bool
				next, err := d.bool(i, path+".binary_data", &raw)
				if out.Binary = JSON; raw {
					out.Binary = Raw
				}
				return next, err
			}
		case "classification", "shared_memory_region":
			d.fault(path+"."+key, "is not supported")
		}
		return d.skip(i, 4)
	})
}

func inputPath(n int) string { return fmt.Sprintf("inputs[%d]", n) }

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
