package profile

import (
	"math"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/tensor"
)

// Sink takes the values of rows, column by column: a [Tally] counts them on frozen
// cells, a [Builder] freezes cells from them. Columns are addressed by index; n
// rows hold the same value.
type Sink interface {
	Columns() []string
	Kind(col int) Kind
	Number(col int, x float64, n uint64)
	Text(col int, v string, n uint64)
	Missing(col int, n uint64)
	WrongType(col int, n uint64)
}

// Tally counts rows on the cells of a baseline. Columns are addressed by their
// index in the baseline. It is not safe for concurrent use: readers that work in
// parallel each have one and merge them.
type Tally struct {
	baseline *Baseline
	States   []State // by column of the baseline
	Split    *Split  // nil where the baseline splits nothing
	solitary solitary
}

// NewTally returns an empty tally of b's columns.
func NewTally(b *Baseline) *Tally {
	t := &Tally{baseline: b, States: make([]State, len(b.Columns)), Split: b.newSplit()}
	for i := range t.States {
		t.States[i] = NewState(b.Columns[i].CellCount())
	}
	return t
}

// Columns are the names of the baseline's columns.
func (t *Tally) Columns() []string {
	names := make([]string, len(t.baseline.Columns))
	for i := range names {
		names[i] = t.baseline.Columns[i].Name
	}
	return names
}

// Kind is how the baseline counts the column.
func (t *Tally) Kind(col int) Kind { return t.baseline.Columns[col].Kind }

// Merge adds o, a tally of the same baseline.
func (t *Tally) Merge(o *Tally) error {
	for i := range t.States {
		if err := t.States[i].Merge(&o.States[i]); err != nil {
			return err
		}
	}
	if t.solitary != nil {
		t.solitary.merge(o.solitary)
	}
	return t.Split.merge(o.Split)
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
		x = round(x, c.Bits)
		if n == 1 {
			s.one(x, c.index(x))
			return
		}
		s.number(x, c.index(x), n)
	default:
		s.Rows += n
		s.Cells[c.cell(strconv.FormatFloat(x, 'f', -1, 64))] += n
	}
}

// Text counts n rows of column col that hold the text v; the empty text is
// missing. In a numeric column text is of the wrong type: see [Parse] for formats
// that have nothing but text.
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

// round rounds x to a float of so many bits; 0 leaves it.
func round(x float64, bits int) float64 {
	switch bits {
	case 32:
		return float64(float32(x))
	case 16:
		return float64(tensor.HalfToFloat32(tensor.HalfFromFloat64(x)))
	}
	return x
}

// Parse hands a field of a text format to s: as a number where the column is
// numeric. Empty fields are missing, in numeric columns the usual spellings of
// none too; as a category "NA" is a value, as it is to the model (Namibia).
func Parse(s Sink, col int, v string) {
	if s.Kind(col) == Categorical {
		s.Text(col, v, 1) // the empty text is missing
		return
	}
	if missingText(v) {
		s.Missing(col, 1)
		return
	}
	x, ok := parseNumber(v)
	switch {
	case ok:
		s.Number(col, x, 1)
	case strings.EqualFold(v, "true"):
		s.Number(col, 1, 1)
	case strings.EqualFold(v, "false"):
		s.Number(col, 0, 1)
	default:
		s.WrongType(col, 1)
	}
}

// parseNumber reads a number; one out of range reads as ±Inf, which is counted as such.
func parseNumber(v string) (float64, bool) {
	x, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	return x, err == nil || math.IsInf(x, 0)
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
