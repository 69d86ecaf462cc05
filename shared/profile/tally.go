package profile

import (
	"math"
	"strconv"
	"strings"
)

// Tally counts rows on the cells of a baseline. Columns are addressed by their
// index in the baseline. It is not safe for concurrent use: readers that work in
// parallel each have one and merge them.
type Tally struct {
	baseline *Baseline
	States   []State // by column of the baseline
}

// NewTally returns an empty tally of b's columns.
func NewTally(b *Baseline) *Tally {
	t := &Tally{baseline: b, States: make([]State, len(b.Columns))}
	for i := range t.States {
		t.States[i] = NewState(b.Columns[i].CellCount())
	}
	return t
}

// Merge adds o, a tally of the same baseline.
func (t *Tally) Merge(o *Tally) error {
	for i := range t.States {
		if err := t.States[i].Merge(&o.States[i]); err != nil {
			return err
		}
	}
	return nil
}

// Number counts n rows of column col that hold the number x. In a categorical
// column it stands for its shortest decimal text, as it would in a CSV file.
func (t *Tally) Number(col int, x float64, n uint64) {
	c, s := &t.baseline.Columns[col], &t.States[col]
	switch {
	case n == 0:
	case math.IsNaN(x):
		s.Rows += n
		s.NaN += n
	case c.Kind == Numeric:
		s.number(x, c.Bins.Index(x), n)
	default:
		s.Rows += n
		s.Cells[c.cell(strconv.FormatFloat(x, 'f', -1, 64))] += n
	}
}

// Text counts n rows of column col that hold the text v; the empty text is
// missing. In a numeric column text is of the wrong type: see [Tally.Parse] for
// formats that have nothing but text.
func (t *Tally) Text(col int, v string, n uint64) {
	c, s := &t.baseline.Columns[col], &t.States[col]
	switch {
	case n == 0:
	case v == "":
		t.Missing(col, n)
	case c.Kind == Numeric:
		t.WrongType(col, n)
	default:
		s.Rows += n
		s.Cells[c.cell(v)] += n
	}
}

// Parse counts n rows whose field of a text format is v: a number where the
// column is numeric. Empty fields and the usual spellings of none are missing.
func (t *Tally) Parse(col int, v string, n uint64) {
	if missingText(v) {
		t.Missing(col, n)
		return
	}
	if t.baseline.Columns[col].Kind == Categorical {
		t.Text(col, v, n)
		return
	}
	x, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	if err != nil && !math.IsInf(x, 0) { // out of range reads as ±Inf, which is counted as such
		t.WrongType(col, n)
		return
	}
	t.Number(col, x, n)
}

func missingText(v string) bool {
	switch v {
	case "", "NA", "N/A", "null", "NULL", "None":
		return true
	}
	return false
}

// Missing counts n rows of column col without a value.
func (t *Tally) Missing(col int, n uint64) {
	t.States[col].Rows += n
	t.States[col].Missing += n
}

// WrongType counts n rows of column col whose value is of another type.
func (t *Tally) WrongType(col int, n uint64) {
	t.States[col].Rows += n
	t.States[col].WrongType += n
}

// cell is the cell of a categorical value. The values of an identifier are all
// new: they are not looked up.
func (c *Column) cell(v string) int {
	if c.Identifier {
		return c.Cells.Unseen()
	}
	return c.Cells.Index(v)
}
