package evaluation

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// mixed are rows that either version served, with the other one beside it.
func mixed(n int, fill func(rng *rand.Rand, r, p *testRow)) []*testRow {
	rng := rand.New(rand.NewPCG(8, 8))
	served := [2]*testRow{{origin: origin(1, registry.Champion, capture.Served, 1)}, {origin: origin(2, registry.Challenger, capture.Served, 1)}}
	beside := [2]*testRow{{origin: origin(2, registry.Challenger, capture.Paired, 1)}, {origin: origin(1, registry.Champion, capture.Paired, 1)}}
	rows := make([]*testRow, n)
	for i := range rows {
		side := i % 5 / 4
		r := &testRow{origin: served[side].origin, at: testDay.UnixMilli() + int64(i)*20_000, cluster: rng.Uint64(), weight: 1}
		p := *r
		p.origin = beside[side].origin
		if side == 0 {
			fill(rng, r, &p)
		} else {
			fill(rng, &p, r)
		}
		p.label = r.label
		r.pair = &p
		rows[i] = r
	}
	return rows
}

func pairSetup(task quality.Task, classes []string) *Setup {
	side := func(v int) comparison.Version {
		return comparison.Version{Name: fmt.Sprintf("m@%d", v), Digest: fmt.Sprintf("sha256:%d", v), Dataset: "window"}
	}
	return &Setup{Task: task, Classes: classes, Policy: testPolicy(), Pairing: &Pairing{Champion: 1, Challenger: 2,
		Spec: comparison.Spec{Task: comparison.Task(task), Block: comparison.Hour, Champion: side(1), Challenger: side(2), Probabilities: task == quality.Multiclass}}}
}

// TestTasks: several classes and numbers are counted, stored and compared as well,
// whichever of the two versions answered.
func TestTasks(t *testing.T) {
	classes := []string{"cat", "dog", "owl"}
	animals := mixed(3000, func(rng *rand.Rand, champion, challenger *testRow) {
		truth := rng.IntN(3)
		champion.label, challenger.label = float64(truth), float64(truth)
		for k, r := range []*testRow{champion, challenger} {
			r.scores = []float64{0.2, 0.2, 0.2}
			guess := truth
			if rng.Float64() < []float64{0.4, 0.2}[k] {
				guess = rng.IntN(3)
			}
			r.scores[guess] = 0.6
		}
	})
	minutes := mixed(3000, func(rng *rand.Rand, champion, challenger *testRow) {
		truth := 10 * rng.NormFloat64()
		champion.label, challenger.label = truth, truth
		champion.score, challenger.score = truth+2*rng.NormFloat64(), truth+rng.NormFloat64()
	})
	for name, tt := range map[string]struct {
		setup  *Setup
		rows   []*testRow
		metric string
	}{
		"multiclass": {pairSetup(quality.Multiclass, classes), animals, quality.LogLoss},
		"regression": {pairSetup(quality.Regression, nil), minutes, quality.MAE},
	} {
		t.Run(name, func(t *testing.T) {
			whole := tallyOf(t, tt.setup, tt.rows, 1, nil)
			raw := encoded(t, whole)
			if !bytes.Equal(raw, encoded(t, tallyOf(t, tt.setup, tt.rows, 5, rand.New(rand.NewPCG(1, 1))))) {
				t.Error("the bytes depend on the order")
			}
			stored, err := DecodeTally(tt.setup, raw)
			if err != nil {
				t.Fatal(err)
			}
			r := judged(t, Job{Window: testWindow, Tally: stored})
			if r.Champion != 1 || len(r.Versions) != 4 || r.Versions[0].Role != capture.Served || r.Versions[2].Role != capture.Paired {
				t.Errorf("champion %d of %d versions", r.Champion, len(r.Versions))
			}
			if m := r.Versions[0].Quality.Metric(tt.metric); m == nil || m.Value == nil || m.N != 2400 {
				t.Errorf("%+v", m)
			}
			if r.Better == nil || r.Better.Answer != gate.Yes || r.Comparison.Pairs.Pairs != 3000 {
				t.Errorf("%+v", r.Better)
			}
			if u := r.Comparison.Unpaired; len(u) == 0 || u[0].Champion != 2400 || u[0].Challenger != 600 {
				t.Errorf("unpaired: %+v", u)
			}
		})
	}
}

// TestOtherPairs: pairs of versions that are not compared are counted, and nothing else.
func TestOtherPairs(t *testing.T) {
	s := pairSetup(quality.Regression, nil)
	s.Pairing.Challenger = 3
	x := tallyOf(t, s, mixed(100, func(_ *rand.Rand, a, b *testRow) { a.label, b.label = 1, 1 }), 1, nil)
	if x.notes.OtherPairs != 100 || x.Pairs().Pairs() != 0 {
		t.Errorf("%+v, %d pairs", x.notes, x.Pairs().Pairs())
	}
	r := judged(t, Job{Window: testWindow, Tally: x})
	if r.Comparison != nil || r.Uncompared == "" {
		t.Errorf("%q", r.Uncompared)
	}
}

// TestBadNumbers: what cannot be a number of a regression is left out, and nothing breaks.
func TestBadNumbers(t *testing.T) {
	s := pairSetup(quality.Regression, nil)
	rows := mixed(60, func(rng *rand.Rand, a, b *testRow) {
		bad := []float64{1, math.NaN(), math.Inf(1), 1e200, -1e300}[rng.IntN(5)]
		a.label, b.label, a.score, b.score = 1, 1, bad, 2
	})
	r := judged(t, Job{Window: testWindow, Tally: tallyOf(t, s, rows, 2, nil)})
	if r.Versions[0].Quality.Counts.Unusable == 0 || r.Comparison.Refused == 0 {
		t.Errorf("%+v, %d refused", r.Versions[0].Quality.Counts, r.Comparison.Refused)
	}
}

func TestTaskOf(t *testing.T) {
	for of, want := range map[schema.Task]quality.Task{schema.Binary: quality.Binary, schema.Multiclass: quality.Multiclass, schema.Regression: quality.Regression, "": ""} {
		if got := TaskOf(of); got != want {
			t.Errorf("%s: %s", of, got)
		}
	}
}
