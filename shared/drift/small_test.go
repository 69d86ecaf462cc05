//go:build !race

package drift

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/profile"
)

// smallColumn is a column of the clean jobs below: how a value is drawn.
type smallColumn struct {
	kind profile.Kind
	draw func(*rand.Rand) int // of texts
}

// smallColumns are four numbers and six texts: rare values, many equal ones, and
// long tails that hold unseen ones.
func smallColumns(rng *rand.Rand) []smallColumn {
	zipf := func(values uint64) func(*rand.Rand) int {
		z := rand.NewZipf(rng, 1.2, 1, values-1)
		return func(*rand.Rand) int { return int(z.Uint64()) }
	}
	columns := []smallColumn{
		{profile.Categorical, func(r *rand.Rand) int { return int(1.03 * r.Float64()) }},
		{profile.Categorical, func(r *rand.Rand) int { return int(1.25 * r.Float64()) }},
		{profile.Categorical, func(r *rand.Rand) int { return r.IntN(100) }},
		{profile.Categorical, func(r *rand.Rand) int { return r.IntN(5000) }},
		{profile.Categorical, zipf(1e3)},
		{profile.Categorical, zipf(1e5)},
	}
	for range 4 {
		columns = append(columns, smallColumn{kind: profile.Numeric})
	}
	return columns
}

func (c *smallColumn) put(rng *rand.Rand, s profile.Sink, col int, missing, wrong float64) {
	switch u := rng.Float64(); {
	case u < missing:
		s.Missing(col, 1)
	case u < missing+wrong:
		s.WrongType(col, 1)
	case c.kind == profile.Numeric:
		s.Number(col, rng.NormFloat64(), 1)
	default:
		s.Text(col, fmt.Sprint("v", c.draw(rng)), 1)
	}
}

// TestSmallCleanJobs: of clean windows of a few rows at most 5 %, and the error of
// counting them, are drift, whatever share is missing or of the wrong type in both
// sides, with one column and with ten.
func TestSmallCleanJobs(t *testing.T) {
	const jobs, baselines, n = 200, 2, 10000
	for _, shares := range [][2]float64{{0, 0}, {0.001, 0}, {0.02, 0}, {0.05, 0.001}, {0, 0.02}} {
		missing, wrong := shares[0], shares[1]
		rng := rand.New(rand.NewPCG(2013, 11))
		alarms := map[[2]int]int{} // by rows and columns
		sizes := []int{1, 2, 5, 20, 50, 200}
		columns := smallColumns(rng)
		for range baselines {
			var specs []profile.Spec
			for i, c := range columns {
				specs = append(specs, profile.Spec{Name: fmt.Sprint("c", i), Kind: c.kind})
			}
			builder, err := profile.NewBuilder(specs)
			if err != nil {
				t.Fatal(err)
			}
			for range n {
				for i := range columns {
					columns[i].put(rng, builder, i, missing, wrong)
				}
			}
			b := builder.Freeze(n)
			for job := range jobs / baselines {
				for _, m := range sizes {
					tally := profile.NewTally(b)
					for range m {
						for i := range columns {
							columns[i].put(rng, tally, i, missing, wrong)
						}
					}
					one := *b
					one.Columns = b.Columns[job%len(columns):][:1]
					for _, side := range []*profile.Baseline{b, &one} {
						current := map[string][]Stratum{}
						for i := range columns {
							current[b.Columns[i].Name] = []Stratum{{&tally.States[i], 1}}
						}
						r, err := Compare(side, current, DefaultRules())
						if err != nil {
							t.Fatal(err)
						}
						if r.Verdict == Drifted {
							alarms[[2]int{m, len(side.Columns)}]++
						}
					}
				}
			}
		}
		t.Logf("missing %g, wrong type %g: alarms by rows and columns, of %d: %v", missing, wrong, jobs, alarms)
		for size, k := range alarms {
			if limit := binomialLimit(jobs, 0.05); k > limit {
				t.Errorf("missing %g, wrong type %g: %d of %d clean jobs of %d rows and %d columns are drift; at most %d may",
					missing, wrong, k, jobs, size[0], size[1], limit)
			}
		}
	}
}

