package registration

import (
	"io"
	"strconv"

	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Comparison holds answers to rows against others to the same rows, by the rules of
// the parity check (docs/formats/version.md, "Parity"): the trainer's predictions, or
// the answers of another runtime. It belongs to one goroutine and keeps no rows.
type Comparison struct {
	c comparison
}

// CompareTrainer compares with the predictions of a trainer, which hold a line for
// each row that will be added. Errors: InvalidArgument, no CSV with a header.
func CompareTrainer(sig schema.Signature, predictions io.Reader, tolerance float64) (*Comparison, error) {
	records, err := newRecords(predictionsFile, predictions)
	if err != nil {
		return nil, err
	}
	return &Comparison{comparison{sig: sig, tolerance: tolerance, predictions: records}}, nil
}

// CompareRuntimes compares with the answers that AddBoth is given.
func CompareRuntimes(sig schema.Signature, tolerance float64) *Comparison {
	return &Comparison{comparison{sig: sig, tolerance: tolerance, predictions: &others{}}}
}

// Add takes the answers to the next n rows, outputs in the signature's order. Errors:
// InvalidArgument, predictions that do not fit or have ended; FailedPrecondition, the
// model does not answer row by row.
func (c *Comparison) Add(outputs []tensor.Tensor, n int) error { return c.c.add(outputs, n) }

// AddBoth takes the answers of both sides to the next n rows.
func (c *Comparison) AddBoth(outputs, other []tensor.Tensor, n int) error {
	o := c.c.predictions.(*others)
	layout, err := named(c.c.sig, other, n)
	if err != nil {
		return err
	}
	o.row, o.rows, o.layout = 0, n, layout
	return c.c.add(outputs, n)
}

// Verdict is what was found, and in words what differs by more than the tolerance,
// "" if nothing does. here and there say whose answers were compared. Errors:
// InvalidArgument, no rows, or more predictions than rows.
func (c *Comparison) Verdict(here, there string) (p registry.Parity, differs string, err error) {
	if err := c.c.ended(); err != nil {
		return p, "", err
	}
	p, differs = c.c.verdict("", here, there)
	return p, differs, nil
}

// others are answers of another runtime, as the records that a trainer would write.
type others struct {
	layout []answer
	row    int
	rows   int
	record []string
}

func (o *others) columns() []string {
	var names []string
	for i := range o.layout {
		names = append(names, o.layout[i].names...)
	}
	return names
}

func (o *others) next() ([]string, error) {
	if o.row == o.rows {
		return nil, io.EOF
	}
	o.record = o.record[:0]
	for i := range o.layout {
		a := &o.layout[i]
		width := len(a.names)
		for k := range width {
			o.record = append(o.record, a.text(o.row*width+k))
		}
	}
	o.row++
	return o.record, nil
}

// text is element i with as many digits as it takes to read it back.
func (a *answer) text(i int) string {
	switch t := a.t; {
	case t.Datatype == tensor.FP32:
		return strconv.FormatFloat(float64(t.FP32s[i]), 'g', -1, 32)
	case a.isFloat():
		return strconv.FormatFloat(a.float(i), 'g', -1, 64)
	case t.Datatype == tensor.Bytes:
		return t.Strings[i]
	case t.Datatype == tensor.Bool:
		return strconv.FormatBool(t.Bools[i])
	case signed(t.Datatype):
		return strconv.FormatInt(signedAt(t, i), 10)
	default:
		return strconv.FormatUint(unsignedAt(t, i), 10)
	}
}
