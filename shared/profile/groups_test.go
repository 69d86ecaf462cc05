package profile

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// groupsOf is what groups must hold of values: by definition, with the fewest dropped bits that leave at most limit groups.
func groupsOf(xs []float64, limit int) (drop uint, out []group) {
	for ; ; drop++ {
		found := map[uint64]group{}
		for _, x := range xs {
			x += 0
			if g, ok := found[ordered(x)>>drop]; ok {
				g.add(group{1, x, x})
				found[ordered(x)>>drop] = g
			} else {
				found[ordered(x)>>drop] = group{1, x, x}
			}
		}
		if len(found) > limit {
			continue
		}
		for _, g := range found {
			out = append(out, g)
		}
		slices.SortFunc(out, func(a, b group) int { return cmpFloat(a.lo, b.lo) })
		return drop, out
	}
}

func cmpFloat(a, b float64) int {
	if a < b {
		return -1
	}
	return 1
}

func TestGroupsAreTheFinestThatFit(t *testing.T) {
	rng := rand.New(rand.NewPCG(96, 96))
	for _, kind := range []string{"normal", "lognormal", "atoms", "few", "constant"} {
		for _, n := range []int{1, 100, leastWaiting + 1, 20000} {
			xs := draw(rng, kind, n)
			g := groups{limit: 500}
			for _, x := range xs {
				g.add(x+0, 1)
			}
			g.settle()
			drop, want := groupsOf(xs, 500)
			if diff := cmp.Diff(want, g.sorted, cmp.AllowUnexported(group{})); g.drop != drop || diff != "" {
				t.Errorf("%s, %d values: %d bits dropped, want %d; %s", kind, n, g.drop, drop, diff)
			}
		}
	}
}

func TestGroupsMergeAcrossDroppedBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(97, 97))
	coarse, fine := draw(rng, "normal", 5000), draw(rng, "atoms", 60)
	for _, order := range [][2][]float64{{coarse, fine}, {fine, coarse}} {
		var parts [2]groups
		for i, xs := range order {
			parts[i].limit = 300
			for _, x := range xs {
				parts[i].add(x+0, 1)
			}
		}
		parts[0].merge(&parts[1])
		drop, want := groupsOf(slices.Concat(coarse, fine), 300)
		if diff := cmp.Diff(want, parts[0].sorted, cmp.AllowUnexported(group{})); parts[0].drop != drop || diff != "" {
			t.Errorf("%d bits dropped, want %d; %s", parts[0].drop, drop, diff)
		}
	}
}

func TestOrderedIsUndone(t *testing.T) {
	rng := rand.New(rand.NewPCG(98, 98))
	for _, x := range append(draw(rng, "normal", 1000), 0, 1e300, -1e-300) {
		if got := unordered(ordered(x)); got != x {
			t.Errorf("%g comes back as %g", x, got)
		}
	}
}
