package profile

import (
	"encoding/json"
	"fmt"
	"math"
)

// BaselineVersion is the format of baseline.json that this package writes, and
// SplitBaselineVersion that of one whose rows are split. It reads both.
const (
	BaselineVersion      = 1
	SplitBaselineVersion = 2
)

// Kind is how a column is counted.
type Kind string

// The kinds.
const (
	Numeric     Kind = "numeric"
	Categorical Kind = "categorical"
)

// Column is one column of a baseline: its cells, frozen, and what the baseline's
// rows counted on them.
type Column struct {
	Name  string
	Kind  Kind
	Score bool // an output of the model, not an input
	// Bits is 16 or 32 where the model takes or gives floats of that size: numbers are rounded to it before they are
	// counted, so that 0.1 is the same value in a text, a float and a double. 0 leaves them as they are.
	Bits int

	Bins  Bins  // numeric
	Cells Cells // categorical

	// Few says that every distinct baseline value of a numeric column is an atom.
	Few bool
	// Identifier says that values hardly repeat (more than MaxDistinct, or an estimated unseen mass
	// above one half): only missing values and types can be compared.
	Identifier bool
	Distinct   uint64 // distinct values of the baseline, at most MaxDistinct
	N1, N2     uint64 // values seen once, twice
	// HashDistinct is the number of distinct values in each hash cell.
	HashDistinct [HashCells]int
	State        State
}

// CellCount is the number of cells of the column.
func (c *Column) CellCount() int {
	if c.Kind == Categorical {
		return c.Cells.Len()
	}
	return c.Bins.Len()
}

// scoreTolerance is how far two scores may part and still be the same answer:
// what registration tolerates between the trainer's scores and the runtime's, which
// differ in their last bits from processor to processor.
const scoreTolerance = 1e-5

// index is the cell of a number of the column. A score beside an atom is the atom:
// else a tree's few answers would all be others on the next processor.
func (c *Column) index(x float64) int {
	i := c.Bins.Index(x)
	if c.Score {
		return c.beside(i, x)
	}
	return i
}

// beside is the atom beside the score x, which is in cell i; else i.
func (c *Column) beside(i int, x float64) int {
	if c.Bins.Atom(i) {
		return i
	}
	near := scoreTolerance * max(1, math.Abs(x))
	if i+1 < len(c.Bins.Upper) && c.Bins.Atom(i+1) && c.Bins.Upper[i+1]-x <= near {
		return i + 1
	}
	if c.Bins.Atom(i-1) && x-c.Bins.Upper[i-1] <= near {
		return i - 1
	}
	return i
}

// Baseline is versions/<n>/baseline.json: the profile of the training rows and of
// the reference scores, on cells that everything later is counted on.
type Baseline struct {
	V       int      `json:"v"`
	Rows    uint64   `json:"rows"`
	Columns []Column `json:"columns"`
	// What rows are split by, and the baseline's own rows, split. See [Baseline.SplitBy].
	Segments []Segmentation `json:"segments,omitempty"`
	Cluster  *Clustering    `json:"cluster,omitempty"`
	Split    *Split         `json:"split,omitempty"`
}

// Column returns the column of that name.
func (b *Baseline) Column(name string) (*Column, bool) {
	for i := range b.Columns {
		if b.Columns[i].Name == name {
			return &b.Columns[i], true
		}
	}
	return nil, false
}

type storedColumn struct {
	Name         string       `json:"name"`
	Kind         Kind         `json:"kind"`
	Score        bool         `json:"score,omitempty"`
	Bits         int          `json:"bits,omitempty"`
	Upper        []float64    `json:"upper,omitempty"` // without the last, which is +Inf
	Categories   *storedCells `json:"categories,omitempty"`
	Few          bool         `json:"few,omitempty"`
	Identifier   bool         `json:"identifier,omitempty"`
	Distinct     uint64       `json:"distinct"`
	N1           uint64       `json:"n1"`
	N2           uint64       `json:"n2"`
	HashDistinct []int        `json:"hash_distinct,omitempty"`
	State        State        `json:"state"`
}

