package quality

import (
	"github.com/tidegate/tidegate/shared/stat"
)

// named is a metric of the confusion matrix under its name.
type named struct {
	name string
	measure
	// of says which rows a proportion is of; nil of a metric that is none.
	of func(label, class int) bool
}

func every(int, int) bool { return true }

func chosenAs(m *matrix) float64 { return m.chosen[1] }
func labelled(m *matrix) float64 { return m.labels[1] }
func either(m *matrix) float64   { return m.labels[1] + m.chosen[1] }

var binaryMeasures = []named{
	{Accuracy, accuracy, every},
	{BalancedAccuracy, balanced, nil},
	{F1, positive(f1Of, either, "no label and no predicted class is the positive one"), nil},
	{Precision, positive(precisionOf, chosenAs, noneFlagged), func(_, class int) bool { return class == 1 }},
	{Recall, positive(recallOf, labelled, noPositive), func(label, _ int) bool { return label == 1 }},
	{MCC, matthews, nil},
}

var multiclassMeasures = []named{
	{Accuracy, accuracy, every},
	{BalancedAccuracy, balanced, nil},
	{F1, macro(f1Of), nil},
	{Precision, macro(precisionOf), nil},
	{Recall, macro(recallOf), nil},
	{MCC, matthews, nil},
}

// measureClasses are the metrics of the predicted class. cellOf maps a cell of a
// group to one of the matrix.
func (s *sample) measureClasses(measures []named, seed string, cellOf func(at int) int) ([]Metric, matrix) {
	k := len(s.layout.Classes)
	m := newMatrix(k, make([]float64, k*k))
	squares := make([]float64, k*k)
	for at, w := range s.cells {
		m.cells[cellOf(at)] += w
		squares[cellOf(at)] += s.squares[at]
	}
	m.sum()
	strata := make([][]float64, len(s.strata))
	for i, st := range s.strata {
		strata[i] = make([]float64, k*k)
		st.State.judged(func(at int, n float64) { strata[i][cellOf(at)] += n })
	}
	draws := make([][]float64, len(measures))
	if m.all > 0 {
		s.resample(generator(seed, "confusion"), strata, k, func(r *matrix) {
			for i := range measures {
				if v, why := measures[i].value(r); why == "" {
					draws[i] = append(draws[i], v)
				}
			}
		})
	}
	var out []Metric
	for i := range measures {
		out = append(out, s.measureClass(&measures[i], &m, squares, draws[i], cellOf))
	}
	return out, m
}

func (s *sample) measureClass(which *named, m *matrix, squares, draws []float64, cellOf func(at int) int) Metric {
	value, why := which.value(m)
	out := Metric{Name: which.name, N: s.counts.Judged}
	if why != "" {
		out.Reason = why
		return out
	}
	out.Value = &value
	slope := which.slope(m, value)
	psi := make([]float64, len(s.cells))
	for at := range psi {
		psi[at] = slope[cellOf(at)]
	}
	e := s.influence(psi)
	out.withErrors(e)
	if which.of == nil {
		out.resampled(draws, e.widening(), which.lo, which.hi)
		return out
	}
	// A proportion: Wilson of the independent rows that its rows are worth.
	var w1, w2 float64
	for i, w := range m.cells {
		if which.of(i/m.k, i%m.k) {
			w1, w2 = w1+w, w2+squares[i]
		}
	}
	n := w1 * w1 / w2 / (e.widening() * e.widening())
	iv := stat.Wilson(value*n, n, z95)
	out.Interval, out.Method = &iv, ByWilson
	return out
}
