// Package twin asks a backend for rows and holds its answers against others to the
// same rows: those of the function, or the trainer's predictions of the holdout.
//
// It stores nothing and knows no settings; what differs by how much is judged by the
// rules of registration's parity check.
package twin

import (
	"context"
	"errors"
	"io"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/remote"
	"github.com/tidegate/tidegate/shared/registration"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rows"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

const (
	// batchRows and batchValues bound a request: both sides take it at once.
	batchRows   = 1000
	batchValues = 1 << 16
)

// Backend is what is checked: a *remote.Client.
type Backend interface {
	Infer(ctx context.Context, call remote.Call) (remote.Answer, error)
}

// Check is one comparison. Either Trainer or Function is set.
type Check struct {
	Backend   Backend
	Name      string // of the backend, for messages
	Signature schema.Signature
	Rows      rows.Source
	Tolerance float64
	Trainer   io.Reader                                                                        // predictions.csv of the rows
	Function  func(ctx context.Context, inputs []tensor.Tensor) (r endpoint.Result, err error) // answers of the version in the function
	Done      func(rows int)
}

// Found is what came out.
type Found struct {
	registry.Parity
	Differs  string // what is beyond the tolerance, "" if nothing is
	ServedBy string // who answered there
}

// Run compares every row. Errors: InvalidArgument, rows that cannot be read or are
// refused, with their place; FailedPrecondition, the backend does not serve this
// version, or the function did not answer itself; Unavailable; Internal.
func (c *Check) Run(ctx context.Context) (Found, error) {
	specs, size, err := c.specs()
	if err != nil {
		return Found{}, err
	}
	both := registration.CompareRuntimes(c.Signature, c.Tolerance)
	there := "by the function"
	if c.Trainer != nil {
		there = "by the trainer"
		if both, err = registration.CompareTrainer(c.Signature, c.Trainer, c.Tolerance); err != nil {
			return Found{}, err
		}
	}
	var f Found
	for first := 1; ; {
		batch, end := cut(c.Rows, size)
		if end != nil && !errors.Is(end, io.EOF) {
			return f, end
		}
		if len(batch) > 0 {
			if missing := rows.Missing(specs, batch[0]); first == 1 && len(missing) > 0 {
				return f, fault.New(fault.InvalidArgument, "the rows have no column for input %q; columns are matched by name", missing[0])
			}
			if f.ServedBy, err = c.batch(ctx, both, specs, batch, first); err != nil {
				return f, err
			}
			first += len(batch)
			c.Done(first - 1)
		}
		if end != nil {
			f.Parity, f.Differs, err = both.Verdict("by "+c.Name, there)
			return f, err
		}
	}
}

// specs are the inputs as a table fills them, and how many rows a request has.
func (c *Check) specs() (specs []rows.Spec, size int, err error) {
	size, width := batchRows, 0
	for _, in := range c.Signature.Inputs {
		s := rows.Spec{Name: in.Name, Datatype: in.Datatype, Shape: in.Shape, Columns: in.Columns}
		n, err := s.Width()
		if err != nil {
			return nil, 0, err
		}
		width += n
		if !in.Batched() && len(in.Shape) > 0 {
			size = min(size, int(in.Shape[0]))
		}
		specs = append(specs, s)
	}
	return specs, max(1, min(size, batchValues/max(1, width))), nil
}

func cut(src rows.Source, size int) (batch []rows.Row, err error) {
	for len(batch) < size {
		row, err := src.Next()
		if err != nil {
			return batch, err
		}
		batch = append(batch, row)
	}
	return batch, nil
}

// batch asks both sides for rows from first on.
func (c *Check) batch(ctx context.Context, both *registration.Comparison, specs []rows.Spec, batch []rows.Row, first int) (servedBy string, err error) {
	inputs, err := rows.Columns(specs, batch, first)
	if err != nil {
		return "", err
	}
	if c.Trainer != nil { // a trainer's holdout does not tell an empty text from a missing one
		for i := range inputs {
			inputs[i].Missing = nil
		}
	}
	a, err := c.Backend.Infer(ctx, remote.Call{Inputs: inputs, Patient: true})
	if err != nil {
		return "", c.failed(err, specs, first, len(batch))
	}
	defer a.Release()
	if c.Trainer != nil {
		return a.ServedBy, both.Add(a.Outputs, len(batch))
	}
	r, err := c.Function(ctx, inputs)
	if err != nil {
		return "", rows.Locate(err, specs, first)
	}
	others, err := c.ordered(r.Outputs)
	if err != nil {
		return "", err
	}
	return a.ServedBy, both.AddBoth(a.Outputs, others, len(batch))
}

// ordered are outputs in the signature's order.
func (c *Check) ordered(outputs []tensor.Tensor) ([]tensor.Tensor, error) {
	var all []tensor.Tensor
	for _, spec := range c.Signature.Outputs {
		found := false
		for i := range outputs {
			if outputs[i].Name == spec.Name && outputs[i].Datatype == spec.Datatype {
				all, found = append(all, outputs[i]), true
				break
			}
		}
		if !found {
			return nil, fault.New(fault.Internal, "the function's answer has no output %q of datatype %s", spec.Name, spec.Datatype)
		}
	}
	return all, nil
}

// failed says what a backend did wrong with n rows from first on.
func (c *Check) failed(err error, specs []rows.Spec, first, n int) error {
	var f *remote.Failure
	if !errors.As(err, &f) {
		return rows.Locate(err, specs, first)
	}
	kind, text := fault.Unavailable, "does not answer"
	switch f.Reason {
	case remote.OtherVersion:
		kind, text = fault.FailedPrecondition, "does not serve this version, or does not say so (--identity version, or none, for servers without digests)"
	case remote.Garbage:
		kind, text = fault.FailedPrecondition, "does not answer as the version's signature says"
	case remote.Denied:
		kind, text = fault.PermissionDenied, "refuses the caller"
	}
	return fault.Wrap(err, kind, "%s %s: rows %d to %d, %s", c.Name, text, first, first+n-1, string(f.Reason))
}
