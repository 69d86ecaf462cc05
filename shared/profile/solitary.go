package profile

// solitary finds the rows whose value one cluster alone has. Clusters are told apart
// by their group: two of one group are taken for one, which is rare and only makes
// more values new.
type solitary []map[uint64]single // by column; nil where new values are not compared

type single struct {
	rows  uint64
	group uint8 // manyGroups: another has the value too
}

const manyGroups = ClusterGroups

func newSolitary(b *Baseline) solitary {
	s := make(solitary, len(b.Columns))
	for i := range b.Columns {
		if c := &b.Columns[i]; c.Kind == Categorical && !c.Identifier || c.Kind == Numeric && c.Few {
			s[i] = map[uint64]single{}
		}
	}
	return s
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
// one cluster holds. Its memory is up to 40 MB for a categorical column of a million values.
func (b *Baseline) Splitter() *Tally {
	t := NewTally(b)
	if b.Cluster != nil {
		t.solitary = newSolitary(b)
	}
	return t
}

// Keep takes over what a [Baseline.Splitter] has counted.
func (b *Baseline) Keep(t *Tally) {
	b.Split = t.Split
	for col := range t.solitary {
		b.Cluster.Solitary[col] = t.solitary.rows(col)
	}
}
