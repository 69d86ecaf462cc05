package comparison

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/sketch"
	"github.com/tidegate/tidegate/shared/stat"
)

// Decode reads a stored state. What Encode cannot have written is refused: Internal,
// since the object is damaged.
func Decode(raw []byte) (*State, error) {
	var d document
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the stored pairs are not JSON of their format")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fault.New(fault.Internal, "something follows the stored pairs")
	}
	if d.V != StateVersion {
		return nil, fault.New(fault.Internal, "the stored pairs have format %d; this program reads %d", d.V, StateVersion)
	}
	s, err := New(d.Spec)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the spec of the stored pairs is not valid")
	}
	if err := s.restore(&d); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the stored pairs are damaged: %v", err)
	}
	return s, nil
}

func (s *State) restore(d *document) error {
	if d.Pairs > MaxPairs || len(d.Segments) != len(s.segments) {
		return fmt.Errorf("too many pairs, or other segments than those of the spec")
	}
	if !s.spanFits(d) {
		return fmt.Errorf("the first and the last time do not fit")
	}
	s.pairs, s.refused, s.unmatched, s.first, s.latest = d.Pairs, d.Refused, d.Unmatched, d.First, d.Last
	for i := range d.Segments {
		if err := s.restoreSegment(i, &d.Segments[i]); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
	}
	for _, part := range []struct {
		name   string
		groups *groups
		docs   []groupDoc
	}{{"keys", &s.keys, d.Keys}, {"blocks", &s.blocks, d.Blocks}, {"served", &s.served, d.Served}} {
		for i := range part.docs {
			if err := s.restoreGroup(part.groups, part.name, &part.docs[i]); err != nil {
				return fmt.Errorf("%s[%d]: %w", part.name, i, err)
			}
		}
	}
	for i, t := range d.Traffic {
		if i > 0 && t.Hour <= d.Traffic[i-1].Hour || t.Hour < 0 || t.Hour > maxBlock || !t.Champion.fits() || !t.Challenger.fits() {
			return fmt.Errorf("traffic[%d] is out of order, or cannot be", i)
		}
		s.traffic[t.Hour] = &[2]Traffic{t.Champion, t.Challenger}
	}
	return s.consistent()
}

func (t *Traffic) fits() bool { return t.Errors <= t.Requests && t.Slow <= t.Requests-t.Errors }

func (s *State) spanFits(d *document) bool {
	if d.Pairs == 0 || s.spec.Block == NoTime {
		return d.First == 0 && d.Last == 0
	}
	return d.First >= 0 && d.First <= d.Last && d.Last/s.spec.Block.seconds() <= maxBlock
}

func (s *State) restoreSegment(i int, d *segmentDoc) error {
	g := &s.segments[i]
	a := d.Agreement
	for _, n := range []uint64{d.Positives, d.Identical, a.BothRight, a.ChampionOnly, a.ChallengerOnly, a.BothWrong, a.SameClass} {
		if n > s.pairs {
			return fmt.Errorf("it has more pairs than there are")
		}
	}
	g.positives, g.identical, g.agreement = d.Positives, d.Identical, a
	for k := range d.Squares {
		if err := copySums(g.squares[k][:s.losses], d.Squares[k]); err != nil {
			return err
		}
	}
	for label, list := range d.Cells {
		if len(list)%3 != 0 {
			return fmt.Errorf("its cells are no triples")
		}
		var before []uint64
		for ; len(list) > 0; list = list[3:] {
			if err := s.cell(Champion, list[0], list[2]); err != nil {
				return err
			}
			if err := s.cell(Challenger, list[1], list[2]); err != nil {
				return err
			}
			if !ascends(before, list[:2]) {
				return fmt.Errorf("its cells are not in order")
			}
			before = list[:2]
			s.joint.add(jointKey(i, label, int(list[0]), int(list[1])), list[2])
		}
	}
	return nil
}

// cell refuses bins that are not there, and counts that cannot be.
func (s *State) cell(side Side, bin, count uint64) error {
	if s.bins[side] == nil || bin >= uint64(s.bins[side].Len()) || count == 0 || count > MaxPairs {
		return fmt.Errorf("a cell has a bin of the %s or a count that cannot be", side)
	}
	return nil
}

func (s *State) restoreGroup(g *groups, name string, d *groupDoc) error {
	id := uint32(d.Group)
	switch {
	case d.Group < 0 || d.Group > maxBlock || d.Segment < 0 || d.Segment >= len(s.segments):
		return fmt.Errorf("its group or segment cannot be")
	case name == "keys" && (d.Group >= stat.KeyGroups || d.Segment != 0), name == "served" && d.Segment != 0:
		return fmt.Errorf("its group or segment cannot be")
	case name != "keys":
		id = blockID(d.Group, d.Segment)
	}
	if n := len(g.ids); n > 0 && g.ids[n-1] >= id {
		return fmt.Errorf("it is out of order, or there twice")
	}
	at := g.number(id)
	t := g.tallies[at]
	t.n, t.right = d.N, d.Right
	for side := range t.n {
		if t.right[side] > t.n[side] || t.n[side] > MaxPairs {
			return fmt.Errorf("more rows are right than there are")
		}
		if err := copySums(t.sums[side][:s.losses], d.Sums[side]); err != nil {
			return err
		}
		rows := uint64(0)
		for label, list := range d.Cells[side] {
			if len(list)%2 != 0 {
				return fmt.Errorf("its cells are no pairs")
			}
			var before []uint64
			for ; len(list) > 0; list = list[2:] {
				if err := s.cell(Side(side), list[0], list[1]); err != nil {
					return err
				}
				if !ascends(before, list[:1]) {
					return fmt.Errorf("its cells are not in order")
				}
				before = list[:1]
				rows += list[1]
				g.margins.add(marginKey(at, Side(side), label, int(list[0])), list[1])
			}
		}
		if s.bins[side] != nil && rows != t.n[side] {
			return fmt.Errorf("its cells hold %d rows of %d", rows, t.n[side])
		}
	}
	if t.n == [2]uint64{} {
		return fmt.Errorf("it holds no rows")
	}
	return nil
}

func copySums(to, from []sketch.Sum) error {
	if len(to) != len(from) {
		return fmt.Errorf("it has other losses than the task")
	}
	copy(to, from)
	for i := range to {
		if math.IsInf(to[i].Float64(), 0) {
			return fmt.Errorf("a sum is beyond all numbers")
		}
	}
	return nil
}
