package comparison

import (
	"cmp"
	"slices"

	"github.com/tidegate/tidegate/shared/sketch"
)

// maxLosses is the number of losses of a task that has most.
const maxLosses = 2

// tally is what is kept of the answers to a group of rows, by side.
type tally struct {
	n     [2]uint64                // rows; the same on both sides where they are pairs
	right [2]uint64                // rows whose class is the label
	sums  [2][maxLosses]sketch.Sum // of the losses
}

func (t *tally) add(side Side, right bool, losses [maxLosses]float64, n int) {
	t.n[side]++
	if right {
		t.right[side]++
	}
	for l := range n {
		t.sums[side][l].Add(losses[l])
	}
}

func (t *tally) merge(o *tally) {
	for side := range t.n {
		t.n[side] += o.n[side]
		t.right[side] += o.right[side]
		for l := range t.sums[side] {
			t.sums[side][l].Merge(&o.sums[side][l])
		}
	}
}

// groups are tallies by group, and the counts of each group by side, label and bin.
// Groups are numbered as they come; what is stored or summed goes by their ids.
type groups struct {
	numbers map[uint32]int
	ids     []uint32
	tallies []*tally
	margins cells // by the group's number
}

// number is that of a group, which it makes where there is none. Rows come in runs
// of a block: the group made last is tried first.
func (g *groups) number(id uint32) int {
	if n := len(g.ids); n > 0 && g.ids[n-1] == id {
		return n - 1
	}
	if i, ok := g.numbers[id]; ok {
		return i
	}
	if g.numbers == nil {
		g.numbers = map[uint32]int{}
	}
	i := len(g.ids)
	g.numbers[id] = i
	g.ids, g.tallies = append(g.ids, id), append(g.tallies, &tally{})
	return i
}

func (g *groups) merge(o *groups) {
	numbers := make([]int, len(o.ids))
	for i, id := range o.ids {
		numbers[i] = g.number(id)
		g.tallies[numbers[i]].merge(o.tallies[i])
	}
	o.margins.each(func(key, count uint64) {
		group, side, label, bin := splitMargin(key)
		g.margins.add(marginKey(numbers[group], Side(side), label, bin), count)
	})
}

// order are the groups' numbers by ascending id.
func (g *groups) order() []int {
	out := make([]int, len(g.ids))
	for i := range out {
		out[i] = i
	}
	slices.SortFunc(out, func(a, b int) int { return cmp.Compare(g.ids[a], g.ids[b]) })
	return out
}

// segmentSums is what is kept of one segment beside its blocks and cells.
type segmentSums struct {
	positives uint64
	identical uint64
	agreement Agreement
	// squares of the losses of the champion, of the challenger, and of their difference
	squares [3][maxLosses]sketch.Sum
}

// Agreement counts pairs by which side has the class right.
type Agreement struct {
	BothRight      uint64 `json:"both_right"`
	ChampionOnly   uint64 `json:"champion_only"`
	ChallengerOnly uint64 `json:"challenger_only"`
	BothWrong      uint64 `json:"both_wrong"`
	SameClass      uint64 `json:"same_class"` // both answered the same class, right or wrong
}

func (a *Agreement) add(o Agreement) {
	a.BothRight += o.BothRight
	a.ChampionOnly += o.ChampionOnly
	a.ChallengerOnly += o.ChallengerOnly
	a.BothWrong += o.BothWrong
	a.SameClass += o.SameClass
}

func (a *Agreement) total() uint64 {
	return a.BothRight + a.ChampionOnly + a.ChallengerOnly + a.BothWrong
}

func (s *segmentSums) merge(o *segmentSums) {
	s.positives += o.positives
	s.identical += o.identical
	s.agreement.add(o.agreement)
	for i := range s.squares {
		for l := range s.squares[i] {
			s.squares[i][l].Merge(&o.squares[i][l])
		}
	}
}

// A block of a segment is one number, ordered by block.
const segmentBits = 8

func blockID(block int64, segment int) uint32 { return uint32(block)<<segmentBits | uint32(segment) }
func splitBlock(id uint32) (block int64, seg int) {
	return int64(id >> segmentBits), int(id & (1<<segmentBits - 1))
}

const maxBlock = 1<<(32-segmentBits) - 1

// Counts is how many pairs there are, and of which class (binary tasks).
type Counts struct {
	Pairs     uint64 `json:"pairs"`
	Positives uint64 `json:"positives"`
	Negatives uint64 `json:"negatives"`
}

// ChooseSegments are the segments to look at apart: of those with at least minPairs
// pairs, and minClass of each class where the task is binary, the limit largest, at
// most MaxSegments; equally large ones by name. They are chosen once, before a
// comparison starts, from the counts by value on pinned rows; "" is the missing value.
func ChooseSegments(counts map[string]Counts, task Task, limit int, minPairs, minClass uint64) []string {
	names := []string{}
	for name, c := range counts {
		if c.Pairs >= minPairs && (task != Binary || min(c.Positives, c.Negatives) >= minClass) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b].Pairs, counts[a].Pairs), cmp.Compare(a, b))
	})
	return names[:max(0, min(len(names), limit, MaxSegments))]
}
