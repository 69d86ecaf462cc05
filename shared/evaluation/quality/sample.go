package quality

import (
	"fmt"
	"math"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/stat"
)

// Stratum is a state whose rows were each captured with probability Sampled, and
// stand for 1/Sampled rows each.
type Stratum struct {
	State   *State
	Sampled float64
}

// leastSampled is the least sampling probability: a row stands for 10^9 others at most.
const leastSampled = 1e-9

// sample is the weighted view of strata.
type sample struct {
	layout  *Layout
	strata  []Stratum
	weights []float64
	counts  Counts

	// Of the judged rows, by cell of a group (see Layout.groupWidth): Σ w and Σ w².
	cells, squares []float64

	withoutGroups            bool
	filledKeys, filledBlocks int
}

func newSample(strata []Stratum) (*sample, error) {
	if len(strata) == 0 || strata[0].State == nil {
		return nil, fault.New(fault.InvalidArgument, "there is no state to measure")
	}
	s := &sample{layout: strata[0].State.layout, strata: strata}
	width := s.layout.groupWidth()
	s.cells, s.squares = make([]float64, width), make([]float64, width)
	keys, blocks := [stat.KeyGroups]bool{}, [BlockSlots]bool{}
	for i, st := range strata {
		if !(st.Sampled >= leastSampled && st.Sampled <= 1) {
			return nil, fault.New(fault.InvalidArgument, "strata[%d].sampled must be at least %g and at most 1", i, leastSampled)
		}
		if st.State == nil || !st.State.layout.Equal(s.layout) {
			return nil, fault.New(fault.InvalidArgument, "strata[%d] is of another layout than the first", i)
		}
		w := 1 / st.Sampled
		s.weights = append(s.weights, w)
		s.counts.merge(&st.State.Counts)
		s.withoutGroups = s.withoutGroups || st.State.keys == nil
		st.State.judged(func(at int, n float64) {
			s.cells[at] += w * n
			s.squares[at] += w * w * n
		})
		mark(keys[:], st.State.keys)
		mark(blocks[:], st.State.blocks)
	}
	s.filledKeys = filled(keys[:], func(b bool) bool { return b })
	s.filledBlocks = filled(blocks[:], func(b bool) bool { return b })
	return s, nil
}

func mark(seen []bool, gs groups) {
	for i, g := range gs {
		seen[i] = seen[i] || g != nil
	}
}

// judged calls f with the number of judged rows of every cell of a group.
func (s *State) judged(f func(at int, n float64)) {
	if s.layout.Task == Binary {
		for i, c := range s.hist {
			if bin, label, class := i/6, i/2%3, i%2; label != unknown && c.n > 0 {
				f(4*bin+2*label+class, float64(c.n))
			}
		}
		return
	}
	for _, g := range s.keys {
		if g != nil {
			g.each(func(at int, n uint32) { f(at, float64(n)) })
		}
	}
}

// effective is Kish's number of rows, (Σw)²/Σw².
func (s *sample) effective() float64 {
	var w1, w2 float64
	for i, st := range s.strata {
		n, w := float64(st.State.Counts.Judged), s.weights[i]
		w1, w2 = w1+w*n, w2+w*w*n
	}
	if w2 == 0 {
		return 0
	}
	return w1 * w1 / w2
}

// influence is the standard error of a statistic whose derivative by the count of
// cell c is psi[c]: over independent rows √Σ w²ψ², over clusters of the sum of ψ in
// each.
func (s *sample) influence(psi []float64) stdErrors {
	var row float64
	for c, w2 := range s.squares {
		row += w2 * psi[c] * psi[c]
	}
	total := func(g *group) float64 {
		var t float64
		g.each(func(at int, n uint32) { t += float64(n) * psi[at] })
		return t
	}
	e := s.clustered(total)
	e.row = math.Sqrt(row)
	return e
}

