//go:build !race

// The simulations draw millions of rows: the race detector would only make them ten
// times slower.

package rollout_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
	"github.com/tidegate/tidegate/shared/stat"
)

// gradual is the policy of the simulations: all else is as by default.
const gradual = `{"steps":[{"weight":500,"bake_seconds":21600},{"weight":2500,"bake_seconds":21600},{"weight":10000,"bake_seconds":21600}]`

const (
	simulatedPairs    = 400    // an hour, with a label
	simulatedRequests = 20_000 // an hour
	simulatedLooks    = 400    // until a run is given up
)

// binormal is a world of two calibrated models of which 20 % of rows are positive,
// whose noise has the correlation 0.9.
type binormal struct {
	champion, challenger float64 // areas under the ROC curve
	inverted             bool    // the challenger answers 1 − score
}

func (b binormal) scores(rng *rand.Rand, truth int) (champion, challenger float64) {
	a := rng.NormFloat64()
	c := 0.9*a + math.Sqrt(1-0.81)*rng.NormFloat64()
	one := func(auc, noise float64) float64 {
		mu := math.Sqrt2 * stat.Z(auc)
		return 1 / (1 + math.Exp(-(math.Log(0.25) + mu*(noise+mu*float64(truth)) - mu*mu/2)))
	}
	champion, challenger = one(b.champion, a), one(b.challenger, c)
	if b.inverted {
		challenger = 1 - champion
	}
	return champion, challenger
}

// simulated is one rollout.
type simulated struct {
	end   string
	most  int // the highest weight, hundredths of a percent
	pairs uint64
}

// simulate leads one rollout through promote and its guards by what comparison says of
// traffic that comes by the hour, as the machine would.
func (b binormal) simulate(t *testing.T, spec comparison.Spec, seed uint64) (out simulated) {
	w := newWorld(t, gradual)
	rng := rand.New(rand.NewPCG(seed, 5))
	spec.Champion.Digest, spec.Challenger.Digest = w.refs[1].Digest, w.refs[2].Digest
	pairs, err := comparison.New(spec)
	w.must(err)
	policy := comparison.DefaultPolicy()
	served, step, before := w.clock, 0, uint64(0)
	m := &machine{w: w, p: w.p, id: "run", version: 2, start: w.judge(2, string(comparison.Start), nil)}
	weight := 0
	m.decide = func(g *rollout.Progress) (comparison.Decision, string, error) {
		for served.Add(time.Hour).Before(w.clock.Add(time.Second)) {
			b.hour(t, pairs, rng, served, weight)
			served = served.Add(time.Hour)
		}
		weight, out.most = g.Weight, max(out.most, g.Weight)
		if g.Step != step {
			step, before = g.Step, pairs.Pairs()
		}
		d, err := comparison.Decide(pairs, policy, comparison.Step{Last: g.Last, PairsBefore: before, Elapsed: g.Elapsed, Bake: g.Bake})
		if err != nil || d.Action == comparison.Wait {
			w.clock = w.clock.Add(time.Hour - time.Duration(g.Poll)*time.Second) // a look an hour
			return d, "", err
		}
		s := w.state()
		digest, err := w.reg.PutEvidence(t.Context(), registry.Evidence{Model: model, Champion: *s.Slots.Champion, Challenger: *s.Slots.Challenger, Decision: string(d.Action),
			Reject: d.Reject, Summary: d.Summary, At: w.clock, RolloutID: g.RolloutID, Step: g.Step})
		return d, digest, err
	}
	out.end, err = m.execute(simulatedLooks)
	if err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	out.pairs = pairs.Pairs()
	return out
}

