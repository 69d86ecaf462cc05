package profile

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

func count(s *State, b *Bins, xs []float64) {
	for _, x := range xs {
		if math.IsNaN(x) {
			s.Rows++
			s.NaN++
			continue
		}
		s.number(x, b.Index(x), 1)
	}
}

func TestStateDoesNotDependOnSharding(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, kind := range kinds {
		xs := append(draw(rng, kind, 20000), 0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1))
		b := binsOf(draw(rng, kind, 5000))
		whole := NewState(b.Len())
		count(&whole, &b, xs)
		if err := whole.check(); err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(&whole)
		if err != nil {
			t.Fatal(err)
		}
		for _, shards := range []int{1, 7, 1000} {
			parts := make([]State, shards)
			for i := range parts {
				parts[i] = NewState(b.Len())
			}
			for _, i := range rng.Perm(len(xs)) {
				count(&parts[rng.IntN(shards)], &b, xs[i:i+1])
			}
			merged := NewState(b.Len())
			for _, i := range rng.Perm(shards) {
				if err := merged.Merge(&parts[i]); err != nil {
					t.Fatal(err)
				}
			}
			if got, _ := json.Marshal(&merged); string(got) != string(want) {
				t.Errorf("%s in %d shards:\n%.300s\nwant\n%.300s", kind, shards, got, want)
			}
		}
	}
}

func TestCountingByValueEqualsCountingByRow(t *testing.T) {
	b := binsOf([]float64{0.1, 0.1, 1e9})
	byRow, byValue := NewState(b.Len()), NewState(b.Len())
	for range 1000 {
		byRow.number(0.1, b.Index(0.1), 1)
	}
	byValue.number(0.1, b.Index(0.1), 1000)
	x, _ := json.Marshal(&byRow)
	y, _ := json.Marshal(&byValue)
	if string(x) != string(y) {
		t.Errorf("a dictionary's count gives\n%s\nwant\n%s", y, x)
	}
}

func TestMergeRefusesOtherCells(t *testing.T) {
	a, b := NewState(3), NewState(4)
	if a.Merge(&b) == nil {
		t.Error("states of different cells merged")
	}
}

func TestCheck(t *testing.T) {
	lo, hi := 1.0, 0.0
	for name, s := range map[string]State{
		"more missing than rows": {Rows: 1, Missing: 2},
		"cells short of rows":    {Rows: 3, Cells: []uint64{1, 1}},
		"overflow":               {Rows: 1, Cells: []uint64{math.MaxUint64, 2}},
		"min above max":          {Min: &lo, Max: &hi},
		"min alone":              {Min: &lo},
	} {
		if s.check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
