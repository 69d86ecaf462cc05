package evaluation

import (
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
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
