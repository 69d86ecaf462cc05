package main

import (
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

// Report is .local/bench/profile.json. Speeds are rows a second, memory is in MB of 10^6 bytes.
type Report struct {
	V        int                       `json:"v"`
	At       time.Time                 `json:"at"`
	Machine  figures.Machine           `json:"machine"`
	Versions map[string]string         `json:"versions"`
	Rounds   int                       `json:"rounds"`
	Workers  int                       `json:"workers"`
	Columns  []string                  `json:"columns"`
	Ratios   map[string]float64        `json:"ratios"`
	Spreads  map[string]figures.Spread `json:"ratio_spreads"` // over rounds; the ratios are their medians
	Speeds   []Speed                   `json:"speeds"`
	RSSMB    map[string]figures.Spread `json:"rss_mb"` // of `tidegate profile --baseline`, by file
	NDJSON   map[string]figures.Spread `json:"ndjson"` // by rows a record
	Notes    []string                  `json:"notes"`
}

// Speed is how fast a file was read.
type Speed struct {
	File      string         `json:"file"`
	Reader    string         `json:"reader"`
	Rows      int64          `json:"rows"`
	PerSecond figures.Spread `json:"rows_per_second"`
}

// bars are the limits of the project's promise, printed beside the ratios.
var bars = []figures.Bar{
	{Name: "profile_vs_bare_read", Bound: 0.3},
	{Name: "profile_vs_duckdb", Bound: 1},
	{Name: "profile_vs_polars", Bound: 1},
	{Name: "profile_distinct10_vs_bare_read", Bound: 0.3},
	{Name: "profile_distinct10_vs_duckdb", Bound: 1},
	{Name: "profile_distinct10_vs_polars", Bound: 1},
	{Name: "rss_mb_10x", Bound: 100, Most: true},
	{Name: "rss_10x_over_1x", Bound: 1.25, Most: true},
	{Name: "rss_10x_over_dictionary_1x"},
	{Name: "ndjson_vs_encoding_json", Bound: 4},
}

var notes = []string{
	"profile, bare_read: in one Go process, columns of row groups dealt out to the workers, footer and merge included. duckdb, polars: each in a Python process, by its own clock, without imports; as many threads.",
	"bare_read decodes the pages of the same columns with parquet-go and adds up each typed value, through the dictionary where there is one.",
	"duckdb and polars compute min, max, mean and approximate distinct of each column; least, largest and mean are compared with ours.",
	"flights.parquet is dictionary-encoded; in distinct10.parquet, ten times the rows, every number is distinct.",
	"rss_mb: peak resident memory of the process `tidegate profile FILE --baseline B`. rss_10x_over_1x compares files of the same kind, distinct10 and distinct.",
	"ndjson_vs_encoding_json: processor time; the least of the three shapes in ndjson.",
}

// finish takes the medians of the spreads as the ratios.
func (r *Report) finish() {
	r.Ratios = figures.Medians(r.Spreads)
}

func (r *Report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "million rows a second\tmedian\tleast\tmost\t\n")
	for _, s := range r.Speeds {
		fmt.Fprintf(t, "%s %s\t%.2f\t%.2f\t%.2f\t\n", s.File, s.Reader, s.PerSecond.Median/1e6, s.PerSecond.Least/1e6, s.PerSecond.Most/1e6)
	}
	fmt.Fprintf(t, "\npeak resident memory\tMB\tleast\tmost\t\n")
	for _, name := range slices.Sorted(maps.Keys(r.RSSMB)) {
		s := r.RSSMB[name]
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t\n", name, s.Median, s.Least, s.Most)
	}
	fmt.Fprintf(t, "\ncaptured NDJSON beside encoding/json\tmedian\tleast\tmost\t\n")
	for _, name := range slices.Sorted(maps.Keys(r.NDJSON)) {
		s := r.NDJSON[name]
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t\n", name, s.Median, s.Least, s.Most)
	}
	figures.PrintRatios(t, r.Spreads, bars)
	return t.Flush()
}

// moduleVersion is that of a module which is linked in.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return ""
}
