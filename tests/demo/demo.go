package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/tests/demo/flights"
	"github.com/tidegate/tidegate/tests/demo/traffic"
)

// modelName is the model of the story.
const modelName = "flights"

// demo is one run of the story.
type demo struct {
	*stack.Stack
	out, errs         io.Writer
	interactive       bool
	root, memo, facts string
	singles, hundreds int
	concurrency       int
	wait              bool // for the window of April's requests to close
	patience          time.Duration
	chapters          int
	sent              []traffic.Sent   // April
	asked             []flights.Flight // the flights that were asked about
	programs          programs
}

// Facts are what was done, for programs; the story says the same in words.
type Facts struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	Holdout struct {
		Rows   int     `json:"rows"`
		ROCAUC float64 `json:"roc_auc"`
	} `json:"holdout"`
	Parity struct {
		Rows       int     `json:"rows"`
		MaxAbsDiff float64 `json:"max_abs_diff"`
	} `json:"parity"`
	Sent struct {
		Requests int `json:"requests"`
		Rows     int `json:"rows"`
	} `json:"sent"`
	Errors   int `json:"errors"`
	Captured struct {
		Rows       int `json:"rows"`
		Missing    int `json:"missing"`
		Duplicates int `json:"duplicates"`
		Mismatched int `json:"mismatched"`
	} `json:"captured"`
	LatencyMS struct {
		P50 float64 `json:"p50"`
		P99 float64 `json:"p99"`
	} `json:"latency_ms"`
	Drift      []Judged    `json:"drift"`
	Evaluation []Evaluated `json:"evaluation"`
	Endpoint   *Endpoint   `json:"endpoint,omitempty"`
}

func (d *demo) tell(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("the flights are not there; run scripts/flights-data: %w", err)
	}
	defer f.Close()
	all, err := flights.Read(f)
	if err != nil {
		return err
	}
	var facts Facts
	facts.Model = modelName
	reg := registry.New(d.Registry, registry.Options{})
	manifest, err := d.version(ctx, reg, all, &facts)
	if err != nil {
		return err
	}
	if err := d.serve(ctx, reg, manifest); err != nil {
		return err
	}
	april := span{from: time.Now()}
	holds := d.predict(ctx, all, &facts)
	april.to = time.Now()
	if holds == nil {
		holds = d.watchDrift(ctx, all, &facts)
	}
	if holds == nil {
		holds = d.judgeQuality(ctx, &facts)
	}
	if holds == nil {
		holds = d.endpointWindow(ctx, &facts, &april)
	}
	if holds == nil {
		holds = d.switchToEndpoint(ctx, reg, all, &facts)
	}
	if err := writeFacts(d.facts, facts); err != nil {
		return errors.Join(holds, err)
	}
	if holds != nil {
		return holds
	}
	d.next()
	return nil
}

// chapter prints a heading.
func (d *demo) chapter(title string) {
	d.chapters++
	fmt.Fprintf(d.out, "\n%d. %s\n", d.chapters, title)
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, "   "+format+"\n", args...) }

// bar draws progress on standard error; without a terminal it is silent.
func (d *demo) bar(total int, what string) *progressbar.ProgressBar {
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(d.errs), progressbar.OptionSetVisibility(d.interactive),
		progressbar.OptionSetDescription("   "+what), progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish())
}

func (d *demo) next() {
	fmt.Fprint(d.out, `
What to try next (. .local/stack/env sets the endpoint and the dummy keys of the local AWS)
   go run ./cmd/tidegate status `+modelName+`              which version serves
   go run ./cmd/tidegate version list `+modelName+`        what was registered, and its parity with the trainer
   go run ./cmd/tidegate log `+modelName+`                 who moved the pointer, when and why
   go run ./cmd/tidegate export `+modelName+` --help       the captures of a window as Parquet
   go run ./cmd/tidegate doctor                      the store's compare-and-swap, permissions, health
   go run ./cmd/tidegate proxy --port 8000           a local port for any Triton or TensorFlow-Serving client
   curl `+d.ApiEndpoint+`/v2/models/`+modelName+`
   make down                                         stop the local AWS
   sam deploy --guided                               the same template, in your account
`)
}

func writeFacts(path string, f Facts) error {
	body, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(body, '\n'), 0o644)
}
