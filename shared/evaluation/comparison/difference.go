package comparison

import (
	"fmt"
	"math"

	"github.com/tidegate/tidegate/shared/stat"
)

// The metrics, by scikit-learn's names.
const (
	ROCAUC     = "roc_auc"
	LogLoss    = "log_loss"    // natural logarithm, probabilities clipped at 1e-6
	BrierScore = "brier_score" // of the positive class
	Accuracy   = "accuracy"
	MAE        = "mae"
	MSE        = "mse"
)

// Relative says whether a metric's margins are shares of the champion's value.
func Relative(metric string) bool { return metric != ROCAUC && metric != Accuracy }

// Estimate is a metric of one side with its 95 % interval.
type Estimate struct {
	Value float64 `json:"value"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
}

// Errors are standard errors, by what rows may depend on; 0 where there are no two groups.
type Errors struct {
	Row   float64 `json:"row"`   // every row for itself
	Key   float64 `json:"key"`   // rows of one key depend on each other
	Block float64 `json:"block"` // rows of one time block do
}

// Largest is the error that intervals and decisions use.
func (e Errors) Largest() float64 { return max(e.Row, e.Key, e.Block) }

// Difference is a metric of both sides over the same pairs.
type Difference struct {
	Metric string `json:"metric"`
	Counts
	// Unknown says why there is no value: one class only, too few pairs. The rest is then 0.
	Unknown    string   `json:"unknown,omitempty"`
	Champion   Estimate `json:"champion"`
	Challenger Estimate `json:"challenger"`
	// Delta is challenger less champion, with the sign turned for losses: more is better. Lo and Hi
	// are its 95 % interval, for one look.
	Delta  float64 `json:"delta"`
	Lo     float64 `json:"lo"`
	Hi     float64 `json:"hi"`
	SE     Errors  `json:"se"`
	PValue float64 `json:"p_value"` // two-sided, for one look, from the largest error; of roc_auc DeLong's test
	// Resolution is how far the delta of roc_auc can be from that of the scores before binning, whatever
	// their order within the bins. It is not in the interval; the bounds that decide have it.
	Resolution float64 `json:"resolution,omitempty"`
}

// rest is the number of the segment of all values that are not looked at apart, all
// that of all pairs.
func (s *State) rest() int { return len(s.spec.Segments) }
func (s *State) all() int  { return len(s.segments) }

const notApart = "these pairs are not looked at apart"

const z95 = 1.959963984540054

// Difference measures a metric over all pairs.
func (s *State) Difference(metric string) Difference { return s.differences(metric)[s.all()] }

// differences measures a metric in each segment, in the rest, and over all.
func (s *State) differences(metric string) []Difference {
	out := make([]Difference, len(s.segments)+1)
	counts := s.counts()
	if metric == ROCAUC && s.bins[Champion] != nil {
		s.areas(out, counts)
	} else {
		of := s.valueOf(metric)
		for i := range out {
			out[i] = s.mean(metric, of, i, counts[i])
		}
		out[s.rest()].Unknown = notApart
	}
	for i := range out {
		d := &out[i]
		d.Metric, d.Counts = metric, counts[i]
		if d.Unknown != "" {
			*d = Difference{Metric: metric, Counts: counts[i], Unknown: d.Unknown}
			continue
		}
		se := d.SE.Largest()
		d.Lo, d.Hi = d.Delta-z95*se, d.Delta+z95*se
		d.PValue = stat.Normal(d.Delta, se)
	}
	return out
}

// counts are the pairs by segment, the rest, and all.
func (s *State) counts() []Counts {
	out := make([]Counts, len(s.segments)+1)
	for i, t := range s.blocks.tallies {
		_, seg := splitBlock(s.blocks.ids[i])
		out[seg].Pairs += t.n[Champion]
	}
	if s.spec.Task == Binary {
		for i := range s.segments {
			out[i].Positives = s.segments[i].positives
			out[i].Negatives = out[i].Pairs - s.segments[i].positives
		}
	}
	for i := range s.segments {
		out[s.all()].Pairs += out[i].Pairs
		out[s.all()].Positives += out[i].Positives
		out[s.all()].Negatives += out[i].Negatives
	}
	return out
}

// value is a row metric: its values are means over rows.
type value struct {
	sign float64                                            // of what is better
	sum  func(t *tally, side Side) float64                  // over a group
	rows func(seg int) (champion, challenger, both float64) // Σ of squares over a segment, of the sides and of the difference
}

// valueOf is nil for a metric that the pairs do not show.
func (s *State) valueOf(metric string) *value {
	if metric == Accuracy && s.spec.Task != Regression {
		return &value{sign: 1,
			sum: func(t *tally, side Side) float64 { return float64(t.right[side]) },
			rows: func(seg int) (float64, float64, float64) {
				a := s.segments[seg].agreement
				return float64(a.BothRight + a.ChampionOnly), float64(a.BothRight + a.ChallengerOnly), float64(a.ChampionOnly + a.ChallengerOnly)
			}}
	}
	for l, name := range s.spec.losses() {
		if name == metric {
			return &value{sign: -1,
				sum: func(t *tally, side Side) float64 { return t.sums[side][l].Float64() },
				rows: func(seg int) (float64, float64, float64) {
					q := &s.segments[seg].squares
					return q[0][l].Float64(), q[1][l].Float64(), q[2][l].Float64()
				}}
		}
	}
	return nil
}

// mean measures a row metric in a segment.
func (s *State) mean(metric string, of *value, segment int, c Counts) (d Difference) {
	switch {
	case of == nil:
		d.Unknown = fmt.Sprintf("%s is not known from these answers", metric)
		return d
	case c.Pairs < 2:
		d.Unknown = "fewer than two pairs"
		return d
	}
	n := float64(c.Pairs)
	var squares [3]float64 // champion, challenger, difference
	for i := range s.segments {
		if segment == s.all() || segment == i {
			a, b, diff := of.rows(i)
			squares[0], squares[1], squares[2] = squares[0]+a, squares[1]+b, squares[2]+diff
		}
	}
	blocks := s.blockSums(of, segment)
	var total [2]float64
	for _, g := range blocks {
		total[0], total[1] = total[0]+g.sum[0], total[1]+g.sum[1]
	}
	means := [3]float64{total[0] / n, total[1] / n, (total[1] - total[0]) / n}
	ses := [3]Errors{}
	for i, sum := range [3]float64{total[0], total[1], total[1] - total[0]} {
		ses[i].Row = stat.MeanError(n, sum, squares[i])
	}
	clustered(blocks, means, n, func(i int, se float64) { ses[i].Block = se })
	if segment == s.all() {
		clustered(s.keySums(of), means, n, func(i int, se float64) { ses[i].Key = se })
	}
	d.Champion, d.Challenger = side(metric, means[0], ses[0], n), side(metric, means[1], ses[1], n)
	d.Delta, d.SE = of.sign*means[2]+0, ses[2]
	return d
}

// groupSum is a group's rows and the sums of a row metric over them.
type groupSum struct {
	n   float64
	sum [2]float64
}

// blockSums are by time block, in order; a block's segments become one where all are meant.
func (s *State) blockSums(of *value, segment int) []groupSum {
	var out []groupSum
	before := int64(-1)
	for _, i := range s.blocks.order() {
		block, seg := splitBlock(s.blocks.ids[i])
		if segment != s.all() && seg != segment {
			continue
		}
		if block != before {
			out, before = append(out, groupSum{}), block
		}
		out[len(out)-1].add(of, s.blocks.tallies[i])
	}
	return out
}

func (s *State) keySums(of *value) []groupSum {
	out := make([]groupSum, len(s.keys.ids))
	for at, i := range s.keys.order() {
		out[at].add(of, s.keys.tallies[i])
	}
	return out
}

func (g *groupSum) add(of *value, t *tally) {
	g.n += float64(t.n[Champion])
	g.sum[0] += of.sum(t, Champion)
	g.sum[1] += of.sum(t, Challenger)
}

// clustered gives the cluster errors of both sides and of their difference.
func clustered(groups []groupSum, means [3]float64, n float64, set func(i int, se float64)) {
	if len(groups) < 2 {
		return
	}
	var c [3]stat.Clusters
	for _, g := range groups {
		c[0].Add((g.sum[0] - g.n*means[0]) / n)
		c[1].Add((g.sum[1] - g.n*means[1]) / n)
		c[2].Add((g.sum[1] - g.sum[0] - g.n*means[2]) / n)
	}
	for i := range c {
		set(i, c[i].Error())
	}
}

// side is the interval of one side's mean; of accuracy it is Wilson's, at the number
// of independent rows that its error is worth.
func side(metric string, mean float64, se Errors, n float64) Estimate {
	err := se.Largest()
	if metric == Accuracy {
		if err > 0 {
			n = math.Min(n, mean*(1-mean)/(err*err))
		}
		in := stat.Wilson(mean*n, n, z95)
		return Estimate{mean, in.Lo, in.Hi}
	}
	return Estimate{mean, math.Max(0, mean-z95*err), mean + z95*err}
}
