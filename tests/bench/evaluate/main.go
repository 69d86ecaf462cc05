// Command evaluate takes the figures of joining predictions with labels for `make
// bench`: 10 million of each in Parquet, with all metrics of quality and their
// intervals, beside a bare read of the same files with parquet-go and beside pandas'
// merge with four metrics of scikit-learn; seconds and resident memory of whole
// processes.
//
// It asserts nothing on time; the bars are printed beside the ratios. It fails when
// scikit-learn finds other metrics than we do. scripts/bench-evaluate builds what it
// needs.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

type options struct {
	child, peak, python, data, out string
	rounds, workers, rows          int
}

func main() {
	var o options
	flag.StringVar(&o.child, "child", "", "be a child: `quality`, join or bare, of the two files that are the arguments")
	flag.StringVar(&o.peak, "peak", "", "the peak program")
	flag.StringVar(&o.python, "python", "", "the Python interpreter with pandas and scikit-learn")
	flag.StringVar(&o.data, "data", ".local/bench/evaluate", "folder that make_rows.py wrote")
	flag.StringVar(&o.out, "out", ".local/bench/evaluate.json", "the report")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of all loads")
	flag.IntVar(&o.workers, "workers", 2, "cores that ours and the bare read use")
	flag.IntVar(&o.rows, "rows", 10_000_000, "predictions, and labels, in the files")
	figures.Main(func(ctx context.Context) error {
		if o.child != "" {
			return runChild(ctx, o.child, flag.Args(), o.workers, os.Stdout)
		}
		return o.measure(ctx)
	})
}

// shapes are the files of the folder, by what their ids are: see make_rows.py.
var shapes = []string{"ids", "uuids"}

// loads are what reads them.
var loads = []string{"quality", "join", "bare", "pandas"}

func (o options) path(what, shape string) string {
	return filepath.Join(o.data, what+"-"+shape+".parquet")
}

// measure runs all loads in rounds, each round in another order.
func (o options) measure(ctx context.Context) error {
	report := &Report{V: 1, At: time.Now().UTC(), Machine: figures.ThisMachine(), Rounds: o.rounds, Workers: o.workers, Rows: o.rows,
		Versions: figures.Versions(o.python, "pandas", "scikit-learn", "numpy", "pyarrow"), Spreads: map[string]figures.Spread{}, Notes: notes}
	for _, shape := range shapes {
		runs := map[string][]run{}
		for round := range o.rounds {
			for i := range loads {
				load := loads[(i+round)%len(loads)]
				log.Printf("%s: round %d of %d, %s", shape, round+1, o.rounds, load)
				r, err := o.run(ctx, load, shape)
				if err != nil {
					return err
				}
				runs[load] = append(runs[load], r)
			}
		}
		if err := compare(runs["quality"][0].answer, runs["pandas"][0].answer); err != nil {
			return err
		}
		report.add(shape, runs)
	}
	report.finish()
	return errors.Join(report.print(os.Stdout), figures.Write(o.out, report))
}
