package quality

import (
	"fmt"
	"math"

	"github.com/tidegate/tidegate/shared/sketch"
)

// pageSize is the number of cells that are allocated at once: a cache line of counts.
const pageSize = 16

// group is what the judged rows of one key group or time block counted. Its cells
// are paged, so that a group of few rows takes memory for these rows only. A cell
// holds up to 2^32 − 1 rows.
type group struct {
	rows   uint64
	scored uint64   // rows whose losses are in sums
	pages  []uint32 // by cell/pageSize: 1 + the page's number in pool, or 0
	pool   []uint32
	sums   [losses]fixed
	// numbers are the sums of a regression.
	numbers *[moments]sketch.Sum
}

// The sums of losses of a classification's rows.
const (
	logLoss = iota
	brier   // binary only
	losses
)

// The sums of a regression's rows; e is prediction − label, y the label.
const (
	sumError = iota
	sumAbsolute
	sumSquare
	sumLabel
	sumLabelSquare
	sumRatio // |e/y|, of rows with y ≠ 0
	moments
)

func newGroup(width int) *group {
	if width == 0 {
		return &group{numbers: new([moments]sketch.Sum)}
	}
	return &group{pages: make([]uint32, (width+pageSize-1)/pageSize)}
}

// count adds n rows to a cell.
func (g *group) count(cell int, n uint32) *uint32 {
	p := g.pages[cell/pageSize]
	if p == 0 {
		g.pool = append(g.pool, make([]uint32, pageSize)...)
		p = uint32(len(g.pool) / pageSize)
		g.pages[cell/pageSize] = p
	}
	c := &g.pool[int(p-1)*pageSize+cell%pageSize]
	*c += n
	return c
}

// each calls f for every cell with rows, in order.
func (g *group) each(f func(cell int, n uint32)) {
	for i, p := range g.pages {
		if p == 0 {
			continue
		}
		for k, n := range g.pool[int(p-1)*pageSize : int(p)*pageSize] {
			if n > 0 {
				f(i*pageSize+k, n)
			}
		}
	}
}

func (g *group) merge(o *group) error {
	g.rows += o.rows
	g.scored += o.scored
	for i := range g.sums {
		g.sums[i].merge(o.sums[i])
	}
	if g.numbers != nil {
		for i := range g.numbers {
			g.numbers[i].Merge(&o.numbers[i])
		}
	}
	var err error
	o.each(func(cell int, n uint32) {
		if c := g.count(cell, 0); uint64(*c)+uint64(n) > math.MaxUint32 {
			err = fmt.Errorf("quality: more than %d rows in one cell", uint32(math.MaxUint32))
		} else {
			*c += n
		}
	})
	return err
}

// groups are the groups of one kind by number, nil where there is no row. A state
// without groups, such as a reference's, has nil groups.
type groups []*group

func (gs groups) at(i, width int) *group {
	if gs[i] == nil {
		gs[i] = newGroup(width)
	}
	return gs[i]
}

func (gs groups) merge(o groups, width int) error {
	for i, g := range o {
		if g == nil {
			continue
		}
		if err := gs.at(i, width).merge(g); err != nil {
			return err
		}
	}
	return nil
}
