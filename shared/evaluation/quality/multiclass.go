package quality

import (
	"math"

	"github.com/tidegate/tidegate/shared/stat"
)

func (s *sample) measureMulticlass(q *Quality, seed string) {
	out := []Metric{s.rocAUCs(), s.lossMetric(LogLoss, logLoss)}
	classes, m := s.measureClasses(multiclassMeasures, seed, func(at int) int { return at })
	for i := range classes {
		if n := classes[i].Name; n == F1 || n == Precision || n == Recall {
			classes[i].Average = "macro"
		}
	}
	q.Metrics = append(out, classes...)
	if m.all > 0 {
		q.Confusion = m.confusion(s.layout.Classes)
		for _, n := range m.labels {
			q.BaseRates = append(q.BaseRates, n/m.all)
		}
	}
}

// rocAUCs is the mean of the areas of each class against the rest, as scikit-learn's
// roc_auc_score with multi_class="ovr". The same rows are in all of them, so its
// standard error is at most the mean of theirs, which is taken. Over clusters it is
// not known: a state holds no scores by key and class.
func (s *sample) rocAUCs() Metric {
	m := Metric{Name: ROCAUC, Average: "macro"}
	k := float64(len(s.layout.Classes))
	var area, se, lo, hi float64
	least, least1, least0 := uint64(math.MaxUint64), math.Inf(1), 0.0 // of the smallest class
	for i, class := range s.layout.Classes {
		h := s.histogramOf(i)
		m.N = h.rowsN
		if h.rowsN == 0 {
			m.Reason = "there is no judged row with scores"
			return m
		}
		if h.oneClass() != "" {
			m.Reason = "there are no two classes: class " + class + " has no label, or all of them"
			return m
		}
		roc := stat.NewROC(h.pos, h.neg)
		bound := stat.TieBound(h.pos, h.neg, h.single)
		e, n1, n0 := s.areaErrors(h, &roc)
		area, se = area+roc.AUC/k, se+e.row/k
		if n := min(n1, n0); n < least1 {
			least1, least0 = n, max(n1, n0)
		}
		lo, hi = lo+max(0, roc.AUC-bound)/k, hi+min(1, roc.AUC+bound)/k
		least = min(least, h.rowsPos, h.rowsN-h.rowsPos)
	}
	m.Value, m.Bounds = &area, &stat.Interval{Lo: lo, Hi: hi}
	m.withErrors(stdErrors{row: se, key: math.NaN(), block: math.NaN()})
	m.area(least, least1, least0, 1)
	return m
}
