package figures

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	if Median([]float64{3, 1, 2}) != 2 || Median([]float64{4, 1, 2, 3}) != 2.5 || !math.IsNaN(Median(nil)) {
		t.Error("median of odd, even and no numbers")
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	got := PerRound([]float64{10, 30, 8}, []float64{5, 10, 1})
	if diff := cmp.Diff(Spread{Median: 3, Least: 2, Most: 8}, got); diff != "" {
		t.Error(diff)
	}
}

func TestBars(t *testing.T) {
	var out strings.Builder
	PrintRatios(&out, map[string]Spread{"a": {Median: 2}, "b": {Median: 2}, "c": {Median: 2}, "d": {Median: 2}}, []Bar{
		{Name: "a", Bound: 2}, {Name: "b", Bound: 3}, {Name: "c", Bound: 1, Most: true}, {Name: "d"}, {Name: "not measured", Bound: 1}})
	want := "\nratio\tmedian\tleast\tmost\tbar\t\n" +
		"a\t2.00\t0.00\t0.00\t≥ 2 met\t\nb\t2.00\t0.00\t0.00\t≥ 3 missed\t\nc\t2.00\t0.00\t0.00\t≤ 1 missed\t\nd\t2.00\t0.00\t0.00\t\t\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
