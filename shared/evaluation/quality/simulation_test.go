package quality

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/stat"
)

// areaOf is the area of a state without the other metrics, whose resamples take their time.
func areaOf(t *testing.T, s *State) Metric {
	t.Helper()
	view, err := newSample([]Stratum{{State: s, Sampled: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return view.rocAUC(view.histogramOf(0))
}

// TestBandHoldsTheRealisedArea: where nothing drifts, the band of the label-free estimate holds the area that the labels
// show later in at least nine of ten windows, for scores that are probabilities and for those that are not.
func TestBandHoldsTheRealisedArea(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulation of 432 windows")
	}
	for name, shown := range map[string]func(p float64) float64{
		"calibrated":    func(p float64) float64 { return p },
		"miscalibrated": func(p float64) float64 { return p * p },
		"few scores":    func(p float64) float64 { return math.Round(40*p) / 40 },
	} {
		t.Run(name, func(t *testing.T) {
			const references, windows, rows = 12, 12, 2000
			rng := rand.New(rand.NewPCG(21, 22))
			draw := func(n int) []Row {
				out := binaryRows(rng, n)
				for i := range out {
					out[i].Score = shown(out[i].Score)
				}
				return out
			}
			held, kept := 0, 0
			for range references {
				training := draw(leastReference)
				scores := make([]float64, len(training))
				for i := range training {
					scores[i] = training[i].Score
				}
				l, err := NewBinary(score.Freeze(scores))
				if err != nil {
					t.Fatal(err)
				}
				flat := counted(l, training)
				e, err := NewEstimator(&Reference{Rows: flat.Counts.Judged, Layout: l, state: flat})
				if err != nil {
					t.Fatal(err)
				}
				for range windows {
					s := counted(l, draw(rows))
					view, err := newSample([]Stratum{{State: s, Sampled: 1}})
					if err != nil {
						t.Fatal(err)
					}
					c, w := e.calibrators[0], view.windowOf(0)
					est := Estimates{Metrics: []EstimateMetric{w.estimate(ROCAUC, c, w.refitted(c))}} // the area alone takes less time
					if c.kept {
						kept++
					}
					q := Quality{Metrics: []Metric{areaOf(t, s)}}
					r := est.Realised(&q)
					if len(r) != 1 {
						t.Fatalf("%+v", est)
					}
					if r[0].Inside {
						held++
					}
				}
			}
			share := float64(held) / (references * windows)
			t.Logf("the band holds the realised area in %.1f %% of the windows; calibrated in %d of %d", 100*share, kept, references*windows)
			if share < 0.90 {
				t.Errorf("the band holds the realised area in %.1f %% of the windows", 100*share)
			}
		})
	}
}

// TestAreaIntervalCovers: at high areas and few positive rows, where plain DeLong covers 70 to 85 %, the interval stays
// at 95 % or above; elsewhere it stays near.
func TestAreaIntervalCovers(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulation of 2,500 windows")
	}
	l, err := NewBinary(score.Uniform(1000))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		area           float64
		positive, rows int
	}{{0.95, 20, 1000}, {0.99, 15, 1000}, {0.99, 60, 2000}, {0.80, 30, 500}, {0.95, 200, 800}} {
		rng := rand.New(rand.NewPCG(31, uint64(c.rows)))
		d := math.Sqrt2 * stat.Z(c.area)
		const runs = 500
		held, plain := 0, 0
		for range runs {
			s := NewState(l)
			for i := range c.rows {
				r := Row{Class: NoClass, Labelled: true, Mature: true, Key: rng.Uint64(), Block: int64(i % 24)}
				x := rng.NormFloat64()
				if i < c.positive {
					r.Label, x = 1, x+d
				}
				r.Score = 0.5 * math.Erfc(-(x-d/2)/2.5)
				s.Add(&r)
			}
			m := areaOf(t, s)
			if m.Interval.Lo <= c.area && c.area <= m.Interval.Hi {
				held++
			}
			if math.Abs(*m.Value-c.area) <= z95**m.SERow {
				plain++
			}
		}
		share := float64(held) / runs
		t.Logf("area %.2f, %d of %d positive: covered %.1f %%, plain DeLong %.1f %%", c.area, c.positive, c.rows, 100*share, 100*float64(plain)/runs)
		if share < 0.93 || share > 0.995 {
			t.Errorf("area %.2f with %d positive rows: the interval covers it in %.1f %%", c.area, c.positive, 100*share)
		}
	}
}

// TestVerdictsOfCleanWindows: windows like the reference are called degraded in at most 5 %, and those of a clearly worse
// model are called so.
func TestVerdictsOfCleanWindows(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulation of 200 windows")
	}
	rng := rand.New(rand.NewPCG(41, 42))
	l, err := NewBinary(score.Uniform(1000))
	if err != nil {
		t.Fatal(err)
	}
	policy := DefaultPolicy()
	const runs = 100
	wrong, found := 0, 0
	for range runs {
		reference := &Reference{Layout: l, Rows: 5000, Metrics: []Metric{areaOf(t, counted(l, binaryRows(rng, 5000)))}}
		verdict := func(flip float64) Verdict {
			rows := binaryRows(rng, 3000)
			for i := range rows {
				if rng.Float64() < flip {
					rows[i].Label = 1 - rows[i].Label
				}
			}
			s := counted(l, rows)
			m, err := newSample([]Stratum{{State: s, Sampled: 1}})
			if err != nil {
				t.Fatal(err)
			}
			q := &Quality{Task: Binary, Counts: m.counts, Coverage: 1, BaseRates: []float64{0.6, 0.4}, Metrics: []Metric{areaOf(t, s)}}
			j := policy.Judge(q, reference)
			return j.Verdict
		}
		if verdict(0) == Degraded {
			wrong++
		}
		if verdict(0.2) == Degraded {
			found++
		}
	}
	t.Logf("degraded: %d of %d clean windows, %d of %d worse ones", wrong, runs, found, runs)
	if wrong > runs/20 {
		t.Errorf("%d of %d clean windows are called degraded", wrong, runs)
	}
	if found < runs*95/100 {
		t.Errorf("only %d of %d windows of a worse model are called degraded", found, runs)
	}
}

// TestDelays: what the policy says, else what was measured, else a day.
func TestDelays(t *testing.T) {
	p := DefaultPolicy()
	if p.LabelDelay(0) != DefaultLabelDelay || p.LabelDelay(time.Hour) != time.Hour {
		t.Error("the measured delay is not taken")
	}
	minutes := 0
	p.LabelDelayMinutes = &minutes
	if p.LabelDelay(time.Hour) != 0 {
		t.Error("the policy's delay is not taken")
	}
	if p.Window() != 24*time.Hour {
		t.Error("a window is not a day")
	}
	at := time.Date(1969, 12, 31, 23, 30, 0, 0, time.UTC)
	if ClusterHour.Block(at) != -1 || ClusterDay.Block(at) != -1 || ClusterHour.Block(at.Add(time.Hour)) != 0 {
		t.Error("blocks of time before 1970 are not told apart")
	}
}
