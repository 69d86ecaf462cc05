package comparison

import (
	"fmt"
)

// consistent checks that keys, blocks and joint cells count the same pairs.
func (s *State) consistent() error {
	inSegment := make([]uint64, len(s.segments))
	for i, t := range s.blocks.tallies {
		_, seg := splitBlock(s.blocks.ids[i])
		inSegment[seg] += t.n[Champion]
	}
	pairs := uint64(0)
	for i, n := range inSegment {
		g := &s.segments[i]
		if s.spec.Task != Regression && g.agreement.total() != n || g.positives > n || g.identical > n || g.agreement.SameClass > n {
			return fmt.Errorf("segment %d: its blocks hold %d pairs, its agreement %d", i, n, g.agreement.total())
		}
		pairs += n
	}
	keyed := uint64(0)
	for _, t := range s.keys.tallies {
		keyed += t.n[Champion]
	}
	for _, g := range []*groups{&s.keys, &s.blocks} {
		for _, t := range g.tallies {
			if t.n[Champion] != t.n[Challenger] {
				return fmt.Errorf("a group has other rows on the two sides")
			}
		}
	}
	if pairs != s.pairs || keyed != s.pairs {
		return fmt.Errorf("blocks hold %d pairs and keys %d of %d", pairs, keyed, s.pairs)
	}
	return s.sameMargins()
}

// sameMargins checks that the bins of each side hold the same rows in the joint
// cells, in the blocks and in the keys.
func (s *State) sameMargins() error {
	if s.bins[Champion] == nil {
		return nil
	}
	left := map[uint64]int64{} // by (segment, side, label, bin)
	keyed := map[uint64]int64{}
	s.joint.each(func(key, count uint64) {
		seg, label, a, b := splitJoint(key)
		for side, bin := range [2]int{a, b} {
			left[marginKey(seg, Side(side), label, bin)] += int64(count)
			keyed[marginKey(0, Side(side), label, bin)] += int64(count)
		}
	})
	s.blocks.margins.each(func(key, count uint64) {
		group, side, label, bin := splitMargin(key)
		_, seg := splitBlock(s.blocks.ids[group])
		left[marginKey(seg, Side(side), label, bin)] -= int64(count)
	})
	s.keys.margins.each(func(key, count uint64) {
		_, side, label, bin := splitMargin(key)
		keyed[marginKey(0, Side(side), label, bin)] -= int64(count)
	})
	for _, rest := range []map[uint64]int64{left, keyed} {
		for _, n := range rest {
			if n != 0 {
				return fmt.Errorf("the cells of blocks or keys hold other rows than the joint ones")
			}
		}
	}
	positives := make([]uint64, len(s.segments))
	s.joint.each(func(key, count uint64) {
		if seg, label, _, _ := splitJoint(key); label == 1 {
			positives[seg] += count
		}
	})
	for i := range positives {
		if positives[i] != s.segments[i].positives {
			return fmt.Errorf("segment %d: its cells hold %d positive rows of %d", i, positives[i], s.segments[i].positives)
		}
	}
	return nil
}
