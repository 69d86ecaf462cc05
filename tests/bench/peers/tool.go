package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

// tool is something that compares two files.
type tool struct {
	name     string
	own      bool // tidegate itself
	python   string
	packages []string
}

// verdict is what a tool says of one pair of files.
type verdict struct {
	Seconds float64  `json:"seconds"`
	Rows    int64    `json:"rows"`
	Drifted []string `json:"drifted"`
}

// packages name what a peer is made of.
var packages = map[string][]string{
	"evidently":  {"evidently", "pandas"},
	"nannyml":    {"nannyml", "pandas"},
	"whylogs":    {"whylogs", "pandas"},
	"tfdv":       {"tensorflow-data-validation", "tensorflow", "pandas"},
	"deepchecks": {"deepchecks", "pandas"},
}

func (o options) tools() []*tool {
	tools := []*tool{{name: "tidegate", own: true}}
	for _, name := range o.peers {
		tools = append(tools, &tool{name: name, python: filepath.Join(o.venvs, "venv-peer-"+name, "bin", "python"), packages: packages[name]})
	}
	return tools
}

func (t *tool) versions() map[string]string { return figures.Versions(t.python, t.packages...) }

// run compares pairs of files in one process.
func (t *tool) run(ctx context.Context, o options, pairs []string) ([]verdict, figures.Peak, error) {
	if t.own {
		return runOwn(ctx, o, pairs)
	}
	command := append([]string{t.python, "tests/bench/peers/peer.py", t.name}, pairs...)
	peak, out, err := figures.RunPeak(ctx, o.peak, 0, command...)
	if err != nil {
		return nil, peak, fmt.Errorf("%s: %w", t.name, err)
	}
	var verdicts []verdict
	for line := range bytes.Lines(out) {
		var v verdict
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, peak, fmt.Errorf("bench: %s says %q: %w", t.name, line, err)
		}
		verdicts = append(verdicts, v)
	}
	if 2*len(verdicts) != len(pairs) {
		return nil, peak, fmt.Errorf("bench: %s gave %d verdicts of %d files", t.name, len(verdicts), len(pairs))
	}
	return verdicts, peak, nil
}

// runOwn starts a process for each pair; its seconds are those of the process, start included.
func runOwn(ctx context.Context, o options, pairs []string) (verdicts []verdict, most figures.Peak, err error) {
	for i := 0; i < len(pairs); i += 2 {
		peak, out, err := figures.RunPeak(ctx, o.peak, 2, o.tidegate, "drift", "--reference", pairs[i], "--current", pairs[i+1], "--json")
		if err != nil {
			return nil, peak, err
		}
		var report struct {
			Drifted []string `json:"drifted"`
			Rows    struct {
				In int64 `json:"in"`
			} `json:"rows"`
		}
		if err := json.Unmarshal(out, &report); err != nil {
			return nil, peak, fmt.Errorf("bench: tidegate drift: %w", err)
		}
		verdicts = append(verdicts, verdict{Seconds: peak.Seconds, Rows: 2 * report.Rows.In, Drifted: report.Drifted})
		if peak.RSSMB > most.RSSMB {
			most = peak
		}
	}
	return verdicts, most, nil
}

// halves is the number of columns called drifted, by seed.
func (t *tool) halves(ctx context.Context, o options, size int) ([]int, error) {
	var pairs []string
	for seed := range o.seeds {
		pairs = append(pairs, o.pair(fmt.Sprintf("%d-%d", size, seed))...)
	}
	verdicts, _, err := t.run(ctx, o, pairs)
	if err != nil {
		return nil, err
	}
	var drifted []int
	for _, v := range verdicts {
		drifted = append(drifted, len(v.Drifted))
	}
	return drifted, nil
}
