package comparison

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Max(1e-3, math.Abs(want)) {
		t.Errorf("%s = %.15g, want %.15g", what, got, want)
	}
}

// direct computes a difference from the rows themselves: every row's influence on
// the metric of either side, from which the errors follow.
type direct struct {
	value [2]float64
	psi   [2][]float64 // by side and row
}

func directMean(rows []Row, of func(r *Row, a Answer) float64) direct {
	var d direct
	n := float64(len(rows))
	for side := range d.psi {
		for i := range rows {
			d.value[side] += of(&rows[i], answers(&rows[i])[side]) / n
		}
		for i := range rows {
			d.psi[side] = append(d.psi[side], (of(&rows[i], answers(&rows[i])[side])-d.value[side])/n)
		}
	}
	return d
}

// directArea compares every positive row with every negative one, by their bins.
func directArea(s *State, rows []Row) direct {
	var d direct
	var n [2]float64
	for i := range rows {
		n[rows[i].Label]++
	}
	for side := range d.psi {
		bin := func(i int) int { return s.bins[side].Index(answers(&rows[i])[side].Score) }
		place := make([]float64, len(rows))
		for i := range rows {
			for j := range rows {
				if rows[i].Label == 1 && rows[j].Label == 0 {
					k := 0.0
					if bin(i) > bin(j) {
						k = 1
					} else if bin(i) == bin(j) {
						k = 0.5
					}
					d.value[side] += k / (n[0] * n[1])
					place[i] += k / n[0]
					place[j] += k / n[1]
				}
			}
		}
		for i := range rows {
			d.psi[side] = append(d.psi[side], (place[i]-d.value[side])/n[rows[i].Label])
		}
	}
	return d
}

func answers(r *Row) [2]Answer { return [2]Answer{r.Champion, r.Challenger} }

// rowError is the error of independent rows; classes correct n/(n−1) apart.
func rowError(rows []Row, psi []float64, byClass bool) float64 {
	var sum, n [2]float64
	for i, p := range psi {
		c := 0
		if byClass {
			c = rows[i].Label
		}
		sum[c], n[c] = sum[c]+p*p, n[c]+1
	}
	total := 0.0
	for c := range sum {
		if n[c] > 1 {
			total += sum[c] * n[c] / (n[c] - 1)
		}
	}
	return math.Sqrt(total)
}

func clusterError(rows []Row, psi []float64, group func(*Row) int64) float64 {
	sums := map[int64]float64{}
	for i := range rows {
		sums[group(&rows[i])] += psi[i]
	}
	total := 0.0
	for _, s := range sums {
		total += s * s
	}
	g := float64(len(sums))
	return math.Sqrt(total * g / (g - 1))
}

func TestDifferencesFromTheRows(t *testing.T) {
	probability := func(r *Row, a Answer) float64 {
		if r.Label == 1 {
			return a.Score
		}
		return 1 - a.Score
	}
	right := func(r *Row, a Answer) float64 {
		if a.Class == r.Label {
			return 1
		}
		return 0
	}
	means := map[Task]map[string]func(*Row, Answer) float64{
		Binary: {
			LogLoss:    func(r *Row, a Answer) float64 { return -math.Log(math.Max(1e-6, probability(r, a))) },
			BrierScore: func(r *Row, a Answer) float64 { return math.Pow(a.Score-float64(r.Label), 2) },
			Accuracy:   right,
		},
		Multiclass: {LogLoss: func(_ *Row, a Answer) float64 { return -math.Log(math.Max(1e-6, a.Score)) }, Accuracy: right},
		Regression: {
			MAE: func(r *Row, a Answer) float64 { return math.Abs(a.Score - r.Target) },
			MSE: func(r *Row, a Answer) float64 { return math.Pow(a.Score-r.Target, 2) },
		},
	}
	for task, metrics := range means {
		rng := rand.New(rand.NewPCG(5, 6))
		s := build(t, specOf(task))
		rows := make([]Row, 700)
		for i := range rows {
			rows[i] = drawRow(rng, s)
			rows[i].Group = rng.IntN(30)
			count(t, s, &rows[i], i)
		}
		for metric, of := range metrics {
			same(t, s, rows, metric, func(rows []Row) direct { return directMean(rows, of) })
		}
		if task == Binary {
			same(t, s, rows, ROCAUC, func(rows []Row) direct { return directArea(s, rows) })
		}
	}
}

