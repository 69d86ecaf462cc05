package evaluation

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/outcome"
)

const (
	maxValues = outcome.MaxSegmentValues // of a column; above, it is no segment
	maxName   = 128                      // bytes of a value's name
)

// column is the states of one segment column. How many values are kept does not
// depend on the order of the rows: with chosen values they have states and all
// others share one; without, each value has states while there are at most limit of
// them in all, and from the next one on none has, as it would have been had that
// value come first.
type column struct {
	name   string
	chosen bool
	cut    bool // values have states
	full   bool // more than maxValues: not even the names are kept
	limit  int
	values map[string]*value
	other  value // the values that are not chosen

	numbers []*value // of the join that is added, by number
	beyond  value    // of the numbers of a full column; never counted
}

// value is one value of a segment column.
type value struct {
	name   string
	rows   uint64
	kept   bool
	states []*quality.State // by group
}

func newColumn(name string, p *plan) *column {
	c := &column{name: name, cut: true, limit: 2 * p.Policy.MaxSegments, values: map[string]*value{}}
	if chosen, ok := p.Chosen[name]; ok {
		c.chosen = true
		for _, v := range chosen {
			c.values[v] = &value{name: v, kept: true}
		}
	}
	return c
}

// tidy is a value's name as it is stored: JSON text, and not too long.
func tidy(name string) string {
	if len(name) > maxName {
		name = name[:maxName]
		for !utf8.ValidString(name) && len(name) > maxName-utf8.UTFMax {
			name = name[:len(name)-1]
		}
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}

// add counts a row of the value with a number. The row's state is counted by the caller.
func (c *column) add(t *Tally, number uint32, at int, of *cell, r *quality.Row) {
	for int(number) >= len(c.numbers) {
		c.numbers = append(c.numbers, nil)
	}
	v := c.numbers[number]
	if v == nil {
		v = c.value(tidy(t.view.names.Name(at, number)))
		c.numbers[number] = v
	}
	v.rows++
	if !c.cut {
		return
	}
	if !v.kept {
		v = &c.other
	}
	v.state(of.group, of.layout).Add(r)
}

// value finds or makes the value of a name.
func (c *column) value(name string) *value {
	if c.full {
		return &c.beyond
	}
	if v := c.values[name]; v != nil {
		return v
	}
	if len(c.values) >= maxValues {
		c.overflow()
		return &c.beyond
	}
	v := &value{name: name, kept: !c.chosen}
	c.values[name] = v
	if c.cut && !c.chosen && len(c.values) > c.limit {
		c.drop()
	}
	return v
}

// drop forgets the states: there are too many values, and which came first is chance.
func (c *column) drop() {
	c.cut = false
	for _, v := range c.values {
		v.states = nil
	}
}

// overflow forgets the names, too, but for those that were chosen.
func (c *column) overflow() {
	c.full = true
	if !c.chosen {
		c.drop()
	}
	for name, v := range c.values {
		if !c.chosen || !v.kept {
			delete(c.values, name)
		}
	}
	for i, v := range c.numbers {
		if v != nil && (!c.chosen || !v.kept) {
			c.numbers[i] = &c.beyond
		}
	}
}

func (v *value) state(group int, l *quality.Layout) *quality.State {
	for group >= len(v.states) {
		v.states = append(v.states, nil)
	}
	if v.states[group] == nil {
		v.states[group] = quality.NewState(l)
	}
	return v.states[group]
}

// merge adds the column of another tally.
func (c *column) merge(t *Tally, from *column, o *Tally) error {
	if !from.cut && c.cut {
		c.drop()
	}
	for name, v := range from.values {
		into := c.values[name]
		if into == nil {
			into = c.value(name)
		}
		into.rows += v.rows
		if c.cut {
			if err := into.merge(t, v, o); err != nil {
				return err
			}
		}
	}
	if from.full && !c.full {
		c.overflow()
	}
	if !c.cut {
		return nil
	}
	return c.other.merge(t, &from.other, o)
}

// merge adds the states of v, a value of o.
func (into *value) merge(t *Tally, v *value, o *Tally) error {
	for g, st := range v.states {
		if st == nil {
			continue
		}
		if err := into.state(t.group(o.groups[g]), st.Layout()).Merge(st); err != nil {
			return err
		}
	}
	return nil
}

// sorted are the values by name.
func (c *column) sorted() []*value {
	return slices.SortedFunc(maps.Values(c.values), func(a, b *value) int { return cmp.Compare(a.name, b.name) })
}

// largest are the values with rows, the ones with most rows first.
func (c *column) largest() []*value {
	var out []*value
	for _, v := range c.values {
		if v.rows > 0 {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b *value) int { return cmp.Or(-cmp.Compare(a.rows, b.rows), cmp.Compare(a.name, b.name)) })
	return out
}

// Choose are the values that each segment column with too many of them should be
// cut into, the largest; again says whether rows have to be counted again with them
// to have segments at all. What was chosen before stays.
func (t *Tally) Choose() (chosen map[string][]string, again bool) {
	chosen = maps.Clone(t.plan.Chosen)
	for _, c := range t.columns {
		if c.cut || c.full {
			continue
		}
		if chosen == nil {
			chosen = map[string][]string{}
		}
		top := c.largest()
		names := make([]string, 0, t.plan.Policy.MaxSegments)
		for _, v := range top[:min(len(top), t.plan.Policy.MaxSegments)] {
			names = append(names, v.name)
		}
		slices.Sort(names)
		chosen[c.name], again = names, true
	}
	return chosen, again
}
