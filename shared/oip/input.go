package oip

import (
	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/tensor"
)

// input reads entry n of "inputs", or of an answer's "outputs".
func (d *Decoder) input(n, i int) (int, wire.Code) {
	if n >= MaxTensors {
		d.fault(d.list, "has more than "+itoa(MaxTensors)+" entries")
		return i, wire.Stop
	}
	d.req.Inputs = append(d.req.Inputs, tensor.Tensor{})
	p := pending{t: &d.req.Inputs[n], n: n, rawSize: -1}
	var seen uint
	next, code := wire.Members(d.text, i, func(key string, i int) (int, wire.Code) {
		bit := uint(0)
		switch key {
		case "name":
			bit = 1
		case "datatype":
			bit = 2
		case "shape":
			bit = 3
		case "data":
			bit = 4
		case "parameters":
			bit = 5
		default:
			return d.skip(i, 3)
		}
		if seen&(1<<bit) != 0 {
			d.fault(d.path(n)+"."+key, "is given twice")
			return d.skip(i, 3)
		}
		seen |= 1 << bit
		return d.member(&p, bit, i)
	})
	if code == wire.WrongKind {
		d.fault(d.path(n), "is not an object")
		return next, wire.OK
	}
	if code != wire.OK {
		return next, code
	}
	if at, code := d.finish(&p); code != wire.OK {
		return at, code
	}
	return next, wire.OK
}

// member reads the value of one known key of an input.
func (d *Decoder) member(p *pending, bit uint, i int) (int, wire.Code) {
	switch bit {
	case 1:
		if wire.Is(d.text, i, '"') {
			name, next, code := wire.String(d.text, i)
			if code == wire.OK {
				p.t.Name = name
				return next, wire.OK
			}
		}
		return d.string(i, d.path(p.n)+".name", &p.t.Name)
	case 2:
		return d.datatype(p, i)
	case 3:
		return d.shape(p, i)
	case 5:
		return d.inputParameters(p, i)
	}
	p.dataAt = i
	if p.t.Datatype != "" && p.shaped && !p.rejected && p.rawSize < 0 {
		p.read = true
		return d.data(p, i)
	}
	return d.skip(i, 3)
}

func (d *Decoder) datatype(p *pending, i int) (int, wire.Code) {
	var name string
	before := d.count
	var next int
	if s, end, code := wire.String(d.text, i); code == wire.OK {
		name, next = s, end
	} else {
		if next, code = d.string(i, d.path(p.n)+".datatype", &name); code != wire.OK {
			return next, code
		}
	}
	if p.t.Datatype = known(name); p.t.Datatype == "" {
		p.rejected = true
		if d.count == before {
			d.fault(d.path(p.n)+".datatype", "is not a datatype that is served (BOOL, UINT8..64, INT8..64, FP16, FP32, FP64, BYTES)")
		}
	}
	return next, wire.OK
}

// known returns the constant for a datatype's name, so that no tensor holds on to the body for it.
func known(name string) tensor.Datatype {
	for _, t := range [...]tensor.Datatype{tensor.FP32, tensor.Int64, tensor.Bytes, tensor.FP64, tensor.Int32, tensor.Bool, tensor.FP16,
		tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64, tensor.Int8, tensor.Int16} {
		if string(t) == name {
			return t
		}
	}
	return ""
}

// shape reads the dimensions; p.shaped says that they can be used.
func (d *Decoder) shape(p *pending, i int) (int, wire.Code) {
	b, from := d.text, i
	reject := func(problem string) (int, wire.Code) {
		p.rejected = true
		d.fault(d.path(p.n)+".shape", problem)
		return d.skip(from, 3)
	}
	if !wire.Is(b, i, '[') {
		return reject("is not an array of dimensions")
	}
	i = wire.Space(b, i+1)
	for !wire.Is(b, i, ']') {
		if p.rank > 0 {
			if !wire.Is(b, i, ',') {
				return i, wire.Syntax
			}
			i = wire.Space(b, i+1)
		}
		dim, next, code := wire.Int[int64](b, i)
		switch {
		case code.Fatal():
			return next, code
		case code != wire.OK:
			return reject("has a dimension that is not an integer within 64 bits")
		case dim < 0:
			return reject("has a negative dimension")
		case p.rank == MaxRank:
			return reject("has too many dimensions")
		}
		p.dims[p.rank] = dim
		p.rank++
		i = wire.Space(b, next)
	}
	p.shaped = true
	return i + 1, wire.OK
}

func (d *Decoder) inputParameters(p *pending, i int) (int, wire.Code) {
	var seen uint
	path := d.path(p.n) + ".parameters"
	return d.members(i, path, func(key string, i int) (int, wire.Code) {
		switch key {
		case "binary_data_size":
			if !d.once(&seen, 0, path+".binary_data_size") {
				break
			}
			size, next, code := wire.Int[int64](d.text, i)
			if code == wire.OK && size >= 0 {
				p.rawSize = size
				return next, wire.OK
			}
			p.rejected = true
			d.fault(path+".binary_data_size", "is not a number of bytes")
		case "shared_memory_region":
			p.rejected = true
			d.fault(path+"."+key, "is not supported")
		}
		return d.skip(i, 4)
	})
}

