package quality

import (
	"math"
	"math/big"

	"github.com/tidegate/tidegate/shared/sketch"
	"github.com/tidegate/tidegate/shared/stat"
)

// sums are the weighted sums of some rows of a regression. Labels are taken less
// their mean over all rows, or a large mean would swallow their spread.
type sums struct{ rows, absolute, square, label, labelSquare, ratio float64 }

func (a *sums) add(b *sums, w float64) {
	a.rows += w * b.rows
	a.absolute += w * b.absolute
	a.square += w * b.square
	a.label += w * b.label
	a.labelSquare += w * b.labelSquare
	a.ratio += w * b.ratio
}

func (a *sums) mae() float64  { return a.absolute / a.rows }
func (a *sums) rmse() float64 { return math.Sqrt(a.square / a.rows) }
func (a *sums) mape() float64 { return a.ratio / a.rows }

// spread is Σ(y − ȳ)².
func (a *sums) spread() float64 { return a.labelSquare - a.label*a.label/a.rows }
func (a *sums) r2() float64     { return 1 - a.square/a.spread() }

// centred are the sums of a group with labels less mean. Σy² − 2mΣy + m²n is exact before it is rounded.
func (g *group) centred(mean float64) sums {
	n := g.numbers
	rows := float64(g.rows)
	label, square := n[sumLabel], n[sumLabelSquare]
	m := new(big.Float).SetFloat64(mean)
	s1, s2, count := exact(&label), exact(&square), new(big.Float).SetUint64(g.rows)
	product := func(a, b *big.Float) *big.Float { return new(big.Float).SetPrec(precision).Mul(a, b) }
	diff := func(a, b *big.Float) *big.Float { return new(big.Float).SetPrec(precision).Sub(a, b) }
	centred := diff(s1, product(m, count))     // Σ(y − m)
	around := diff(s2, product(m, s1))         // Σy² − mΣy
	around = diff(around, product(m, centred)) // − mΣy + m²n
	c1, _ := centred.Float64()
	c2, _ := around.Float64()
	return sums{rows: rows, absolute: n[sumAbsolute].Float64(), square: n[sumSquare].Float64(), label: c1, labelSquare: max(0, c2), ratio: n[sumRatio].Float64()}
}

// precision holds the products of any two numbers of a regression exactly: 1e150 squared down to the lowest bit.
const precision = 4400

func exact(s *sketch.Sum) *big.Float {
	text, _ := s.MarshalText() // has no error
	f, _, err := big.ParseFloat(string(text), 0, precision, big.ToNearestEven)
	if err != nil {
		return new(big.Float) // MarshalText writes hexadecimal floats
	}
	return f
}

func (s *sample) measureRegression(q *Quality, seed string) {
	if s.counts.Judged == 0 {
		for _, name := range MetricNames(Regression) {
			q.Metrics = append(q.Metrics, undefined(name, 0, noRows))
		}
		return
	}
	mean := s.meanLabel()
	cache := map[*group]sums{}
	of := func(g *group) *sums {
		v, ok := cache[g]
		if !ok {
			v = g.centred(mean)
			cache[g] = v
		}
		return &v
	}
	var all sums
	var absoluteSq, rowsSq, squareSq float64 // Σw²|e|, Σw², Σw²e²
	for i, st := range s.strata {
		for _, g := range st.State.keys {
			if g != nil {
				w, one := s.weights[i], of(g)
				all.add(one, w)
				absoluteSq, rowsSq, squareSq = absoluteSq+w*w*one.absolute, rowsSq+w*w*one.rows, squareSq+w*w*one.square
			}
		}
	}
	draws := s.resampleSums(seed, of)

	mae := all.mae()
	m := Metric{Name: MAE, Value: &mae, N: s.counts.Judged}
	e := s.clustered(func(g *group) float64 { b := of(g); return (b.absolute - mae*b.rows) / all.rows })
	e.row = math.NaN()
	if n := s.effective(); n > 1 {
		e.row = math.Sqrt(max(0, squareSq-2*mae*absoluteSq+mae*mae*rowsSq)*n/(n-1)) / all.rows
	}
	m.withErrors(e)
	m.normal(0, math.Inf(1))
	q.Metrics = append(q.Metrics, m)

	rmse := all.rmse()
	q.Metrics = append(q.Metrics, s.regressionMetric(RMSE, rmse, draws[RMSE], 0, math.Inf(1), func(g *group) float64 {
		b := of(g)
		return ratio(b.square-rmse*rmse*b.rows, 2*rmse*all.rows)
	}))
	if spread := all.spread(); s.counts.Judged < 2 || spread <= 0 {
		q.Metrics = append(q.Metrics, undefined(R2, s.counts.Judged, "all labels are the same"))
	} else {
		mid := all.label / all.rows
		q.Metrics = append(q.Metrics, s.regressionMetric(R2, all.r2(), draws[R2], math.Inf(-1), 1, func(g *group) float64 {
			b := of(g)
			return all.square/spread*((b.labelSquare-2*mid*b.label+mid*mid*b.rows)/spread) - b.square/spread
		}))
	}
	if s.counts.ZeroLabels > 0 {
		q.Metrics = append(q.Metrics, undefined(MAPE, s.counts.Judged, "a label is 0: errors relative to it are undefined"))
		return
	}
	mape := all.mape()
	q.Metrics = append(q.Metrics, s.regressionMetric(MAPE, mape, draws[MAPE], 0, math.Inf(1), func(g *group) float64 {
		b := of(g)
		return (b.ratio - mape*b.rows) / all.rows
	}))
}

