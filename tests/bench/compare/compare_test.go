package main

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

func TestQuantileAndMedian(t *testing.T) {
	var d []time.Duration
	for i := 100; i > 0; i-- {
		d = append(d, time.Duration(i)*time.Microsecond)
	}
	for _, tt := range []struct{ q, want float64 }{{0.5, 50}, {0.99, 99}, {1, 100}, {0, 1}} {
		if got := quantile(d, tt.q); got != tt.want {
			t.Errorf("quantile(1..100, %v) = %v, want %v", tt.q, got, tt.want)
		}
	}
	if !math.IsNaN(quantile(nil, 0.5)) || !math.IsNaN(figures.Median(nil)) {
		t.Error("of nothing there is no quantile")
	}
	if figures.Median([]float64{3, 1, 2}) != 2 || figures.Median([]float64{4, 1, 2, 3}) != 2.5 {
		t.Error("median of odd and even numbers")
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	round := func(us ...int) *series {
		s := &series{}
		for _, v := range us {
			s.rounds = append(s.rounds, samples{answer: []time.Duration{time.Duration(v) * time.Microsecond}})
		}
		return s
	}
	all := map[string]*series{
		"predict_1row": round(300, 400, 500), "noop_1row": round(200, 290, 380), "raw_go_1row": round(50, 50, 50),
		"python_1000x30_json": round(900, 900, 900), "raw_python_1000x30": round(100, 100, 100),
		"predict_1000x30_json": round(200, 300, 200), "predict_1000x30_binary": round(110, 110, 110), "raw_go_1000x30": round(100, 100, 100),
	}
	want := map[string]figures.Spread{
		"predict_1row_overhead_us":                      {Median: 60, Least: 50, Most: 70},
		"json_1000x30_overhead_python_over_ours":        {Median: 8, Least: 4, Most: 8},
		"binary_1000x30_overhead_python_json_over_ours": {Median: 80, Least: 80, Most: 80},
		"cold_speedup_vs_python":                        {Median: 5, Least: 4, Most: 6},
	}
	if diff := cmp.Diff(want, ratios(all, []float64{4, 6, 5})); diff != "" {
		t.Error(diff)
	}
	for _, b := range bars {
		if _, ok := want[b.Name]; !ok {
			t.Errorf("a bar for %s, which is not computed", b.Name)
		}
	}
}

func TestParseBenchmarks(t *testing.T) {
	text := `goos: linux
BenchmarkServe/1row-2         	   51234	     22817 ns/op	   3072 B/op	      12 allocs/op
BenchmarkServe/1000x30_json-2 	    1000	   1500000 ns/op	 210.00 MB/s	  400000 B/op	      40 allocs/op
PASS`
	want := []Benchmark{
		{Name: "BenchmarkServe/1row", NS: 22817, Bytes: 3072, Allocs: 12},
		{Name: "BenchmarkServe/1000x30_json", NS: 1500000, Bytes: 400000, Allocs: 40},
	}
	if diff := cmp.Diff(want, parseBenchmarks(text)); diff != "" {
		t.Error(diff)
	}
}

func TestStages(t *testing.T) {
	output := "not JSON\n" + `{"msg":"library loaded","library_us":20000}` + "\n" + `{"msg":"model loaded","version":3,"fetch_us":1200,"session_us":300,"model":"m"}` + "\n" + `{"msg":"request","run_us":5}` + "\n"
	if diff := cmp.Diff(map[string]float64{"library": 20000, "fetch": 1200, "session": 300}, stages(output)); diff != "" {
		t.Error(diff)
	}
}

func TestSummaries(t *testing.T) {
	c := summarizeCold([]coldStart{
		{boot: 1000, first: 500, total: 1600, stages: map[string]float64{"fetch": 100}},
		{boot: 3000, first: 700, total: 3600, stages: map[string]float64{"fetch": 300}},
	})
	want := Cold{Starts: 2, BootMS: 2, FirstMS: 0.6, TotalMS: figures.Spread{Median: 2.6, Least: 1.6, Most: 3.6}, Stages: map[string]float64{"fetch": 0.2}}
	if diff := cmp.Diff(want, c, cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })); diff != "" {
		t.Error(diff)
	}
	w := summarize(&series{rounds: []samples{{answer: []time.Duration{1000, 3000}, busy: []time.Duration{500, 500}}}})
	if diff := cmp.Diff(Warm{Runs: 2, AnswerP50: 1, AnswerP99: 3, BusyP50: 0.5, BusyP99: 0.5}, w); diff != "" {
		t.Error(diff)
	}
}
