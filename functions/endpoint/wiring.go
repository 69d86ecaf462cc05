package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/onnx"
	"github.com/tidegate/tidegate/shared/pause"
	"github.com/tidegate/tidegate/shared/serving"
	"github.com/tidegate/tidegate/shared/serving/exposition"
	"github.com/tidegate/tidegate/shared/telemetry"
	"github.com/tidegate/tidegate/shared/validate"
)

// followEvery is how often states are looked at without a request: as often as a
// request would (PROTOCOLS §3).
const followEvery = 2500 * time.Millisecond

// follow looks at the states of models, and sends captures that wait. Once the server
// is told to end they wait for its end, which comes after the last request; those that
// are being sent have grace to arrive, less than the drain, which goes on after them.
func follow(gate *serving.Gate, models []string, flush func(context.Context) error, grace time.Duration, log *slog.Logger) func(context.Context) {
	return func(ctx context.Context) {
		for _, m := range models {
			if _, err := gate.Status(ctx, m); err != nil && ctx.Err() == nil {
				log.Warn("state not looked at", "model", m, "error", err.Error())
			}
		}
		gate.AfterRequest(ctx)
		if ctx.Err() != nil {
			return
		}
		sending, cancel := outlasting(ctx, grace)
		defer cancel()
		if err := flush(sending); err != nil {
			log.Error("captures lost", "error", err.Error())
		}
	}
}

// outlasting is a context that ends grace after ctx.
func outlasting(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		defer cancel()
		_ = pause.For(longer, grace)
	})
	return longer, func() { stop(); cancel() }
}

// tune sets the Go runtime for what this process does, unless GOGC and GOMAXPROCS
// say otherwise.
//
// The heap may grow to five times what lives in it: models lie outside of it, a few
// megabytes live, and collecting at each doubling took part of the processors from
// requests.
//
// There are two of the scheduler's processors for each of the machine. A run of the model keeps
// one of them until the scheduler notices that its thread is away in ONNX Runtime, and so does a thread that
// the system has put aside; meanwhile requests could not be read or answered.
//
// It returns how many processors there are to use, by the limit of the container too.
func tune(getenv func(string) string) (processors int) {
	const percent, each = 400, 2
	processors = runtime.GOMAXPROCS(0)
	if getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	if getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(each * processors)
	}
	return processors
}

// load loads the models, and gives back the memory that their files were read into.
func load(fleet *inference.Fleet, models []string) func(context.Context) error {
	return func(ctx context.Context) error {
		err := fleet.Preload(ctx, models)
		debug.FreeOSMemory()
		onnx.Trim()
		return err
	}
}

// only is the name of the one model, "" when there are several.
func only(models []string) string {
	if len(models) == 1 {
		return models[0]
	}
	return ""
}

// told is where requests and counts are told: on the page of metrics, and in lines
// on standard output.
type told struct {
	observer httpapi.Observer
	count    func(string, int64)
	flush    func(context.Context) error
}

func (c *config) telemetry(getenv func(string) string, metrics *exposition.Metrics) (told, error) {
	lines, err := telemetry.New(telemetry.Options{Out: os.Stdout, Namespace: c.Namespace, Now: time.Now, Getenv: getenv})
	if err != nil || !c.Lines {
		return told{metrics, metrics.Count, func(context.Context) error { return nil }}, err
	}
	return told{metrics.Observing(lines), metrics.Counting(lines.Count), func(context.Context) error { lines.Flush(); return nil }}, nil
}

// health asks the server of this container whether it is ready, for a health check
// in an image without a shell.
func health(ctx context.Context, getenv func(string) string) error {
	var cfg config
	if err := validate.Config(getenv, &cfg); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.port()))+"/ping", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/ping answers %d", resp.StatusCode)
	}
	return nil
}
