package outcome

import (
	"fmt"
	"io"
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
)

// requested are the labels by the client's own request id. They cannot be told apart
// by part, so they are all held, from the first part on.
type requested struct {
	read   bool
	labels map[askedRow]*askedLabel
}

type askedRow struct {
	hash uint64
	row  int // −1 when the id names none
}

type askedLabel struct {
	value   float64
	at      int64 // of the one that counts
	since   int64 // of the first
	lines   uint64
	differs bool
	matched bool
}

const askedBytes = 128 // of an entry, with its part of the map

func askedHash(id string) uint64 { return xxhash.Sum64String(id) | 1 }

// labels attaches the labels of the part to the rows that are held.
func (p *part) labels() error {
	if err := p.each(p.objects.labels, p.labelsObject); err != nil {
		return err
	}
	p.asked.read = true
	for row, l := range p.asked.labels {
		if p.attachAsked(row, l) {
			l.matched = true
		}
	}
	return nil
}

func (p *part) labelsObject(o object, body io.Reader) error {
	src := &watched{r: body}
	sc := label.NewScanner(src)
	for n := 1; sc.Scan(); n++ {
		if n%1024 == 0 && p.ctx.Err() != nil {
			return p.ctx.Err()
		}
		if err := p.label(sc.Record(), o.Key, n); err != nil {
			return err
		}
	}
	if src.err != nil {
		return fault.Wrap(src.err, fault.Unavailable, "filed labels could not be read to their end; try again")
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("outcome: %s: %w", o.Key, err)
	}
	return nil
}

func (p *part) label(r *label.Record, key string, line int) error {
	base, row, found := label.SplitID(r.ID)
	if !found {
		row = -1
	}
	if r.Request {
		if p.asked.read {
			return nil
		}
		return p.ask(r, askedRow{askedHash(base), row}, key, line)
	}
	id := KeyOf(base)
	if !p.mine(id) {
		return nil
	}
	p.counts.Labels++
	value, ok := p.value(r, key, line)
	if !ok {
		return nil
	}
	matched := false
	at := r.TS.UnixMilli()
	for i := p.store.find(id); i != 0; i = p.store.record(i - 1).next {
		matched = p.set(p.store.record(i-1), row, known{value, at, at}, matched) || matched
	}
	if !matched {
		p.counts.LabelsUnmatched++
	}
	return nil
}

// value is the number of a label.
func (p *part) value(r *label.Record, key string, line int) (float64, bool) {
	value := p.h.Spec.label(p.classes, r.Label)
	if math.IsNaN(value) {
		p.counts.LabelsUnusable++
		what := "the label is none of the classes"
		if p.classes == nil {
			what = "the label is no number"
		}
		least(&p.counts.First.Label, fmt.Sprintf("%s, line %d: %s", key, line, what))
		return 0, false
	}
	return value, true
}

// known is a label of a row: when it became known, and when the first one of the row did. The one that
// counts is the last, but how long labels take is told by the first: a label that is sent again, or
// corrected, did not take longer.
type known struct {
	value     float64
	at, since int64 // milliseconds since 1970
}

// set gives a row of a record its label; false when the record does not have the row. A label is counted at the
// first record that has it: the others of its id are other versions of the same row.
func (p *part) set(rec *held, row int, l known, counted bool) bool {
	if row < 0 {
		if rec.total != 1 {
			return false
		}
		row = 0
	} else if rec.total == 1 {
		return false
	}
	i := uint32(row) - rec.first
	if uint32(row) < rec.first || i >= rec.rows {
		return false
	}
	if rec.unread {
		return true
	}
	words := p.store.row(rec.offset + i)[p.store.scores:]
	if words[wordState]&flagLabelled == 0 {
		words[wordState] |= flagLabelled
		words[wordLabel], words[wordAt], words[wordSince] = math.Float64bits(l.value), uint64(l.at), uint64(l.since)
		return true
	}
	was, wasAt := math.Float64frombits(words[wordLabel]), int64(words[wordAt])
	if !counted {
		p.counts.LabelDuplicates++
	}
	if was != l.value {
		words[wordState] |= flagConflict
	}
	if p.classes.newer(l.value, l.at, was, wasAt) {
		words[wordLabel], words[wordAt] = math.Float64bits(l.value), uint64(l.at)
	}
	words[wordSince] = uint64(min(int64(words[wordSince]), l.since))
	return true
}

// ask holds a label by request id.
func (p *part) ask(r *label.Record, row askedRow, key string, line int) error {
	p.counts.Labels++
	value, ok := p.value(r, key, line)
	if !ok {
		return nil
	}
	if p.asked.labels == nil {
		p.asked.labels = map[askedRow]*askedLabel{}
	}
	at := r.TS.UnixMilli()
	l, held := p.asked.labels[row]
	if !held {
		p.asked.labels[row] = &askedLabel{value: value, at: at, since: at, lines: 1}
		if int64(len(p.asked.labels))*askedBytes > p.budget/2 {
			return errBudget
		}
		return nil
	}
	l.lines++
	l.differs = l.differs || l.value != value
	l.since = min(l.since, at)
	if p.classes.newer(value, at, l.value, l.at) {
		l.value, l.at = value, at
	}
	return nil
}

// attachAsked gives a label by request id to the rows that have it. A client may
// have used an id twice within the hour: then all rows of it get the label.
func (p *part) attachAsked(row askedRow, l *askedLabel) (matched bool) {
	for i := p.store.askedFor(row.hash); i != 0; i = p.store.askedNext[i-1] {
		rec := p.store.record(i - 1)
		if !p.set(rec, row.row, known{l.value, l.at, l.since}, matched || l.matched) {
			continue
		}
		matched = true
		if words := p.rowOf(rec, row.row); words != nil && l.differs {
			words[wordState] |= flagConflict
		}
	}
	return matched
}

// rowOf is the words behind the scores of a row that set has found.
func (p *part) rowOf(rec *held, row int) []uint64 {
	if rec.unread {
		return nil
	}
	return p.store.row(rec.offset + uint32(max(row, 0)) - rec.first)[p.store.scores:]
}

// finish settles the counts that are known at the end of the hour.
func (p *part) finish() {
	for _, l := range p.asked.labels {
		if l.matched {
			p.counts.LabelDuplicates += l.lines - 1
		} else {
			p.counts.LabelsUnmatched += l.lines
		}
	}
	c := &p.counts
	if left := int64(c.Labels - c.LabelsUnusable - c.LabelsUnmatched - c.LabelDuplicates - c.Labelled); left > 0 {
		c.LabelsWithoutRows = uint64(left) // a request id that was used twice labels more rows than there are labels
	}
}
