package schema

import (
	"fmt"
	"slices"

	"github.com/tidegate/tidegate/shared/fault"
)

// Compatible says whether a model with schema next can stand beside one with
// schema prev: it has the same task and outputs, and it accepts every request that
// prev accepts. Both are taken as they are enforced, with overrides applied (see
// [Schema.With]). The violations say what is in the way; none means compatible.
//
// Accepting every request means: each input of prev is an input of next with the
// same datatype, a shape that is no narrower and rules that refuse nothing more;
// an input that only next has may be absent, so it must accept missing values.
func Compatible(prev, next *Schema) []fault.Violation {
	var v validation
	if prev.Task != next.Task {
		v.add("task", fmt.Sprintf("is %s, the model in service has %s", next.Task, prev.Task))
	}
	v.sameOutputs(prev.Signature.Outputs, next.Signature.Outputs)
	v.widerInputs(prev, next)
	return v.found
}

func (v *validation) sameOutputs(prev, next []Spec) {
	for _, p := range prev {
		n, ok := find(next, p.Name)
		switch path := fmt.Sprintf("signature.outputs[%q]", p.Name); {
		case !ok:
			v.add(path, "is missing")
		case n.Datatype != p.Datatype || !slices.Equal(n.Shape, p.Shape):
			v.add(path, fmt.Sprintf("is %s %v, the model in service gives %s %v", n.Datatype, n.Shape, p.Datatype, p.Shape))
		}
	}
	for _, n := range next {
		if _, ok := find(prev, n.Name); !ok {
			v.add(fmt.Sprintf("signature.outputs[%q]", n.Name), "is not an output of the model in service")
		}
	}
}

func (v *validation) widerInputs(prev, next *Schema) {
	for _, p := range prev.Signature.Inputs {
		n, ok := find(next.Signature.Inputs, p.Name)
		path := fmt.Sprintf("signature.inputs[%q]", p.Name)
		switch {
		case !ok:
			v.add(path, "is missing: requests that send it would be refused")
		case n.Datatype != p.Datatype:
			v.add(path, fmt.Sprintf("is %s, the model in service takes %s", n.Datatype, p.Datatype))
		case !noNarrower(p.Shape, n.Shape):
			v.add(path, fmt.Sprintf("has shape %v, the model in service takes %v", n.Shape, p.Shape))
		case !slices.Equal(p.Columns, n.Columns):
			v.add(path, "has its columns in another order or of other names")
		default:
			for _, name := range p.names() {
				v.looser(name, prev.Contract.Columns[name], next.Contract.Columns[name])
			}
		}
	}
	for _, n := range next.Signature.Inputs {
		if _, ok := find(prev.Signature.Inputs, n.Name); ok {
			continue
		}
		for _, name := range n.names() {
			if next.Contract.Columns[name].Missing != Accept {
				v.add(fmt.Sprintf("contract.columns[%q]", name), "is new and refuses missing values: requests of the model in service do not have it")
			}
		}
	}
}

// looser notes where the rules of next refuse what those of prev accept.
func (v *validation) looser(name string, prev, next Column) {
	path := fmt.Sprintf("contract.columns[%q]", name)
	if prev.Missing == Accept && next.Missing != Accept {
		v.add(path, "refuses missing values, which the model in service accepts")
	}
	if next.Min != nil && (prev.Min == nil || *prev.Min < *next.Min) {
		v.add(path, "has a higher minimum than the model in service")
	}
	if next.Max != nil && (prev.Max == nil || *prev.Max > *next.Max) {
		v.add(path, "has a lower maximum than the model in service")
	}
	if !next.RefuseUnknown {
		return
	}
	if !prev.RefuseUnknown {
		v.add(path, "refuses unknown categories, which the model in service accepts")
		return
	}
	for _, c := range prev.Categories {
		if !slices.Contains(next.Categories, c) {
			v.add(path, "lacks categories that the model in service accepts")
			return
		}
	}
}

// names lists the columns of an input.
func (s Spec) names() []string {
	if len(s.Columns) == 0 {
		return []string{s.Name}
	}
	return s.Columns
}

// noNarrower says whether every tensor of shape prev is one of shape next.
func noNarrower(prev, next []int64) bool {
	return slices.EqualFunc(prev, next, func(p, n int64) bool { return n < 0 || n == p })
}

func find(specs []Spec, name string) (Spec, bool) {
	for _, s := range specs {
		if s.Name == name {
			return s, true
		}
	}
	return Spec{}, false
}
