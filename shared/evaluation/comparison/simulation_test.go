//go:build !race

// The simulations draw tens of millions of rows: the race detector would only make
// them ten times slower.

package comparison

import (
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/stat"
)

// world is a rollout to be simulated: two scores of binormal models, calibrated, of
// which 20 % of rows are positive and whose noise has the correlation 0.9.
type world struct {
	name       string
	champion   float64 // AUC
	challenger float64
	inverted   bool // the challenger answers 1 − score
	keyRows    int  // rows of one key, whose noise and labels depend on each other; 0: every row its own key
}

const (
	positives   = 0.2
	correlation = 0.9
	keyShare    = 0.5 // of the noise's variance that a key's rows share
	looks       = 50
	lookPairs   = 400
)

// ended is how a run ended, and after how many pairs.
type ended struct {
	action Action
	pairs  uint64
}

// model turns the latent value of a row into a calibrated probability.
type model struct{ mu float64 }

func (m model) score(x float64) float64 {
	return 1 / (1 + math.Exp(-(math.Log(positives/(1-positives)) + m.mu*x - m.mu*m.mu/2)))
}

func modelOf(auc float64) model { return model{math.Sqrt2 * stat.Z(auc)} }

// noise is a pair of standard normals with the correlation of the scores.
func noise(rng *rand.Rand) (a, b float64) {
	a = rng.NormFloat64()
	return a, correlation*a + math.Sqrt(1-correlation*correlation)*rng.NormFloat64()
}

// rows draws the rows of one run.
type rows struct {
	w      world
	rng    *rand.Rand
	a, b   model
	left   int // rows of the current key
	group  int
	share  float64 // of positives among the key's rows
	ka, kb float64 // the key's noise
}

func (g *rows) row(r *Row) {
	a, b := noise(g.rng)
	share := positives
	if g.w.keyRows > 0 {
		if g.left == 0 {
			g.left, g.group = g.w.keyRows, g.rng.IntN(stat.KeyGroups)
			g.ka, g.kb = noise(g.rng)
			g.share = positives * 2 * g.rng.Float64()
		}
		g.left--
		a = math.Sqrt(keyShare)*g.ka + math.Sqrt(1-keyShare)*a
		b = math.Sqrt(keyShare)*g.kb + math.Sqrt(1-keyShare)*b
		share = g.share
	} else {
		g.group = g.rng.IntN(stat.KeyGroups)
	}
	r.Group, r.Label = g.group, 0
	if g.rng.Float64() < share {
		r.Label = 1
		a, b = a+g.a.mu, b+g.b.mu
	}
	r.Champion, r.Challenger = answer(g.a.score(a)), answer(g.b.score(b))
	if g.w.inverted {
		r.Challenger = answer(1 - g.a.score(a))
	}
}

func answer(p float64) Answer {
	if p >= 0.5 {
		return Answer{p, 1}
	}
	return Answer{p, 0}
}

func simulationSpec(w world) Spec {
	rng := rand.New(rand.NewPCG(1, 1))
	g := rows{w: world{champion: w.champion, challenger: w.challenger}, rng: rng, a: modelOf(w.champion), b: modelOf(w.challenger)}
	var a, b []float64
	for range 10000 {
		var r Row
		g.row(&r)
		a, b = append(a, r.Champion.Score), append(b, r.Challenger.Score)
	}
	return Spec{Task: Binary, Block: Hour, SlowMicros: 30000,
		Champion:   Version{Name: "m@1", Digest: "a", Dataset: "d", Bins: score.Freeze(a)},
		Challenger: Version{Name: "m@2", Digest: "b", Dataset: "d", Bins: score.Freeze(b)}}
}

// rollout runs one rollout of two steps, 25 % and 50 % of the traffic, each with a
// bake of six hours, looked at every hour.
func rollout(t *testing.T, spec Spec, w world, seed uint64) ended {
	s, err := New(spec)
	if err != nil {
		t.Error(err)
		return ended{}
	}
	rng := rand.New(rand.NewPCG(2026, seed))
	g := rows{w: w, rng: rng, a: modelOf(w.champion), b: modelOf(w.challenger)}
	step := Step{Bake: 6 * 3600}
	weight := 0.25
	for hour := range looks {
		at := time.Unix(1e9/3600*3600+int64(hour)*3600, 0)
		r := Row{Time: at}
		for range lookPairs {
			g.row(&r)
			if err := s.Add(&r); err != nil {
				t.Error(err)
				return ended{}
			}
			side := Champion
			if rng.Float64() < weight {
				side = Challenger
			}
			latency := 20 * time.Millisecond
			if rng.Float64() < 0.01 {
				latency = 40 * time.Millisecond
			}
			if err := s.AddRequest(side, at, rng.Float64() < 0.002, latency); err != nil {
				t.Error(err)
			}
		}
		step.Elapsed += 3600
		d, err := Decide(s, DefaultPolicy(), step)
		if err != nil {
			t.Error(err)
			return ended{}
		}
		switch d.Action {
		case Advance:
			step = Step{Last: true, PairsBefore: s.Pairs(), Bake: step.Bake}
			weight = 0.5
		case Wait:
		default:
			return ended{d.Action, s.Pairs()}
		}
	}
	return ended{Wait, s.Pairs()}
}

