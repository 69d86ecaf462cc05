package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

// run is one run of a load.
type run struct {
	figures.Peak
	answer answer
}

// run runs a load on the files of a shape in a process of its own.
func (o options) run(ctx context.Context, load, shape string) (run, error) {
	self, err := os.Executable()
	if err != nil {
		return run{}, err
	}
	command := []string{self, "-child", load, "-workers", strconv.Itoa(o.workers)}
	if load == "pandas" {
		command = []string{o.python, "tests/bench/evaluate/peer.py"}
	}
	p, out, err := figures.RunPeak(ctx, o.peak, 0, append(command, o.path("predictions", shape), o.path("labels", shape))...)
	if err != nil {
		return run{}, err
	}
	r := run{Peak: p}
	if err := json.Unmarshal(out, &r.answer); err != nil {
		return run{}, fmt.Errorf("bench: %s: %w", load, err)
	}
	if load == "pandas" {
		r.Seconds = r.answer.Seconds // without its imports
	}
	return r, nil
}

// Report is what evaluate.json holds.
type Report struct {
	V        int                       `json:"v"`
	At       time.Time                 `json:"at"`
	Machine  figures.Machine           `json:"machine"`
	Versions map[string]string         `json:"versions"`
	Rounds   int                       `json:"rounds"`
	Workers  int                       `json:"workers"`
	Rows     int                       `json:"rows"`
	Ratios   map[string]float64        `json:"ratios"`
	Spreads  map[string]figures.Spread `json:"spreads"`
	Loads    []Load                    `json:"loads"`
	Notes    []string                  `json:"notes"`
}

// Load is what a load took.
type Load struct {
	Shape     string             `json:"shape"`
	Load      string             `json:"load"`
	Seconds   figures.Spread     `json:"seconds"`
	PerSecond figures.Spread     `json:"rows_per_second"` // predictions
	RSSMB     figures.Spread     `json:"rss_mb"`
	Found     map[string]float64 `json:"found"`
}

// bars are the limits of the project's promise, printed beside the ratios.
var bars = []figures.Bar{
	{Name: "join_10m_rss_mb", Bound: 1769, Most: true},
	{Name: "speedup_vs_pandas", Bound: 5},
	{Name: "speedup_vs_pandas_ids", Bound: 5},
	{Name: "speedup_vs_pandas_uuids", Bound: 5},
	{Name: "join_vs_bare_read_ids"},
	{Name: "join_vs_bare_read_uuids"},
}

var notes = []string{
	"quality: the join, every row counted, all metrics of quality with intervals from 1,000 resamples. join: the join alone. bare: the pages of the same columns decoded and added up with parquet-go. Seconds are those of whole processes.",
	"pandas: read_parquet of both files, merge, and roc_auc_score, log_loss, brier_score_loss, accuracy_score; by its own clock, without imports.",
	"speedup_vs_pandas is the lesser of the two shapes: ids are whole numbers, uuids inference ids as text. join_10m_rss_mb is the larger one, of quality.",
	"scikit-learn's metrics are compared with ours: the area under the curve within the bound of 1,000 bins, the others to 1e-9.",
}

// add takes the figures of a shape.
func (r *Report) add(shape string, runs map[string][]run) {
	seconds := map[string][]float64{}
	for _, load := range loads {
		var speed, rss []float64
		for _, one := range runs[load] {
			seconds[load] = append(seconds[load], one.Seconds)
			speed = append(speed, float64(r.Rows)/one.Seconds)
			rss = append(rss, one.RSSMB)
		}
		r.Loads = append(r.Loads, Load{Shape: shape, Load: load, Seconds: figures.SpreadOf(seconds[load]), PerSecond: figures.SpreadOf(speed),
			RSSMB: figures.SpreadOf(rss), Found: runs[load][0].answer.Found})
	}
	r.Spreads["speedup_vs_pandas_"+shape] = figures.PerRound(seconds["pandas"], seconds["quality"])
	r.Spreads["join_vs_bare_read_"+shape] = figures.PerRound(seconds["bare"], seconds["join"])
}

// finish takes the medians of the spreads as the ratios.
func (r *Report) finish() {
	for _, l := range r.Loads {
		if l.Load == "quality" && l.RSSMB.Median > r.Spreads["join_10m_rss_mb"].Median {
			r.Spreads["join_10m_rss_mb"] = l.RSSMB
		}
	}
	least := r.Spreads["speedup_vs_pandas_"+shapes[0]]
	for _, shape := range shapes {
		if s := r.Spreads["speedup_vs_pandas_"+shape]; s.Median < least.Median {
			least = s
		}
	}
	r.Spreads["speedup_vs_pandas"] = least
	r.Ratios = figures.Medians(r.Spreads)
}

func (r *Report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%d predictions and labels\tseconds\tleast\tmost\tmillion rows a second\tMB\t\n", r.Rows)
	for _, l := range r.Loads {
		fmt.Fprintf(t, "%s %s\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t\n", l.Shape, l.Load, l.Seconds.Median, l.Seconds.Least, l.Seconds.Most, l.PerSecond.Median/1e6, l.RSSMB.Median)
	}
	figures.PrintRatios(t, r.Spreads, bars)
	return t.Flush()
}
