package quality

import (
	"math"

	"github.com/tidegate/tidegate/shared/stat"
)

const (
	// refits is the number of Poisson resamples of the reference histogram behind the error of a calibration.
	refits = 200
	folds  = 10
	// Least rows of a reference, and of each of its classes, that an estimate without labels rests on.
	leastReference      = 5000
	leastReferenceClass = 500
)

// calibrator turns scores into probabilities as the reference has them.
type calibrator struct {
	fit  stat.Isotonic
	kept bool // whether the isotonic calibration lowers the error out of sample; else scores are taken as they are
	// The calibration error out of sample of the scores as they are, and calibrated.
	rawError, fitError float64
	refits             []stat.Isotonic
}

// newCalibrator fits the reference histogram of class k, 0 of a binary task.
func newCalibrator(s *sample, k int) *calibrator {
	h := s.histogramOf(k)
	means := h.means()
	c := &calibrator{fit: h.isotonic(means, h.pos, h.neg)}
	c.crossValidate(h, means)
	pos, neg := draws(h.pos), draws(h.neg)
	rng := generator("reference", "refits")
	p, n := make([]float64, len(h.pos)), make([]float64, len(h.pos))
	for len(c.refits) < refits {
		for i := range p {
			p[i], n[i] = pos[i].Draw(rng), neg[i].Draw(rng)
		}
		if f := h.isotonic(means, p, n); len(f.X) > 0 {
			c.refits = append(c.refits, f)
		}
	}
	return c
}

func draws(means []float64) []stat.Poisson {
	out := make([]stat.Poisson, len(means))
	for i, m := range means {
		out[i] = stat.NewPoisson(m)
	}
	return out
}

// means are the mean scores of the bins; 0 of empty ones.
func (h *histogram) means() []float64 {
	out := make([]float64, len(h.pos))
	for i := range out {
		out[i] = ratio(h.scores[i], h.pos[i]+h.neg[i])
	}
	return out
}

func (h *histogram) isotonic(means, pos, neg []float64) stat.Isotonic {
	y, w := make([]float64, len(pos)), make([]float64, len(pos))
	for i := range pos {
		w[i] = pos[i] + neg[i]
		y[i] = ratio(pos[i], w[i])
	}
	return stat.FitIsotonic(means, y, w)
}

// crossValidate deals every row of the histogram to one of ten folds, and compares
// the calibration error of a fold's scores with that of a fit on the other nine,
// on average over the folds. (Of all folds together the fit would always seem the
// better one: each fit has nine tenths of the labels that it is compared with.)
func (c *calibrator) crossValidate(h *histogram, means []float64) {
	rng := generator("reference", "folds")
	var pos, neg [folds][]float64
	for f := range folds {
		pos[f], neg[f] = make([]float64, len(means)), make([]float64, len(means))
	}
	deal := func(n float64, into *[folds][]float64, bin int) {
		for range int(n) {
			into[rng.IntN(folds)][bin]++
		}
	}
	for i := range means {
		deal(h.pos[i], &pos, i)
		deal(h.neg[i], &neg, i)
	}
	rows, raw, calibrated := make([]float64, len(means)), make([]float64, len(means)), make([]float64, len(means))
	p, n := make([]float64, len(means)), make([]float64, len(means))
	for f := range folds {
		for i := range means {
			p[i], n[i] = h.pos[i]-pos[f][i], h.neg[i]-neg[f][i]
		}
		fit := h.isotonic(means, p, n)
		for i := range means {
			rows[i] = pos[f][i] + neg[f][i]
			raw[i], calibrated[i] = rows[i]*means[i], 0
			if rows[i] > 0 {
				calibrated[i] = rows[i] * fit.At(means[i])
			}
		}
		before, _ := stat.CalibrationError(stat.CalibrationCurve(rows, raw, pos[f], curveGroups))
		after, _ := stat.CalibrationError(stat.CalibrationCurve(rows, calibrated, pos[f], curveGroups))
		c.rawError, c.fitError = c.rawError+before/folds, c.fitError+after/folds
	}
	c.kept = c.fitError < c.rawError
}

// at is the probability of a score.
func (c *calibrator) at(score float64) float64 {
	if c.kept {
		return c.fit.At(score)
	}
	return math.Min(1, math.Max(0, score))
}
