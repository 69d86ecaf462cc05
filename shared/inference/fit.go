package inference

import (
	"fmt"
	"slices"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Fit turns the checked inputs of one version into those of another: inputs of
// the same name in the other's order, those that only the other has as missing
// values, without those that it does not have. It is immutable and safe for
// concurrent use.
type Fit struct {
	from []int // by kept input, in the other's order: its place in the inputs given
	to   *schema.Checker
}

// NewFit compares two contracts as they are enforced. The violations, in terms of
// the version that is to score (to), say why it can score no request that the
// version from has answered; then the fit is nil. Ranges and categories, which one
// request may meet and another not, are for [Fit.Inputs] to check.
func NewFit(from, to *schema.Checker) (*Fit, []fault.Violation) {
	f := &Fit{to: to}
	var found []fault.Violation
	given := from.Schema().Signature.Inputs
	for _, want := range to.Schema().Signature.Inputs {
		path := fmt.Sprintf("signature.inputs[%q]", want.Name)
		at := slices.IndexFunc(given, func(s schema.Spec) bool { return s.Name == want.Name })
		switch {
		case at < 0:
			if column, refuses := refusesMissing(to.Schema(), want); refuses {
				found = append(found, fault.Violation{Path: fmt.Sprintf("contract.columns[%q]", column), Problem: "refuses missing values, and the version that answers does not take it"})
			}
			continue
		case given[at].Datatype != want.Datatype:
			found = append(found, fault.Violation{Path: path, Problem: fmt.Sprintf("is %s, the version that answers takes %s", want.Datatype, given[at].Datatype)})
		case !slices.Equal(given[at].Columns, want.Columns):
			found = append(found, fault.Violation{Path: path, Problem: "has its columns in another order or of other names"})
		}
		f.from = append(f.from, at)
	}
	if len(found) > 0 {
		return nil, found
	}
	return f, nil
}

// refusesMissing finds a column of an input that may not be missing.
func refusesMissing(s *schema.Schema, in schema.Spec) (column string, refuses bool) {
	names := in.Columns
	if len(names) == 0 {
		names = []string{in.Name}
	}
	for _, name := range names {
		if s.Contract.Columns[name].Missing != schema.Accept {
			return name, true
		}
	}
	return "", false
}

// Inputs appends the other version's inputs to dst[:0]. They share the memory of
// given, which is not changed. Errors: InvalidArgument, the other version's
// contract refuses these rows.
func (f *Fit) Inputs(dst, given []tensor.Tensor) ([]tensor.Tensor, error) {
	dst = dst[:0]
	for _, at := range f.from {
		dst = append(dst, given[at])
	}
	return f.to.Check(dst)
}
