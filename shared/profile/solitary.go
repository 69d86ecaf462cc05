package profile

import (
	"cmp"
	"slices"
)

// solitary finds the rows whose value one cluster alone has. Clusters are told apart
// by their group: two of one group are taken for one, which is rare and only makes
// more values new.
type solitary []map[uint64]single // by column; nil where new values are not compared

type single struct {
	rows  uint64
	group uint8 // manyGroups: another has the value too
}

const manyGroups = ClusterGroups

// maxSolitary bounds the values that are remembered, over all columns: about 50 MB.
const maxSolitary = 1 << 20

// newSolitary watches the columns with the fewest values first. The others are not
// watched, and then taken to have nothing but solitary rows.
func newSolitary(b *Baseline) solitary {
	s := make(solitary, len(b.Columns))
	left := uint64(maxSolitary)
	order := make([]int, len(b.Columns))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(b.Columns[i].Distinct, b.Columns[j].Distinct) })
	for _, i := range order {
		if c := &b.Columns[i]; c.newValues() && c.Distinct <= left {
			left -= c.Distinct
			s[i] = map[uint64]single{}
		}
	}
	return s
}

// newValues says whether values that the baseline does not hold are compared.
func (c *Column) newValues() bool {
	return c.Kind == Categorical && !c.Identifier || c.Kind == Numeric && c.Few
}

func (s solitary) add(col int, value, rows uint64, group uint8) {
	have, ok := s[col][value]
	if ok && have.group != group {
		group = manyGroups
	}
	s[col][value] = single{have.rows + rows, group}
}

func (s solitary) merge(o solitary) {
	for col := range o {
		for value, one := range o[col] {
			s.add(col, value, one.rows, one.group)
		}
	}
}

// rows are the rows of a column whose value has one group.
func (s solitary) rows(col int) (n uint64) {
	for _, one := range s[col] {
		if one.group != manyGroups {
			n += one.rows
		}
	}
	return n
}

// Splitter is a tally for the baseline's own rows, which also finds out what only
// one cluster holds.
func (b *Baseline) Splitter() *Tally {
	t := NewTally(b)
	if b.Cluster != nil {
		t.solitary = newSolitary(b)
	}
	return t
}

// Keep takes over what a [Baseline.Splitter] has counted. Columns of which it counted
// other rows than were frozen, as scores that lie elsewhere than the inputs, are in no
// segment and no cluster.
func (b *Baseline) Keep(t *Tally) {
	b.Split = t.Split
	for col := range b.Columns {
		c, s := &b.Columns[col], &t.States[col]
		if s.Rows != c.State.Rows || s.Missing != c.State.Missing || s.NaN != c.State.NaN || s.WrongType != c.State.WrongType || !slices.Equal(s.Cells, c.State.Cells) {
			b.Split.clear(col, len(b.Columns))
			continue
		}
		switch {
		case t.solitary == nil || !c.newValues():
		case t.solitary[col] == nil:
			b.Cluster.Solitary[col] = c.State.Values()
		default:
			b.Cluster.Solitary[col] = t.solitary.rows(col)
		}
	}
}

// clear forgets a column.
func (s *Split) clear(col, columns int) {
	for _, parts := range s.Segments {
		for i := col; i < len(parts); i += columns {
			parts[i] = Part{Cells: make([]uint64, len(parts[i].Cells))}
		}
	}
	if len(s.Clusters) > 0 {
		clear(s.Clusters[col])
	}
}
