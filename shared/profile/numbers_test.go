package profile

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// TestBaselineDoesNotDependOnSharding: also where there are too many distinct
// values to keep, any order and any sharding freeze the same cells and counts.
func TestBaselineDoesNotDependOnSharding(t *testing.T) {
	rng := rand.New(rand.NewPCG(41, 41))
	for _, kind := range []string{"normal", "atoms", "wild", "few"} {
		const limit, n = 1 << 11, 20000
		xs := draw(rng, kind, n)
		all := NewNumbers()
		all.groups.limit = limit
		for _, x := range xs {
			all.Add(x, 1)
		}
		want, err := json.Marshal(all.Column("x"))
		if err != nil {
			t.Fatal(err)
		}
		for _, shards := range []int{1, 7, 100} {
			parts := make([]*Numbers, shards)
			for i := range parts {
				parts[i] = NewNumbers()
				parts[i].groups.limit = limit
			}
			for _, i := range rng.Perm(n) {
				parts[rng.IntN(shards)].Add(xs[i], 1)
			}
			whole := NewNumbers()
			whole.groups.limit = limit
			for _, i := range rng.Perm(shards) {
				if err := whole.Merge(parts[i]); err != nil {
					t.Fatal(err)
				}
			}
			if got, _ := json.Marshal(whole.Column("x")); !bytes.Equal(got, want) {
				t.Errorf("%s in %d shards freezes other cells", kind, shards)
			}
			if len(whole.groups.sorted) > limit {
				t.Errorf("%s: %d groups", kind, len(whole.groups.sorted))
			}
		}
	}
}

func TestGroupedBaselineEqualsItsRecount(t *testing.T) {
	rng := rand.New(rand.NewPCG(42, 42))
	xs := draw(rng, "atoms", 2*maxGroups)
	col := numbersOf(xs).Column("x")
	b := &Baseline{V: BaselineVersion, Columns: []Column{col}}
	tally := NewTally(b)
	for _, x := range xs {
		tally.Number(0, x, 1)
	}
	got, _ := json.Marshal(&tally.States[0])
	want, _ := json.Marshal(&col.State)
	if !bytes.Equal(got, want) {
		t.Errorf("recounted:\n%.300s\nwant\n%.300s", got, want)
	}
}
