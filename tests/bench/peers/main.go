// Command peers runs other drift libraries and `tidegate drift` on the same Parquet
// files: rows a second and peak memory from files to verdict, and how many columns
// each calls drifted between random halves, where nothing drifts. The peers are
// named as arguments; each has a virtual environment, see scripts/bench-peers.
//
// It asserts nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

type options struct {
	tidegate, peak, venvs, data, out string
	rounds, seeds                    int
	peers                            []string
}

func main() {
	var o options
	flag.StringVar(&o.tidegate, "tidegate", "", "the tidegate program")
	flag.StringVar(&o.peak, "peak", "", "the peak program")
	flag.StringVar(&o.venvs, "venvs", ".local", "folder of the environments venv-peer-NAME")
	flag.StringVar(&o.data, "data", ".local/bench/halves", "folder that make_halves.py wrote")
	flag.StringVar(&o.out, "out", ".local/bench/peers.json", "the report")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of all peers over all rows")
	flag.IntVar(&o.seeds, "seeds", 5, "random halves of each size")
	figures.Main(func(ctx context.Context) error {
		o.peers = flag.Args()
		return run(ctx, o)
	})
}

func run(ctx context.Context, o options) error {
	report := Report{V: 1, At: time.Now().UTC(), Machine: figures.ThisMachine(), Rounds: o.rounds, Seeds: o.seeds, Ratios: map[string]float64{},
		Spreads: map[string]figures.Spread{}, Tools: map[string]*Tool{}, Notes: notes}
	tools := o.tools()
	for _, t := range tools {
		report.Tools[t.name] = &Tool{Versions: t.versions(), Drifted: map[string][]int{}}
	}
	if err := report.speed(ctx, o, tools); err != nil {
		return err
	}
	for _, size := range sizes {
		for _, t := range tools {
			say("random halves of %d rows: %s", size, t.name)
			drifted, err := t.halves(ctx, o, size)
			if err != nil {
				return err
			}
			report.Tools[t.name].Drifted[fmt.Sprint(size)] = drifted
		}
	}
	report.finish()
	return errors.Join(report.print(os.Stdout), figures.Write(o.out, &report))
}

// sizes of the random halves, in rows a side.
var sizes = []int{10000, 200}

// speed runs all tools over all rows in rounds, each round in another order.
func (r *Report) speed(ctx context.Context, o options, tools []*tool) error {
	pair := o.pair("all")
	for round := range o.rounds {
		for i := range tools {
			t := tools[(i+round)%len(tools)]
			say("all rows, round %d of %d: %s", round+1, o.rounds, t.name)
			runs := 1
			if t.own {
				runs = 5 // it is short: the median counts
			}
			var seconds, mb []float64
			for range runs {
				verdicts, peak, err := t.run(ctx, o, pair)
				if err != nil {
					return err
				}
				seconds, mb = append(seconds, verdicts[0].Seconds), append(mb, peak.RSSMB)
				r.Rows = max(r.Rows, verdicts[0].Rows)
			}
			tool := r.Tools[t.name]
			tool.seconds = append(tool.seconds, figures.Median(seconds))
			tool.mb = append(tool.mb, slices.Max(mb))
		}
	}
	return nil
}

// pair is the two files of one comparison.
func (o options) pair(stem string) []string {
	return []string{filepath.Join(o.data, stem+"-reference.parquet"), filepath.Join(o.data, stem+"-current.parquet")}
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }
