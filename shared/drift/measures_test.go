package drift

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tidegate/tidegate/shared/profile"
)

func tally(b *profile.Baseline, xs ...float64) map[string][]Stratum {
	t := profile.NewTally(b)
	for _, x := range xs {
		t.Number(0, x, 1)
	}
	return map[string][]Stratum{"x": {{&t.States[0], 1}}}
}

// TestWassersteinOfAShift: moving every value by half a standard deviation is a distance of one half, but for
// what the wide end cells make of it.
func TestWassersteinOfAShift(t *testing.T) {
	rng := rand.New(rand.NewPCG(61, 61))
	ref := profile.NewNumbers()
	var moved []float64
	for range 20000 {
		x := rng.NormFloat64() * 3
		ref.Add(x, 1)
		moved = append(moved, x+1.5)
	}
	b := &profile.Baseline{V: profile.BaselineVersion, Columns: []profile.Column{ref.Column("x")}}
	r, err := Compare(b, tally(b, moved...), DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	if w := r.Columns[0].Measures.Wasserstein; math.Abs(*w-0.5) > 0.03 {
		t.Errorf("wasserstein over sigma %g, want 0.5", *w)
	}
	if m := r.Columns[0].Measures; *m.PSI < *m.PSINull || *m.Exploratory > 1e-6 {
		t.Errorf("a shift is not seen: %+v", m)
	}
}

// TestOddColumnsGiveAVerdict: whatever a column holds, there is a verdict, and the result is JSON.
func TestOddColumnsGiveAVerdict(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	columns := map[string][]float64{
		"empty": nil, "missing": {nan, nan}, "constant": {7, 7, 7}, "one": {1}, "infinite": {inf, -inf, inf},
		"huge": {math.MaxFloat64, -math.MaxFloat64, math.MaxFloat64}, "mixed": {nan, inf, 0, math.Copysign(0, -1), 1e-320},
	}
	for refName, ref := range columns {
		for curName, cur := range columns {
			numbers := profile.NewNumbers()
			for _, x := range ref {
				numbers.Add(x, 100)
			}
			b := &profile.Baseline{V: profile.BaselineVersion, Columns: []profile.Column{numbers.Column("x")}}
			r, err := Compare(b, tally(b, cur...), DefaultRules())
			if err != nil {
				t.Fatalf("%s against %s: %v", curName, refName, err)
			}
			if _, err := json.Marshal(r); err != nil {
				t.Errorf("%s against %s: %v", curName, refName, err)
			}
			if len(cur) == 0 && r.Verdict != NotEnoughData {
				t.Errorf("no rows against %s are called %s", refName, r.Verdict)
			}
		}
	}
}

func TestAbsentColumn(t *testing.T) {
	numbers := profile.NewNumbers()
	for i := range 1000 {
		numbers.Add(float64(i), 1)
	}
	b := &profile.Baseline{V: profile.BaselineVersion, Columns: []profile.Column{numbers.Column("x")}}
	s := profile.NewState(b.Columns[0].CellCount())
	s.Rows, s.Missing = 1000, 1000
	r, err := Compare(b, map[string][]Stratum{"x": {{&s, 1}}}, DefaultRules())
	if err != nil || r.Verdict != Drifted {
		t.Errorf("a column that is gone is called %s, %v", r.Verdict, err)
	}
	rules := DefaultRules()
	rules.Off = []string{"x"}
	if r, err = Compare(b, map[string][]Stratum{"x": {{&s, 1}}}, rules); err != nil || r.Columns[0].Gating || r.Verdict != NotEnoughData {
		t.Errorf("a column that is off gates: %+v, %v", r, err)
	}
}

func TestSampling(t *testing.T) {
	s := profile.NewState(2)
	s.Rows, s.Cells[0], s.Cells[1] = 100, 75, 25
	all, err := NewSample(1, Stratum{&s, 0.25})
	if err != nil || math.Abs(all.Rows-100) > 1e-9 || math.Abs(all.N()-100) > 1e-9 {
		t.Errorf("100 rows kept with probability 1/4 are worth %g, %v; want 100", all.Rows, err)
	}
	mixed, err := NewSample(2, Stratum{&s, 1}, Stratum{&s, 0.1})
	// n_eff = (100 + 1000)² / (100 + 10000), halved by the design effect.
	if want := 1100.0 * 1100 / 10100 / 2; err != nil || math.Abs(mixed.Rows-want) > 1e-9 {
		t.Errorf("mixed sampling is worth %g rows, %v; want %g", mixed.Rows, err, want)
	}
	for _, p := range []float64{0, -1, 1.5, math.NaN()} {
		if _, err := NewSample(1, Stratum{&s, p}); err == nil {
			t.Errorf("probability %g accepted", p)
		}
	}
}