// clustered is the standard error over key groups and over time blocks of a
// statistic, from the sum of the influences of a group's rows; row is NaN.
func (s *sample) clustered(total func(g *group) float64) stdErrors {
	return stdErrors{
		row:   math.NaN(),
		key:   s.clusterError(stat.KeyGroups, s.filledKeys, func(st *State) groups { return st.keys }, total),
		block: s.clusterError(BlockSlots, s.filledBlocks, func(st *State) groups { return st.blocks }, total),
	}
}

func (s *sample) clusterError(n, filled int, of func(*State) groups, total func(g *group) float64) float64 {
	if filled < leastClusters {
		return math.NaN()
	}
	var c stat.Clusters
	for i := range n {
		sum, any := 0.0, false
		for k, st := range s.strata {
			if gs := of(st.State); gs != nil && gs[i] != nil {
				sum += s.weights[k] * total(gs[i])
				any = true
			}
		}
		if any {
			c.Add(sum)
		}
	}
	return c.Error()
}

// loss is the mean of a loss over the rows that have one, with its standard errors
// and their number.
func (s *sample) loss(which int) (mean float64, n uint64, e stdErrors) {
	var w1, sum, rows float64
	type part struct{ n, sum, squares float64 }
	parts := make([]part, len(s.strata))
	for k, st := range s.strata {
		p := &parts[k]
		var exact fixed
		for _, g := range st.State.keys {
			if g != nil {
				p.n += float64(g.scored)
				n += g.scored
				exact.merge(g.sums[which])
			}
		}
		p.sum, p.squares = exact.float(), st.State.lossSquares[which].float()
		w1, sum, rows = w1+s.weights[k]*p.n, sum+s.weights[k]*p.sum, rows+p.n
	}
	if rows == 0 {
		return math.NaN(), 0, stdErrors{math.NaN(), math.NaN(), math.NaN()}
	}
	mean = sum / w1
	e = s.clustered(func(g *group) float64 { return (g.sums[which].float() - mean*float64(g.scored)) / w1 })
	e.row = math.NaN()
	if rows > 1 {
		var v float64
		for k, p := range parts {
			v += s.weights[k] * s.weights[k] * max(0, p.squares-2*mean*p.sum+mean*mean*p.n)
		}
		e.row = math.Sqrt(v*rows/(rows-1)) / w1
	}
	return mean, n, e
}

// warn says what a reader of the metrics should know.
func (q *Quality) warn() {
	warn := func(n uint64, format string) {
		if n > 0 {
			q.Warnings = append(q.Warnings, fmt.Sprintf(format, n))
		}
	}
	c := &q.Counts
	warn(c.Unusable, "%d predictions are not usable: they have neither a finite value nor a class")
	warn(c.NoScore, "%d predictions have no score and are left out of the metrics of scores")
	warn(c.OutOfRange, "%d predictions have a score outside of [0, 1]: the scores are no probabilities")
	warn(c.BadLabels, "%d labels are outside of the classes or not finite, and taken as missing")
	warn(c.Judged-min(c.Judged, uint64(math.Ceil(q.EffectiveRows))), "rows are weighted by their sampling probability, and are worth %d fewer")
	switch {
	case q.Counts.Judged > 0 && q.Blocks <= 1:
		q.Warnings = append(q.Warnings, "the rows are of one block of time, or have no time: how rows of one time depend on each other is not seen")
	case q.Counts.Judged > 0 && q.Blocks < leastClusters:
		q.Warnings = append(q.Warnings, fmt.Sprintf("%d blocks of time are fewer than the %d that a standard error over them needs: dependence within blocks is not seen", q.Blocks, leastClusters))
	}
	for i := range q.Metrics {
		m := &q.Metrics[i]
		if m.SE != nil && m.SERow != nil && *m.SERow > 0 && *m.SE > 1.5**m.SERow {
			q.Warnings = append(q.Warnings, fmt.Sprintf("rows are not independent: the standard error of %s is %.3g times that over rows", m.Name, *m.SE / *m.SERow))
			break
		}
	}
}
