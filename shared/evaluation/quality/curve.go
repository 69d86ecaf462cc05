package quality

import (
	"slices"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/stat"
)

// curveGroups is the number of equi-mass groups of a calibration curve and of the calibration error.
const curveGroups = 10

// CalibrationPoint compares the scores of one tenth of the rows with their labels.
type CalibrationPoint struct {
	Rows     float64       `json:"rows"`     // independent rows they are worth
	Score    float64       `json:"score"`    // mean
	Positive float64       `json:"positive"` // share
	Interval stat.Interval `json:"interval"` // 95 % of Positive, Wilson
}

// Threshold is what flagging every score from Score on would have done.
type Threshold struct {
	Score     float64  `json:"score"`   // the least score that is flagged
	Flagged   float64  `json:"flagged"` // share of the rows
	TPR       *float64 `json:"tpr,omitempty"`
	FPR       *float64 `json:"fpr,omitempty"`
	Precision *float64 `json:"precision,omitempty"`
}

// curve groups the histogram; weighted rows count as the independent ones they are worth.
func (h *histogram) curve() []stat.CalibrationBin {
	n := make([]float64, len(h.pos))
	var w1, w2 float64
	for i := range n {
		n[i] = h.pos[i] + h.neg[i]
		w1, w2 = w1+n[i], w2+h.posSq[i]+h.negSq[i]
	}
	curve := stat.CalibrationCurve(n, h.scores, h.pos, curveGroups)
	for i := range curve {
		curve[i].N *= w1 / w2
	}
	return curve
}

func (h *histogram) calibration() []CalibrationPoint {
	var out []CalibrationPoint
	for _, b := range h.curve() {
		out = append(out, CalibrationPoint{Rows: b.N, Score: b.Mean, Positive: b.Share, Interval: stat.Wilson(b.Share*b.N, b.N, z95)})
	}
	return out
}

// thresholds lists the borders of bins nearest to 0.05, 0.1, … 0.95 and to the
// deciles of the scores.
func (h *histogram) thresholds(bins *score.Bins) []Threshold {
	n := bins.Len()
	above1, above0 := make([]float64, n+1), make([]float64, n+1) // rows in this bin and above
	for i := n - 1; i >= 0; i-- {
		above1[i], above0[i] = above1[i+1]+h.pos[i], above0[i+1]+h.neg[i]
	}
	all := above1[0] + above0[0]
	if all == 0 {
		return nil
	}
	var starts []int
	for step := 1; step < 20; step++ {
		starts = append(starts, start(bins, float64(step)/20))
	}
	for decile := 1; decile < 10; decile++ {
		want := all * float64(decile) / 10
		i := 0
		for i < n && above1[i+1]+above0[i+1] >= want {
			i++
		}
		starts = append(starts, i)
	}
	slices.Sort(starts)
	var out []Threshold
	for _, i := range slices.Compact(starts) {
		if i < 1 || i >= n {
			continue
		}
		flagged := above1[i] + above0[i]
		out = append(out, Threshold{Score: bins.Least(i), Flagged: flagged / all,
			TPR: known(above1[i] / above1[0]), FPR: known(above0[i] / above0[0]), Precision: known(above1[i] / flagged)})
	}
	return out
}

// start is the bin whose lower border is nearest to the threshold t.
func start(bins *score.Bins, t float64) int {
	i := bins.Index(t)
	switch {
	case bins.Atom(i): // of t, or next to it
		return i
	case i == 0 || bins.Upper(i)-t < t-bins.Upper(i-1):
		return i + 1
	}
	return i
}
