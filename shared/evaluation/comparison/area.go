package comparison

import (
	"github.com/tidegate/tidegate/shared/stat"
)

// contrasts are what an area is computed of: champion, challenger, their difference.
const contrasts = 3

// area adds up one segment, or all pairs.
type area struct {
	counts [2][2][]uint64 // by side, class and bin
	ranks  [2]*stat.Placements
	rows   [contrasts]stat.DeLong
}

// groupArea is a block or key group: its rows by class and the sums of their
// placements, by side.
type groupArea struct {
	block int64
	sides [2]stat.GroupPlacements
}

// areas measures roc_auc in each segment and over all. It goes over the counts twice,
// and over whole numbers only until the end, so that their order does not show.
func (s *State) areas(out []Difference, counts []Counts) {
	parts := s.rank()
	s.joint.each(func(key, count uint64) {
		seg, label, a, b := splitJoint(key)
		parts[s.all()].pair(label, a, b, count)
		if seg != s.rest() {
			parts[seg].pair(label, a, b, count)
		}
	})
	for i := range out {
		if i == s.rest() {
			out[i].Unknown = notApart
		} else {
			out[i] = s.area(parts[i], i, counts[i])
		}
	}
}

// rank makes the placements of each segment and of all.
func (s *State) rank() []*area {
	parts := make([]*area, len(s.segments)+1)
	for i := range parts {
		if i == s.rest() {
			continue
		}
		parts[i] = &area{}
		for side := range parts[i].counts {
			for class := range parts[i].counts[side] {
				parts[i].counts[side][class] = make([]uint64, s.bins[side].Len())
			}
		}
	}
	s.joint.each(func(key, count uint64) {
		seg, label, a, b := splitJoint(key)
		parts[s.all()].count(label, a, b, count)
		if seg != s.rest() {
			parts[seg].count(label, a, b, count)
		}
	})
	for _, p := range parts {
		for side := 0; p != nil && side < 2; side++ {
			c := &p.counts[side]
			p.ranks[side] = stat.NewPlacements(c[stat.Negative], c[stat.Positive])
		}
	}
	return parts
}

func (p *area) count(label, a, b int, count uint64) {
	p.counts[Champion][label][a] += count
	p.counts[Challenger][label][b] += count
}

func (p *area) pair(label, a, b int, count uint64) {
	x, y := p.ranks[Champion].Of(label, a), p.ranks[Challenger].Of(label, b)
	p.rows[0].Add(label, x, count)
	p.rows[1].Add(label, y, count)
	p.rows[2].Add(label, y-x, count)
}

func (s *State) area(p *area, segment int, c Counts) (d Difference) {
	if c.Positives < 2 || c.Negatives < 2 {
		d.Unknown = "fewer than two pairs of a class: the area under the ROC curve needs both"
		return d
	}
	var ses [contrasts]Errors
	var areas [contrasts]float64
	for i := range p.rows {
		areas[i], ses[i].Row = p.rows[i].Estimate()
	}
	p.cluster(s.blockAreas(p, segment), func(i int, se float64) { ses[i].Block = se })
	if segment == s.all() {
		p.cluster(s.keyAreas(p), func(i int, se float64) { ses[i].Key = se })
	}
	least := float64(min(c.Positives, c.Negatives))
	estimate := func(side Side) Estimate {
		in := stat.AUCInterval(areas[side], ses[side].Largest(), least, z95)
		return Estimate{areas[side], in.Lo, in.Hi}
	}
	d.Champion, d.Challenger = estimate(Champion), estimate(Challenger)
	d.Delta, d.SE = areas[2]+0, ses[2]
	d.Resolution = p.resolution(s, Champion) + p.resolution(s, Challenger)
	return d
}

func (p *area) resolution(s *State, side Side) float64 {
	floats := func(counts []uint64) []float64 {
		out := make([]float64, len(counts))
		for i, n := range counts {
			out[i] = float64(n)
		}
		return out
	}
	c := &p.counts[side]
	return stat.TieBound(floats(c[stat.Positive]), floats(c[stat.Negative]), s.bins[side].Atom)
}

// cluster gives the cluster errors of each contrast over groups in a fixed order.
func (p *area) cluster(groups []groupArea, set func(i int, se float64)) {
	if len(groups) < 2 {
		return
	}
	var c [contrasts]stat.Clusters
	for i := range groups {
		a, b := &groups[i].sides[Champion], &groups[i].sides[Challenger]
		diff := stat.GroupPlacements{N: a.N}
		for class := range diff.Sum {
			diff.Sum[class] = b.Sum[class] - a.Sum[class]
		}
		c[0].Add(p.rows[0].Influence(a))
		c[1].Add(p.rows[1].Influence(b))
		c[2].Add(p.rows[2].Influence(&diff))
	}
	for i := range c {
		set(i, c[i].Error())
	}
}

// keyAreas are the key groups that hold pairs, in order.
func (s *State) keyAreas(p *area) []groupArea {
	byGroup := make([]groupArea, len(s.keys.ids))
	s.keys.margins.each(func(key, count uint64) {
		group, side, label, bin := splitMargin(key)
		byGroup[group].sides[side].Count(label, p.ranks[side].Of(label, bin), count)
	})
	out := make([]groupArea, 0, len(byGroup))
	for _, i := range s.keys.order() {
		out = append(out, byGroup[i])
	}
	return out
}

// blockAreas are the time blocks that hold pairs, in order.
func (s *State) blockAreas(p *area, segment int) []groupArea {
	var out []groupArea
	at := make([]int, len(s.blocks.ids)) // where a group's rows go, and 1 more
	for _, i := range s.blocks.order() {
		block, seg := splitBlock(s.blocks.ids[i])
		if segment != s.all() && seg != segment {
			continue
		}
		if len(out) == 0 || out[len(out)-1].block != block {
			out = append(out, groupArea{block: block})
		}
		at[i] = len(out)
	}
	s.blocks.margins.each(func(key, count uint64) {
		group, side, label, bin := splitMargin(key)
		if i := at[group]; i > 0 {
			out[i-1].sides[side].Count(label, p.ranks[side].Of(label, bin), count)
		}
	})
	return out
}
