// Command endpoint takes the figures of functions/endpoint, as a process, beside
// raw ONNX Runtime on the same machine and in the same run, and writes
// .local/bench/endpoint.json. scripts/bench-endpoint builds what it needs.
//
// Callers are closed loops over connections of their own, in this process: they
// share the processors with the server, as a client on the same machine does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
	"github.com/tidegate/tidegate/tests/bench/workload"
)

type options struct {
	program, library, models, out string
	rounds                        int
	during                        time.Duration
	soak, swaps                   int
	only                          string
	peers, venvs                  string
}

func main() {
	var o options
	flag.StringVar(&o.program, "endpoint", "", "functions/endpoint, built")
	flag.StringVar(&o.library, "library", "", "libonnxruntime.so")
	flag.StringVar(&o.models, "models", "", "folder with flights.onnx of make_models.py")
	flag.StringVar(&o.out, "out", "", "report to write")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; the figures are medians over them")
	flag.DurationVar(&o.during, "during", 3*time.Second, "time of each load")
	flag.IntVar(&o.soak, "soak", 300_000, "requests of the soak")
	flag.IntVar(&o.swaps, "swaps", 100, "changes of the model's version")
	flag.StringVar(&o.only, "only", "", "only the loads whose name has this in it, e.g. heavy/grpc")
	flag.StringVar(&o.peers, "peers", "", "compare with these other servers, e.g. fastapi,mlserver, and do nothing else")
	flag.StringVar(&o.venvs, "venvs", ".local", "folder of the environments venv-peer-NAME")
	figures.Main(func(ctx context.Context) error {
		if o.peers != "" {
			return comparePeers(ctx, o, strings.Split(o.peers, ","))
		}
		return run(ctx, o)
	})
}

// batches are the sizes that raw ONNX Runtime is tried with.
var batches = []int{1, 8, 16, 32, 64, 128}

// callers are how many there are at a time.
var callers = []int{1, 16, 64}

func run(ctx context.Context, o options) error {
	flights, err := workload.Load(o.models, "flights", 1)
	if err != nil {
		return err
	}
	heavy := heavyModel(heavyLayers, heavyHidden)
	dir, err := modelFolder(map[string][]byte{"heavy": heavy, flights.Name: flights.ONNX})
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	yard, err := openRaw(o.library, heavy, runtime.NumCPU())
	if err != nil {
		return err
	}
	b := &bench{o: o, yard: yard, flights: flights, dir: dir, report: newReport(o.rounds)}
	if err := b.expect(); err != nil {
		return err
	}
	for i := range o.rounds {
		if err := b.round(ctx); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	if o.only == "" || o.only == "soak" {
		if err := errors.Join(b.soak(ctx), b.swaps(ctx)); err != nil {
			return err
		}
	}
	return b.report.write(o.out)
}

// modelFolder is a new folder with models by name.
func modelFolder(models map[string][]byte) (string, error) {
	dir, err := os.MkdirTemp("", "endpoint-models-*")
	for name, body := range models {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, name), 0o700))
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name, "model.onnx"), body, 0o600))
	}
	return dir, err
}

// bench is one run.
type bench struct {
	o       options
	yard    *raw
	flights *workload.Model
	dir     string
	want    []float32 // by caller, of the heavy model
	report  *report
}

// expect asks raw ONNX Runtime for what each caller must get.
func (b *bench) expect() error {
	for i := range callers[len(callers)-1] {
		y, err := b.yard.run(heavyRow(i), 1)
		if err != nil {
			return err
		}
		b.want = append(b.want, y[0])
	}
	return nil
}

func (b *bench) round(ctx context.Context) error {
	off, err := startServer(ctx, b.o.program, b.o.library, b.dir, `TIDEGATE_BATCHING={"*":{"max_batch":1}}`)
	if err != nil {
		return err
	}
	err = b.single(off, "off")
	if err = errors.Join(err, off.stop()); err != nil {
		return err
	}
	on, err := startServer(ctx, b.o.program, b.o.library, b.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, on.stop()) }()
	if err := b.single(on, "on"); err != nil {
		return err
	}
	for _, wire := range wires {
		for _, n := range callers {
			if err := b.heavy(on, wire, n); err != nil {
				return err
			}
			for _, rows := range []int{1, 1000} {
				asked := repeat(b.flights, rows)
				if err := b.take("flights/"+wire+"/rows="+strconv.Itoa(rows), n, func(int) (caller, error) { return flightsCaller(on, wire, asked) }); err != nil {
					return err
				}
			}
		}
	}
	return err
}

// heavy is a load of the heavy model. The yardstick is taken right before and right
// after the one that it is for, because what else runs on a machine changes.
func (b *bench) heavy(s *server, wire string, n int) error {
	load := func() error {
		return b.take("heavy/"+wire+"/rows=1", n, func(i int) (caller, error) { return heavyCaller(s, wire, i, b.want[i]) })
	}
	if wire != "binary" || n != callers[len(callers)-1] || !strings.Contains("heavy/binary/rows=1", b.o.only) {
		return load()
	}
	before, err := b.yard.best(batches, b.o.during/6)
	if err == nil {
		err = load()
	}
	if err != nil {
		return err
	}
	after, err := b.yard.rate(before.Batch, b.o.during/2)
	b.report.Raw = append(b.report.Raw, rawRate{before.Batch, (before.Rows + after.Rows) / 2})
	return err
}

// single is one caller with batching on or off.
func (b *bench) single(s *server, batching string) error {
	asked := repeat(b.flights, 1)
	return b.take("flights/binary/rows=1/batching="+batching, 1, func(int) (caller, error) { return flightsCaller(s, "binary", asked) })
}

func (b *bench) take(name string, n int, make func(i int) (caller, error)) error {
	if !strings.Contains(name, b.o.only) {
		return nil
	}
	l, err := drive(n, b.o.during, make)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.report.add(name, l)
	return nil
}

// soak asks the flights model as often as given and looks at the server's memory:
// after a tenth, and at the end.
func (b *bench) soak(ctx context.Context) error {
	dir, err := modelFolder(map[string][]byte{b.flights.Name: b.flights.ONNX})
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := startServer(ctx, b.o.program, b.o.library, dir)
	if err != nil {
		return err
	}
	asked := repeat(b.flights, 1)
	part := func(requests int) (int64, error) {
		for done := 0; done < requests; {
			l, err := drive(16, time.Second, func(int) (caller, error) { return flightsCaller(s, "binary", asked) })
			if err != nil {
				return 0, err
			}
			done += l.Requests
		}
		return s.rss()
	}
	early, err := part(b.o.soak / 10)
	if err == nil {
		b.report.RSS.Early = early
		b.report.RSS.Late, err = part(b.o.soak - b.o.soak/10)
	}
	b.report.RSS.Requests = b.o.soak
	return errors.Join(err, s.stop())
}

func newReport(rounds int) *report {
	return &report{V: 1, At: time.Now().UTC(), Machine: figures.ThisMachine(), Versions: figures.Versions(""), Rounds: rounds, rounds: map[string]map[int][]load{}}
}
