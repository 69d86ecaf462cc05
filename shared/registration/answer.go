package registration

import (
	"math"
	"strconv"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// answer is one output and its columns in predictions.csv.
type answer struct {
	name   string
	index  int // in the signature
	names  []string
	fields []int // of a record of predictions.csv, by element of a row
	t      *tensor.Tensor
}

// difference is what one element of our answer and the trainer's differ by.
type difference struct {
	abs        float64
	tolerances float64 // abs in units of what is tolerated; over 1 is too much
	label      bool    // another label, where there is no distance
	unfit      bool    // ours is not finite
}

// newLayout finds the columns of all outputs in the header of predictions.csv, which holds them and nothing else.
func newLayout(sig schema.Signature, outputs []tensor.Tensor, rows int, header []string) ([]answer, error) {
	layout, err := named(sig, outputs, rows)
	if err != nil {
		return nil, err
	}
	at := map[string]int{}
	for i, h := range header {
		at[h] = i
	}
	var faults []fault.Violation
	for i := range layout {
		for _, name := range layout[i].names {
			field, ok := at[name]
			if !ok {
				faults = append(faults, fault.Violation{Path: predictionsFile, Problem: "has no column " + quoted(name) + " for output " + quoted(layout[i].name)})
			}
			delete(at, name)
			layout[i].fields = append(layout[i].fields, field)
		}
	}
	for _, h := range header {
		if _, left := at[h]; left {
			faults = append(faults, fault.Violation{Path: predictionsFile, Problem: "has a column " + quoted(h) + " that is no output of the model"})
		}
	}
	if len(faults) > 0 {
		return nil, fault.Invalid(faults...)
	}
	return layout, nil
}

// named are the outputs with the names of their columns.
func named(sig schema.Signature, outputs []tensor.Tensor, rows int) ([]answer, error) {
	if len(outputs) != len(sig.Outputs) {
		return nil, fault.New(fault.Internal, "the runtime gave %d outputs, the signature has %d", len(outputs), len(sig.Outputs))
	}
	var layout []answer
	for i, spec := range sig.Outputs {
		if n := outputs[i].Len(); n < rows || n%rows != 0 || outputs[i].Rows() != int64(rows) && len(outputs[i].Shape) > 0 {
			return nil, notByRow(spec.Name, n, rows)
		}
		spec.Shape = outputs[i].Shape // what it is, not what the file says
		names, err := columnNames(spec, "output", outputs[i].Len()/rows)
		if err != nil {
			return nil, err
		}
		layout = append(layout, answer{name: spec.Name, index: i, names: names, t: &outputs[i]})
	}
	return layout, nil
}

// bind takes the answer of the next batch.
func (a *answer) bind(outputs []tensor.Tensor, rows int) error {
	a.t = &outputs[a.index]
	if a.t.Len() != rows*len(a.fields) {
		return notByRow(a.name, a.t.Len(), rows)
	}
	return nil
}

func notByRow(output string, elements, rows int) error {
	return fault.New(fault.FailedPrecondition, "output %s has %d elements for %d rows: the model does not answer row by row; leave %s and %s out to register without parity",
		quoted(output), elements, rows, holdoutFile, predictionsFile)
}

func (a *answer) isFloat() bool {
	return a.t.Datatype == tensor.FP32 || a.t.Datatype == tensor.FP64 || a.t.Datatype == tensor.FP16
}

// float returns element i of a float output.
func (a *answer) float(i int) float64 {
	switch a.t.Datatype {
	case tensor.FP32:
		return float64(a.t.FP32s[i])
	case tensor.FP16:
		return float64(tensor.HalfToFloat32(a.t.U16s[i]))
	}
	return a.t.FP64s[i]
}

// best returns the two largest elements of a row.
func (a *answer) best(row int) (first, second float64) {
	first, second = math.Inf(-1), math.Inf(-1)
	for j := range a.fields {
		switch v := a.float(row*len(a.fields) + j); {
		case v > first:
			first, second = v, first
		case v > second:
			second = v
		}
	}
	return first, second
}

// differ compares element i with the trainer's text. Problem says what is wrong with the text.
//
// What is tolerated is the tolerance for values up to 1 and the same share of
// larger ones: a probability has an absolute bound, and a price of a million,
// of which float32 keeps seven digits, one that it can hold.
func (a *answer) differ(i int, text string, tolerance float64) (d difference, problem string) {
	if !a.isFloat() {
		same, problem := a.same(i, text)
		return difference{label: !same}, problem
	}
	bits := 64
	if a.t.Datatype == tensor.FP32 {
		bits = 32 // the text is the shortest that gives this float32: as a float64 it would be another number
	}
	want, err := strconv.ParseFloat(text, bits)
	if err != nil || math.IsNaN(want) || math.IsInf(want, 0) {
		return difference{}, "is not a finite number"
	}
	if a.t.Datatype == tensor.FP16 {
		want = float64(tensor.HalfToFloat32(tensor.HalfFromFloat64(want)))
	}
	got := a.float(i)
	if math.IsNaN(got) || math.IsInf(got, 0) {
		return difference{unfit: true}, ""
	}
	d.abs = math.Abs(got - want)
	d.tolerances = d.abs / (tolerance * max(1, math.Abs(want)))
	return d, ""
}

// same compares element i of an output that has no distance: whole numbers, strings, truth values.
func (a *answer) same(i int, text string) (same bool, problem string) {
	t := a.t
	switch t.Datatype {
	case tensor.Bytes:
		return t.Strings[i] == text, ""
	case tensor.Bool:
		want, err := strconv.ParseBool(text)
		return t.Bools[i] == want, unless(err == nil, "is not true or false")
	}
	if signed(t.Datatype) {
		want, err := strconv.ParseInt(text, 10, 64)
		return signedAt(t, i) == want, unless(err == nil, "is not a whole number")
	}
	want, err := strconv.ParseUint(text, 10, 64)
	return unsignedAt(t, i) == want, unless(err == nil, "is not a whole number")
}

func signed(d tensor.Datatype) bool {
	return d == tensor.Int8 || d == tensor.Int16 || d == tensor.Int32 || d == tensor.Int64
}

func signedAt(t *tensor.Tensor, i int) int64 {
	switch t.Datatype {
	case tensor.Int8:
		return int64(t.I8s[i])
	case tensor.Int16:
		return int64(t.I16s[i])
	case tensor.Int32:
		return int64(t.I32s[i])
	}
	return t.I64s[i]
}

func unsignedAt(t *tensor.Tensor, i int) uint64 {
	switch t.Datatype {
	case tensor.Uint8:
		return uint64(t.U8s[i])
	case tensor.Uint16:
		return uint64(t.U16s[i])
	case tensor.Uint32:
		return uint64(t.U32s[i])
	}
	return t.U64s[i]
}
