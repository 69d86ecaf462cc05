package evaluation

import (
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/stat"
)

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
	row := comparison.Row{Time: time.UnixMilli(b.At[i]), Group: int(b.Cluster[i] % stat.KeyGroups), Label: label, Target: target, Segment: t.pairSegment(b, i)}
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
