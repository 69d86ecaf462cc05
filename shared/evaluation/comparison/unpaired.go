package comparison

import (
	"math"

	"github.com/tidegate/tidegate/shared/stat"
)

// Unpaired is the difference of a metric between the slots, each over the rows that
// it served, taken within time blocks and averaged. It is for reading: at the same
// number of rows its error is several times that of the pairs.
type Unpaired struct {
	Metric     string  `json:"metric"`
	Unknown    string  `json:"unknown,omitempty"`
	Champion   uint64  `json:"champion_rows"` // of the blocks that could be compared
	Challenger uint64  `json:"challenger_rows"`
	Blocks     int     `json:"blocks"`
	LeftOut    int     `json:"left_out_blocks"` // one slot has too few rows in them
	Delta      float64 `json:"delta"`           // more is better, as in Difference
	Lo         float64 `json:"lo"`              // 95 %
	Hi         float64 `json:"hi"`
	SE         float64 `json:"se"`
}

// leastServed is the rows of each slot that a block needs; of roc_auc, of each class.
const leastServed = 2

// Unpaired measures a metric over what was counted by [State.AddServed].
func (s *State) Unpaired(metric string) Unpaired {
	u := Unpaired{Metric: metric}
	var strata []stat.Stratum
	for _, part := range s.servedParts(metric) {
		if part.stratum == nil {
			u.LeftOut++
			continue
		}
		strata = append(strata, *part.stratum)
		u.Champion += part.n[Champion]
		u.Challenger += part.n[Challenger]
	}
	u.Blocks = len(strata)
	if len(strata) < 2 {
		u.Unknown = "fewer than two time blocks have enough labelled rows served by both slots"
		return u
	}
	a := stat.Average(strata)
	u.Delta, u.SE = a.Difference+0, a.Error
	u.Lo, u.Hi = u.Delta-z95*u.SE, u.Delta+z95*u.SE
	return u
}

type servedPart struct {
	n       [2]uint64
	stratum *stat.Stratum // nil where a slot has too few rows
}

func (s *State) servedParts(metric string) []servedPart {
	if metric == ROCAUC && s.bins[Champion] != nil {
		return s.servedAreas()
	}
	of := s.valueOf(metric)
	if of == nil {
		return nil
	}
	out := make([]servedPart, 0, len(s.served.ids))
	for _, i := range s.served.order() {
		t := s.served.tallies[i]
		part := servedPart{n: t.n}
		if min(t.n[0], t.n[1]) >= leastServed {
			a, b := float64(t.n[0]), float64(t.n[1])
			x, y := of.sum(t, Champion)/a, of.sum(t, Challenger)/b
			d := &stat.Stratum{Difference: of.sign * (y - x), First: a, Second: b}
			if metric == Accuracy { // of the losses the error is that between blocks
				d.Variance = x*(1-x)/a + y*(1-y)/b
			}
			part.stratum = d
		}
		out = append(out, part)
	}
	return out
}

// servedAreas compares the areas under the ROC curves of each block.
func (s *State) servedAreas() []servedPart {
	counts := make([][2][2][]float64, len(s.served.ids)) // by block, side, class and bin
	for i := range counts {
		for side := range counts[i] {
			for class := range counts[i][side] {
				counts[i][side][class] = make([]float64, s.bins[side].Len())
			}
		}
	}
	s.served.margins.each(func(key, count uint64) {
		group, side, label, bin := splitMargin(key)
		counts[group][side][label][bin] += float64(count)
	})
	out := make([]servedPart, 0, len(counts))
	for _, i := range s.served.order() {
		part := servedPart{n: s.served.tallies[i].n}
		var auc, se [2]float64
		for side, c := range counts[i] {
			roc := stat.NewROC(c[stat.Positive], c[stat.Negative])
			auc[side], se[side] = roc.AUC, roc.DeLong(c[stat.Positive], c[stat.Negative])
		}
		if d := auc[Challenger] - auc[Champion]; !math.IsNaN(d) && !math.IsNaN(se[0]+se[1]) {
			part.stratum = &stat.Stratum{Difference: d, Variance: se[0]*se[0] + se[1]*se[1], First: float64(part.n[0]), Second: float64(part.n[1])}
		}
		out = append(out, part)
	}
	return out
}
