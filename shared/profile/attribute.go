package profile

import (
	"math"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// A code is what one row holds of one column: a cell, or one of these.
const (
	codeMissing uint16 = math.MaxUint16 - iota
	codeNaN
	codeWrong
)

// coder is a [Sink] of one column that keeps the code of the last value, and the
// group of the cluster that the value marks.
type coder struct {
	column *Column
	code   uint16
	group  uint8
	hash   uint64 // of the value
}

func (c *coder) Columns() []string { return []string{c.column.Name} }
func (c *coder) Kind(int) Kind     { return c.column.Kind }

func (c *coder) Missing(int, uint64)   { c.code, c.group = codeMissing, 0 }
func (c *coder) WrongType(int, uint64) { c.code, c.group = codeWrong, 0 }

func (c *coder) Number(_ int, x float64, _ uint64) {
	switch {
	case x != x:
		c.code, c.group = codeNaN, 0
	case c.column.Kind == Numeric:
		x = round(x, c.column.Bits) + 0
		c.hash = math.Float64bits(x)
		c.code, c.group = uint16(c.column.index(x)), groupOf(c.hash)
	default:
		c.Text(0, strconv.FormatFloat(x, 'f', -1, 64), 1)
	}
}

func (c *coder) Text(_ int, v string, _ uint64) {
	switch {
	case v == "":
		c.Missing(0, 1)
	case c.column.Kind == Numeric:
		c.WrongType(0, 1)
	default:
		c.hash = xxhash.Sum64String(v)
		c.code, c.group = uint16(c.column.Cells.Unseen()), groupOf(c.hash)
		if !c.column.Identifier {
			c.code = uint16(c.column.Cells.index(c.hash >> (64 - seenBits)))
		}
	}
}

// groupOf deals values out to groups 1…ClusterGroups−1; rows without a value are
// group 0, one cluster. The hash is mixed, so that it says nothing of a value's cell.
func groupOf(h uint64) uint8 {
	h = (h ^ h>>31) * 0x9e3779b97f4a7c15
	h = (h ^ h>>29) * 0xbf58476d1ce4e5b9
	return uint8(1 + (h>>32)*(ClusterGroups-1)>>32)
}

// keys are what rows, one after the other, are split by. A nil list stands for
// rows of which it is not known.
type keys struct {
	segments [][]uint8 // by segmentation
	groups   []uint8
}

func (k *keys) reset(segmentations int) {
	if len(k.segments) != segmentations {
		k.segments = make([][]uint8, segmentations)
	}
	for i := range k.segments {
		k.segments[i] = k.segments[i][:0]
	}
	k.groups = k.groups[:0]
}

// segment is the segment of a row whose segmentation's column holds code.
func (s *Segmentation) segment(code uint16) uint8 {
	switch code {
	case codeMissing, codeNaN:
		return uint8(len(s.Values) + 1)
	case codeWrong:
		return uint8(len(s.Values))
	}
	return uint8(s.of[code])
}

// values are what rows hold of one column.
type values struct {
	codes  []uint16
	groups []uint8
	hashes []uint64
}

func (v *values) reset() { v.codes, v.groups, v.hashes = v.codes[:0], v.groups[:0], v.hashes[:0] }

func (v *values) add(c *coder) {
	v.codes, v.groups, v.hashes = append(v.codes, c.code), append(v.groups, c.group), append(v.hashes, c.hash)
}

// attribute counts the codes of a column, of rows that lie one after the other in k from at on.
func (t *Tally) attribute(col int, v *values, k *keys, at int) {
	codes := v.codes
	n := len(t.baseline.Columns)
	for s, parts := range t.Split.Segments {
		if of := k.segments[s]; of != nil {
			for i, code := range codes {
				parts[int(of[at+i])*n+col].add(code)
			}
		}
	}
	if cl := t.baseline.Cluster; cl != nil && k.groups != nil {
		width, into, coarse := cl.Width(col), t.Split.Clusters[col], cl.coarse[col]
		for i, code := range codes {
			cell := width - 2
			switch code {
			case codeMissing, codeNaN:
			case codeWrong:
				cell++
			default:
				cell = int(coarse[code])
			}
			into[int(k.groups[at+i])*width+cell]++
		}
	}
	if t.solitary != nil && t.solitary[col] != nil && k.groups != nil {
		for i, code := range codes {
			if code < codeWrong {
				t.solitary.add(col, v.hashes[i], 1, k.groups[at+i])
			}
		}
	}
}

func (p *Part) add(code uint16) {
	p.Rows++
	switch code {
	case codeMissing:
		p.Missing++
	case codeNaN:
		p.NaN++
	case codeWrong:
		p.WrongType++
	default:
		p.Cells[code]++
	}
}

// byRow is a [Sink] that counts on a tally and keeps the codes of the rows until a
// block of them is attributed. Its values come one row at a time: see next.
type byRow struct {
	*Tally
	coders []coder
	values []values // by column
	rows   int
	keys   keys
}

// rowBlock is the number of rows that are attributed together.
const rowBlock = 512

// rowSink is what readers of rows hand values to instead of s. next is called
// behind each row, done behind the last.
func rowSink(s Sink) (sink Sink, next, done func()) {
	t, ok := s.(*Tally)
	if !ok || t.Split == nil {
		return s, func() {}, func() {}
	}
	r := &byRow{Tally: t, coders: t.coders(), values: make([]values, len(t.States))}
	return r, r.next, r.attributeAll
}

func (t *Tally) coders() []coder {
	coders := make([]coder, len(t.States))
	for i := range coders {
		coders[i].column = &t.baseline.Columns[i]
	}
	return coders
}

func (r *byRow) note(col int) {
	r.values[col].add(&r.coders[col])
}

func (r *byRow) Number(col int, x float64, n uint64) {
	r.Tally.Number(col, x, n)
	r.coders[col].Number(0, x, n)
	r.note(col)
}

func (r *byRow) Text(col int, v string, n uint64) {
	r.Tally.Text(col, v, n)
	r.coders[col].Text(0, v, n)
	r.note(col)
}

func (r *byRow) Missing(col int, n uint64) {
	r.Tally.Missing(col, n)
	r.coders[col].Missing(0, n)
	r.note(col)
}

func (r *byRow) WrongType(col int, n uint64) {
	r.Tally.WrongType(col, n)
	r.coders[col].WrongType(0, n)
	r.note(col)
}

func (r *byRow) next() {
	if r.rows++; r.rows == rowBlock {
		r.attributeAll()
	}
}

// attributeAll counts the rows of the block. A column that the source does not
// hold has no codes: its rows are missing.
func (r *byRow) attributeAll() {
	for col := range r.values {
		if len(r.values[col].codes) == 0 {
			for range r.rows {
				r.coders[col].Missing(0, 1)
				r.note(col)
			}
		}
	}
	r.keys.reset(len(r.baseline.Segments))
	for s := range r.baseline.Segments {
		by := &r.baseline.Segments[s]
		for _, code := range r.values[by.col].codes {
			r.keys.segments[s] = append(r.keys.segments[s], by.segment(code))
		}
	}
	if cl := r.baseline.Cluster; cl != nil {
		r.keys.groups = append(r.keys.groups, r.values[cl.col].groups...)
	}
	for col := range r.values {
		r.attribute(col, &r.values[col], &r.keys, 0)
		r.values[col].reset()
	}
	r.rows = 0
}
