package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

// Report is .local/bench/predict.json. Times are in the unit of their name.
type Report struct {
	V           int                       `json:"v"`
	At          time.Time                 `json:"at"`
	Machine     figures.Machine           `json:"machine"`
	Versions    map[string]string         `json:"versions"`
	Rounds      int                       `json:"rounds"`
	Ratios      map[string]float64        `json:"ratios"`
	Spreads     map[string]figures.Spread `json:"ratio_spreads"` // over rounds; the ratios are their medians
	Warm        map[string]Warm           `json:"warm"`
	Cold        map[string]Cold           `json:"cold"`
	RSSBytes    map[string]int64          `json:"rss_bytes"` // after the rounds
	Allocations []Benchmark               `json:"allocations"`
	Captured    any                       `json:"captured"` // what the Firehose stand-in took
	Segments    int64                     `json:"xray_documents"`
	Notes       []string                  `json:"notes"`
}

// Warm is a load's times: medians over rounds of the round's quantile for p50, all runs together for p99.
type Warm struct {
	Runs      int     `json:"runs"`
	AnswerP50 float64 `json:"answer_p50_us"`
	AnswerP99 float64 `json:"answer_p99_us"`
	BusyP50   float64 `json:"busy_p50_us,omitempty"` // answer posted → next poll
	BusyP99   float64 `json:"busy_p99_us,omitempty"`
}

func summarize(s *series) Warm {
	var answers, busy []time.Duration
	var busies []float64
	for _, r := range s.rounds {
		answers, busy = append(answers, r.answer...), append(busy, r.busy...)
		if len(r.busy) > 0 {
			busies = append(busies, quantile(r.busy, 0.5))
		}
	}
	w := Warm{Runs: len(answers), AnswerP50: figures.Median(s.p50s()), AnswerP99: quantile(answers, 0.99)}
	if len(busy) > 0 {
		w.BusyP50, w.BusyP99 = figures.Median(busies), quantile(busy, 0.99)
	}
	return w
}

// bars are the limits of the project's promise, printed beside the ratios.
var bars = []figures.Bar{
	{Name: "predict_1row_overhead_us", Bound: 80, Most: true},
	{Name: "json_1000x30_overhead_python_over_ours", Bound: 4},
	{Name: "binary_1000x30_overhead_python_json_over_ours", Bound: 10},
	{Name: "cold_speedup_vs_python", Bound: 5},
}

var notes = []string{
	"predict_1row_overhead_us: predict's p50 minus the no-op's minus raw Run's (Go, same model and row), each round by itself.",
	"json/binary overheads are p50 minus raw Run. Ours subtracts raw Run in Go with predict's thread setting; Python's subtracts session.run timed in Python with the handler's default options, binding included.",
	"Python keeps its model as a local file and imports no AWS SDK; predict fetches state, manifest, schema and model from the S3 stand-in. Both start with a warm page cache; Python has its .pyc files.",
	"All functions run behind the same Runtime API host; answers are checked against what ONNX Runtime in Python gave.",
}

func (r *Report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "warm, microseconds\tp50\tp99\tbusy p50\tbusy p99\truns\t\n")
	for _, name := range slices.Sorted(maps.Keys(r.Warm)) {
		v := r.Warm[name]
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%s\t%s\t%d\t\n", name, v.AnswerP50, v.AnswerP99, blank(v.BusyP50), blank(v.BusyP99), v.Runs)
	}
	fmt.Fprintf(t, "\ncold, milliseconds\tto first poll\tfirst event\tto first answer\tleast\tmost\t\n")
	for _, name := range slices.Sorted(maps.Keys(r.Cold)) {
		c := r.Cold[name]
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", name, c.BootMS, c.FirstMS, c.TotalMS.Median, c.TotalMS.Least, c.TotalMS.Most)
		for _, stage := range slices.Sorted(maps.Keys(c.Stages)) {
			fmt.Fprintf(t, "of it %s\t%.2f\t\n", stage, c.Stages[stage])
		}
	}
	fmt.Fprintf(t, "\nresident memory\tMB\t\n")
	for _, name := range slices.Sorted(maps.Keys(r.RSSBytes)) {
		fmt.Fprintf(t, "%s\t%.1f\t\n", name, float64(r.RSSBytes[name])/1e6)
	}
	if len(r.Allocations) > 0 {
		fmt.Fprintf(t, "\nallocations of the handler\tper request\tbytes\tµs\t\n")
	}
	for _, b := range r.Allocations {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f\t\n", b.Name, b.Allocs, b.Bytes, b.NS/1e3)
	}
	figures.PrintRatios(t, r.Spreads, bars)
	return t.Flush()
}

func blank(v float64) string {
	if v == 0 || math.IsNaN(v) {
		return ""
	}
	return fmt.Sprintf("%.1f", v)
}
