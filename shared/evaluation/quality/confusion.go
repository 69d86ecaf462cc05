package quality

import (
	"math"
	"math/rand/v2"

	"github.com/tidegate/tidegate/shared/stat"
)

// Confusion counts judged rows, weighted by sampling, by label and predicted class.
type Confusion struct {
	Classes []string    `json:"classes"`
	Rows    [][]float64 `json:"rows"` // by label, then by predicted class
}

// matrix is a confusion matrix of k classes, cell label·k + predicted class.
type matrix struct {
	k              int
	cells          []float64
	labels, chosen []float64 // sums by label, by predicted class
	all, right     float64
}

func newMatrix(k int, cells []float64) matrix {
	m := matrix{k: k, cells: cells, labels: make([]float64, k), chosen: make([]float64, k)}
	m.sum()
	return m
}

func (m *matrix) sum() {
	clear(m.labels)
	clear(m.chosen)
	m.all, m.right = 0, 0
	for i, n := range m.cells {
		l, p := i/m.k, i%m.k
		m.labels[l] += n
		m.chosen[p] += n
		m.all += n
		if l == p {
			m.right += n
		}
	}
}

func (m *matrix) confusion(classes []string) *Confusion {
	c := &Confusion{Classes: classes}
	for l := range m.k {
		c.Rows = append(c.Rows, m.cells[l*m.k:(l+1)*m.k])
	}
	return c
}

// measure is a metric of a confusion matrix: its value, or why it has none, and
// its derivative by the cells.
type measure struct {
	value  func(m *matrix) (float64, string)
	slope  func(m *matrix, value float64) []float64
	lo, hi float64
}

const (
	noRows      = "there is no judged row"
	oneLabel    = "all labels are of one class"
	noPositive  = "no label is of the positive class"
	noneFlagged = "no row is predicted to be of the positive class"
	oneSided    = "all labels or all predicted classes are the same"
)

var accuracy = measure{
	value: func(m *matrix) (float64, string) {
		if m.all == 0 {
			return 0, noRows
		}
		return m.right / m.all, ""
	},
	slope: func(m *matrix, v float64) []float64 {
		return m.slopes(func(l, p int) float64 { return (is(l == p) - v) / m.all })
	},
	hi: 1,
}

// matthews is the correlation of labels and predicted classes (Gorodkin 2004).
var matthews = measure{
	value: func(m *matrix) (float64, string) {
		num, x, y := m.covariance()
		if !(x > 0 && y > 0) {
			return 0, oneSided
		}
		return num / math.Sqrt(x*y), ""
	},
	slope: func(m *matrix, v float64) []float64 {
		_, x, y := m.covariance()
		return m.slopes(func(l, p int) float64 {
			num := is(l == p)*m.all + m.right - m.chosen[l] - m.labels[p]
			return num/math.Sqrt(x*y) - v*((m.all-m.chosen[p])/x+(m.all-m.labels[l])/y)
		})
	},
	lo: -1, hi: 1,
}

func (m *matrix) covariance() (both, chosen, labels float64) {
	both, chosen, labels = m.right*m.all, m.all*m.all, m.all*m.all
	for k := range m.k {
		both -= m.chosen[k] * m.labels[k]
		chosen -= m.chosen[k] * m.chosen[k]
		labels -= m.labels[k] * m.labels[k]
	}
	return both, chosen, labels
}

// balanced is the mean recall over the classes that labels have.
var balanced = measure{
	value: func(m *matrix) (float64, string) {
		var sum, n float64
		for k, rows := range m.labels {
			if rows > 0 {
				sum, n = sum+m.cells[k*m.k+k]/rows, n+1
			}
		}
		if n == 0 {
			return 0, noRows
		}
		if n == 1 {
			return 0, oneLabel
		}
		return sum / n, ""
	},
	slope: func(m *matrix, _ float64) []float64 {
		n := float64(filled(m.labels, func(x float64) bool { return x > 0 }))
		return m.slopes(func(l, p int) float64 { return recallOf.slope(m, l, l, p) / n })
	},
	hi: 1,
}

