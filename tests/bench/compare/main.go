// Command compare takes the figures of `make bench`: predict beside a no-op Go
// function, raw ONNX Runtime and a plain Python function, in the same run and
// behind the same Runtime API host. It prints a table and writes a report.
//
// It asserts nothing on time; the bars are printed beside the ratios. It fails when
// a function fails or answers wrongly. scripts/bench builds what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
	"github.com/tidegate/tidegate/tests/bench/host"
	"github.com/tidegate/tidegate/tests/bench/standin"
	"github.com/tidegate/tidegate/tests/bench/workload"
)

type options struct {
	predict, noop, rawrun, python, library, models, peer, gobench, out string
	rounds, starts, threads                                            int
}

func main() {
	var o options
	flag.StringVar(&o.predict, "predict", "", "predict's bootstrap")
	flag.StringVar(&o.noop, "noop", "", "the no-op function's bootstrap")
	flag.StringVar(&o.rawrun, "rawrun", "", "the rawrun program")
	flag.StringVar(&o.python, "python", "", "the Python interpreter with the peer's packages")
	flag.StringVar(&o.library, "library", "", "libonnxruntime.so")
	flag.StringVar(&o.models, "models", "", "folder that make_models.py wrote")
	flag.StringVar(&o.peer, "peer", "tests/bench/python", "folder of the Python peer")
	flag.StringVar(&o.gobench, "gobench", "", "output of go test -bench -benchmem of the handler, optional")
	flag.StringVar(&o.out, "out", ".local/bench/predict.json", "the report")
	flag.IntVar(&o.rounds, "rounds", 40, "rounds of all loads")
	flag.IntVar(&o.starts, "starts", 25, "cold starts of each function")
	flag.IntVar(&o.threads, "threads", 1, "intra-op threads of raw runs: what predict takes with the memory that the host names")
	figures.Main(func(ctx context.Context) error { return run(ctx, o) })
}

func run(ctx context.Context, o options) (err error) {
	b, err := open(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	report := Report{V: 1, At: time.Now().UTC(), Machine: figures.ThisMachine(), Versions: figures.Versions(o.python, "onnxruntime", "numpy", "awslambdaric"), Rounds: o.rounds, Notes: notes}
	if report.Cold, err = b.coldStarts(ctx); err != nil {
		return err
	}
	loads, err := b.loads(ctx)
	if err != nil {
		return err
	}
	all, err := measure(ctx, loads, o.rounds, say)
	if err != nil {
		return err
	}
	report.Warm = map[string]Warm{}
	for name, s := range all {
		report.Warm[name] = summarize(s)
	}
	report.RSSBytes = map[string]int64{}
	for name, fn := range b.running {
		if report.RSSBytes[name], err = fn.RSS(); err != nil {
			return err
		}
	}
	report.Captured, report.Segments = b.cloud.Firehose.Taken(), b.cloud.Segments()
	if o.gobench != "" {
		text, err := os.ReadFile(o.gobench)
		if err != nil {
			return fmt.Errorf("bench: allocations: %w", err)
		}
		report.Allocations = parseBenchmarks(string(text))
	}
	report.Spreads = ratios(all, b.coldPairs)
	report.Ratios = figures.Medians(report.Spreads)
	return errors.Join(report.print(os.Stdout), figures.Write(o.out, &report))
}

// bench is everything that takes part in a run.
type bench struct {
	o         options
	cloud     *standin.Cloud
	flights   *workload.Model
	wide      *workload.Model
	small     *workload.Model
	running   map[string]*host.Function
	raws      []*raw
	coldPairs []float64 // Python's time to the first answer over predict's with the small model, start by start
}

func open(o options) (*bench, error) {
	b := &bench{o: o, running: map[string]*host.Function{}}
	for _, p := range []*string{&b.o.predict, &b.o.noop, &b.o.rawrun, &b.o.python, &b.o.library, &b.o.models, &b.o.peer} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return nil, err
		}
		*p = abs
	}
	var err error
	if b.flights, err = workload.Load(b.o.models, "flights", 1); err != nil {
		return nil, err
	}
	if b.wide, err = workload.Load(b.o.models, "wide", 30); err != nil {
		return nil, err
	}
	if b.small, err = workload.Load(b.o.models, "small", 4); err != nil {
		return nil, err
	}
	if b.cloud, err = standin.Open(); err != nil {
		return nil, err
	}
	for _, m := range []*workload.Model{b.flights, b.wide, b.small} {
		err = errors.Join(err, workload.Register(b.cloud.S3, m))
	}
	return b, err
}

