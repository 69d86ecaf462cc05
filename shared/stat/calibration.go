package stat

import "math"

// CalibrationBin compares the scores of some rows with their labels.
type CalibrationBin struct {
	From, To int     // bins of the histogram, To excluded
	N        float64 // rows
	Mean     float64 // mean score
	Share    float64 // of positive rows
}

// CalibrationCurve joins adjacent bins of a histogram, which has n rows, a sum of
// scores and a number of positive rows by bin, into at most groups of about equal
// mass: a bin belongs to the group that the middle of its rows falls into.
func CalibrationCurve(n, scores, positives []float64, groups int) []CalibrationBin {
	all := total(n)
	var out []CalibrationBin
	var before float64
	last := -1
	for i := range n {
		if n[i] <= 0 {
			continue
		}
		group := int(float64(groups) * (before + n[i]/2) / all)
		before += n[i]
		if group != last {
			out = append(out, CalibrationBin{From: i})
			last = group
		}
		b := &out[len(out)-1]
		b.To, b.N, b.Mean, b.Share = i+1, b.N+n[i], b.Mean+scores[i], b.Share+positives[i]
	}
	for i := range out {
		out[i].Mean, out[i].Share = out[i].Mean/out[i].N, out[i].Share/out[i].N
	}
	return out
}

// CalibrationError is the expected calibration error of a curve, Σ share of rows ×
// |mean score − share of positive rows|, and what it would be on average if every
// score were the probability of its row: the mean absolute deviation of a normal
// variable with the variance p(1−p)/N, p being the group's mean score.
func CalibrationError(curve []CalibrationBin) (ece, expected float64) {
	var all float64
	for _, b := range curve {
		all += b.N
	}
	for _, b := range curve {
		p := math.Min(1, math.Max(0, b.Mean))
		ece += b.N / all * math.Abs(b.Mean-b.Share)
		expected += b.N / all * math.Sqrt(2/math.Pi*p*(1-p)/b.N)
	}
	return ece, expected
}