// hour is an hour of traffic.
func (b binormal) hour(t *testing.T, pairs *comparison.State, rng *rand.Rand, at time.Time, weight int) {
	for range simulatedPairs {
		r := comparison.Row{Time: at, Group: rng.IntN(stat.KeyGroups)}
		if rng.Float64() < 0.2 {
			r.Label = 1
		}
		a, c := b.scores(rng, r.Label)
		r.Champion, r.Challenger = comparison.Answer{Score: a, Class: int(math.Round(a))}, comparison.Answer{Score: c, Class: int(math.Round(c))}
		if err := pairs.Add(&r); err != nil {
			t.Error(err)
		}
	}
	n := uint64(simulatedRequests * weight / registry.MaxWeight)
	for side, requests := range map[comparison.Side]uint64{comparison.Champion: simulatedRequests - n, comparison.Challenger: n} {
		// Of requests 0.2 % fail and 1 % are slow, of both versions.
		c := comparison.Traffic{Requests: requests, Errors: drawn(rng, requests, 0.002), Slow: drawn(rng, requests, 0.01)}
		if err := pairs.AddTraffic(side, at, c); err != nil {
			t.Error(err)
		}
	}
}

// drawn is about how many of n things happen with probability p.
func drawn(rng *rand.Rand, n uint64, p float64) uint64 {
	mean := float64(n) * p
	return uint64(min(max(0, math.Round(mean+math.Sqrt(mean*(1-p))*rng.NormFloat64())), float64(n)/2))
}

// TestRolloutsBySimulation: through the decisions, the guards and the moves of the
// machine, an equal model is promoted in at most 5 % of rollouts, a gain of 0.02 in
// the area under the ROC curve in at least 90 %, and a broken version never gets more
// than the traffic of the first step.
func TestRolloutsBySimulation(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulation of a minute")
	}
	for _, c := range []struct {
		name        string
		world       binormal
		runs        int
		end         string
		least, most float64 // share of runs that end so
		first       bool    // none gets beyond the first step
	}{
		{"equal", binormal{champion: 0.80, challenger: 0.80}, 200, registry.KindPromote, 0, 0.05, false},
		{"a gain", binormal{champion: 0.80, challenger: 0.82}, 60, registry.KindPromote, 0.90, 1, false},
		{"inverted", binormal{champion: 0.80, challenger: 0.80, inverted: true}, 40, registry.KindAbort, 1, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := c.world.spec()
			ends := make([]simulated, c.runs)
			workers := runtime.GOMAXPROCS(0)
			t.Run("runs", func(t *testing.T) { // returns when its parallel ones have
				for worker := range workers {
					t.Run(strconv.Itoa(worker), func(t *testing.T) {
						t.Parallel()
						for i := worker; i < c.runs; i += workers {
							ends[i] = c.world.simulate(t, spec, uint64(i))
						}
					})
				}
			})
			counts, so, pairs := map[string]int{}, 0, uint64(0)
			for i, e := range ends {
				counts[e.end]++
				pairs += e.pairs
				if e.end == c.end {
					so++
				}
				if c.first && e.most > 500 {
					t.Errorf("run %d: a broken version got %d of 10,000 keys", i, e.most)
				}
			}
			t.Logf("%d runs: %v, %d pairs a run", c.runs, counts, pairs/uint64(c.runs))
			if share := float64(so) / float64(c.runs); share < c.least || share > c.most {
				t.Errorf("%s in %.3f of runs, want between %g and %g", c.end, share, c.least, c.most)
			}
		})
	}
}

// spec has the bins of both models' reference scores.
func (b binormal) spec() comparison.Spec {
	rng := rand.New(rand.NewPCG(1, 1))
	var a, c []float64
	for range 10_000 {
		truth := 0
		if rng.Float64() < 0.2 {
			truth = 1
		}
		x, y := b.scores(rng, truth)
		a, c = append(a, x), append(c, y)
	}
	return comparison.Spec{Task: comparison.Binary, Block: comparison.Hour, SlowMicros: 30_000,
		Champion:   comparison.Version{Name: model + "@1", Digest: "1", Dataset: "rollout", Bins: score.Freeze(a)},
		Challenger: comparison.Version{Name: model + "@2", Digest: "2", Dataset: "rollout", Bins: score.Freeze(c)}}
}
