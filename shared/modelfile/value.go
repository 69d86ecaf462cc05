package modelfile

import (
	"github.com/tidegate/tidegate/shared/fault"
)

// input notes an input. Its type is read in finish: an input that an initializer
// fills is a constant, and may have any type.
func (p *parser) input(b []byte) error {
	i := len(p.raw)
	if i == maxValues {
		return fault.New(fault.InvalidArgument, "the model has more than %d inputs; join columns into one input of rank 2", maxValues)
	}
	name, _, err := valueInfo(b)
	if err != nil {
		return err
	}
	if err := checkName("input", i, name); err != nil {
		return err
	}
	if _, ok := p.inputs[string(name)]; ok {
		return fault.New(fault.InvalidArgument, "two inputs of the model are called %q", clip(name))
	}
	p.inputs[string(name)] = i
	p.raw = append(p.raw, b)
	p.filled = append(p.filled, false)
	return nil
}

func (p *parser) output(b []byte) error {
	if len(p.model.Outputs) == maxValues {
		return fault.New(fault.InvalidArgument, "the model has more than %d outputs", maxValues)
	}
	v, err := value("output", len(p.model.Outputs), b)
	if err != nil {
		return err
	}
	if p.outputs == nil {
		p.outputs = map[string]bool{}
	}
	if p.outputs[v.Name] {
		return fault.New(fault.InvalidArgument, "two outputs of the model are called %q", clip([]byte(v.Name)))
	}
	p.outputs[v.Name] = true
	p.model.Outputs = append(p.model.Outputs, v)
	return nil
}

// valueInfo splits a ValueInfoProto into name and TypeProto.
func valueInfo(b []byte) (name, typ []byte, err error) {
	types := 0
	err = each(b, func(f field) error {
		switch {
		case f.is(1):
			name = f.bytes
		case f.is(2):
			typ = f.bytes
			types++
		}
		return nil
	})
	if err == nil && types > 1 { // protobuf would merge them
		err = fault.New(fault.InvalidArgument, "%q of the model has two types; save it with onnx.save", clip(name))
	}
	return name, typ, err
}

// value reads a ValueInfoProto that must be a dense tensor.
func value(what string, index int, b []byte) (Value, error) {
	name, typ, err := valueInfo(b)
	if err != nil {
		return Value{}, err
	}
	if err := checkName(what, index, name); err != nil {
		return Value{}, err
	}
	v := Value{Name: string(name)}
	var dense []byte
	var other string
	kinds := 0
	err = each(typ, func(f field) error {
		if kind, ok := typeKinds[int32(f.num)]; ok && f.is(f.num) {
			kinds++
			dense, other = f.bytes, kind
		}
		return nil
	})
	if err != nil {
		return Value{}, err
	}
	switch {
	case kinds == 0:
		return Value{}, fault.New(fault.InvalidArgument, "%s %q of the model has no type", what, v.Name)
	case kinds > 1: // a oneof: protobuf would take the last
		return Value{}, fault.New(fault.InvalidArgument, "%s %q of the model has two types; save it with onnx.save", what, v.Name)
	case other != denseKind:
		return Value{}, fault.New(fault.InvalidArgument, "%s %q of the model is %s, which cannot be served; %s", what, v.Name, other, adviceFor(other))
	}
	err = v.tensorType(what, dense)
	return v, err
}

const denseKind = "a dense tensor"

// typeKinds are the members of TypeProto's oneof.
var typeKinds = map[int32]string{
	1: denseKind, 4: "a sequence", 5: "a map", 7: "an opaque type", 8: "a sparse tensor", 9: "an optional",
}

func adviceFor(kind string) string {
	switch kind {
	case "a sequence", "a map":
		return `for scikit-learn classifiers export with options={"zipmap": False}, so that probabilities are one tensor`
	case "an optional":
		return "make it a plain tensor and give it a value for the absent case"
	}
	return "make it a dense tensor"
}

// tensorType reads TypeProto.Tensor into v.
func (v *Value) tensorType(what string, b []byte) error {
	var elem uint64
	err := each(b, func(f field) error {
		switch {
		case f.isInt(1):
			elem = f.n
		case f.is(2):
			if v.Shape == nil {
				v.Shape = []int64{} // a shape without dimensions is a scalar
			}
			return each(f.bytes, func(f field) error {
				if !f.is(1) {
					return nil
				}
				if len(v.Shape) == maxRank {
					return fault.New(fault.InvalidArgument, "%s %q of the model has more than %d dimensions", what, v.Name, maxRank)
				}
				d, err := dimension(f.bytes)
				v.Shape = append(v.Shape, d)
				return err
			})
		}
		return nil
	})
	if err != nil {
		return err
	}
	d, ok := elementTypes[elem]
	if !ok {
		return fault.New(fault.InvalidArgument, "%s %q of the model has element type %s, which has no form in the Open Inference Protocol; cast it inside the graph, to float32 for numbers", what, v.Name, elementName(elem))
	}
	v.Datatype = d
	return nil
}

// dimension reads a Dimension: a name (dim_param), nothing, or a value that is not
// positive, which older exporters write for "any", is free.
func dimension(b []byte) (int64, error) {
	d := int64(-1)
	err := each(b, func(f field) error {
		switch {
		case f.isInt(1):
			if d = int64(f.n); d <= 0 {
				d = -1
			}
		case f.is(2):
			d = -1
		}
		return nil
	})
	return d, err
}
