package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/tests/bench/figures"
)

// table is one Parquet file with all that reads it.
type table struct {
	name  string
	file  *os.File
	size  int64
	base  *profile.Baseline
	rows  int64
	peers []*peer
}

// file freezes a baseline of a file and starts its peers.
func (o options) file(ctx context.Context, name string) (*table, error) {
	if err := o.freeze(ctx, name); err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(o.baseline(name))
	if err != nil {
		return nil, err
	}
	t := &table{name: name}
	if t.base, err = profile.ParseBaseline(raw); err != nil {
		return nil, err
	}
	if t.file, err = os.Open(o.path(name)); err != nil {
		return nil, err
	}
	info, err := t.file.Stat()
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	t.size = info.Size()
	for _, peer := range []string{"duckdb", "polars"} {
		p, err := startPeer(ctx, o, peer, name)
		if err != nil {
			return nil, errors.Join(err, t.close())
		}
		t.peers = append(t.peers, p)
	}
	return t, nil
}

func (o options) freeze(ctx context.Context, name string) error {
	say("freezing the baseline of %s", name)
	out, err := exec.CommandContext(ctx, o.tidegate, "profile", o.path(name), "-o", o.baseline(name)).CombinedOutput() // #nosec G204
	if err != nil {
		return fmt.Errorf("bench: tidegate profile %s: %w\n%s", name, err, out)
	}
	return nil
}

func (t *table) close() error {
	var errs []error
	for _, p := range t.peers {
		errs = append(errs, p.stop())
	}
	return errors.Join(append(errs, t.file.Close())...)
}

// load is one reader of the file.
type load struct {
	name string
	run  func(ctx context.Context) (time.Duration, error)
}

func (t *table) loads(workers int) []load {
	loads := []load{
		{"profile", func(ctx context.Context) (time.Duration, error) { return t.timed(ctx, workers, t.count) }},
		{"bare_read", func(ctx context.Context) (time.Duration, error) { return t.timed(ctx, workers, t.bare) }},
	}
	for _, p := range t.peers {
		loads = append(loads, load{p.name, p.run})
	}
	return loads
}

func (t *table) timed(ctx context.Context, workers int, read func(ctx context.Context, workers int) error) (time.Duration, error) {
	start := time.Now()
	err := read(ctx, workers)
	return time.Since(start), err
}

// runs is how often a load runs in a round: the least of its times counts, since other work only ever adds to it.
func (t *table) runs() int {
	if t.size > 50<<20 {
		return 1
	}
	return 5
}

// measure runs all loads in rounds, each round in another order, and adds the rows a second and the ratios to the report.
func (t *table) measure(ctx context.Context, o options, report *Report) error {
	tally, err := t.tally(ctx, o.workers)
	if err != nil {
		return err
	}
	t.rows = int64(tally.States[0].Rows)
	loads := t.loads(o.workers)
	for _, l := range loads {
		if _, err := l.run(ctx); err != nil {
			return fmt.Errorf("bench: %s of %s: %w", l.name, t.name, err)
		}
	}
	for _, p := range t.peers {
		if err := p.check(t.base, tally); err != nil {
			return err
		}
	}
	speeds := map[string][]float64{}
	for r := range o.rounds {
		say("%s: round %d of %d", t.name, r+1, o.rounds)
		for i := range loads {
			l := loads[(i+r)%len(loads)]
			speed, err := t.fastest(ctx, l)
			if err != nil {
				return err
			}
			speeds[l.name] = append(speeds[l.name], speed)
		}
	}
	for _, l := range loads {
		report.Speeds = append(report.Speeds, Speed{File: t.name, Reader: l.name, Rows: t.rows, PerSecond: figures.SpreadOf(speeds[l.name])})
		if l.name != "profile" {
			report.Spreads[ratioName(t.name, l.name)] = figures.PerRound(speeds["profile"], speeds[l.name])
		}
	}
	return nil
}

func ratioName(file, reader string) string {
	if file == "flights" {
		return "profile_vs_" + reader
	}
	return "profile_" + file + "_vs_" + reader
}

// fastest is the rows a second of the fastest of some runs.
func (t *table) fastest(ctx context.Context, l load) (float64, error) {
	best := time.Duration(0)
	for range t.runs() {
		took, err := l.run(ctx)
		if err != nil {
			return 0, fmt.Errorf("bench: %s of %s: %w", l.name, t.name, err)
		}
		if best == 0 || took < best {
			best = took
		}
	}
	return float64(t.rows) / best.Seconds(), nil
}