// same compares all pairs and each segment with the direct computation.
func same(t *testing.T, s *State, rows []Row, metric string, compute func([]Row) direct) {
	t.Helper()
	sign := 1.0
	if Relative(metric) {
		sign = -1
	}
	for i, d := range s.differences(metric) {
		if i == s.rest() {
			if d.Unknown == "" {
				t.Errorf("%s of the rest is not to be looked at", metric)
			}
			continue
		}
		var part []Row
		for _, r := range rows {
			if i == s.all() || r.Segment == i {
				part = append(part, r)
			}
		}
		want := compute(part)
		psi := make([]float64, len(part))
		for k := range psi {
			psi[k] = want.psi[1][k] - want.psi[0][k]
		}
		near(t, metric+" of the champion", d.Champion.Value, want.value[0])
		near(t, metric+" of the challenger", d.Challenger.Value, want.value[1])
		near(t, metric+" delta", d.Delta, sign*(want.value[1]-want.value[0]))
		near(t, metric+" row error", d.SE.Row, rowError(part, psi, metric == ROCAUC))
		near(t, metric+" block error", d.SE.Block, clusterError(part, psi, func(r *Row) int64 { return r.Time.Unix() / 3600 }))
		if i == s.all() {
			near(t, metric+" key error", d.SE.Key, clusterError(part, psi, func(r *Row) int64 { return int64(r.Group) }))
			near(t, metric+" lower end", d.Lo, d.Delta-z95*max(d.SE.Row, d.SE.Key, d.SE.Block))
		}
		if d.Pairs != uint64(len(part)) || !(d.Champion.Lo <= d.Champion.Value && d.Champion.Value <= d.Champion.Hi) {
			t.Errorf("%s: %+v of %d rows", metric, d, len(part))
		}
	}
}

func TestOneClassKeepsTheRest(t *testing.T) {
	s := build(t, specOf(Binary))
	for i := range 100 {
		r := Row{Time: base.Add(time.Duration(i) * time.Minute), Champion: answerOf(0.2), Challenger: answerOf(0.1 + 0.001*float64(i))}
		count(t, s, &r, i)
	}
	if d := s.Difference(ROCAUC); d.Unknown == "" || d.SE != (Errors{}) {
		t.Errorf("roc_auc of one class: %+v", d)
	}
	if d := s.Difference(LogLoss); d.Unknown != "" || d.Pairs != 100 {
		t.Errorf("log_loss of one class: %+v", d)
	}
	if d := s.Difference(MAE); d.Unknown == "" {
		t.Errorf("a metric of another task: %+v", d)
	}
	reported(t, s) // encodes without NaN
}

func TestClassesAlone(t *testing.T) {
	spec := specOf(Binary)
	spec.Champion.Bins, spec.Challenger.Bins = nil, nil
	s := build(t, spec)
	rng := rand.New(rand.NewPCG(5, 7))
	for i := range 300 {
		r := drawRow(rng, s)
		r.Champion.Score, r.Challenger.Score = math.NaN(), 7 // scores are not looked at
		count(t, s, &r, i)
	}
	if m := spec.Metrics(); len(m) != 1 || m[0] != Accuracy {
		t.Errorf("metrics %v", m)
	}
	if d := s.Difference(Accuracy); d.Unknown != "" || d.Pairs != 300 {
		t.Errorf("%+v", d)
	}
	if c, err := Decode(encoded(t, s)); err != nil || c.Pairs() != 300 {
		t.Errorf("read back: %v", err)
	}
}

// TestUnpairedIsTakenWithinBlocks: the challenger gets more of the traffic at hours in
// which both are bad. Pooled, it would look worse by far.
func TestUnpairedIsTakenWithinBlocks(t *testing.T) {
	s := build(t, specOf(Regression))
	rng := rand.New(rand.NewPCG(5, 8))
	for hour := range 12 {
		weight, scale := 0.1, 1.0
		if hour >= 6 {
			weight, scale = 0.5, 10
		}
		for range 2000 {
			side := Champion
			if rng.Float64() < weight {
				side = Challenger
			}
			if err := s.AddServed(side, base.Add(time.Duration(hour)*time.Hour), 0, 0, Answer{Score: scale * rng.NormFloat64()}); err != nil {
				t.Fatal(err)
			}
		}
	}
	u := s.Unpaired(MAE)
	if u.Unknown != "" || u.Blocks != 12 || u.Champion+u.Challenger != 24000 || u.Lo > 0 || u.Hi < 0 || u.SE > 0.3 {
		t.Errorf("equal slots: %+v", u)
	}
	if u := s.Unpaired(Accuracy); u.Unknown == "" {
		t.Errorf("a metric of another task: %+v", u)
	}
}

func TestUnpairedArea(t *testing.T) {
	s := build(t, specOf(Binary))
	rng := rand.New(rand.NewPCG(5, 9))
	for i := range 8000 {
		r := drawRow(rng, s)
		r.Challenger = answerOf(rng.Float64()) // of no use
		count(t, s, &r, i)
	}
	if u := s.Unpaired(ROCAUC); u.Unknown != "" || u.Hi > -0.3 || u.LeftOut != 0 {
		t.Errorf("a challenger of no use: %+v", u)
	}
}
