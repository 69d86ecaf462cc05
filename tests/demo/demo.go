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
	begun             time.Time
	chapters          int
	sent              []traffic.Sent        // April
	asked             []flights.Flight      // the flights that were asked about
	windows           map[string]time.Month // of the batches, by window
	told              int64                 // generation of the log up to which its moves are told
	until             string                // the last day whose flights were sent
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
	Retraining Retrained   `json:"retraining"`
	Rollouts   []RolledOut `json:"rollouts"`
	Rollback   *Effect     `json:"rollback"`
	Replays    []Replayed  `json:"replays"`
	Log        Logged      `json:"log"`
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
	holds := d.live(ctx, reg, all, manifest.Version, &facts)
	if err := writeFacts(d.facts, facts); err != nil {
		return errors.Join(holds, err)
	}
	if holds != nil {
		return holds
	}
	d.next()
	return nil
}

// live is the year of the version that serves in April.
func (d *demo) live(ctx context.Context, reg *registry.Registry, all []flights.Flight, first int, facts *Facts) error {
	april := span{from: time.Now()}
	if err := d.predict(ctx, all, facts); err != nil {
		return err
	}
	april.to = time.Now()
	if err := d.judgeQuality(ctx, facts); err != nil {
		return err
	}
	if err := d.teach(ctx, all, 1, 2, 3, 4); err != nil {
		return err
	}
	if err := d.watchDrift(ctx, all, beforeRetraining, facts); err != nil {
		return err
	}
	second, err := d.evolve(ctx, reg, all, facts)
	if err != nil {
		return err
	}
	if err := d.watchDrift(ctx, all, afterwards, facts); err != nil {
		return err
	}
	if err := d.replay(ctx, reg, all, first, second, facts); err != nil {
		return err
	}
	if err := d.endpointWindow(ctx, facts, &april); err != nil {
		return err
	}
	if err := d.switchToEndpoint(ctx, reg, all, facts); err != nil {
		return err
	}
	return d.readLog(ctx, reg, facts)
}

// evolve is how versions come and go; it returns the second one.
func (d *demo) evolve(ctx context.Context, reg *registry.Registry, all []flights.Flight, facts *Facts) (int, error) {
	if second, err := d.retell(ctx, reg, facts); err != nil || second != 0 {
		return second, err
	}
	execution, err := d.retrain(ctx, facts)
	if err != nil {
		return 0, err
	}
	second := facts.Retraining.Version
	wrong := d.trainBroken(ctx, reg, all)
	if err := d.rollOut(ctx, reg, all, second, facts); err != nil {
		return 0, err
	}
	if err := d.retrained(ctx, execution, facts); err != nil {
		return 0, err
	}
	if err := d.broken(ctx, reg, all, wrong, facts); err != nil {
		return 0, err
	}
	return second, d.rollBack(ctx, reg, all, facts)
}

// chapter prints a heading.
func (d *demo) chapter(title string) {
	d.chapters++
	fmt.Fprintf(d.out, "\n%d. %s  (%.0f s)\n", d.chapters, title, time.Since(d.begun).Seconds())
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
