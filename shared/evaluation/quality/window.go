package quality

import (
	"math"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/stat"
)

// window is the predictions of a binary task, or of one class against the rest,
// by score bin and predicted class, without regard to labels.
type window struct {
	bins    *score.Bins
	n       []float64 // weighted rows, cell 2·bin + predicted class
	squares []float64 // Σ w²
	means   []float64 // mean score by bin
	rows    uint64
}

func (s *sample) windowOf(k int) *window {
	bins := s.layout.Bins[k]
	w := &window{bins: bins, n: make([]float64, 2*bins.Len()), squares: make([]float64, 2*bins.Len()), means: make([]float64, bins.Len())}
	per := 3
	if s.layout.Task == Binary {
		per = 6
	}
	for i, st := range s.strata {
		weight := s.weights[i]
		cells := st.State.hist[s.layout.offsets[k]:]
		for at := range bins.Len() * per {
			c := &cells[at]
			if c.n == 0 {
				continue
			}
			to := 2 * (at / per)
			if per == 6 {
				to += at % 2
			}
			w.n[to] += weight * float64(c.n)
			w.squares[to] += weight * weight * float64(c.n)
			w.means[at/per] += weight * c.sum.float()
			w.rows += c.n
		}
	}
	for b := range w.means {
		w.means[b] = ratio(w.means[b], w.n[2*b]+w.n[2*b+1])
	}
	return w
}

// expected are the rows that are expected by cell 4·bin + 2·label + predicted class.
func (w *window) expected(probability []float64, cells []float64) {
	for at, n := range w.n {
		bin, class := at/2, at%2
		cells[4*bin+2+class] = n * probability[bin]
		cells[4*bin+class] = n * (1 - probability[bin])
	}
}

// refitted are the probabilities of the bins under each of the calibrator's refits.
func (w *window) refitted(c *calibrator) [][]float64 {
	out := make([][]float64, len(c.refits))
	for i := range out {
		out[i] = make([]float64, len(w.means))
		for b, mean := range w.means {
			out[i][b] = c.refits[i].At(mean)
		}
	}
	return out
}

func (w *window) estimates(c *calibrator, noClass bool) []EstimateMetric {
	refitted := w.refitted(c)
	var out []EstimateMetric
	for _, name := range []string{ROCAUC, AveragePrecision, Accuracy, F1, Precision, Recall} {
		if noClass && name != ROCAUC && name != AveragePrecision {
			out = append(out, EstimateMetric{Name: name, Reason: "rows have no predicted class"})
			continue
		}
		out = append(out, w.estimate(name, c, refitted))
	}
	return out
}

func (w *window) estimate(name string, c *calibrator, refitted [][]float64) EstimateMetric {
	bins := w.bins.Len()
	probability, cells := make([]float64, bins), make([]float64, 4*bins)
	for b := range probability {
		probability[b] = c.at(w.means[b])
	}
	w.expected(probability, cells)
	v := w.value(name, cells, true)
	m := EstimateMetric{Name: name, Reason: v.why}
	if m.Reason != "" {
		return m
	}
	m.Value = &v.value
	var variance, open float64
	for at, n := range w.n {
		b, class := at/2, at%2
		if n == 0 {
			continue
		}
		p, d := probability[b], v.slope[4*b+2+class]-v.slope[4*b+class]
		variance += w.squares[at] * p * (1 - p) * d * d
		open += n * math.Abs(d) * w.spread(c, b, p)
	}
	m.Bounds = &stat.Interval{Lo: max(0, v.bounds.Lo-open), Hi: min(1, v.bounds.Hi+open)}
	var fits []float64
	for _, probability := range refitted {
		w.expected(probability, cells)
		if again := w.value(name, cells, false); again.why == "" {
			fits = append(fits, again.value)
		}
	}
	m.band(math.Sqrt(variance), deviation(fits))
	return m
}

// spread is the most that the probability of a score of bin b can be away from p.
func (w *window) spread(c *calibrator, b int, p float64) float64 {
	if w.bins.Atom(b) {
		return 0
	}
	lo := 0.0
	if b > 0 {
		lo = max(0, w.bins.Upper(b-1))
	}
	return max(p-c.at(lo), c.at(min(1, w.bins.Upper(b)))-p, 0)
}

// computed is a metric of expected cells, with its derivative by them.
type computed struct {
	value  float64
	why    string
	bounds stat.Interval
	slope  []float64
}

func (w *window) value(name string, cells []float64, slope bool) computed {
	switch name {
	case ROCAUC, AveragePrecision:
		return w.ranked(name, cells, slope)
	}
	var which named
	for _, m := range binaryMeasures {
		if m.name == name {
			which = m
		}
	}
	var four [4]float64
	for at, n := range cells {
		four[at%4] += n
	}
	m := newMatrix(2, four[:])
	var out computed
	out.value, out.why = which.value(&m)
	out.bounds = stat.Interval{Lo: out.value, Hi: out.value}
	if out.why == "" && slope {
		d := which.slope(&m, out.value)
		out.slope = make([]float64, len(cells))
		for at := range out.slope {
			out.slope[at] = d[at%4]
		}
	}
	return out
}

func (w *window) ranked(name string, cells []float64, slope bool) computed {
	bins := w.bins.Len()
	pos, neg := make([]float64, bins), make([]float64, bins)
	for b := range pos {
		neg[b], pos[b] = cells[4*b]+cells[4*b+1], cells[4*b+2]+cells[4*b+3]
	}
	out := computed{}
	single := w.bins.Atom
	if !slope { // the value alone
		single = func(int) bool { return true }
	}
	var at func(b int) (float64, float64)
	if name == ROCAUC {
		roc := stat.NewROC(pos, neg)
		bound := stat.TieBound(pos, neg, single)
		out.value, out.bounds, at = roc.AUC, stat.Interval{Lo: roc.AUC - bound, Hi: roc.AUC + bound}, roc.Influence
	} else {
		ap := stat.NewAveragePrecision(pos, neg, single)
		out.value, out.bounds = ap.Value, ap.Bounds
		at = func(b int) (float64, float64) { return ap.Positive[b], ap.Negative[b] }
	}
	if math.IsNaN(out.value) {
		out.why = "rows of one class only are expected"
	} else if slope {
		out.slope = make([]float64, len(cells))
		for b := range pos {
			p, n := at(b)
			out.slope[4*b+2], out.slope[4*b+3], out.slope[4*b], out.slope[4*b+1] = p, p, n, n
		}
	}
	return out
}

// deviation is the standard deviation of draws; 0 of fewer than two.
func deviation(draws []float64) float64 {
	if len(draws) < 2 {
		return 0
	}
	var mean, sum float64
	for _, d := range draws {
		mean += d / float64(len(draws))
	}
	for _, d := range draws {
		sum += (d - mean) * (d - mean)
	}
	return math.Sqrt(sum / float64(len(draws)-1))
}