func (s *sample) meanLabel() float64 {
	var sum, rows float64
	for i, st := range s.strata {
		for _, g := range st.State.keys {
			if g != nil {
				sum, rows = sum+s.weights[i]*g.numbers[sumLabel].Float64(), rows+s.weights[i]*float64(g.rows)
			}
		}
	}
	return sum / rows
}

// regressionMetric has its interval from the wider of the resamples by key group and by time block.
func (s *sample) regressionMetric(name string, value float64, draws [][]float64, lo, hi float64, total func(g *group) float64) Metric {
	m := Metric{Name: name, Value: &value, N: s.counts.Judged}
	m.withErrors(s.clustered(total))
	var widest stat.Interval
	for _, d := range draws {
		if len(d) < resamples*9/10 {
			continue
		}
		if iv := stat.Percentiles(d, 0.95); m.Interval == nil || iv.Hi-iv.Lo > widest.Hi-widest.Lo {
			widest = iv
			m.Interval = &stat.Interval{Lo: max(lo, min(iv.Lo, value)), Hi: min(hi, max(iv.Hi, value))}
			m.Method = ByResample
		}
	}
	if m.Interval == nil {
		m.Reason = "fewer than 10 groups of keys: no interval"
	}
	return m
}

// resampleSums draws, for key groups and for time blocks where there are enough of
// them, the metrics of the rows in which each group is repeated a Poisson number of times.
func (s *sample) resampleSums(seed string, of func(*group) *sums) map[string][][]float64 {
	out := map[string][][]float64{}
	kinds := []struct {
		name      string
		n, filled int
		groups    func(*State) groups
	}{
		{"keys", stat.KeyGroups, s.filledKeys, func(st *State) groups { return st.keys }},
		{"blocks", BlockSlots, s.filledBlocks, func(st *State) groups { return st.blocks }},
	}
	for _, kind := range kinds {
		if kind.filled < leastClusters {
			continue
		}
		var parts []sums
		for i := range kind.n {
			var sum sums
			for k, st := range s.strata {
				if g := kind.groups(st.State)[i]; g != nil {
					sum.add(of(g), s.weights[k])
				}
			}
			if sum.rows > 0 {
				parts = append(parts, sum)
			}
		}
		rng, one := generator(seed, kind.name), stat.NewPoisson(1)
		draws := map[string][]float64{}
		for range resamples {
			var sum sums
			for i := range parts {
				if w := one.Draw(rng); w > 0 {
					sum.add(&parts[i], w)
				}
			}
			if sum.rows == 0 {
				continue
			}
			draws[RMSE] = append(draws[RMSE], sum.rmse())
			draws[MAPE] = append(draws[MAPE], sum.mape())
			if sum.spread() > 0 {
				draws[R2] = append(draws[R2], sum.r2())
			}
		}
		for name, d := range draws {
			out[name] = append(out[name], d)
		}
	}
	return out
}
