package remote

import (
	"encoding/json"
	"fmt"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// arrange appends the outputs that a call wants to dst, in its order. The error says
// in what the answer is none of the signature's.
func arrange(dst []tensor.Tensor, a *oip.Answer, s *schema.Signature, call *Call) ([]tensor.Tensor, error) {
	rows := rowsOf(call.Inputs, s)
	take := func(spec *schema.Spec) error {
		for i := range a.Outputs {
			if a.Outputs[i].Name == spec.Name {
				if err := fits(&a.Outputs[i], spec, rows); err != nil {
					return err
				}
				dst = append(dst, a.Outputs[i])
				dst[len(dst)-1].Name = spec.Name // the answer's is part of its body
				return nil
			}
		}
		return fmt.Errorf("output %q is missing", spec.Name)
	}
	if call.Want == nil {
		for i := range s.Outputs {
			if err := take(&s.Outputs[i]); err != nil {
				return dst, err
			}
		}
		return dst, nil
	}
	for _, name := range call.Want {
		for i := range s.Outputs {
			if s.Outputs[i].Name == name {
				if err := take(&s.Outputs[i]); err != nil {
					return dst, err
				}
			}
		}
	}
	return dst, nil
}

// rowsOf is the size of the batch, -1 when no input has one.
func rowsOf(inputs []tensor.Tensor, s *schema.Signature) int64 {
	for i := range s.Inputs {
		if s.Inputs[i].Batched() && i < len(inputs) {
			return inputs[i].Shape[0]
		}
	}
	return -1
}

// fits says why t cannot be the output that spec describes.
func fits(t *tensor.Tensor, spec *schema.Spec, rows int64) error {
	switch {
	case t.Datatype != spec.Datatype:
		return fmt.Errorf("output %q is %s, want %s", spec.Name, t.Datatype, spec.Datatype)
	case len(t.Shape) != len(spec.Shape):
		return fmt.Errorf("output %q has %d dimensions, want %d", spec.Name, len(t.Shape), len(spec.Shape))
	}
	for d, n := range spec.Shape {
		if n >= 0 && t.Shape[d] != n {
			return fmt.Errorf("output %q has %d elements in dimension %d, want %d", spec.Name, t.Shape[d], d, n)
		}
	}
	if spec.Batched() && rows >= 0 && t.Shape[0] != rows {
		return fmt.Errorf("output %q has %d rows, want %d", spec.Name, t.Shape[0], rows)
	}
	return nil
}

// Bounds of what is passed on of a refusal.
const (
	maxViolations = oip.MaxViolations
	maxPath       = 256
)

// parseViolations reads the violations of our own error body; others have none.
func parseViolations(body []byte) []fault.Violation {
	var document struct{ Violations []fault.Violation }
	if json.Unmarshal(body, &document) != nil || len(document.Violations) > maxViolations {
		return nil
	}
	for _, v := range document.Violations {
		if v.Path == "" || len(v.Path) > maxPath || len(v.Problem) > maxPath {
			return nil
		}
	}
	return document.Violations
}