// ofClass is a metric of one class k against the rest; 0 where its denominator is, as in scikit-learn.
type ofClass struct {
	value func(m *matrix, k int) float64
	slope func(m *matrix, k, l, p int) float64
}

var recallOf = ofClass{
	value: func(m *matrix, k int) float64 { return ratio(m.cells[k*m.k+k], m.labels[k]) },
	slope: func(m *matrix, k, l, p int) float64 {
		return ratio(is(l == k)*(is(p == k)-ratio(m.cells[k*m.k+k], m.labels[k])), m.labels[k])
	},
}

var precisionOf = ofClass{
	value: func(m *matrix, k int) float64 { return ratio(m.cells[k*m.k+k], m.chosen[k]) },
	slope: func(m *matrix, k, l, p int) float64 {
		return ratio(is(p == k)*(is(l == k)-ratio(m.cells[k*m.k+k], m.chosen[k])), m.chosen[k])
	},
}

var f1Of = ofClass{
	value: func(m *matrix, k int) float64 { return ratio(2*m.cells[k*m.k+k], m.labels[k]+m.chosen[k]) },
	slope: func(m *matrix, k, l, p int) float64 {
		both := m.labels[k] + m.chosen[k]
		return ratio(2*is(l == k && p == k)-ratio(2*m.cells[k*m.k+k], both)*(is(l == k)+is(p == k)), both)
	},
}

// positive is the metric of class 1 of two; why says what is missing where the denominator is 0.
func positive(c ofClass, denominator func(m *matrix) float64, why string) measure {
	return measure{
		value: func(m *matrix) (float64, string) {
			if denominator(m) == 0 {
				return 0, why
			}
			return c.value(m, 1), ""
		},
		slope: func(m *matrix, _ float64) []float64 {
			return m.slopes(func(l, p int) float64 { return c.slope(m, 1, l, p) })
		},
		hi: 1,
	}
}

// macro is the mean over the classes that labels or predictions have.
func macro(c ofClass) measure {
	present := func(m *matrix, k int) bool { return m.labels[k]+m.chosen[k] > 0 }
	return measure{
		value: func(m *matrix) (float64, string) {
			var sum, n float64
			for k := range m.k {
				if present(m, k) {
					sum, n = sum+c.value(m, k), n+1
				}
			}
			if n == 0 {
				return 0, noRows
			}
			return sum / n, ""
		},
		slope: func(m *matrix, _ float64) []float64 {
			var n float64
			for k := range m.k {
				n += is(present(m, k))
			}
			return m.slopes(func(l, p int) float64 {
				s := c.slope(m, l, l, p)
				if p != l {
					s += c.slope(m, p, l, p)
				}
				return s / n
			})
		},
		hi: 1,
	}
}

func (m *matrix) slopes(f func(l, p int) float64) []float64 {
	out := make([]float64, len(m.cells))
	for i := range out {
		out[i] = f(i/m.k, i%m.k)
	}
	return out
}

// resample draws every stratum's cells from Poisson distributions of their counts,
// and calls f with each weighted matrix.
func (s *sample) resample(rng *rand.Rand, strata [][]float64, k int, f func(m *matrix)) {
	type drawn struct {
		at     int
		weight float64
		from   stat.Poisson
	}
	var cells []drawn
	for i, counts := range strata {
		for at, n := range counts {
			if n > 0 {
				cells = append(cells, drawn{at, s.weights[i], stat.NewPoisson(n)})
			}
		}
	}
	m := newMatrix(k, make([]float64, k*k))
	for range resamples {
		clear(m.cells)
		for i := range cells {
			m.cells[cells[i].at] += cells[i].weight * cells[i].from.Draw(rng)
		}
		m.sum()
		f(&m)
	}
}

func is(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
