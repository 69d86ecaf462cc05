package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Limits of a schema: far above any model that fits a function.
const (
	maxTensors = 4096
	maxColumns = 65536
	maxRank    = 8
)

// Parse reads schema.json. Errors: InvalidArgument when it is not a valid schema,
// Unimplemented when its format is newer than [Version].
func Parse(data []byte) (*Schema, error) {
	var s Schema
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "schema.json is not a schema document")
	}
	if s.V > Version {
		return nil, fault.New(fault.Unimplemented, "schema.json has format %d, this program reads up to %d", s.V, Version)
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return &s, nil
}

// Encode writes schema.json. Errors: as [Schema.Validate].
func (s *Schema) Encode() ([]byte, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "schema: encode")
	}
	return append(data, '\n'), nil
}

// With is s with overrides in place of the contract's columns of the same name;
// s is not changed. Columns that s does not have are left out.
func (s *Schema) With(overrides map[string]Column) *Schema {
	merged := *s
	if len(overrides) == 0 {
		return &merged
	}
	merged.Contract.Columns = maps.Clone(s.Contract.Columns)
	if merged.Contract.Columns == nil {
		merged.Contract.Columns = map[string]Column{}
	}
	has := s.columns()
	for name, col := range overrides {
		if _, ok := has[name]; ok {
			merged.Contract.Columns[name] = col
		}
	}
	return &merged
}

// UnknownColumns lists the columns of overrides that s does not have, sorted: a
// typing error when settings are written, normal when an older version is served.
func UnknownColumns(s *Schema, overrides map[string]Column) []string {
	has := s.columns()
	var unknown []string
	for name := range overrides {
		if _, ok := has[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// columns maps every input column to its datatype.
func (s *Schema) columns() map[string]tensor.Datatype {
	all := map[string]tensor.Datatype{}
	for _, in := range s.Signature.Inputs {
		if len(in.Columns) == 0 {
			all[in.Name] = in.Datatype
		}
		for _, name := range in.Columns {
			all[name] = in.Datatype
		}
	}
	return all
}

// Width is the number of values in one row of the tensor: the product of the
// dimensions behind the batch dimension, or 0 when it is not known.
func (s Spec) Width() int {
	n := 1
	for i, d := range s.Shape {
		switch {
		case i == 0 && s.Batched():
		case d < 0:
			return 0
		default:
			n *= int(d)
		}
	}
	return n
}

// Validate checks the document. Errors: InvalidArgument with all faults.
func (s *Schema) Validate() error {
	v := validation{}
	if s.V < 1 || s.V > Version {
		v.add("v", "is not a known format")
	}
	if !s.Task.Valid() {
		v.add("task", "is not a task")
	}
	v.specs("signature.inputs", s.Signature.Inputs)
	v.specs("signature.outputs", s.Signature.Outputs)
	if len(v.found) == 0 {
		v.columns(s)
	}
	if len(v.found) > 0 {
		return fault.Invalid(v.found...)
	}
	return nil
}

// validation collects the faults of a document.
type validation struct{ found []fault.Violation }

func (v *validation) add(path, problem string) {
	if len(v.found) < Listed {
		v.found = append(v.found, fault.Violation{Path: path, Problem: problem})
	}
}

func (v *validation) specs(path string, specs []Spec) {
	if len(specs) == 0 || len(specs) > maxTensors {
		v.add(path, fmt.Sprintf("has %d entries, want 1 to %d", len(specs), maxTensors))
		return
	}
	seen := map[string]bool{}
	for i, s := range specs {
		p := fmt.Sprintf("%s[%d]", path, i)
		if s.Name == "" || seen[s.Name] {
			v.add(p+".name", "is empty or given twice")
		}
		seen[s.Name] = true
		if s.Datatype.Size() < 0 {
			v.add(p+".datatype", "is not a datatype that is served")
		}
		v.shape(p, s)
	}
}

func (v *validation) shape(p string, s Spec) {
	if len(s.Shape) > maxRank {
		v.add(p+".shape", fmt.Sprintf("has more than %d dimensions", maxRank))
		return
	}
	product := int64(1)
	for _, d := range s.Shape {
		if d == 0 || d < -1 {
			v.add(p+".shape", "has a dimension that is neither positive nor -1")
			return
		}
		if d > math.MaxInt32/product {
			v.add(p+".shape", "is too large")
			return
		}
		product *= max(d, 1)
	}
	if n := len(s.Columns); n > 0 && (len(s.Shape) != 2 || s.Shape[1] != int64(n)) {
		v.add(p+".columns", "do not match the last of two dimensions")
	}
}

// columns checks that column names are unique over the inputs and the rules fit them.
func (v *validation) columns(s *Schema) {
	n := 0
	for _, in := range s.Signature.Inputs {
		n += max(1, len(in.Columns))
	}
	all := s.columns()
	if len(all) != n || n > maxColumns {
		v.add("signature.inputs", "have columns of the same name, or too many")
	}
	if _, ok := all[""]; ok {
		v.add("signature.inputs", "have a column without a name")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Contract.Columns)) {
		datatype, ok := all[name]
		p := fmt.Sprintf("contract.columns[%q]", name)
		if !ok {
			v.add(p, "is not an input column")
			continue
		}
		v.column(p, s.Contract.Columns[name], datatype)
	}
}

func (v *validation) column(p string, c Column, datatype tensor.Datatype) {
	text := datatype == tensor.Bytes
	switch c.Missing {
	case "", Refuse:
	case Accept:
		if !text && datatype != tensor.FP16 && datatype != tensor.FP32 && datatype != tensor.FP64 {
			v.add(p+".missing", "cannot be accept: "+string(datatype)+" has no missing value")
		}
	default:
		v.add(p+".missing", "is neither refuse nor accept")
	}
	if (c.Min != nil || c.Max != nil) && (text || datatype == tensor.Bool) {
		v.add(p, "has bounds, but "+string(datatype)+" is not a number")
	}
	for _, bound := range []*float64{c.Min, c.Max} {
		if bound != nil && *bound-*bound != 0 {
			v.add(p, "has a bound that is not finite")
		}
	}
	if c.Min != nil && c.Max != nil && *c.Min > *c.Max {
		v.add(p, "has a minimum above its maximum")
	}
	if (c.RefuseUnknown || len(c.Categories) > 0) && !text {
		v.add(p+".categories", "are only for BYTES")
	}
	if c.RefuseUnknown && len(c.Categories) == 0 {
		v.add(p+".categories", "are missing, but refuse_unknown is set")
	}
}
