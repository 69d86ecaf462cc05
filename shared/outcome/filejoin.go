package outcome

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// joinParts joins the partitions, each by one worker.
func (j *filesJoin) joinParts() error {
	if j.Names.ID == "" {
		j.settle()
		return nil
	}
	joins := make([]partJoin, j.workers)
	for w := range joins {
		joins[w] = partJoin{j: j, width: j.layout.words, out: j.readers[w].out}
	}
	err := j.each(j.spread.partitions(), func(worker, i int) error {
		if err := j.ctx.Err(); err != nil {
			return err
		}
		return joins[worker].join(i)
	})
	for w := range joins {
		if err == nil {
			err = joins[w].out.flush()
		}
		j.counts.Merge(&j.readers[w].counts)
	}
	j.settle()
	return err
}

// settle sets the counts that follow from the others.
func (j *filesJoin) settle() {
	c := &j.counts
	if left := int64(c.Labels - c.LabelsUnusable - c.LabelsUnmatched - c.LabelDuplicates - c.Labelled); left > 0 {
		c.LabelsWithoutRows = uint64(left)
	}
}

// partJoin joins one partition after the other.
type partJoin struct {
	j     *filesJoin
	width int
	out   *fileEmitter

	rows  []uint64
	more  []rowMore
	times []labelTimes // beside more; empty when labels come without times
	none  labelTimes   // stands for those then, and stays empty
	slots []uint32     // place+1 of the first row of an id, by open addressing
}

// rowMore is what the join finds out about a row.
type rowMore struct {
	label    float64
	next     uint32 // place+1 of the row of another source
	again    uint32 // labels of rows that are equal to it
	dropped  bool   // a repeated row
	member   bool   // it is in the chain of another
	differs  bool
	labelled bool
	conflict bool
}

// labelTimes are when labels of a row became known, milliseconds since 1970; 0 is not known.
type labelTimes struct {
	at    int64 // of the label that counts
	since int64 // of the first
}

// timesOf are those of the labels of row i.
func (p *partJoin) timesOf(i uint32) *labelTimes {
	if len(p.times) == 0 {
		return &p.none
	}
	return &p.times[i]
}

func (p *partJoin) join(partition int) error {
	p.gather(partition)
	for i := range p.more {
		p.insert(uint32(i))
	}
	for w := range p.j.labels {
		for _, chunk := range p.j.labels[w].chunks[partition] {
			for at := 0; at < len(chunk); at += p.j.layout.labelWords {
				p.attach(chunk[at : at+p.j.layout.labelWords])
			}
		}
		p.j.labels[w].chunks[partition] = nil
	}
	return p.emit()
}

// gather copies the rows of a partition to where they lie close together.
func (p *partJoin) gather(partition int) {
	p.rows = p.rows[:0]
	for w := range p.j.rowsOf {
		for _, chunk := range p.j.rowsOf[w].chunks[partition] {
			p.rows = append(p.rows, chunk...)
		}
		p.j.rowsOf[w].chunks[partition] = nil
	}
	n := len(p.rows) / p.width
	p.more = grown(p.more, n)
	clear(p.more)
	if p.j.layout.timed() {
		p.times = grown(p.times, n)
		clear(p.times)
	}
	p.slots = grown(p.slots, 1<<bits.Len(uint(n+n/2)))
	clear(p.slots)
	l := &p.j.layout
	if l.label < 0 {
		return
	}
	for i := range p.more {
		row, m := p.row(uint32(i)), &p.more[i]
		if row[rowState]&flagLabelled != 0 {
			m.labelled, m.label = true, math.Float64frombits(row[l.label])
			if l.labelAt >= 0 {
				at := int64(row[l.labelAt])
				p.times[i] = labelTimes{at, at}
			}
		}
	}
}

func (p *partJoin) row(i uint32) []uint64 {
	at := int(i) * p.width
	return p.rows[at : at+p.width]
}

