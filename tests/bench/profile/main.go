// Command profile takes the figures of profiling for `make bench`: counting the
// flights on a baseline's cells beside a bare typed read of the same columns with
// parquet-go, and beside DuckDB and Polars, which compute four figures of each
// column; captured NDJSON beside encoding/json; and the memory of `tidegate profile`.
//
// It asserts nothing on time; the bars are printed beside the ratios. It fails when
// a peer finds other values than we do. scripts/bench-profile builds what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

type options struct {
	tidegate, peak, python, data, out string
	rounds, workers                   int
}

func main() {
	var o options
	flag.StringVar(&o.tidegate, "tidegate", "", "the tidegate program")
	flag.StringVar(&o.peak, "peak", "", "the peak program")
	flag.StringVar(&o.python, "python", "", "the Python interpreter with DuckDB and Polars")
	flag.StringVar(&o.data, "data", ".local/bench/flights", "folder that make_flights.py wrote")
	flag.StringVar(&o.out, "out", ".local/bench/profile.json", "the report")
	flag.IntVar(&o.rounds, "rounds", 9, "rounds of all loads")
	flag.IntVar(&o.workers, "workers", 2, "cores that each reader uses")
	figures.Main(func(ctx context.Context) error { return run(ctx, o) })
}

func run(ctx context.Context, o options) error {
	report := Report{V: 1, At: time.Now().UTC(), Machine: figures.ThisMachine(), Rounds: o.rounds, Workers: o.workers, Columns: columns,
		Versions: figures.Versions(o.python, "duckdb", "polars", "pyarrow"), Spreads: map[string]figures.Spread{}, Notes: notes}
	report.Versions["parquet-go"] = moduleVersion("github.com/parquet-go/parquet-go")
	for _, name := range files {
		f, err := o.file(ctx, name)
		if err != nil {
			return err
		}
		if err := f.measure(ctx, o, &report); err != nil {
			return errors.Join(err, f.close())
		}
		if err := f.close(); err != nil {
			return err
		}
	}
	if err := report.memory(ctx, o); err != nil {
		return err
	}
	if err := report.captures(ctx, o.rounds); err != nil {
		return err
	}
	report.finish()
	return errors.Join(report.print(os.Stdout), figures.Write(o.out, &report))
}

// files of the folder, by name: see make_flights.py.
var files = []string{"flights", "distinct10"}

// columns are the fourteen that are counted, numbers first. Left out are year, which is constant, time_hour, which is a time, hour and
// minute, which sched_dep_time tells, and arr_time, which follows from the others.
var columns = []string{"month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_delay", "sched_arr_time", "air_time", "distance", "flight",
	"carrier", "tailnum", "origin", "dest"}

func (o options) path(name string) string { return filepath.Join(o.data, name+".parquet") }

func (o options) baseline(name string) string { return filepath.Join(o.data, name+".baseline.json") }

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }
