package quality

import (
	"math"
	"math/rand/v2"

	"github.com/tidegate/tidegate/shared/stat"
)

// histogram is the judged, scored rows of a binary task, or of one class against
// the rest, by score bin.
type histogram struct {
	single         func(bin int) bool
	pos, neg       []float64 // weighted rows
	posSq, negSq   []float64 // Σ w²
	scores         []float64 // Σ w·score
	rowsPos, rowsN uint64    // unweighted
}

// histogramOf reads the cells of class k: 0 of a binary task.
func (s *sample) histogramOf(k int) *histogram {
	bins := s.layout.Bins[k]
	n := bins.Len()
	h := &histogram{single: bins.Atom, pos: make([]float64, n), neg: make([]float64, n), posSq: make([]float64, n), negSq: make([]float64, n), scores: make([]float64, n)}
	per := 3 // cells a bin
	if s.layout.Task == Binary {
		per = 6
	}
	for i, st := range s.strata {
		w := s.weights[i]
		cells := st.State.hist[s.layout.offsets[k]:]
		for at := range n * per {
			c := &cells[at]
			label := at % per * 3 / per
			if c.n == 0 || label == unknown {
				continue
			}
			rows := float64(c.n)
			if label == 1 {
				h.pos[at/per] += w * rows
				h.posSq[at/per] += w * w * rows
				h.rowsPos += c.n
			} else {
				h.neg[at/per] += w * rows
				h.negSq[at/per] += w * w * rows
			}
			h.scores[at/per] += w * c.sum.float()
			h.rowsN += c.n
		}
	}
	return h
}

// oneClass says why ranks cannot be compared, or nothing.
func (h *histogram) oneClass() string {
	switch {
	case h.rowsN == 0:
		return "there is no judged row with a score"
	case h.rowsPos == 0:
		return noPositive
	case h.rowsPos == h.rowsN:
		return "no label is of the negative class"
	}
	return ""
}

const notProbabilities = "a score is outside of [0, 1]: the scores are no probabilities"

func (s *sample) measureBinary(q *Quality, seed string) {
	h := s.histogramOf(0)
	out := []Metric{s.rocAUC(h), s.averagePrecision(h, seed)}
	for i, name := range []string{LogLoss, BrierScore} {
		out = append(out, s.lossMetric(name, i))
	}
	classes, m := s.measureClasses(binaryMeasures, seed, func(at int) int { return at % 4 })
	if s.counts.NoClass > 0 {
		for i := range classes {
			classes[i] = undefined(classes[i].Name, classes[i].N, "rows have neither a predicted class nor a score in [0, 1]")
		}
	} else {
		q.Confusion = m.confusion(s.layout.Classes)
	}
	out = append(out, classes...)
	q.Metrics = append(out, s.calibrationError(h))
	if m.all > 0 {
		q.BaseRates = []float64{m.labels[0] / m.all, m.labels[1] / m.all}
	}
	q.Calibration = h.calibration()
	q.Thresholds = h.thresholds(s.layout.Bins[0])
}

func (s *sample) rocAUC(h *histogram) Metric {
	m := Metric{Name: ROCAUC, N: h.rowsN}
	if m.Reason = h.oneClass(); m.Reason != "" {
		return m
	}
	roc := stat.NewROC(h.pos, h.neg)
	m.Value = known(roc.AUC)
	bound := stat.TieBound(h.pos, h.neg, h.single)
	m.Bounds = &stat.Interval{Lo: max(0, roc.AUC-bound), Hi: min(1, roc.AUC+bound)}
	e, n1, n0 := s.areaErrors(h, &roc)
	m.withErrors(e)
	m.area(min(h.rowsPos, h.rowsN-h.rowsPos), n1, n0, e.widening())
	return m
}

// leastDisorder is the number of rows of the smaller class that must be out of
// order, (1 − area)·n, for the spread of the placements to be trusted.
const leastDisorder = 5

// area is the interval of an area, whose smaller class has least rows; n1 and n0
// are the independent rows that both are worth before widening. Where few rows are
// out of order their placements hardly vary by chance, and DeLong's interval covers
// 60 to 90 %: it is then widened to hold Newcombe's, and so is the standard error.
func (m *Metric) area(least uint64, n1, n0, widening float64) {
	if least < leastClass || m.SE == nil {
		m.Reason = "fewer than 10 rows of one class: no interval"
		return
	}
	deff := widening * widening
	n1, n0 = n1/deff, n0/deff
	a := *m.Value
	iv := stat.AUCInterval(a, *m.SE, min(n1, n0), z95)
	m.Interval, m.Method = &iv, ByDeLong
	if min(a, 1-a)*min(n1, n0) >= leastDisorder {
		return
	}
	score := stat.AUCScoreInterval(a, n1, n0, z95)
	iv.Lo, iv.Hi = min(iv.Lo, score.Lo), max(iv.Hi, score.Hi)
	m.Method = ByScore
	half := (iv.Hi - iv.Lo) / 2
	if a <= 0 || a >= 1 { // the value is an end of the interval
		half *= 2
	}
	m.SE = known(max(*m.SE, half/z95))
}