func (b *bench) close() error {
	var errs []error
	for _, fn := range b.running {
		errs = append(errs, fn.Stop())
	}
	for _, r := range b.raws {
		errs = append(errs, r.stop())
	}
	return errors.Join(append(errs, b.cloud.Close())...)
}

// commands are the three functions; Python serves one model per function.
func (b *bench) predict(env ...string) host.Command {
	return host.Command{Name: "predict", Path: b.o.predict, Env: slices.Concat(b.cloud.Env(), workload.PredictEnv(b.o.library), env)}
}

func (b *bench) noop() host.Command { return host.Command{Name: "noop", Path: b.o.noop} }

func (b *bench) peer(m *workload.Model) host.Command {
	return host.Command{
		Name: "python_" + m.Name, Path: b.o.python, Args: []string{"-m", "awslambdaric", "handler.handler"},
		Handler: "handler.handler", Dir: b.o.peer,
		Env: []string{"MODEL_PATH=" + filepath.Join(b.o.models, m.Name+".onnx")},
	}
}

// loads starts everything that is measured warm.
func (b *bench) loads(ctx context.Context) ([]load, error) {
	one, err1 := workload.NewEvent("1row", b.flights.Name, 1, b.flights.JSON())
	many, err2 := workload.NewEvent("1000x30_json", b.wide.Name, b.wide.Rows, b.wide.JSON())
	binary, err3 := workload.NewEvent("1000x30_binary", b.wide.Name, b.wide.Rows, b.wide.BinaryBody())
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	for _, c := range []host.Command{b.noop(), b.predict(), b.peer(b.flights), b.peer(b.wide)} {
		fn, err := host.Start(c)
		if err != nil {
			return nil, err
		}
		b.running[c.Name] = fn
		if _, err := fn.Ready(ctx); err != nil {
			return nil, err
		}
	}
	loads := []load{
		function("noop_1row", 150, b.running["noop"], one, nil),
		function("noop_1000x30_json", 12, b.running["noop"], many, nil),
		function("noop_1000x30_binary", 12, b.running["noop"], binary, nil),
		function("predict_1row", 150, b.running["predict"], one, b.flights.Check),
		function("python_1row", 150, b.running["python_flights"], one, b.flights.Check),
		function("predict_1000x30_json", 12, b.running["predict"], many, b.wide.Check),
		function("predict_1000x30_binary", 12, b.running["predict"], binary, b.wide.Check),
		function("python_1000x30_json", 12, b.running["python_wide"], many, b.wide.Check),
	}
	for _, m := range []struct {
		model *workload.Model
		load  string
		runs  int
	}{{b.flights, "1row", 500}, {b.wide, "1000x30", 12}} {
		onnx, rows := filepath.Join(b.o.models, m.model.Name+".onnx"), filepath.Join(b.o.models, m.model.Name+".rows.json")
		inGo, err := startRaw(b.o.rawrun, b.o.library, onnx, rows, strconv.Itoa(b.o.threads))
		if err != nil {
			return nil, err
		}
		b.raws = append(b.raws, inGo)
		inPython, err := startRaw(b.o.python, filepath.Join(b.o.peer, "raw.py"), onnx, rows)
		if err != nil {
			return nil, err
		}
		b.raws = append(b.raws, inPython)
		loads = append(loads, inGo.load("raw_go_"+m.load, m.runs), inPython.load("raw_python_"+m.load, m.runs))
	}
	return loads, nil
}

// ratios are the figures that the project promises; see notes.
func ratios(all map[string]*series, coldPairs []float64) map[string]figures.Spread {
	return map[string]figures.Spread{
		"predict_1row_overhead_us": perRound(all, func(p50 func(string) float64) float64 {
			return p50("predict_1row") - p50("noop_1row") - p50("raw_go_1row")
		}),
		"json_1000x30_overhead_python_over_ours": perRound(all, func(p50 func(string) float64) float64 {
			return (p50("python_1000x30_json") - p50("raw_python_1000x30")) / (p50("predict_1000x30_json") - p50("raw_go_1000x30"))
		}),
		"binary_1000x30_overhead_python_json_over_ours": perRound(all, func(p50 func(string) float64) float64 {
			return (p50("python_1000x30_json") - p50("raw_python_1000x30")) / (p50("predict_1000x30_binary") - p50("raw_go_1000x30"))
		}),
		"cold_speedup_vs_python": figures.SpreadOf(coldPairs),
	}
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }
