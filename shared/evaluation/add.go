package evaluation

import (
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
)

// view is what is remembered of a join while its batches are added: so that a row
// costs neither a search nor an allocation.
type view struct {
	names    Names
	origins  map[*outcome.Origin]*cell
	requests []*cell // by request of the batch
	row      quality.Row
	paired   []bool // by row: it is in a pair
	segment  []int  // of the comparison, by number; −1 is not yet known
}

// Add counts the rows, requests and pairs of a batch. names are those of the join
// that the batch comes from. Errors: InvalidArgument, the batch does not fit the
// setup, or there are too many different weights; FailedPrecondition, too many pairs.
func (t *Tally) Add(b *outcome.Batch, names Names) error {
	if err := t.begin(b, names); err != nil {
		return err
	}
	for i := range b.Requests {
		t.addRequest(&b.Requests[i], t.view.requests[i])
	}
	for i := range b.Rows {
		if err := t.addRow(b, i); err != nil {
			return err
		}
	}
	if t.pairs == nil {
		return nil
	}
	return t.addPairs(b)
}

// AddRows counts the rows of a batch whose places are given, and neither requests
// nor pairs: for windows that are cut out of a table.
func (t *Tally) AddRows(b *outcome.Batch, names Names, rows []uint32) error {
	if err := t.begin(b, names); err != nil {
		return err
	}
	for _, i := range rows {
		if err := t.addRow(b, int(i)); err != nil {
			return err
		}
	}
	return nil
}

// begin finds the states of the batch's requests.
func (t *Tally) begin(b *outcome.Batch, names Names) error {
	v := &t.view
	if v.names != names || v.origins == nil { // another join has its own origins and numbers
		*v = view{names: names, origins: map[*outcome.Origin]*cell{}, requests: v.requests, paired: v.paired}
		for _, c := range t.columns {
			c.numbers = c.numbers[:0]
		}
	}
	if len(b.Segments) < len(t.columns) || t.plan.pairs >= len(b.Segments) {
		return fault.New(fault.InvalidArgument, "the rows have %d segment columns, and %d are needed: join with Setup.SegmentColumns", len(b.Segments), len(t.plan.SegmentColumns()))
	}
	if k := len(t.plan.classes); b.Scores != nil && len(b.Scores) != k*b.Rows {
		return fault.New(fault.InvalidArgument, "the rows have %d scores each, and there are %d classes", len(b.Scores)/max(1, b.Rows), k)
	}
	v.requests = v.requests[:0]
	for i := range b.Requests {
		o := b.Requests[i].Origin
		c := v.origins[o]
		if c == nil {
			var err error
			if c, err = t.cell(cellKey{o.Version, o.Slot, o.Role, o.Sampled}); err != nil {
				return err
			}
			v.origins[o] = c
		}
		v.requests = append(v.requests, c)
	}
	return nil
}

// addRequest counts a request, once however many records its rows were split into.
func (t *Tally) addRequest(r *outcome.Request, c *cell) {
	if r.Again || r.First > 0 {
		return
	}
	c.requests++
	failed := r.Origin.Failed()
	latency := time.Duration(r.LatencyUS) * time.Microsecond
	if failed {
		c.errors++
	} else if r.LatencyUS > 0 {
		c.latencies.Add(latency)
	}
	if c.side >= 0 && c.role == capture.Served {
		// A refused one is counted as such by the comparison.
		_ = t.pairs.AddRequest(comparison.Side(c.side), time.UnixMilli(r.At), failed, latency)
	}
}

func (t *Tally) addRow(b *outcome.Batch, i int) error {
	v := &t.view
	c := v.requests[b.Request[i]]
	if w := b.Weight[i]; w != c.weight {
		var err error
		if c, err = t.weighted(c, w); c == nil {
			return err
		}
	}
	r := &v.row
	t.plan.reading.row(b, i, r)
	if c.state == nil {
		c.state = quality.NewState(c.layout)
	}
	c.state.Add(r)
	if r.Labelled && c.role == capture.Served && b.LabelAt[i] > 0 && b.At[i] > 0 {
		t.delays.add(b.LabelAt[i] - b.At[i])
	}
	if c.group < 0 {
		return nil
	}
	for k, col := range t.columns {
		col.add(t, b.Segments[k][i], k, c, r)
	}
	return nil
}

