package profile

import (
	"fmt"
	"slices"
	"strconv"
)

// Spec names a column of a baseline to be.
type Spec struct {
	Name  string
	Kind  Kind
	Score bool
	Bits  int // see [Column]
}

// Builder freezes a baseline from rows that come in any order. It is a [Sink];
// its memory is bounded by column: about 10 MB for a numeric one, 40 MB for a
// categorical one with a million distinct values.
type Builder struct {
	specs   []Spec
	numbers []*Numbers // by column; nil where categorical
	texts   []*Counter // by column; nil where numeric
	gone    []State    // missing and wrong type of categorical columns
}

// NewBuilder returns an empty builder of the columns.
func NewBuilder(specs []Spec) (*Builder, error) {
	b := &Builder{specs: specs, numbers: make([]*Numbers, len(specs)), texts: make([]*Counter, len(specs)), gone: make([]State, len(specs))}
	seen := map[string]bool{}
	for i, s := range specs {
		if seen[s.Name] {
			return nil, fmt.Errorf("profile: column %q is named twice", Cut(s.Name))
		}
		seen[s.Name] = true
		switch s.Kind {
		case Numeric:
			b.numbers[i] = NewNumbers()
		case Categorical:
			b.texts[i] = NewCounter()
		default:
			return nil, fmt.Errorf("profile: column %q is of the unknown kind %q", Cut(s.Name), s.Kind)
		}
	}
	return b, nil
}

// Columns are the names of the columns.
func (b *Builder) Columns() []string {
	names := make([]string, len(b.specs))
	for i, s := range b.specs {
		names[i] = s.Name
	}
	return names
}

// Kind is the kind of a column.
func (b *Builder) Kind(col int) Kind { return b.specs[col].Kind }

// Number counts a number, as its decimal text in a categorical column.
func (b *Builder) Number(col int, x float64, n uint64) {
	switch {
	case b.numbers[col] != nil:
		b.numbers[col].Add(round(x, b.specs[col].Bits), n)
	case x != x:
		b.gone[col].NaN += n
	default:
		b.texts[col].Add(strconv.FormatFloat(x, 'f', -1, 64), n)
	}
}

// Text counts a text; the empty one is missing.
func (b *Builder) Text(col int, v string, n uint64) {
	switch {
	case v == "":
		b.Missing(col, n)
	case b.numbers[col] != nil:
		b.numbers[col].WrongType(n)
	default:
		b.texts[col].Add(v, n)
	}
}

// Missing counts rows without a value.
func (b *Builder) Missing(col int, n uint64) {
	if b.numbers[col] != nil {
		b.numbers[col].Missing(n)
		return
	}
	b.gone[col].Missing += n
}

// WrongType counts rows whose value is of another type.
func (b *Builder) WrongType(col int, n uint64) {
	if b.numbers[col] != nil {
		b.numbers[col].WrongType(n)
		return
	}
	b.gone[col].WrongType += n
}

// Merge adds o, a builder of the same columns. o must not be used afterwards.
func (b *Builder) Merge(o *Builder) error {
	if !slices.Equal(b.specs, o.specs) {
		return fmt.Errorf("profile: builders of different columns cannot be merged")
	}
	for i := range b.specs {
		if b.numbers[i] != nil {
			if err := b.numbers[i].Merge(o.numbers[i]); err != nil {
				return err
			}
		} else {
			b.texts[i].Merge(o.texts[i])
		}
		b.gone[i].Missing += o.gone[i].Missing
		b.gone[i].WrongType += o.gone[i].WrongType
		b.gone[i].NaN += o.gone[i].NaN
	}
	return nil
}

// Freeze makes the baseline of what was counted. rows is the number of rows, for
// the record.
func (b *Builder) Freeze(rows uint64) *Baseline {
	out := &Baseline{V: BaselineVersion, Rows: rows}
	for i, s := range b.specs {
		var c Column
		if b.numbers[i] != nil {
			c = b.numbers[i].column(s.Name, s.Score)
		} else {
			c = CategoricalColumn(s.Name, b.texts[i], b.gone[i].Missing, b.gone[i].WrongType)
			c.State.NaN = b.gone[i].NaN
			c.State.Rows += b.gone[i].NaN
		}
		c.Score, c.Bits = s.Score, s.Bits
		out.Columns = append(out.Columns, c)
	}
	return out
}