// areaErrors are DeLong's standard error, with the factors n/(n−1) of both classes,
// and those over clusters, from the sums of placements; and the rows of both classes
// that the weighted ones are worth.
func (s *sample) areaErrors(h *histogram, roc *stat.ROC) (e stdErrors, n1, n0 float64) {
	psi := make([]float64, len(s.cells))
	var s10, s01 float64
	for b := range h.pos {
		p, n := roc.Influence(b)
		if s.layout.Task == Binary {
			psi[4*b+2], psi[4*b+3], psi[4*b], psi[4*b+1] = p, p, n, n
		}
		s10, s01 = s10+h.posSq[b]*p*p, s01+h.negSq[b]*n*n
		n1, n0 = n1+h.posSq[b], n0+h.negSq[b]
	}
	n1, n0 = roc.N1*roc.N1/n1, roc.N0*roc.N0/n0
	e = stdErrors{math.NaN(), math.NaN(), math.NaN()}
	if s.layout.Task == Binary {
		e = s.influence(psi)
	}
	e.row = math.NaN()
	if n1 > 1 && n0 > 1 {
		e.row = math.Sqrt(s10*n1/(n1-1) + s01*n0/(n0-1))
	}
	return e, n1, n0
}

func (s *sample) averagePrecision(h *histogram, seed string) Metric {
	m := Metric{Name: AveragePrecision, N: h.rowsN}
	if m.Reason = h.oneClass(); m.Reason != "" {
		return m
	}
	ap := stat.NewAveragePrecision(h.pos, h.neg, h.single)
	m.Value, m.Bounds = known(ap.Value), &ap.Bounds
	psi := make([]float64, len(s.cells))
	for b := range h.pos {
		psi[4*b+2], psi[4*b+3] = ap.Positive[b], ap.Positive[b]
		psi[4*b], psi[4*b+1] = ap.Negative[b], ap.Negative[b]
	}
	e := s.influence(psi)
	m.withErrors(e)
	m.resampled(s.resamplePrecision(generator(seed, AveragePrecision)), e.widening(), 0, 1)
	return m
}

// resamplePrecision draws the average precision of Poisson resamples of the cells.
func (s *sample) resamplePrecision(rng *rand.Rand) []float64 {
	type drawn struct {
		bin    int
		pos    bool
		weight float64
		from   stat.Poisson
	}
	var cells []drawn // from the highest bin down
	for bin := s.layout.Bins[0].Len() - 1; bin >= 0; bin-- {
		for label := range 2 {
			for i, st := range s.strata {
				c := st.State.hist[6*bin+2*label:]
				if n := c[0].n + c[1].n; n > 0 {
					cells = append(cells, drawn{bin, label == 1, s.weights[i], stat.NewPoisson(float64(n))})
				}
			}
		}
	}
	var draws []float64
	for range resamples {
		var tp, fp, inBin, sum float64
		for i := range cells {
			c := &cells[i]
			if n := c.weight * c.from.Draw(rng); c.pos {
				inBin += n
			} else {
				fp += n
			}
			if i+1 == len(cells) || cells[i+1].bin != c.bin {
				tp += inBin
				sum += inBin * ratio(tp, tp+fp)
				inBin = 0
			}
		}
		if tp > 0 {
			draws = append(draws, sum/tp)
		}
	}
	return draws
}

func (s *sample) lossMetric(name string, which int) Metric {
	mean, n, e := s.loss(which)
	m := Metric{Name: name, N: n}
	switch {
	case s.counts.OutOfRange > 0:
		m.Reason = notProbabilities
	case n == 0:
		m.Reason = "there is no judged row with a score"
	default:
		m.Value = &mean
		m.withErrors(e)
		m.normal(0, math.Inf(1))
	}
	return m
}

func (s *sample) calibrationError(h *histogram) Metric {
	m := Metric{Name: CalibrationError, N: h.rowsN}
	switch {
	case s.counts.OutOfRange > 0:
		m.Reason = notProbabilities
	case h.rowsN == 0:
		m.Reason = "there is no judged row with a score"
	default:
		ece, expected := stat.CalibrationError(h.curve())
		m.Value, m.Expected = &ece, &expected
		m.Reason = "compare with the expected value: it is above 0 for a perfectly calibrated model, too; no interval"
	}
	return m
}
