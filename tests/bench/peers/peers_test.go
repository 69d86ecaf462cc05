package main

import (
	"strings"
	"testing"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

func TestReport(t *testing.T) {
	r := Report{Rows: 1000, Ratios: map[string]float64{}, Spreads: map[string]figures.Spread{}, Tools: map[string]*Tool{
		"tidegate": {seconds: []float64{1, 2, 4}, mb: []float64{30, 31, 32}, Drifted: map[string][]int{"200": {0, 0}}},
		"nannyml":  {seconds: []float64{40, 100, 100}, mb: []float64{500, 500, 500}, Drifted: map[string][]int{"200": {3, 13}}},
	}}
	r.finish()
	if r.Ratios["vs_nannyml"] != 40 || r.Tools["tidegate"].PerSecond.Median != 500 {
		t.Errorf("%+v", r)
	}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 13", "≥ 30 met"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
