package stat

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// ROC is what two histograms of scores, of the positive and of the negative rows,
// say about ranks. Bins ascend with the score; rows of one bin count as ties.
type ROC struct {
	AUC float64
	// Positive and Negative are the placements by bin (DeLong, DeLong and Clarke-Pearson 1988): the share of
	// the negative rows below a positive one of the bin, and that of the positive rows above a negative
	// one, ties ½.
	Positive, Negative []float64
	// N1 and N0 are the totals of both histograms.
	N1, N0 float64
}

// NewROC places pos and neg, of the same length. The area is NaN without a row of either.
func NewROC(pos, neg []float64) ROC {
	r := ROC{Positive: make([]float64, len(pos)), Negative: make([]float64, len(pos)), N1: total(pos), N0: total(neg), AUC: math.NaN()}
	if r.N1 <= 0 || r.N0 <= 0 {
		return r
	}
	var below1, below0, area float64
	for i := range pos {
		r.Positive[i] = (below0 + neg[i]/2) / r.N0
		r.Negative[i] = (r.N1 - below1 - pos[i]/2) / r.N1
		area += pos[i] * r.Positive[i]
		below1 += pos[i]
		below0 += neg[i]
	}
	r.AUC = area / r.N1
	return r
}

// Influence is the derivative of the area by the count of positive and of negative
// rows of bin i: what one row more moves it by.
func (r *ROC) Influence(i int) (pos, neg float64) {
	return (r.Positive[i] - r.AUC) / r.N1, (r.Negative[i] - r.AUC) / r.N0
}

// DeLong is the standard error of the area over independent rows. NaN with fewer
// than two rows of either class.
func (r *ROC) DeLong(pos, neg []float64) float64 {
	if r.N1 < 2 || r.N0 < 2 {
		return math.NaN()
	}
	var s10, s01 float64
	for i := range pos {
		s10 += pos[i] * (r.Positive[i] - r.AUC) * (r.Positive[i] - r.AUC)
		s01 += neg[i] * (r.Negative[i] - r.AUC) * (r.Negative[i] - r.AUC)
	}
	return math.Sqrt(s10/(r.N1-1)/r.N1 + s01/(r.N0-1)/r.N0)
}

// TieBound is the most that the area of the scores themselves can be away from
// that of their bins: half of Σ p⁺p⁻ over the bins that hold more than one score.
func TieBound(pos, neg []float64, single func(bin int) bool) float64 {
	n1, n0 := total(pos), total(neg)
	if n1 <= 0 || n0 <= 0 {
		return 0
	}
	var sum float64
	for i := range pos {
		if pos[i] > 0 && neg[i] > 0 && !single(i) {
			sum += pos[i] / n1 * (neg[i] / n0)
		}
	}
	return sum / 2
}

// AUCInterval is the interval of an area with standard error se at the two-sided
// normal quantile z, on the logit scale, where it does not leave [0, 1]. At an area
// of 1 every pair is in order and se is 0: the lower end is then the share at which
// the fewer of the two classes, least rows, would all be so with probability Φ(−z).
func AUCInterval(auc, se, least, z float64) Interval {
	tail := math.Erfc(z/math.Sqrt2) / 2
	switch {
	case auc >= 1:
		return Interval{math.Pow(tail, 1/least), 1}
	case auc <= 0:
		return Interval{0, 1 - math.Pow(tail, 1/least)}
	}
	mid, half := math.Log(auc/(1-auc)), z*se/(auc*(1-auc))
	return Interval{expit(mid - half), expit(mid + half)}
}

// AUCScoreInterval is the interval of an area over n1 and n0 rows whose ends t are
// those at which the area found is z standard errors away, with the error that Hanley
// and McNeil (1982) give an area of t: method 5 of Newcombe (2006). It does not look
// at how the placements vary, which few rows of one class near an area of 1 do not
// show.
func AUCScoreInterval(auc, n1, n0, z float64) Interval {
	away := func(t float64) float64 {
		more := (n1+n0)/2 - 1
		variance := t * (1 - t) / (n1 * n0) * (1 + more*((1-t)/(2-t)+t/(1+t)))
		return (auc-t)*(auc-t) - z*z*variance
	}
	end := func(in, out float64) float64 {
		for range 60 {
			if mid := (in + out) / 2; away(mid) <= 0 {
				in = mid
			} else {
				out = mid
			}
		}
		return in
	}
	return Interval{end(auc, 0), end(auc, 1)}
}

func expit(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// AveragePrecision is Σ (Rₖ − Rₖ₋₁)·Pₖ over thresholds from the highest score down,
// as scikit-learn's average_precision_score; a bin is one threshold. NaN without a
// positive row.
//
// Bounds holds the average precision of the scores themselves, whatever their order
// in the bins that hold several. Most it is with each bin's positive rows at one
// threshold before its negative ones, least with each at its own after them.
type AveragePrecision struct {
	Value  float64
	Bounds Interval
	// Positive and Negative are the derivatives by the counts of each bin.
	Positive, Negative []float64
}

// NewAveragePrecision computes it for pos and neg, of the same length.
func NewAveragePrecision(pos, neg []float64, single func(bin int) bool) AveragePrecision {
	n := len(pos)
	a := AveragePrecision{Value: math.NaN(), Bounds: Interval{math.NaN(), math.NaN()}, Positive: make([]float64, n), Negative: make([]float64, n)}
	n1 := total(pos)
	if n1 <= 0 {
		return a
	}
	var tp, fp, sum, lo, hi float64
	precision, byTP, byFP := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := n - 1; i >= 0; i-- {
		before, unmixed := tp, fp
		tp, fp = tp+pos[i], fp+neg[i]
		if tp+fp == 0 {
			continue
		}
		precision[i] = tp / (tp + fp)
		part := pos[i] * precision[i]
		sum += part
		if single(i) || pos[i] == 0 {
			lo, hi = lo+part, hi+part
		} else {
			lo, hi = lo+precisions(before, fp, pos[i]), hi+pos[i]*tp/(tp+unmixed)
		}
		byTP[i] = pos[i] * fp / ((tp + fp) * (tp + fp))
		byFP[i] = -pos[i] * tp / ((tp + fp) * (tp + fp))
	}
	a.Value, a.Bounds = sum/n1, Interval{lo / n1, hi / n1}
	var tps, fps float64
	for i := range n { // a row of bin i counts at its threshold and at all below
		tps, fps = tps+byTP[i], fps+byFP[i]
		a.Positive[i] = (precision[i]+tps)/n1 - sum/(n1*n1)
		a.Negative[i] = fps / n1
	}
	return a
}

// precisions is Σ (tp+j)/(tp+j+fp) over j = 1…k, the precision at each of k
// positive rows that follow each other; between whole numbers by the digamma function.
func precisions(tp, fp, k float64) float64 {
	if fp == 0 {
		return k
	}
	return k - fp*(mathext.Digamma(tp+fp+k+1)-mathext.Digamma(tp+fp+1))
}