// finish checks an input whose object has ended and reads the data it did not read on the way.
func (d *Decoder) finish(p *pending) (int, wire.Code) {
	path := d.path
	if p.t.Name == "" {
		d.fault(path(p.n)+".name", "is missing or empty")
	}
	if p.t.Datatype == "" && !p.rejected {
		d.fault(path(p.n)+".datatype", "is missing")
		p.rejected = true
	}
	if !p.shaped && !p.rejected {
		d.fault(path(p.n)+".shape", "is missing")
		p.rejected = true
	}
	switch {
	case p.rawSize >= 0 && p.dataAt > 0:
		d.fault(path(p.n), "has data and binary_data_size; send one of them")
	case p.rawSize >= 0:
		d.binary(p)
	case p.dataAt == 0 && !p.rejected:
		d.fault(path(p.n)+".data", "is missing")
	case p.read || p.rejected:
	default:
		return d.data(p, p.dataAt)
	}
	return 0, wire.OK
}

// size is the number of elements that the shape asks for; room is how many the
// body could hold at most. Nothing is allocated before it has said yes.
func (d *Decoder) size(p *pending, room int64) (int, bool) {
	n, err := tensor.Elements(p.dims[:p.rank], room)
	if err != nil {
		d.fault(d.path(p.n)+".shape", "asks for more elements than the body holds")
		return 0, false
	}
	p.t.Shape = d.mem.dims.take(p.rank)
	copy(p.t.Shape, p.dims[:p.rank])
	return int(n), true
}

// data reads the JSON data at i.
func (d *Decoder) data(p *pending, i int) (int, wire.Code) {
	// An element takes two bytes of text at least: a digit and a comma or bracket.
	n, ok := d.size(p, int64(len(d.text)-i)/2)
	if !ok {
		return d.skip(i, 3)
	}
	next, bad, code := d.fill(p.t, i, n)
	if code == wire.OK {
		return next, wire.OK
	}
	path := d.path(p.n) + ".data"
	if !structural(code) {
		path += "[" + itoa(bad) + "]"
	}
	want := wanted(p.t.Datatype)
	if code == wire.WrongKind && !wire.Is(d.text, i, '[') {
		path, want = d.path(p.n)+".data", "an array"
	}
	if code == wire.NotFinite { // not JSON: the rest cannot be read
		d.fault(path, code.Problem(want))
		return i, wire.Stop
	}
	if code.Fatal() {
		return next, code
	}
	d.fault(path, code.Problem(want))
	return d.skip(i, 3)
}

// structural codes are about an array as a whole.
func structural(c wire.Code) bool {
	return c == wire.TooFew || c == wire.TooMany || c == wire.Nesting
}

func wanted(t tensor.Datatype) string {
	switch t {
	case tensor.Bool:
		return "true or false"
	case tensor.Bytes:
		return "a string"
	case tensor.FP16, tensor.FP32, tensor.FP64:
		return "a number"
	}
	return "an integer"
}

// fill reads n elements of JSON data into t.
func (d *Decoder) fill(t *tensor.Tensor, i, n int) (next, bad int, code wire.Code) {
	b, m := d.text, &d.mem
	switch t.Datatype {
	case tensor.FP32:
		t.FP32s = m.f32s.take(n)
		return wire.Array(b, i, t.Shape, t.FP32s, wire.Float32, nil)
	case tensor.FP64:
		t.FP64s = m.f64s.take(n)
		return wire.Array(b, i, t.Shape, t.FP64s, wire.Float64, nil)
	case tensor.FP16:
		t.U16s = m.u16s.take(n)
		return wire.Array(b, i, t.Shape, t.U16s, Half, nil)
	case tensor.Bytes:
		t.Strings = m.strings.take(n)
		return wire.Array(b, i, t.Shape, t.Strings, wire.String, &t.Missing)
	case tensor.Bool:
		t.Bools = m.bools.take(n)
		return wire.Array(b, i, t.Shape, t.Bools, wire.Bool, nil)
	case tensor.Int64:
		t.I64s = m.i64s.take(n)
		return wire.Array(b, i, t.Shape, t.I64s, wire.Int[int64], nil)
	case tensor.Int32:
		t.I32s = m.i32s.take(n)
		return wire.Array(b, i, t.Shape, t.I32s, wire.Int[int32], nil)
	case tensor.Int16:
		t.I16s = m.i16s.take(n)
		return wire.Array(b, i, t.Shape, t.I16s, wire.Int[int16], nil)
	case tensor.Int8:
		t.I8s = m.i8s.take(n)
		return wire.Array(b, i, t.Shape, t.I8s, wire.Int[int8], nil)
	case tensor.Uint64:
		t.U64s = m.u64s.take(n)
		return wire.Array(b, i, t.Shape, t.U64s, wire.Uint[uint64], nil)
	case tensor.Uint32:
		t.U32s = m.u32s.take(n)
		return wire.Array(b, i, t.Shape, t.U32s, wire.Uint[uint32], nil)
	case tensor.Uint16:
		t.U16s = m.u16s.take(n)
		return wire.Array(b, i, t.Shape, t.U16s, wire.Uint[uint16], nil)
	}
	t.U8s = m.u8s.take(n)
	return wire.Array(b, i, t.Shape, t.U8s, wire.Uint[uint8], nil)
}

// Half reads a number as IEEE 754 half bits. A decimal is rounded to a float64
// first; the second rounding can only differ where the decimal is within 2^-53 of a tie.
func Half(b []byte, i int) (uint16, int, wire.Code) {
	v, next, code := wire.Float64(b, i)
	h := tensor.HalfFromFloat64(v)
	if code == wire.OK && h&0x7fff == 0x7c00 {
		code = wire.Range
	}
	return h, next, code
}
