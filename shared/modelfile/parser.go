package modelfile

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tidegate/tidegate/shared/fault"
)

// parser collects a Model while it walks the file. Every tensor, wherever it is, passes through tensor().
type parser struct {
	model    *Model
	graphs   int // graph fields seen; more than one would be merged by protobuf
	metadata int // bytes kept

	// The names of initializers are not kept, there can be millions: inputs are looked up
	// by name, and filled[i] says that an initializer fills input i.
	inputs map[string]int
	filled []bool
	raw    [][]byte // ValueInfoProto of each input

	outputs map[string]bool
}

// field is one field of a message: bytes for length-delimited ones, else the number.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	bytes []byte
	n     uint64
}

// is says whether f is message, string or bytes field number num. A known number with
// another wire type is an unknown field to protobuf, and to us.
func (f field) is(num protowire.Number) bool { return f.num == num && f.typ == protowire.BytesType }

// isInt says whether f is varint field number num.
func (f field) isInt(num protowire.Number) bool { return f.num == num && f.typ == protowire.VarintType }

// each calls f for every field of message b, in order. Its error is f's, or
// protowire's (no fault) when b is not a message.
func each(b []byte, f func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var x field
		x.num, x.typ = num, typ
		switch typ {
		case protowire.BytesType:
			x.bytes, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			x.n, n = protowire.ConsumeVarint(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

// parse walks ModelProto.
func (p *parser) parse(data []byte) error {
	var graph []byte
	err := each(data, func(f field) error {
		switch {
		case f.isInt(1):
			p.model.IRVersion = int64(f.n)
		case f.is(2):
			p.model.ProducerName = clip(f.bytes)
		case f.is(3):
			p.model.ProducerVersion = clip(f.bytes)
		case f.isInt(5):
			p.model.ModelVersion = int64(f.n)
		case f.is(7):
			p.graphs++
			if p.graphs > 1 {
				return fault.New(fault.InvalidArgument, "the model file has more than one graph; save it with onnx.save")
			}
			graph = f.bytes
		case f.is(8):
			return p.opset(f.bytes)
		case f.is(14):
			return p.metadataEntry(f.bytes)
		case f.is(20): // TrainingInfoProto: two graphs, 1 and 2
			return each(f.bytes, func(f field) error {
				if f.is(1) || f.is(2) {
					return p.graph(f.bytes, 1)
				}
				return nil
			})
		case f.is(25):
			return p.function(f.bytes)
		}
		return nil
	})
	if err != nil || graph == nil {
		return err
	}
	return p.mainGraph(graph)
}

func (p *parser) opset(b []byte) error {
	var o Opset
	err := each(b, func(f field) error {
		switch {
		case f.is(1):
			o.Domain = clip(f.bytes)
		case f.isInt(2):
			o.Version = int64(f.n)
		}
		return nil
	})
	if len(p.model.Opsets) == maxValues {
		return fault.New(fault.InvalidArgument, "the model file imports more than %d operator sets", maxValues)
	}
	p.model.Opsets = append(p.model.Opsets, o)
	return err
}

func (p *parser) metadataEntry(b []byte) error {
	var key, value []byte
	err := each(b, func(f field) error {
		switch {
		case f.is(1):
			key = f.bytes
		case f.is(2):
			value = f.bytes
		}
		return nil
	})
	if err != nil {
		return err
	}
	const entry = 64 // what a map entry costs beside its text
	p.metadata += len(key) + len(value) + entry
	if p.metadata > maxMetadata {
		return fault.New(fault.InvalidArgument, "the metadata of the model file is over %d bytes; keep large texts beside the model", maxMetadata)
	}
	if p.model.Metadata == nil {
		p.model.Metadata = map[string]string{}
	}
	p.model.Metadata[text(key)] = text(value)
	return nil
}

// mainGraph walks the graph that is served. Inputs are gathered first: initializers may come before them.
func (p *parser) mainGraph(b []byte) error {
	p.inputs = map[string]int{}
	err := each(b, func(f field) error {
		switch {
		case f.is(1):
			p.model.Nodes++
		case f.is(2):
			p.model.GraphName = clip(f.bytes)
		case f.is(11):
			return p.input(f.bytes)
		case f.is(12):
			return p.output(f.bytes)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.graph(b, 0)
}

// graph walks the tensors of a GraphProto. Depth 0 is the graph that is served.
func (p *parser) graph(b []byte, depth int) error {
	if depth > maxDepth {
		return fault.New(fault.InvalidArgument, "the model's subgraphs are nested deeper than %d", maxDepth)
	}
	return each(b, func(f field) error {
		switch {
		case f.is(1):
			return p.node(f.bytes, depth)
		case f.is(5):
			name, err := p.tensor(f.bytes)
			if err == nil && depth == 0 {
				p.fill(name)
			}
			return err
		case f.is(15):
			name, err := p.sparse(f.bytes)
			if err == nil && depth == 0 {
				p.fill(name)
			}
			return err
		}
		return nil
	})
}

func (p *parser) node(b []byte, depth int) error {
	return each(b, func(f field) error {
		if f.is(5) {
			return p.attribute(f.bytes, depth)
		}
		return nil
	})
}

func (p *parser) attribute(b []byte, depth int) error {
	return each(b, func(f field) error {
		switch {
		case f.is(5), f.is(10): // t, tensors
			_, err := p.tensor(f.bytes)
			return err
		case f.is(6), f.is(11): // g, graphs
			return p.graph(f.bytes, depth+1)
		case f.is(22), f.is(23): // sparse_tensor, sparse_tensors
			_, err := p.sparse(f.bytes)
			return err
		}
		return nil
	})
}

// function walks a FunctionProto: nodes (7) and default attributes (11).
func (p *parser) function(b []byte) error {
	return each(b, func(f field) error {
		switch {
		case f.is(7):
			return p.node(f.bytes, 1)
		case f.is(11):
			return p.attribute(f.bytes, 1)
		}
		return nil
	})
}

// tensor refuses a TensorProto whose data is in another file and returns its name.
func (p *parser) tensor(b []byte) (name []byte, err error) {
	external := false
	err = each(b, func(f field) error {
		switch {
		case f.is(8):
			name = f.bytes
		case f.is(13): // external_data: where it would be
			external = true
		case f.isInt(14) && f.n == 1: // data_location EXTERNAL
			external = true
		}
		return nil
	})
	if err == nil && external {
		err = fault.New(fault.InvalidArgument, "tensor %q keeps its data in another file; save the model as one file: onnx.save(model, path, save_as_external_data=False)", clip(name))
	}
	return name, err
}

// sparse walks a SparseTensorProto; its name is that of its values.
func (p *parser) sparse(b []byte) (name []byte, err error) {
	err = each(b, func(f field) error {
		switch {
		case f.is(1):
			n, err := p.tensor(f.bytes)
			name = n
			return err
		case f.is(2):
			_, err := p.tensor(f.bytes)
			return err
		}
		return nil
	})
	return name, err
}

func (p *parser) fill(name []byte) {
	if i, ok := p.inputs[string(name)]; ok {
		p.filled[i] = true
	}
}

// finish turns what was gathered into the model's inputs.
func (p *parser) finish() error {
	for i, raw := range p.raw {
		if p.filled[i] {
			continue
		}
		v, err := value("input", i, raw)
		if err != nil {
			return err
		}
		p.model.Inputs = append(p.model.Inputs, v)
	}
	if len(p.model.Inputs) == 0 {
		return fault.New(fault.InvalidArgument, "the model's graph has no input")
	}
	if len(p.model.Outputs) == 0 {
		return fault.New(fault.InvalidArgument, "the model's graph has no output")
	}
	return nil
}

// clip returns at most 200 bytes of a text, valid UTF-8, for messages and short facts.
func clip(b []byte) string {
	const limit = 200
	if len(b) > limit {
		b = b[:limit]
		for len(b) > 0 && !utf8.RuneStart(b[len(b)-1]) {
			b = b[:len(b)-1]
		}
	}
	return text(b)
}

// text copies b as valid UTF-8.
func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