// MarshalJSON writes the stored form (docs/formats/profile.md).
func (c Column) MarshalJSON() ([]byte, error) {
	s := storedColumn{Name: c.Name, Kind: c.Kind, Score: c.Score, Bits: c.Bits, Few: c.Few, Identifier: c.Identifier,
		Distinct: c.Distinct, N1: c.N1, N2: c.N2, State: c.State}
	if c.Kind == Categorical {
		cells := c.Cells.stored()
		s.Categories = &cells
		s.HashDistinct = c.HashDistinct[:]
	} else {
		s.Upper = c.Bins.Upper[:len(c.Bins.Upper)-1]
	}
	return json.Marshal(s)
}

// UnmarshalJSON reads the stored form and refuses what does not fit together.
func (c *Column) UnmarshalJSON(raw []byte) error {
	var s storedColumn
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	*c = Column{Name: s.Name, Kind: s.Kind, Score: s.Score, Bits: s.Bits, Few: s.Few, Identifier: s.Identifier,
		Distinct: s.Distinct, N1: s.N1, N2: s.N2, State: s.State}
	if s.Bits != 0 && s.Bits != 16 && s.Bits != 32 {
		return fmt.Errorf("profile: column %q counts floats of %d bits, want 16, 32 or none", s.Name, s.Bits)
	}
	var err error
	switch s.Kind {
	case Numeric:
		c.Bins, err = BinsOf(append(s.Upper, math.Inf(1)))
	case Categorical:
		if s.Categories == nil || len(s.HashDistinct) != HashCells {
			return fmt.Errorf("profile: column %q is categorical and has no cells", s.Name)
		}
		copy(c.HashDistinct[:], s.HashDistinct)
		c.Cells, err = s.Categories.cells()
	default:
		return fmt.Errorf("profile: column %q is of the unknown kind %q", s.Name, s.Kind)
	}
	if err != nil {
		return fmt.Errorf("column %q: %w", s.Name, err)
	}
	if got, want := len(s.State.Cells), c.CellCount(); got != want {
		return fmt.Errorf("profile: column %q has counts of %d cells, want %d", s.Name, got, want)
	}
	if err := s.State.check(); err != nil {
		return fmt.Errorf("column %q: %w", s.Name, err)
	}
	return nil
}

// ParseBaseline reads a stored baseline of any version.
func ParseBaseline(raw []byte) (*Baseline, error) {
	var b Baseline
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, fmt.Errorf("profile: baseline: %w", err)
	}
	if b.V != BaselineVersion && b.V != SplitBaselineVersion {
		return nil, fmt.Errorf("profile: baseline of format %d; this program reads up to %d", b.V, SplitBaselineVersion)
	}
	seen := map[string]bool{}
	for _, c := range b.Columns {
		if seen[c.Name] {
			return nil, fmt.Errorf("profile: baseline names column %q twice", c.Name)
		}
		seen[c.Name] = true
	}
	if b.V == BaselineVersion && (b.splits() || b.Split != nil) || b.V == SplitBaselineVersion && (!b.splits() || b.Split == nil) {
		return nil, fmt.Errorf("profile: baseline of format %d: splits belong to format %d", b.V, SplitBaselineVersion)
	}
	if err := b.bind(); err != nil {
		return nil, err
	}
	if err := b.Split.fits(&b); err != nil {
		return nil, fmt.Errorf("profile: the split of the baseline does not fit its columns")
	}
	return &b, nil
}

// CategoricalColumn freezes a categorical column from its counter.
func CategoricalColumn(name string, counter *Counter, missing, wrongType uint64) Column {
	c := Column{Name: name, Kind: Categorical, Distinct: uint64(counter.Distinct())}
	if !counter.Overflowed() { // else they are those of whichever values came first
		c.N1, c.N2 = counter.Singles()
	}
	c.Identifier = counter.Overflowed() || 2*c.N1 > counter.rows
	rows := counter.rows
	if c.Identifier {
		counter = NewCounter() // its values will not be met again: nothing to name, nothing to remember
	}
	cells, counts, distinct := counter.Freeze()
	if c.Identifier {
		counts[cells.Unseen()] = rows
	}
	c.Cells, c.HashDistinct = cells, distinct
	c.State = NewState(cells.Len())
	for i, n := range counts {
		c.State.Cells[i] = n
		c.State.Rows += n
	}
	c.State.Rows += missing + wrongType
	c.State.Missing, c.State.WrongType = missing, wrongType
	return c
}
