package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

// Report is .local/bench/peers.json.
type Report struct {
	V       int                       `json:"v"`
	At      time.Time                 `json:"at"`
	Machine figures.Machine           `json:"machine"`
	Rounds  int                       `json:"rounds"`
	Seeds   int                       `json:"seeds"`
	Rows    int64                     `json:"rows"` // of both files
	Ratios  map[string]float64        `json:"ratios"`
	Spreads map[string]figures.Spread `json:"ratio_spreads"` // over rounds; the ratios are their medians
	Tools   map[string]*Tool          `json:"tools"`
	Notes   []string                  `json:"notes"`
}

// Tool is one tool's figures.
type Tool struct {
	Versions  map[string]string `json:"versions"`
	PerSecond figures.Spread    `json:"rows_per_second"`
	RSSMB     figures.Spread    `json:"rss_mb"`
	Drifted   map[string][]int  `json:"drifted"` // columns called drifted between random halves, by rows a side, of each seed

	seconds, mb []float64
}

// bars are how much faster than each peer the project promises to be.
var bars = []figures.Bar{
	{Name: "vs_evidently", Bound: 100},
	{Name: "vs_whylogs", Bound: 100},
	{Name: "vs_nannyml", Bound: 30},
	{Name: "vs_tfdv", Bound: 10},
	{Name: "vs_deepchecks", Bound: 10},
}

var notes = []string{
	"Rows are those of both files. Ours is the time of the whole process `tidegate drift --reference R --current C --json`, start included; a peer's is by its own clock from reading the files to the verdict, without imports.",
	"Peers run with their defaults; TFDV has none and gets 0.01 (categories, L-infinity) and 0.1 (numbers, Jensen-Shannon). deepchecks looks at no more than 100,000 rows of each side.",
	"NannyML cuts the current rows into its default chunks; a column counts as drifted when any chunk alerts.",
	"Between random halves nothing drifts: each column called drifted is a false alarm.",
}

func (r *Report) finish() {
	own := r.Tools["tidegate"]
	for name, t := range r.Tools {
		var speeds []float64
		for _, s := range t.seconds {
			speeds = append(speeds, float64(r.Rows)/s)
		}
		t.PerSecond, t.RSSMB = figures.SpreadOf(speeds), figures.SpreadOf(t.mb)
		if t != own {
			s := figures.PerRound(t.seconds, own.seconds)
			r.Spreads["vs_"+name], r.Ratios["vs_"+name] = s, s.Median
		}
	}
}

func (r *Report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%d rows\tthousand rows a second\tleast\tmost\tMB\t\n", r.Rows)
	names := slices.Sorted(maps.Keys(r.Tools))
	for _, name := range names {
		s := r.Tools[name]
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t\n", name, s.PerSecond.Median/1e3, s.PerSecond.Least/1e3, s.PerSecond.Most/1e3, s.RSSMB.Median)
	}
	fmt.Fprintf(t, "\ncolumns of 14 called drifted between random halves")
	for _, size := range sizes {
		fmt.Fprintf(t, "\t%d/%d", size, size)
	}
	fmt.Fprintln(t, "\t")
	for _, name := range names {
		fmt.Fprint(t, name)
		for _, size := range sizes {
			fmt.Fprintf(t, "\t%s", strings.Trim(fmt.Sprint(r.Tools[name].Drifted[fmt.Sprint(size)]), "[]"))
		}
		fmt.Fprintln(t, "\t")
	}
	figures.PrintRatios(t, r.Spreads, bars)
	return t.Flush()
}
