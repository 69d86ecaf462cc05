package registration

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/modelfile"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// signatureOf is the signature as the file declares it. An output of unknown shape keeps a nil shape.
func signatureOf(m *modelfile.Model) (schema.Signature, error) {
	var sig schema.Signature
	for _, in := range m.Inputs {
		if in.Shape == nil {
			return sig, fault.New(fault.InvalidArgument, "input %s of the model has no shape; give it one, with a free first dimension for the rows", quoted(in.Name))
		}
		sig.Inputs = append(sig.Inputs, schema.Spec{Name: in.Name, Datatype: in.Datatype, Shape: in.Shape})
	}
	for _, out := range m.Outputs {
		sig.Outputs = append(sig.Outputs, schema.Spec{Name: out.Name, Datatype: out.Datatype, Shape: out.Shape})
	}
	return sig, nil
}

// probe loads the model, runs it on one and on two rows, and corrects the shapes of
// the outputs by what it gives: exporters leave them out, or write that of the row
// they traced. Clients read these shapes, and the runtime makes memory by them.
//
// The rows are the first ones of the holdout, else zeros and empty strings. A model
// that cannot run on them is refused if that proves anything: rows made up here do
// not when more than the number of rows is free (the length of a text, the size of
// an image), or when strings are taken, which may have to be numbers or dates. Then
// there is a warning instead.
func (r *Registrar) probe(ctx context.Context, b *bundle, sig schema.Signature, spare []string) (schema.Signature, []string, error) {
	open := schema.Signature{Inputs: sig.Inputs}
	for _, out := range sig.Outputs {
		if out.Datatype != tensor.FP16 { // which the runtime reads only into memory of the declared shape
			out.Shape = []int64{-1, -1} // let the runtime find out
		}
		open.Outputs = append(open.Outputs, out)
	}
	session, err := r.Runtime.Load(ctx, b.model, open)
	if err != nil {
		if k := fault.KindOf(err); k == fault.InvalidArgument || k == fault.Unimplemented {
			return sig, nil, fault.Wrap(err, k, "%s does not accept the model: %s", r.Runtime, reason(err))
		}
		return sig, nil, err
	}
	defer session.Close()
	batched, only := inputFreedom(sig)
	if b.holdout == nil && !small(sig) {
		sig.Outputs, err = undeclared(sig.Outputs)
		return sig, []string{"the inputs of the model are too large to try it on rows of zeros; it is not known whether it runs"}, err
	}
	var seen [][][]int64 // by run, output
	for _, rows := range []int{1, 2} {
		if rows == 2 && !batched {
			break
		}
		inputs, err := r.probeRows(b, sig, spare, rows)
		if err != nil {
			return sig, nil, err
		}
		shapes, err := observe(ctx, session, inputs, sig)
		if fault.Is(err, fault.Internal) || fault.Is(err, fault.InvalidArgument) { // the run failed
			if b.holdout != nil || only && !takesStrings(sig) {
				return sig, nil, fault.Wrap(err, fault.FailedPrecondition, "the model loads but cannot be run on %d rows; export it again with a free number of rows and try it with onnxruntime in Python", rows)
			}
			sig.Outputs, err = undeclared(sig.Outputs)
			return sig, []string{"the model could not be run on rows of zeros and empty strings, which need not be what it takes; it is not known whether it runs"}, err
		}
		if err != nil {
			return sig, nil, err
		}
		seen = append(seen, shapes)
	}
	sig.Outputs = slices.Clone(sig.Outputs)
	for i := range sig.Outputs {
		of := make([][]int64, len(seen))
		for run := range seen {
			of[run] = seen[run][i]
		}
		sig.Outputs[i].Shape = outputShape(sig.Outputs[i].Shape, of, only)
	}
	return sig, warnings(sig, batched), nil
}

// probeRows makes inputs of the first rows of the holdout, or of zeros.
func (r *Registrar) probeRows(b *bundle, sig schema.Signature, spare []string, rows int) ([]tensor.Tensor, error) {
	if b.holdout == nil {
		return zeros(sig, int64(rows)), nil
	}
	holdout, closer, err := b.holdout.read()
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	batch := rows
	if !sig.Inputs[0].Batched() {
		batch = r.Limits.BatchRows // newFeed lowers it to what the model takes
	}
	in, err := newFeed(sig, holdout.header, spare, batch)
	if err != nil {
		return nil, err
	}
	if _, err := r.fill(in, holdout); err != nil {
		return nil, err
	}
	if in.rows == 0 {
		return nil, noRows()
	}
	if in.fixed && !in.full() {
		return nil, notMultiple(in.batch)
	}
	return in.take(), nil
}