// weighted is the state of rows that weigh w, nil if they cannot be counted.
func (t *Tally) weighted(c *cell, w float64) (*cell, error) {
	switch {
	case w == 0:
		t.notes.ZeroWeights++
		return nil, nil
	case !(w > 1e-9 && w < 1e9):
		t.notes.BadWeights++
		return nil, nil
	}
	k := c.cellKey
	k.sampled = 1 / w
	return t.cell(k)
}

// addPairs counts the pairs of the versions that are compared, and what each of them
// answered alone.
func (t *Tally) addPairs(b *outcome.Batch) error {
	v := &t.view
	if cap(v.paired) < b.Rows {
		v.paired = make([]bool, b.Rows)
	}
	v.paired = v.paired[:b.Rows]
	clear(v.paired)
	for _, p := range b.Pairs {
		a, c := v.requests[b.Request[p.Served]].side, v.requests[b.Request[p.Paired]].side
		if a < 0 || c < 0 || a == c {
			t.notes.OtherPairs++
			continue
		}
		v.paired[p.Served], v.paired[p.Paired] = true, true
		if err := t.addPair(b, p, a); err != nil {
			return err
		}
	}
	for i := range b.Rows {
		c := v.requests[b.Request[i]]
		if c.side < 0 || !t.comparable(b, i) {
			continue
		}
		if !v.paired[i] {
			t.pairs.AddUnmatched(comparison.Side(c.side), 1)
		}
		if c.role != capture.Served || t.plan.Pairing.Spec.Pinned || c.slot != registry.Champion && c.slot != registry.Challenger {
			continue
		}
		label, target := t.truth(b, i)
		_ = t.pairs.AddServed(comparison.Side(c.side), time.UnixMilli(b.At[i]), label, target, t.answer(b, i, label)) // counted as refused
	}
	return nil
}

// comparable says whether a row has a label that counts.
func (t *Tally) comparable(b *outcome.Batch, i int) bool {
	return b.Label[i] == b.Label[i] && (b.At[i] == 0 || b.At[i] < t.plan.reading.mature)
}

func (t *Tally) addPair(b *outcome.Batch, p outcome.Pair, served int) error {
	i := int(p.Served)
	if b.Label[i] != b.Label[i] {
		return nil
	}
	if !t.comparable(b, i) {
		t.notes.YoungPairs++
		return nil
	}
	label, target := t.truth(b, i)
	row := comparison.Row{Time: time.UnixMilli(b.At[i]), Group: int(b.Cluster[i] % comparison.KeyGroups), Label: label, Target: target, Segment: t.pairSegment(b, i)}
	row.Champion, row.Challenger = t.answer(b, i, label), t.answer(b, int(p.Paired), label)
	if comparison.Side(served) == comparison.Challenger {
		row.Champion, row.Challenger = row.Challenger, row.Champion
	}
	if err := t.pairs.Add(&row); fault.Is(err, fault.FailedPrecondition) {
		return err // too many; any other refusal is counted
	}
	return nil
}

// pairSegment is the segment of a pair.
func (t *Tally) pairSegment(b *outcome.Batch, i int) int {
	k := t.plan.pairs
	if k < 0 {
		return t.pairs.Segment("")
	}
	v, n := &t.view, int(b.Segments[k][i])
	for len(v.segment) <= n {
		v.segment = append(v.segment, -1)
	}
	if v.segment[n] < 0 {
		v.segment[n] = t.pairs.Segment(tidy(v.names.Name(k, uint32(n))))
	}
	return v.segment[n]
}

func (t *Tally) truth(b *outcome.Batch, i int) (label int, target float64) {
	if t.plan.Task == quality.Regression {
		return 0, b.Label[i]
	}
	return int(b.Label[i]), 0
}

// answer is what was predicted in a row whose true class is label.
func (t *Tally) answer(b *outcome.Batch, i, label int) comparison.Answer {
	a := comparison.Answer{Class: -1}
	if b.Predicted != nil {
		a.Class = int(b.Predicted[i])
	}
	switch t.plan.Task {
	case quality.Regression:
		return comparison.Answer{Score: b.Score[i]}
	case quality.Binary:
		if b.Score == nil {
			return a
		}
		if a.Score = b.Score[i]; a.Class < 0 {
			a.Class = 0
			if a.Score >= 0.5 {
				a.Class = 1
			}
		}
		return a
	}
	if b.Scores == nil {
		return a
	}
	k := len(t.plan.classes)
	scores := b.Scores[i*k : (i+1)*k]
	a.Score = scores[label]
	if a.Class < 0 {
		a.Class = 0
		for c, p := range scores {
			if p > scores[a.Class] {
				a.Class = c
			}
		}
	}
	return a
}
