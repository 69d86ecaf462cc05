package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

// report is .local/bench/endpoint.json. Times are in the unit of their name.
type report struct {
	V        int                       `json:"v"`
	At       time.Time                 `json:"at"`
	Machine  figures.Machine           `json:"machine"`
	Versions map[string]string         `json:"versions"`
	Rounds   int                       `json:"rounds"`
	Ratios   map[string]float64        `json:"ratios"`
	Spreads  map[string]figures.Spread `json:"ratio_spreads"` // over rounds; the ratios are their medians
	Raw      []rawRate                 `json:"raw_heavy_best"`
	Loads    map[string][]load         `json:"loads"`     // by work, by callers: medians over rounds
	RSS      memory                    `json:"rss"`       // over requests
	Swaps    memory                    `json:"rss_swaps"` // over changes of version
	Notes    []string                  `json:"notes"`
	Peers    *peerReport               `json:"peers,omitempty"` // other servers; of the run of bench-peers before

	rounds map[string]map[int][]load
}

// memory of the server in the soak, in bytes.
type memory struct {
	Requests int   `json:"n"`
	Early    int64 `json:"early_bytes"` // after a tenth, or ten changes
	Late     int64 `json:"at_the_end_bytes"`
}

func (r *report) add(name string, l load) {
	if r.rounds[name] == nil {
		r.rounds[name] = map[int][]load{}
	}
	r.rounds[name][l.Callers] = append(r.rounds[name][l.Callers], l)
}

// of is a figure of each round.
func (r *report) of(name string, callers int, value func(l load) float64) []float64 {
	var all []float64
	for _, l := range r.rounds[name][callers] {
		all = append(all, value(l))
	}
	return all
}

func rate(l load) float64 { return l.Rate }
func p50(l load) float64  { return l.P50 }
func p99(l load) float64  { return l.P99 }

// bars are the limits of the project's promise, printed beside the ratios.
var bars = []figures.Bar{
	{Name: "heavy_64callers_vs_raw_batched", Bound: 0.8},
	{Name: "single_caller_p50_batching_on_vs_off", Bound: 1.3, Most: true},
	{Name: "rss_growth_soak_ratio", Bound: 1.1, Most: true},
	{Name: "rss_growth_swaps_ratio", Bound: 1.1, Most: true},
	{Name: "rps16_vs_bentoml", Bound: 20},
	{Name: "rps16_vs_mlserver", Bound: 10},
	{Name: "rps16_vs_mlflow", Bound: 10},
	{Name: "rps16_vs_fastapi", Bound: 5},
	{Name: "p99_16_vs_bentoml", Bound: 1, Most: true},
	{Name: "p99_16_vs_mlserver", Bound: 1, Most: true},
	{Name: "p99_16_vs_mlflow", Bound: 1, Most: true},
	{Name: "p99_16_vs_fastapi", Bound: 1, Most: true},
}

var notes = []string{
	"heavy_64callers_vs_raw_batched: rows/s of 64 one-row callers over binary HTTP by those of raw ONNX Runtime at its best batch size, with as many threads as processors. The callers run on the same processors.",
	"single_caller_p50_batching_on_vs_off: one caller, one row, the flights model; off is max_batch 1.",
	"Every answer is checked: the heavy model's against what raw ONNX Runtime gives for the caller's row alone, the flights model's against its first answer.",
}

func (r *report) finish() {
	var raw []float64
	for _, one := range r.Raw {
		raw = append(raw, one.Rows)
	}
	r.Notes = notes
	r.Spreads = map[string]figures.Spread{}
	ratio := func(name string, a, b []float64) {
		if len(a) > 0 && len(a) == len(b) {
			r.Spreads[name] = figures.PerRound(a, b)
		}
	}
	ratio("heavy_64callers_vs_raw_batched", r.of("heavy/binary/rows=1", 64, rate), raw)
	ratio("single_caller_p50_batching_on_vs_off", r.of("flights/binary/rows=1/batching=on", 1, p50), r.of("flights/binary/rows=1/batching=off", 1, p50))
	if r.RSS.Early > 0 {
		ratio("rss_growth_soak_ratio", []float64{float64(r.RSS.Late)}, []float64{float64(r.RSS.Early)})
	}
	if r.Swaps.Early > 0 {
		ratio("rss_growth_swaps_ratio", []float64{float64(r.Swaps.Late)}, []float64{float64(r.Swaps.Early)})
	}
	r.Ratios, r.Loads = figures.Medians(r.Spreads), map[string][]load{}
	for name, by := range r.rounds {
		for _, n := range slices.Sorted(maps.Keys(by)) {
			l := load{Callers: n, Rate: figures.Median(r.of(name, n, rate)), P50: figures.Median(r.of(name, n, p50)), P99: figures.Median(r.of(name, n, p99))}
			for _, one := range by[n] {
				l.Requests += one.Requests
			}
			r.Loads[name] = append(r.Loads[name], l)
		}
	}
}

func (r *report) write(path string) error {
	before, err := earlier(path)
	if err != nil {
		return err
	}
	r.finish()
	r.Peers = before.Peers
	for name, s := range before.Spreads {
		if isPeers(name) {
			r.Spreads[name], r.Ratios[name] = s, s.Median
		}
	}
	if err := figures.Write(path, r); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "work\tcallers\trequests/s\tp50 µs\tp99 µs\t\n")
	for _, name := range slices.Sorted(maps.Keys(r.Loads)) {
		for _, l := range r.Loads[name] {
			fmt.Fprintf(w, "%s\t%d\t%.0f\t%.0f\t%.0f\t\n", name, l.Callers, l.Rate, l.P50, l.P99)
		}
	}
	for _, one := range r.Raw {
		fmt.Fprintf(w, "raw ONNX Runtime, heavy\tbatch %d\t%.0f\t\t\t\n", one.Batch, one.Rows)
	}
	figures.PrintRatios(w, r.Spreads, bars)
	return w.Flush()
}

// earlier is the report that is there; bench-endpoint and bench-peers write parts of
// one file, and each keeps the other's.
func earlier(path string) (*report, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- the benchmark's own file
	if errors.Is(err, fs.ErrNotExist) {
		return &report{V: 1, Ratios: map[string]float64{}, Spreads: map[string]figures.Spread{}}, nil
	}
	r := &report{}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	if err != nil {
		return nil, fmt.Errorf("bench: %s: %w; remove it", path, err)
	}
	return r, nil
}