// slot is where the rows of a key hang, or could.
func (p *partJoin) slot(hi, lo uint64) int {
	mask := len(p.slots) - 1
	// Neither the low nor the high bits of the hash: rows of a partition have them in common.
	for at := int(Key{hi, lo}.Hash()>>16) & mask; ; at = (at + 1) & mask {
		head := p.slots[at]
		if head == 0 {
			return at
		}
		if row := p.rows[int(head-1)*p.width:]; row[rowLo] == lo && row[rowHi] == hi {
			return at
		}
	}
}

// insert finds the place of a row among those of its id.
func (p *partJoin) insert(i uint32) {
	row := p.row(i)
	slot := p.slot(row[rowHi], row[rowLo])
	head := p.slots[slot]
	if head == 0 {
		p.slots[slot] = i + 1
		return
	}
	for at := head; at != 0; at = p.more[at-1].next {
		if old := p.row(at - 1); old[rowState]>>stateSource == row[rowState]>>stateSource {
			p.repeated(at-1, i)
			return
		}
	}
	p.more[i].next, p.more[head-1].next = p.more[head-1].next, i+1
	p.more[i].member = true
}

// repeated settles which of two rows of an id and a source counts: the later one, else
// the one whose values are greater, so that the order does not decide. The winner is put
// into the place of the first.
func (p *partJoin) repeated(first, second uint32) {
	a, b := p.row(first), p.row(second)
	p.out.counts.Repeated++
	p.more[second].dropped = true
	m := &p.more[first]
	order := p.order(a, b)
	if order == 0 {
		if m.labelled {
			p.out.counts.LabelDuplicates++
			m.again++
		}
		return
	}
	m.differs = true
	if order > 0 {
		return
	}
	p.out.counts.LabelDuplicates -= uint64(m.again) // as if the greater one had come first
	copy(a, b)
	m.label, m.labelled, m.again = p.more[second].label, p.more[second].labelled, 0
	*p.timesOf(first) = *p.timesOf(second)
}

// order compares two rows of an id by what their file says, and not by the numbers of
// their segments: those are given in the order in which values are read.
func (p *partJoin) order(a, b []uint64) int {
	l := &p.j.layout
	if at := l.at; at >= 0 && a[at] != b[at] {
		return cmp.Compare(int64(a[at]), int64(b[at]))
	}
	if l.segments < 0 {
		return slices.Compare(a, b)
	}
	if order := slices.Compare(a[:l.segments], b[:l.segments]); order != 0 {
		return order
	}
	for k := range p.j.spec.Segments {
		if x, y := l.segment(a, k), l.segment(b, k); x != y {
			return strings.Compare(p.j.segments.Name(k, x), p.j.segments.Name(k, y))
		}
	}
	return 0
}

// attach gives a label to the rows of its id.
func (p *partJoin) attach(l []uint64) {
	head := p.slots[p.slot(l[labelHi], l[labelLo])]
	if head == 0 {
		p.out.counts.LabelsUnmatched++
		return
	}
	value, at := math.Float64frombits(l[labelValue]), int64(0)
	if len(l) > labelKnown {
		at = int64(l[labelKnown])
	}
	for k := head; k != 0; k = p.more[k-1].next {
		m, times := &p.more[k-1], p.timesOf(k-1)
		if !m.labelled {
			m.labelled, m.label = true, value
			*times = labelTimes{at, at}
			continue
		}
		if k == head {
			p.out.counts.LabelDuplicates++
		}
		m.conflict = m.conflict || m.label != value
		if p.j.classes.newer(value, at, m.label, times.at) {
			m.label, times.at = value, at
		}
		if at != 0 && (times.since == 0 || at < times.since) {
			times.since = at
		}
	}
}

// emit hands out the rows of the partition, those of an id together.
func (p *partJoin) emit() error {
	for i := range p.more {
		m := &p.more[i]
		if m.dropped || m.member {
			continue
		}
		var err error
		if m.next == 0 {
			err = p.out.row(p.row(uint32(i)), m, p.timesOf(uint32(i)).since)
		} else {
			err = p.out.several(p, uint32(i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
