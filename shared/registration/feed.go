package registration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/rows"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// feed turns records of holdout.csv into the model's inputs, a batch at a time.
type feed struct {
	inputs []tensor.Tensor
	widths []int
	cells  []cell // in the order of inputs, then of columns within one
	batch  int    // rows of a full batch
	fixed  bool   // the model takes exactly batch rows
	rows   int    // held now
}

// cell is where one element of a row comes from.
type cell struct {
	field int // of the record
	input int
	at    int // in a row of the input
	name  string
}

// newFeed finds the columns of the signature's inputs in a header. Columns that
// are neither inputs nor in spare (the target, the time) are refused: a column that
// silently feeds nothing is a typing error more often than not.
func newFeed(sig schema.Signature, header []string, spare []string, batch int) (*feed, error) {
	f := &feed{batch: batch}
	at := map[string]int{}
	for i, h := range header {
		at[h] = i
	}
	var faults []fault.Violation
	used := map[string]bool{}
	for i, spec := range sig.Inputs {
		names, err := columnNames(spec, "input", inputWidth(spec))
		if err != nil {
			return nil, err
		}
		if err := f.limitBatch(spec); err != nil {
			return nil, err
		}
		for j, name := range names {
			field, ok := at[name]
			if !ok {
				faults = append(faults, fault.Violation{Path: holdoutFile, Problem: "has no column " + quoted(name) + " for input " + quoted(spec.Name)})
			}
			used[name] = true
			f.cells = append(f.cells, cell{field: field, input: i, at: j, name: name})
		}
		shape := slices.Clone(spec.Shape)
		if len(shape) == 2 {
			shape[1] = int64(len(names))
		}
		f.inputs = append(f.inputs, tensor.Tensor{Name: spec.Name, Datatype: spec.Datatype, Shape: shape})
		f.widths = append(f.widths, len(names))
	}
	for _, h := range header {
		if !used[h] && (h == "" || !slices.Contains(spare, h)) { // spare may hold "": no target is known
			faults = append(faults, fault.Violation{Path: holdoutFile, Problem: "has a column " + quoted(h) + " that is neither an input nor the target"})
		}
	}
	if len(faults) > 0 {
		return nil, fault.Invalid(faults...)
	}
	f.reset()
	return f, nil
}

// limitBatch makes batches of the size that a fixed first dimension asks for.
func (f *feed) limitBatch(spec schema.Spec) error {
	if spec.Batched() {
		return nil
	}
	rows := int64(1)
	if len(spec.Shape) > 0 {
		rows = spec.Shape[0]
	}
	if f.fixed && rows != int64(f.batch) || rows > int64(f.batch) {
		return fault.New(fault.InvalidArgument, "input %s takes a fixed number of rows that a holdout cannot be cut into; export the model with a free first dimension", quoted(spec.Name))
	}
	f.batch, f.fixed = int(rows), true
	return nil
}

// inputWidth is the number of elements of a row, or -1 where the file does not fix it.
func inputWidth(s schema.Spec) int {
	switch {
	case len(s.Shape) == 2 && s.Shape[1] >= 0:
		return int(s.Shape[1])
	case len(s.Shape) == 2 && len(s.Columns) > 0:
		return len(s.Columns)
	case len(s.Shape) == 2:
		return -1
	}
	return 1
}

// columnNames names the CSV columns of a tensor: its own name for one element per
// row, the names it was given, or name_0, name_1, … .
func columnNames(s schema.Spec, what string, width int) ([]string, error) {
	const most = 100_000
	switch {
	case len(s.Shape) > 2:
		return nil, fault.New(fault.InvalidArgument, "%s %s has %d dimensions, a CSV file holds two; leave %s and %s out to register without parity", what, quoted(s.Name), len(s.Shape), holdoutFile, predictionsFile)
	case width < 0 || width > most:
		return nil, fault.New(fault.InvalidArgument, "%s %s has no fixed number of columns; leave %s and %s out to register without parity", what, quoted(s.Name), holdoutFile, predictionsFile)
	case len(s.Columns) == width && width > 0:
		return s.Columns, nil
	case len(s.Shape) < 2 || width == 1:
		return []string{s.Name}, nil
	}
	names := make([]string, width)
	for i := range names {
		names[i] = fmt.Sprintf("%s_%d", s.Name, i)
	}
	return names, nil
}

// add appends a record to the batch. Row is its number in the file.
func (f *feed) add(row int, record []string) error {
	for _, c := range f.cells {
		if problem := setCell(&f.inputs[c.input], f.rows*f.widths[c.input]+c.at, record[c.field]); problem != "" {
			return fault.New(fault.InvalidArgument, "%s: column %s of row %d %s", holdoutFile, quoted(c.name), row, problem)
		}
	}
	f.rows++
	return nil
}

func (f *feed) full() bool { return f.rows == f.batch }

// take returns the batch as tensors that stay valid until reset.
func (f *feed) take() []tensor.Tensor {
	for i := range f.inputs {
		t := &f.inputs[i]
		t.Resize(f.rows * f.widths[i])
		if len(t.Shape) > 0 {
			t.Shape[0] = int64(f.rows)
		}
	}
	return f.inputs
}

func (f *feed) reset() {
	f.rows = 0
	for i := range f.inputs {
		f.inputs[i].Resize(f.batch * f.widths[i])
	}
}

// setCell parses text as element i of t and returns what is wrong with it, without repeating it. An empty
// string is itself: the trainer's holdout does not tell it from a missing one.
func setCell(t *tensor.Tensor, i int, text string) string {
	if t.Datatype == tensor.Bytes {
		t.Strings[i] = text
		return ""
	}
	return rows.Set(t, i, text)
}

func unless(ok bool, problem string) string {
	if ok {
		return ""
	}
	return problem
}

// quoted shows a name of the caller's in a message, shortened.
func quoted(name string) string {
	const limit = 80
	if len(name) > limit {
		name = strings.ToValidUTF8(name[:limit], "") + "…"
	}
	return strconv.Quote(name)
}
