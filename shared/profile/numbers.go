package profile

import (
	"cmp"
	"math"
	"slices"
)

// maxGroups bounds the groups of equal or near values that a baseline keeps while
// it is counted: about 10 MB a column.
const maxGroups = 1 << 17

// Numbers counts the values of a numeric column at the baseline, exactly while
// there are at most maxGroups distinct ones. Beyond, near values are grouped by
// dropping low bits of their floating-point form, as few as fit. How many are
// dropped depends on the values alone, so any order and any sharding end in the
// same groups, and so in the same bins.
type Numbers struct {
	groups map[uint64]group
	drop   uint // low bits dropped
	limit  int  // maxGroups; less in tests
	state  State
}

// group is a run of near values. One value alone has lo = hi, however it is grouped.
type group struct {
	count  uint64
	lo, hi float64
}

// NewNumbers returns an empty counter.
func NewNumbers() *Numbers {
	return &Numbers{groups: map[uint64]group{}, limit: maxGroups, state: NewState(1)}
}

// Add counts x n times. NaN stands for missing as the trainer fed it.
func (c *Numbers) Add(x float64, n uint64) {
	if n == 0 {
		return
	}
	if math.IsNaN(x) {
		c.state.Rows += n
		c.state.NaN += n
		return
	}
	x += 0 // −0 and 0 are one value
	c.state.number(x, 0, n)
	if math.IsInf(x, 0) {
		return
	}
	c.put(ordered(x)>>c.drop, group{n, x, x})
}

// Missing counts n rows without a value, WrongType n rows of another type.
func (c *Numbers) Missing(n uint64) { c.state.Rows += n; c.state.Missing += n }

// WrongType counts n rows whose value is not a number.
func (c *Numbers) WrongType(n uint64) { c.state.Rows += n; c.state.WrongType += n }

// Merge adds o.
func (c *Numbers) Merge(o *Numbers) error {
	if err := c.state.Merge(&o.state); err != nil {
		return err
	}
	for c.drop < o.drop {
		c.coarsen()
	}
	for key, g := range o.groups {
		c.put(key>>(c.drop-o.drop), g) // put may coarsen, so the shift is looked up each time
	}
	return nil
}

func (c *Numbers) put(key uint64, g group) {
	if have, ok := c.groups[key]; ok {
		g = group{have.count + g.count, math.Min(have.lo, g.lo), math.Max(have.hi, g.hi)}
	}
	c.groups[key] = g
	for len(c.groups) > c.limit {
		c.coarsen()
	}
}

func (c *Numbers) coarsen() {
	c.drop++
	next := make(map[uint64]group, len(c.groups)/2)
	for key, g := range c.groups {
		if have, ok := next[key>>1]; ok {
			g = group{have.count + g.count, math.Min(have.lo, g.lo), math.Max(have.hi, g.hi)}
		}
		next[key>>1] = g
	}
	c.groups = next
}

// ordered maps finite floats to integers in the same order.
func ordered(x float64) uint64 {
	b := math.Float64bits(x)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

// Column freezes the cells and counts the baseline on them.
func (c *Numbers) Column(name string) Column { return c.column(name, false) }

func (c *Numbers) column(name string, score bool) Column {
	groups := make([]group, 0, len(c.groups))
	for _, g := range c.groups {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b group) int { return cmp.Compare(a.lo, b.lo) })
	col := Column{Name: name, Kind: Numeric, Score: score, Bins: newBins(groups), State: c.state,
		Few: len(groups) <= FewDistinct && c.drop == 0, Distinct: uint64(len(groups))}
	col.State.Cells = make([]uint64, col.Bins.Len())
	for _, g := range groups {
		col.State.Cells[col.index(g.lo)] += g.count
		if c.drop == 0 {
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