// shareLevel is the level of a job of some columns.
var shareLevel = level{alpha: 0.05, gates: 40}

// probability is that of k of m rows, of which each is one with probability p.
func probability(k, m int, p float64) float64 {
	a, _ := math.Lgamma(float64(m + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(m - k + 1))
	return math.Exp(a - b - c + float64(k)*math.Log(p) + float64(m-k)*math.Log1p(-p))
}

// TestErrorsOfShares: where a share differs by exactly the tolerance, the worst
// case of both sides, drift is said with at most alpha/T and no drift with at most
// alpha, for every number of rows. These are exact probabilities.
func TestErrorsOfShares(t *testing.T) {
	l := shareLevel
	const refN, tolerance = 1e8, 0.05
	worstYes, worstNo := 0.0, 0.0
	for _, share := range []float64{0, 0.02, 0.3} {
		p := share + tolerance
		for m := 1; m < exactBelow; m += 1 + m/5 {
			yes, no := 0.0, 0.0
			for k := 0; k <= m; k++ {
				switch shareGate(GateMissing, float64(k), float64(m), share*refN, refN, tolerance, l).Answer {
				case gate.Yes:
					yes += probability(k, m, p)
				case gate.No:
					no += probability(k, m, p)
				}
			}
			worstYes, worstNo = math.Max(worstYes, yes), math.Max(worstNo, no)
			if yes > l.alpha/float64(l.gates)*1.001 {
				t.Errorf("%d rows, %g at the baseline: drift is said with probability %.4g, alpha/T is %.4g", m, share, yes, l.alpha/float64(l.gates))
			}
			if no > l.alpha {
				t.Errorf("%d rows, %g at the baseline: no drift is said with probability %.4g, alpha is %g", m, share, no, l.alpha)
			}
		}
	}
	t.Logf("drift with at most %.4g, no drift with at most %.4g", worstYes, worstNo)
}

// TestSmallWindows: single odd rows decide nothing, and what all rows show is found.
func TestSmallWindows(t *testing.T) {
	rng := rand.New(rand.NewPCG(2013, 12))
	c, _ := categorical(rng, "c", 10000, 0, func(r *rand.Rand) int { return r.IntN(10) }, nil)
	for _, w := range []struct {
		what                         string
		rows, missing, wrong, unseen int
		want                         Verdict
	}{
		{"1 missing of 2", 2, 1, 0, 0, NotEnoughData},
		{"1 missing of 1", 1, 1, 0, 0, NotEnoughData},
		{"1 of the wrong type of 1", 1, 0, 1, 0, NotEnoughData},
		{"1 new of 2", 2, 0, 0, 1, NotEnoughData},
		{"all 50 missing", 50, 50, 0, 0, Drifted},
		{"20 missing of 50", 50, 20, 0, 0, Drifted},
		{"all 10 of the wrong type", 10, 0, 10, 0, Drifted},
		{"10 new of 50", 50, 0, 0, 10, Drifted},
	} {
		s := profile.NewState(c.CellCount())
		s.Rows, s.Missing, s.WrongType = uint64(w.rows), uint64(w.missing), uint64(w.wrong)
		if w.unseen > 0 {
			s.Cells[c.Cells.Unseen()] = uint64(w.unseen)
		}
		for i := range w.rows - w.missing - w.wrong - w.unseen {
			s.Cells[i%10]++
		}
		if r := compareOne(t, c, []Stratum{{&s, 1}}); r.Verdict != w.want {
			t.Errorf("%s are %s, want %s: %+v", w.what, r.Verdict, w.want, r.Columns[0].Gates)
		}
	}
}

// TestRowsNeededDecideShares: at a share fixed by construction, at least 85 % of
// windows of the stated size decide, and of larger ones. The probabilities of
// shareGate are exact; those of unseenGate are counted over drawn windows.
func TestRowsNeededDecideShares(t *testing.T) {
	const refN = 10000
	l := shareLevel
	for _, ref := range []float64{0, 0.001, 0.02, 0.3} {
		for _, d := range []float64{0, 0.005, 0.02, 0.08, 0.12, 0.3, -0.25} {
			u := ref + d
			if u < 0 {
				continue
			}
			want := gate.No
			if math.Abs(d) >= 0.05 {
				want = gate.Yes
			}
			// A window too small to decide, as if its share were u: what it says is needed.
			needed := shareGate(GateMissing, u, 1, ref*refN, refN, 0.05, l).RowsNeeded
			if needed == 0 {
				t.Errorf("%g instead of %g: no window decides", u, ref)
			}
			for _, m := range []int{int(needed), int(needed) + 1, int(needed)*11/10 + 1, 2 * int(needed)} {
				decided := 0.0
				for k := 0; k <= m; k++ {
					if p := probability(k, m, math.Max(u, 1e-300)); p > 1e-9 && shareGate(GateMissing, float64(k), float64(m), ref*refN, refN, 0.05, l).Answer == want {
						decided += p
					}
				}
				if decided < 0.85 {
					t.Errorf("%g instead of %g: %.3f of windows of %d rows decide (%d are needed)", u, ref, decided, m, needed)
				}
			}
		}
	}
	if g := shareGate(GateMissing, 5, 100, 0, 1e4, 0.05, l); g.Answer != gate.Unknown || g.RowsNeeded != 0 {
		t.Errorf("at the tolerance %d rows are said to decide", g.RowsNeeded)
	}
	if g := shareGate(GateMissing, 6, 100, 1, 50, 0.05, l); g.Answer != gate.Unknown || g.RowsNeeded != 0 {
		t.Errorf("against a small baseline %d rows are said to decide", g.RowsNeeded)
	}
}

// TestRowsNeededDecideUnseen is the same of unseen values, with a long tail and without one.
func TestRowsNeededDecideUnseen(t *testing.T) {
	rng := rand.New(rand.NewPCG(2013, 13))
	l := shareLevel
	for _, values := range []int{100, 5000} {
		c, _ := categorical(rng, "c", 20000, 0, func(r *rand.Rand) int { return r.IntN(values * (1 + r.IntN(2)) / 2) }, nil)
		ref, err := NewSample(1, Stratum{&c.State, 1})
		if err != nil {
			t.Fatal(err)
		}
		expected := float64(c.N1) / float64(c.State.Values())
		window := func(k, m float64) Gate {
			cur := Sample{Rows: m, Cells: make([]float64, c.CellCount())}
			cur.Cells[c.Cells.Unseen()], cur.Cells[0] = k, m-k
			return unseenGate(&c, &ref, &cur, 0.01, l)
		}
		for _, excess := range []float64{0, 0.03 + expected, 0.3} {
			u := expected + excess
			first := window(u, 1)
			want := gate.No
			if excess >= first.Bound {
				want = gate.Yes
			}
			if first.RowsNeeded == 0 {
				t.Errorf("%d values, %g of them new instead of %g: no window decides", values, u, expected)
			}
			const windows = 400
			decided := 0
			for range windows {
				k := 0
				for range first.RowsNeeded {
					if rng.Float64() < u {
						k++
					}
				}
				if window(float64(k), float64(first.RowsNeeded)).Answer == want {
					decided++
				}
			}
			t.Logf("%d values, %.3g new instead of %.3g: %d of %d windows of %d rows decide", values, u, expected, decided, windows, first.RowsNeeded)
			if decided < windows*85/100 {
				t.Errorf("%d values, %g new instead of %g: %d of %d windows of %d rows decide", values, u, expected, decided, windows, first.RowsNeeded)
			}
		}
	}
}
