//go:build !race

// The simulations draw millions of rows and start no goroutine: the race detector
// would only make them ten times slower.

package drift

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/profile"
)

// numeric draws a baseline column of n and a window of m rows; shift moves the window.
func numeric(rng *rand.Rand, name string, n, m int, shift float64) (profile.Column, []Stratum) {
	ref := profile.NewNumbers()
	for range n {
		ref.Add(rng.NormFloat64(), 1)
	}
	c := ref.Column(name)
	s := profile.NewState(c.Bins.Len())
	for range m {
		s.Rows++
		s.Cells[c.Bins.Index(rng.NormFloat64()+shift)]++
	}
	return c, []Stratum{{&s, 1}}
}

// categorical draws values from draw for a baseline of n and a window of m rows.
func categorical(rng *rand.Rand, name string, n, m int, before, after func(*rand.Rand) int) (profile.Column, []Stratum) {
	counter := profile.NewCounter()
	for range n {
		counter.Add(fmt.Sprint("v", before(rng)), 1)
	}
	c := profile.CategoricalColumn(name, counter, 0, 0)
	s := profile.NewState(c.Cells.Len())
	for range m {
		s.Rows++
		s.Cells[c.Cells.Index(fmt.Sprint("v", after(rng)))]++
	}
	return c, []Stratum{{&s, 1}}
}

func compareOne(t *testing.T, c profile.Column, strata []Stratum) Result {
	t.Helper()
	b := &profile.Baseline{V: profile.BaselineVersion, Columns: []profile.Column{c}}
	r, err := Compare(b, map[string][]Stratum{c.Name: strata}, DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCleanNumericJobs: of 400 clean jobs of 20 columns at most 5 %, and the error
// of counting them, have a lower bound above 0, and none is drift.
func TestCleanNumericJobs(t *testing.T) {
	const jobs, columns = 400, 20
	sizes := [][2]int{{1000, 200}, {2000, 2000}, {1000, 10000}, {5000, 500}}
	rng := rand.New(rand.NewPCG(2013, 1))
	alarms := 0
	for job := range jobs {
		size := sizes[job%len(sizes)]
		if job == 0 {
			size = [2]int{1e5, 1e5}
		}
		b := &profile.Baseline{V: profile.BaselineVersion}
		current := map[string][]Stratum{}
		for i := range columns {
			c, s := numeric(rng, fmt.Sprint("x", i), size[0], size[1], 0)
			b.Columns = append(b.Columns, c)
			current[c.Name] = s
		}
		r, err := Compare(b, current, DefaultRules())
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict == Drifted {
			t.Errorf("clean job %d of %d/%d rows is called drift in %v", job, size[0], size[1], r.Drifted())
		}
		if anyLowerAboveZero(r) {
			alarms++
		}
	}
	if limit := binomialLimit(jobs, 0.05); alarms > limit {
		t.Errorf("%d of %d clean jobs have a lower bound above 0; at most %d may", alarms, jobs, limit)
	}
}

func anyLowerAboveZero(r Result) bool {
	for _, c := range r.Columns {
		for _, g := range c.Gates {
			if g.Lo > 0 {
				return true
			}
		}
	}
	return false
}

// binomialLimit is p·n and two standard errors.
func binomialLimit(n int, p float64) int {
	return int(p*float64(n) + 2*math.Sqrt(p*(1-p)*float64(n)))
}

// TestCleanZipfJobs: long-tailed columns of 1e3 and 1e5 values never drift by themselves.
func TestCleanZipfJobs(t *testing.T) {
	rng := rand.New(rand.NewPCG(2013, 2))
	for _, values := range []uint64{1e3, 1e5} {
		zipf := rand.NewZipf(rng, 1.2, 1, values-1)
		draw := func(*rand.Rand) int { return int(zipf.Uint64()) }
		for job := range 200 {
			c, s := categorical(rng, "z", 5000, 1000+job%3*2000, draw, draw)
			if r := compareOne(t, c, s); r.Verdict == Drifted {
				t.Errorf("clean Zipf job %d of %d values is called drift: %+v", job, values, r.Columns[0].Gates)
			}
		}
	}
}

// TestRealShiftsAreFound: a shift of 0.6 σ at 1,000 rows, and 100 equal values
// that become 50, are found in at least 99 %.
func TestRealShiftsAreFound(t *testing.T) {
	const jobs = 200
	rng := rand.New(rand.NewPCG(2013, 3))
	var shifts, halves int
	for range jobs {
		c, s := numeric(rng, "x", 1000, 1000, 0.6)
		if compareOne(t, c, s).Verdict == Drifted {
			shifts++
		}
		c, s = categorical(rng, "c", 10000, 1000,
			func(r *rand.Rand) int { return r.IntN(100) }, func(r *rand.Rand) int { return r.IntN(50) })
		if compareOne(t, c, s).Verdict == Drifted {
			halves++
		}
	}
	if shifts < jobs*99/100 || halves < jobs*99/100 {
		t.Errorf("of %d real drifts %d shifts and %d halvings were found; want 99 %%", jobs, shifts, halves)
	}
}

// TestRowsNeededDecide: at a distance fixed by construction, at least 85 % of
// fresh windows of the stated size decide.
func TestRowsNeededDecide(t *testing.T) {
	rng := rand.New(rand.NewPCG(2013, 4))
	for _, d := range []float64{0, 0.04, 0.16, 0.20} {
		const windows, baselines = 400, 20
		decided, want := 0, gateVerdict(d)
		var c profile.Column
		var needed int64
		for window := range windows {
			if window%(windows/baselines) == 0 {
				c = uniformColumn(rng, 50000)
				if needed = stated(c, d); needed == 0 {
					t.Fatalf("D = %g: no window decides", d)
				}
			}
			s := profile.NewState(c.Bins.Len())
			for range needed {
				x := rng.Float64()
				if rng.Float64() < d {
					x = 2 // a share d moves beyond the support: the distance is d
				}
				s.Rows++
				s.Cells[c.Bins.Index(x)]++
			}
			if r := compareOne(t, c, []Stratum{{&s, 1}}); r.Columns[0].Gates[0].Answer == want {
				decided++
			}
		}
		t.Logf("D = %g: %d of %d windows of %d rows decide", d, decided, windows, needed)
		if decided < windows*85/100 {
			t.Errorf("D = %g: %d of %d windows of %d rows decide", d, decided, windows, needed)
		}
	}
}

func gateVerdict(d float64) gate.Answer {
	if d >= DefaultTolerances().Numeric {
		return gate.Yes
	}
	return gate.No
}

func uniformColumn(rng *rand.Rand, n int) profile.Column {
	values := profile.NewNumbers()
	for range n {
		values.Add(rng.Float64(), 1)
	}
	return values.Column("x")
}

// stated is the number of rows that a small window at distance d is told it needs.
func stated(c profile.Column, d float64) int64 {
	var inside float64
	n := float64(c.State.Values())
	for i, k := range c.State.Cells {
		if !c.Bins.Atom(i) {
			inside = math.Max(inside, float64(k)/n)
		}
	}
	return rowsNeeded(d, DefaultTolerances().Numeric, inside, n, level{alpha: 0.05, gates: 3})
}