// observe runs the model and returns the shapes of its outputs.
func observe(ctx context.Context, session inference.Session, inputs []tensor.Tensor, sig schema.Signature) ([][]int64, error) {
	outputs, release, err := session.Run(ctx, inputs, nil)
	if ctx.Err() != nil {
		if err == nil {
			release()
		}
		return nil, fault.Wrap(ctx.Err(), fault.DeadlineExceeded, "the first run of the model did not end in time")
	}
	if err != nil {
		return nil, err
	}
	defer release()
	shapes := make([][]int64, len(outputs))
	for i := range outputs {
		shapes[i] = slices.Clone(outputs[i].Shape)
		if outputs[i].Datatype != sig.Outputs[i].Datatype {
			return nil, fault.New(fault.FailedPrecondition, "output %s of the model is %s, its file says %s", quoted(sig.Outputs[i].Name), outputs[i].Datatype, sig.Outputs[i].Datatype)
		}
	}
	return shapes, nil
}

func takesStrings(sig schema.Signature) bool {
	return slices.ContainsFunc(sig.Inputs, func(in schema.Spec) bool { return in.Datatype == tensor.Bytes })
}

// reason is the runtime's own text about a model file, which an owner needs to
// mend it. It speaks of operators and tensors of the file: no data has been seen yet.
func reason(err error) string {
	const limit = 300
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// inputFreedom says whether every input has a free number of rows, and whether that is the only thing that is free.
func inputFreedom(sig schema.Signature) (batched, only bool) {
	batched, only = true, true
	for _, in := range sig.Inputs {
		batched = batched && in.Batched()
		for i, d := range in.Shape {
			only = only && (i == 0 || d >= 0)
		}
	}
	return batched, only
}

// small says whether two rows of every input fit in memory beside the model.
func small(sig schema.Signature) bool {
	const most = 16 << 20 // elements
	left := int64(most)
	for _, in := range sig.Inputs {
		shape := slices.Clone(in.Shape)
		for i, d := range shape {
			if d < 0 {
				shape[i] = 1
			}
		}
		n, err := tensor.Elements(shape, left/2)
		if err != nil {
			return false
		}
		left -= 2 * n
	}
	return true
}

// zeros makes inputs of zeros and empty strings; other free dimensions are 1.
func zeros(sig schema.Signature, rows int64) []tensor.Tensor {
	inputs := make([]tensor.Tensor, len(sig.Inputs))
	for i, spec := range sig.Inputs {
		t := tensor.Tensor{Name: spec.Name, Datatype: spec.Datatype, Shape: slices.Clone(spec.Shape)}
		n := int64(1)
		for j, d := range t.Shape {
			if d < 0 {
				t.Shape[j] = 1
				if j == 0 {
					t.Shape[j] = rows
				}
			}
			n *= t.Shape[j]
		}
		t.Resize(int(n)) // fresh memory: zeros
		inputs[i] = t
	}
	return inputs
}

// outputShape corrects a declared shape by the ones seen. Certain says that nothing
// but the number of rows can change it, so that what stayed the same is fixed.
func outputShape(declared []int64, seen [][]int64, certain bool) []int64 {
	first := seen[0]
	shape := slices.Clone(first)
	told := len(declared) == len(first) && declared != nil
	for i := range shape {
		if told {
			shape[i] = declared[i]
		} else if !certain {
			shape[i] = -1
		}
		for _, s := range seen {
			if len(s) != len(first) || s[i] != first[i] || shape[i] >= 0 && s[i] != shape[i] {
				shape[i] = -1
				break
			}
		}
	}
	return shape
}

// undeclared refuses outputs of unknown shape, where no run could tell it.
func undeclared(outputs []schema.Spec) ([]schema.Spec, error) {
	for _, out := range outputs {
		if out.Shape == nil {
			return nil, fault.New(fault.InvalidArgument, "output %s of the model has no shape; export it with shapes (onnx.shape_inference)", quoted(out.Name))
		}
	}
	return outputs, nil
}

func warnings(sig schema.Signature, batched bool) []string {
	if batched {
		return nil
	}
	for _, in := range sig.Inputs {
		if !in.Batched() {
			return []string{"input " + quoted(in.Name) + " takes a fixed number of rows: every request must have as many; export the model with a free first dimension"}
		}
	}
	return nil
}
