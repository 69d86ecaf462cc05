package comparison

import (
	"encoding/json"
	"slices"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/sketch"
)

// StateVersion is the format of a stored state that this package writes.
const StateVersion = 1

// document is a stored state: one text for one set of pairs. Pairs of values are
// champion, challenger. Cells are flat lists that end in a count each, in ascending
// order: champion bin, challenger bin, count of the joint ones, bin, count of the others.
type document struct {
	V         int          `json:"v"`
	Spec      Spec         `json:"spec"`
	Pairs     uint64       `json:"pairs"`
	Refused   uint64       `json:"refused,omitempty"`
	Unmatched [2]uint64    `json:"unmatched"`
	First     int64        `json:"first,omitempty"` // Unix seconds
	Last      int64        `json:"last,omitempty"`
	Segments  []segmentDoc `json:"segments"` // of Spec.Segments, and the rest
	Keys      []groupDoc   `json:"keys"`     // group: KeyGroup
	Blocks    []groupDoc   `json:"blocks"`   // group: the time divided by the block's length
	Served    []groupDoc   `json:"served,omitempty"`
	Traffic   []trafficDoc `json:"traffic,omitempty"`
}

type segmentDoc struct {
	Positives uint64          `json:"positives,omitempty"`
	Identical uint64          `json:"identical,omitempty"`
	Agreement Agreement       `json:"agreement"`
	Squares   [3][]sketch.Sum `json:"squares"` // champion, challenger, difference; by loss
	Cells     [2][]uint64     `json:"cells"`   // by label
}

type groupDoc struct {
	Group   int64           `json:"group"`
	Segment int             `json:"segment,omitempty"`
	N       [2]uint64       `json:"n"`
	Right   [2]uint64       `json:"right"`
	Sums    [2][]sketch.Sum `json:"sums"`  // by loss
	Cells   [2][2][]uint64  `json:"cells"` // by side and label
}

type trafficDoc struct {
	Hour       int64   `json:"hour"` // Unix seconds / 3600
	Champion   Traffic `json:"champion"`
	Challenger Traffic `json:"challenger"`
}

// Encode is the stored form: JSON, one text for one set of pairs, however they were
// divided and in whatever order they were counted.
func (s *State) Encode() ([]byte, error) {
	d := document{V: StateVersion, Spec: s.spec, Pairs: s.pairs, Refused: s.refused, Unmatched: s.unmatched, First: s.first, Last: s.latest,
		Keys: s.encodeGroups(&s.keys, false), Blocks: s.encodeGroups(&s.blocks, true), Served: s.encodeGroups(&s.served, true)}
	d.Spec.Champion.TrainedUntil = d.Spec.Champion.TrainedUntil.UTC()
	d.Spec.Challenger.TrainedUntil = d.Spec.Challenger.TrainedUntil.UTC()
	for i := range s.segments {
		g := &s.segments[i]
		doc := segmentDoc{Positives: g.positives, Identical: g.identical, Agreement: g.agreement}
		for k := range g.squares {
			doc.Squares[k] = g.squares[k][:s.losses]
		}
		d.Segments = append(d.Segments, doc)
	}
	for _, c := range s.joint.sorted() {
		seg, label, a, b := splitJoint(c.key)
		list := &d.Segments[seg].Cells[label]
		*list = append(*list, uint64(a), uint64(b), c.count)
	}
	for _, hour := range sortedHours(s.traffic) {
		t := s.traffic[hour]
		d.Traffic = append(d.Traffic, trafficDoc{hour, t[0], t[1]})
	}
	raw, err := json.Marshal(&d)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the pairs cannot be encoded")
	}
	return append(raw, '\n'), nil
}

func (s *State) encodeGroups(g *groups, blocks bool) []groupDoc {
	out := make([]groupDoc, len(g.ids))
	at := make([]int, len(g.ids))
	for to, i := range g.order() {
		at[i] = to
		t, doc := g.tallies[i], groupDoc{Group: int64(g.ids[i])}
		if blocks {
			doc.Group, doc.Segment = splitBlock(g.ids[i])
		}
		doc.N, doc.Right = t.n, t.right
		for side := range t.sums {
			doc.Sums[side] = t.sums[side][:s.losses]
		}
		out[to] = doc
	}
	sorted := g.margins.sorted()
	for _, c := range sorted { // ascending by bin within a group, side and label
		group, side, label, bin := splitMargin(c.key)
		list := &out[at[group]].Cells[side][label]
		*list = append(*list, uint64(bin), c.count)
	}
	return out
}

// Clone is a copy that shares nothing that changes.
func (s *State) Clone() (*State, error) {
	c, err := New(s.spec)
	if err != nil {
		return nil, err
	}
	return c, c.Merge(s)
}

// ascends says whether a cell comes after the one before, in the one order of a stored state.
func ascends(before, now []uint64) bool { return before == nil || slices.Compare(before, now) < 0 }