// simulate runs rollouts of a world beside each other, each with a seed of its own.
func simulate(t *testing.T, w world, runs int) []ended {
	spec := simulationSpec(w)
	out := make([]ended, runs)
	var wg sync.WaitGroup
	for worker := range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := worker; i < runs; i += runtime.GOMAXPROCS(0) {
				out[i] = rollout(t, spec, w, uint64(i))
			}
		})
	}
	wg.Wait()
	return out
}

func tellEnds(t *testing.T, w world, ends []ended) (counts map[Action]int, median uint64) {
	counts = map[Action]int{}
	var pairs []uint64
	for _, e := range ends {
		counts[e.action]++
		pairs = append(pairs, e.pairs)
	}
	slices.Sort(pairs)
	median = pairs[len(pairs)/2]
	t.Logf("%s: %d runs: %v, median %d pairs", w.name, len(ends), counts, median)
	return counts, median
}

// TestRolloutsBySimulation goes through the counting and the decisions that a
// rollout goes through, by the default policy.
func TestRolloutsBySimulation(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulation of minutes")
	}
	for _, c := range []struct {
		world
		runs         int
		ends         []Action
		least, most  float64 // share of runs that end so
		medianAtMost uint64
	}{
		{world{name: "equal models", champion: 0.80, challenger: 0.80}, 1000, []Action{Promote}, 0, 0.05, 0},
		{world{name: "equal models, keys of 20 rows", champion: 0.80, challenger: 0.80, keyRows: 20}, 400, []Action{Promote}, 0, 0.05, 0},
		{world{name: "a gain", champion: 0.80, challenger: 0.82}, 200, []Action{Promote}, 0.90, 1, 0},
		{world{name: "a loss", champion: 0.80, challenger: 0.79}, 200, []Action{Abort, Futility}, 0.95, 1, 0},
		{world{name: "inverted", champion: 0.80, challenger: 0.80, inverted: true}, 200, []Action{Abort}, 1, 1, 2000},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs := c.runs
			if os.Getenv("TIDEGATE_SIMULATE") != "full" { // make simulate
				runs /= 3
			}
			counts, median := tellEnds(t, c.world, simulate(t, c.world, runs))
			n := 0
			for _, a := range c.ends {
				n += counts[a]
			}
			if share := float64(n) / float64(runs); share < c.least || share > c.most {
				t.Errorf("%v in %.3f of runs, want between %g and %g", c.ends, share, c.least, c.most)
			}
			if c.medianAtMost > 0 && median > c.medianAtMost {
				t.Errorf("the median run took %d pairs, want at most %d", median, c.medianAtMost)
			}
		})
	}
}

// TestKeysNeedTheirError: in the world of keys the bound from errors by row alone is
// crossed far too often, so that the simulation of it above shows what it should.
func TestKeysNeedTheirError(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulation")
	}
	const runs = 100
	w := world{champion: 0.80, challenger: 0.80, keyRows: 20}
	spec := simulationSpec(w)
	bound := stat.Sequential{Alpha: 0.05, Expected: 5000}
	byRow, byLargest := 0, 0
	for run := range uint64(runs) {
		s := build(t, spec)
		g := rows{w: w, rng: rand.New(rand.NewPCG(77, run)), a: modelOf(w.champion), b: modelOf(w.challenger)}
		var row, largest bool
		for hour := range looks {
			r := Row{Time: base.Add(time.Duration(hour) * time.Hour)}
			for range lookPairs {
				g.row(&r)
				if err := s.Add(&r); err != nil {
					t.Fatal(err)
				}
			}
			if hour%5 == 4 {
				d := s.Difference(ROCAUC)
				z := bound.Z(float64(d.Pairs))
				row = row || d.Delta > z*d.SE.Row
				largest = largest || d.Delta > z*d.SE.Largest()
			}
		}
		if row {
			byRow++
		}
		if largest {
			byLargest++
		}
	}
	t.Logf("of %d runs of equal models %d are better by the row error, %d by the largest", runs, byRow, byLargest)
	if byRow <= runs*5/100 || byLargest > runs*5/100 {
		t.Errorf("better by the row error in %d, by the largest in %d of %d runs", byRow, byLargest, runs)
	}
}
