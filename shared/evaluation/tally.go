package evaluation

import (
	"cmp"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
)

// maxCells bounds the states of whole versions: of a version, slot, role and weight each.
const maxCells = 256

// Names name the numbers of segments; *[outcome.Segments] is one.
type Names interface {
	Name(column int, number uint32) string
}

// Tally is the state of any part of a window. It is made by [NewTally] or
// [DecodeTally], and not safe for concurrent use: one a worker, merged.
//
// Memory: that of a [quality.State] for each version, slot, role and sampling share,
// and for each segment value that is kept, which is at most twice Policy.MaxSegments
// of a column; and the names and rows of at most 100,000 values of each column.
type Tally struct {
	// Join is what the joins found; the caller merges their counts into it.
	Join outcome.Counts

	plan    *plan
	cells   map[cellKey]*cell
	groups  []groupKey // of segments' states, in the order in which they came
	columns []*column  // of Policy.Segments
	pairs   *comparison.State
	delays  delays
	notes   notes

	view view // of the batch that is added
}

// notes are rows and pairs that were not counted.
type notes struct {
	ZeroWeights uint64 `json:"zero_weights,omitempty"` // rows that stand for none
	BadWeights  uint64 `json:"bad_weights,omitempty"`  // negative, infinite or NaN
	YoungPairs  uint64 `json:"young_pairs,omitempty"`  // whose label is not yet expected
	OtherPairs  uint64 `json:"other_pairs,omitempty"`  // of versions that are not compared
}

func (n *notes) fields() []*uint64 {
	return []*uint64{&n.ZeroWeights, &n.BadWeights, &n.YoungPairs, &n.OtherPairs}
}

// cellKey is what rows of one state have in common.
type cellKey struct {
	version int
	slot    registry.Slot
	role    capture.Role
	sampled float64 // 1 over the weight of a row
}

func (k cellKey) compare(o cellKey) int {
	return cmp.Or(cmp.Compare(k.version, o.version), cmp.Compare(k.slot, o.slot), cmp.Compare(k.role, o.role), cmp.Compare(k.sampled, o.sampled))
}

// groupKey is what rows of one state of a segment have in common.
type groupKey struct {
	version int
	role    capture.Role
	sampled float64
}

func (k groupKey) compare(o groupKey) int {
	return cmp.Or(cmp.Compare(k.version, o.version), cmp.Compare(k.role, o.role), cmp.Compare(k.sampled, o.sampled))
}

// cell is one state of whole versions, and the requests that it comes from.
type cell struct {
	cellKey
	state     *quality.State // nil without rows
	requests  uint64
	errors    uint64
	latencies comparison.Latencies

	layout *quality.Layout
	weight float64 // of its rows
	group  int     // of segments; −1: its rows are in none
	side   int     // of the comparison; −1: none
}

// NewTally is a tally without rows. Errors: InvalidArgument, a field of the setup
// cannot be; FailedPrecondition, a version's layout is of another task or of other
// classes, or what [comparison.New] says.
func NewTally(s *Setup) (*Tally, error) {
	p, err := newPlan(s)
	if err != nil {
		return nil, err
	}
	return p.tally()
}

func (p *plan) tally() (*Tally, error) {
	t := &Tally{plan: p, cells: map[cellKey]*cell{}}
	for _, name := range p.Policy.Segments {
		t.columns = append(t.columns, newColumn(name, p))
	}
	if p.Pairing != nil {
		var err error
		if t.pairs, err = comparison.New(p.Pairing.Spec); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Like is a tally without rows of the same setup, for another worker.
func (t *Tally) Like() (*Tally, error) { return t.plan.tally() }

// Setup is what the tally was made with.
func (t *Tally) Setup() *Setup { return t.plan.Setup }

// Rows is the number of rows that were counted, of any version and role.
func (t *Tally) Rows() uint64 {
	var n uint64
	for _, c := range t.cells {
		if c.state != nil {
			n += c.state.Counts.Predictions
		}
	}
	return n
}

// Pairs is the state of the comparison; nil without a pairing.
func (t *Tally) Pairs() *comparison.State { return t.pairs }

// LabelDelay is the time within which 99 % of the known labels came, rounded up by a
// 16th at most; 0 where no label has a time. n is how many have one.
func (t *Tally) LabelDelay() (delay time.Duration, n uint64) { return t.delays.quantile(0.99) }

// cell finds or makes the state of rows.
func (t *Tally) cell(k cellKey) (*cell, error) {
	if c := t.cells[k]; c != nil {
		return c, nil
	}
	if len(t.cells) >= maxCells {
		return nil, fault.New(fault.InvalidArgument, "there are more than %d combinations of version, slot and weight; round the weights to few different ones", maxCells)
	}
	c := &cell{cellKey: k, layout: t.plan.layout(k.version), weight: 1 / k.sampled, group: -1, side: -1}
	if k.slot != registry.Pinned {
		c.group = t.group(groupKey{k.version, k.role, k.sampled})
		if p := t.plan.Pairing; p != nil {
			switch k.version {
			case p.Champion:
				c.side = int(comparison.Champion)
			case p.Challenger:
				c.side = int(comparison.Challenger)
			}
		}
	}
	t.cells[k] = c
	return c, nil
}

func (t *Tally) group(k groupKey) int {
	for i, g := range t.groups {
		if g == k {
			return i
		}
	}
	t.groups = append(t.groups, k)
	return len(t.groups) - 1
}

// Merge adds the counts of o, which stays as it is. FailedPrecondition: o is of
// another setup, or there are too many pairs; InvalidArgument: too many different weights.
func (t *Tally) Merge(o *Tally) error {
	if t.plan.digest != o.plan.digest {
		return fault.New(fault.FailedPrecondition, "the counts are of another setup: references, segments, classes and maturity must be the same; count the rows again")
	}
	for k, from := range o.cells {
		c, err := t.cell(k)
		if err != nil {
			return err
		}
		c.requests += from.requests
		c.errors += from.errors
		c.latencies.Merge(&from.latencies)
		if err := mergeState(&c.state, from.state); err != nil {
			return err
		}
	}
	for i := range t.columns {
		if err := t.columns[i].merge(t, o.columns[i], o); err != nil {
			return err
		}
	}
	if o.pairs != nil {
		if err := t.pairs.Merge(o.pairs); err != nil {
			return err
		}
	}
	t.delays.merge(&o.delays)
	from := o.notes.fields()
	for i, f := range t.notes.fields() {
		*f += *from[i]
	}
	t.Join.Merge(&o.Join)
	return nil
}

// mergeState adds from to what into points at, either of which may be nil.
func mergeState(into **quality.State, from *quality.State) error {
	if from == nil {
		return nil
	}
	if *into == nil {
		*into = quality.NewState(from.Layout())
	}
	return (*into).Merge(from)
}
