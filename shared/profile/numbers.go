package profile

import "math"

// maxGroups bounds the groups of equal or near values that a baseline keeps while
// it is counted: about 10 MB a column.
const maxGroups = 1 << 17

// Numbers counts the values of a numeric column at the baseline, exactly while
// there are at most maxGroups distinct ones. Beyond, near values are grouped by
// dropping low bits of their floating-point form, as few as fit. How many are
// dropped depends on the values alone, so any order and any sharding end in the
// same groups, and so in the same bins.
type Numbers struct {
	groups  groups
	state   State
	pending []float64 // single values that are not counted yet, less than a block
}

// NewNumbers returns an empty counter.
func NewNumbers() *Numbers {
	return &Numbers{groups: groups{limit: maxGroups}, state: NewState(1)}
}

// Add counts x n times. NaN stands for missing as the trainer fed it.
func (c *Numbers) Add(x float64, n uint64) {
	switch {
	case n == 0:
	case math.IsNaN(x):
		c.state.Rows += n
		c.state.NaN += n
	case n == 1:
		c.one(x)
	default:
		c.many(x+0, n) // −0 and 0 are one value
	}
}

// one puts x with the values that are counted together.
func (c *Numbers) one(x float64) {
	c.pending = append(c.pending, x)
	if len(c.pending) == floatBlock {
		c.flush()
	}
}

func (c *Numbers) many(x float64, n uint64) {
	c.state.number(x, 0, n)
	if !math.IsInf(x, 0) {
		c.groups.add(x, n)
	}
}

// flush counts the pending values.
func (c *Numbers) flush() {
	if len(c.pending) == 0 {
		return
	}
	b := blocks.Get().(*block)
	gather(b, c.pending, 0, func(x float64) { c.many(x, 1) })
	b.sum(&c.state)
	c.state.Cells[0] += uint64(b.n)
	for _, x := range b.values[:b.n] {
		c.groups.add(x, 1)
	}
	blocks.Put(b)
	c.pending = c.pending[:0]
}

// Missing counts n rows without a value, WrongType n rows of another type.
func (c *Numbers) Missing(n uint64) { c.state.Rows += n; c.state.Missing += n }

// WrongType counts n rows whose value is not a number.
func (c *Numbers) WrongType(n uint64) { c.state.Rows += n; c.state.WrongType += n }

// Merge adds o.
func (c *Numbers) Merge(o *Numbers) error {
	c.flush()
	o.flush()
	if err := c.state.Merge(&o.state); err != nil {
		return err
	}
	c.groups.merge(&o.groups)
	return nil
}

// Column freezes the cells and counts the baseline on them.
func (c *Numbers) Column(name string) Column { return c.column(name, false) }

func (c *Numbers) column(name string, score bool) Column {
	c.flush()
	c.groups.settle()
	groups, exact := c.groups.sorted, c.groups.drop == 0
	col := Column{Name: name, Kind: Numeric, Score: score, Bins: newBins(groups), State: c.state,
		Few: len(groups) <= FewDistinct && exact, Distinct: uint64(len(groups))}
	col.State.Cells = make([]uint64, col.Bins.Len())
	for _, g := range groups {
		col.State.Cells[col.index(g.lo)] += g.count
		if exact {
			switch g.count {
			case 1:
				col.N1++
			case 2:
				col.N2++
			}
		}
	}
	col.State.Cells[0] += c.state.NegInf
	col.State.Cells[col.Bins.Len()-1] += c.state.PosInf
	return col
}
