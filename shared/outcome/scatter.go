package outcome

import (
	"math"

	"github.com/tidegate/tidegate/shared/outcome/table"
)

// check marks rows that cannot be handed out.
func (r *fileReader) check(b *table.Batch) {
	l := &r.j.layout
	probability := r.j.classes != nil
	var scores [1]float64
	for i := range b.Rows {
		row := r.stage[i*r.width : (i+1)*r.width]
		for k := range l.count {
			scores[0] = math.Float64frombits(row[l.scores+k])
			if !usable(scores[:], probability) {
				row[rowState] |= flagBadScore
				least(&r.counts.First.Score, r.place(i, b, "the score is missing, no number, or no probability"))
				break
			}
		}
		if l.weight >= 0 {
			if w := math.Float64frombits(row[l.weight]); !(w >= 0 && w <= math.MaxFloat64) && !r.noID[i] {
				r.noID[i] = true // it is left out as a row without an id is
				r.counts.Malformed++
				least(&r.counts.First.Malformed, r.place(i, b, "the weight is missing, negative or no number"))
			}
		}
		if r.labels[i] == unusable {
			r.counts.LabelsUnusable++
		}
		if l.label >= 0 && r.labels[i] != unlabelled {
			r.counts.Labels++
		}
	}
}

// scatter moves the rows of the stage into their partitions, or hands them out when
// nothing is to be joined.
func (r *fileReader) scatter(n int) error {
	l := &r.j.layout
	if r.j.Names.ID == "" {
		for i := range n {
			if r.noID[i] {
				continue
			}
			if err := r.out.single(r.stage[i*r.width:(i+1)*r.width], r.keys[i], r.labels[i] == labelled); err != nil {
				return err
			}
		}
		return nil
	}
	parts, spread := &r.j.rowsOf[r.worker], r.j.spread
	for i := range n {
		if r.noID[i] {
			continue
		}
		k := r.keys[i]
		row := r.stage[i*r.width : (i+1)*r.width]
		row[rowHi], row[rowLo] = k.Hi, k.Lo
		if l.label >= 0 && r.labels[i] == labelled {
			row[rowState] |= flagLabelled
		}
		copy(parts.add(spread.of(k.Hash())), row)
	}
	return nil
}

// labelBatch takes a batch of a file of labels.
func (r *fileReader) labelBatch(b *table.Batch) error {
	for c := range b.Columns {
		v := &b.Columns[c]
		switch w := r.part.wanted[c]; w.role {
		case roleID:
			if err := r.identify(b, w, v); err != nil {
				return err
			}
		case roleLabel:
			r.label(b, labelValue, v)
		case roleLabelTime:
			r.times(labelKnown, v)
		}
	}
	parts, spread := &r.j.labels[r.worker], r.j.spread
	for i := range b.Rows {
		if r.noID[i] {
			continue
		}
		r.counts.Labels++
		if r.labels[i] != labelled {
			r.counts.LabelsUnusable++
			if r.labels[i] == unlabelled {
				least(&r.counts.First.Label, r.place(i, b, noLabel))
			}
			continue
		}
		k := r.keys[i]
		row := r.stage[i*r.width : (i+1)*r.width]
		row[labelHi], row[labelLo] = k.Hi, k.Lo
		copy(parts.add(spread.of(k.Hash())), row)
	}
	return nil
}
