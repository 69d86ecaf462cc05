// Command soak drives predict for `make soak-predict`: a number of one-row requests
// and a number of model changes, with an eye on the resident memory. It writes the
// growth of both to a report.
//
// It is bounded by its flags, one closed loop, one process: RSS belongs to a
// process. It fails when predict fails or does not follow the pointer; the growth is
// reported and left to the reader.
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
	"github.com/tidegate/tidegate/tests/bench/host"
	"github.com/tidegate/tidegate/tests/bench/standin"
	"github.com/tidegate/tidegate/tests/bench/workload"
)

type options struct {
	predict, library, models, out string
	requests, swaps               int
}

func main() {
	var o options
	flag.StringVar(&o.predict, "predict", "", "predict's bootstrap")
	flag.StringVar(&o.library, "library", "", "libonnxruntime.so")
	flag.StringVar(&o.models, "models", "", "folder that make_models.py wrote")
	flag.StringVar(&o.out, "out", ".local/bench/soak.json", "the report")
	flag.IntVar(&o.requests, "requests", 1_000_000, "one-row requests")
	flag.IntVar(&o.swaps, "swaps", 100, "model changes")
	figures.Main(func(ctx context.Context) error { return run(ctx, o) })
}

// Report is .local/bench/soak.json.
type Report struct {
	V                   int           `json:"v"`
	At                  time.Time     `json:"at"`
	Requests            int           `json:"requests"`
	Seconds             float64       `json:"seconds"`
	RSSGrowthRequests   float64       `json:"rss_growth_1e6_ratio"`   // RSS at the last request / at a tenth of them
	RSSGrowthSwaps      float64       `json:"rss_growth_swaps_ratio"` // RSS after the last model change / after the settling ones
	RSSByRequests       []Sample      `json:"rss_by_requests"`
	RSSBySwaps          []Sample      `json:"rss_by_swaps"`
	SettlingSwaps       int           `json:"settling_swaps"`
	AnswerP50US         float64       `json:"answer_p50_us"`
	AnswerP99US         float64       `json:"answer_p99_us"`
	SwapAnswerP99US     float64       `json:"answer_during_swaps_p99_us"`
	SwapAnswerMaxUS     float64       `json:"answer_during_swaps_max_us"`
	SwapFollowedSeconds float64       `json:"swap_followed_seconds_p50"` // state written → first answer of the new version
	Captured            standin.Taken `json:"captured"`
}

// Sample is the resident memory after a count of requests or swaps.
type Sample struct {
	After int   `json:"after"`
	RSS   int64 `json:"rss_bytes"`
}

func run(ctx context.Context, o options) (err error) {
	s, err := open(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.fn.Stop(), s.cloud.Close()) }()
	report := Report{V: 1, At: time.Now().UTC(), Requests: o.requests, SettlingSwaps: settlingSwaps}
	if err := s.soak(ctx, o.requests, &report); err != nil {
		return err
	}
	if err := s.swap(ctx, o.swaps, &report); err != nil {
		return err
	}
	report.Captured = s.cloud.Firehose.Taken()
	if err := figures.Write(o.out, &report); err != nil {
		return err
	}
	fmt.Printf("resident memory: x%.3f from request %d to %d, x%.3f over %d model changes; answers p50 %.0f us, during model changes at most %.0f us\n",
		report.RSSGrowthRequests, o.requests/10, o.requests, report.RSSGrowthSwaps, o.swaps, report.AnswerP50US, report.SwapAnswerMaxUS)
	return nil
}

// soaking is a running predict and the model it serves.
type soaking struct {
	cloud *standin.Cloud
	fn    *host.Function
	model *workload.Model
	event *workload.Event
	sent  int
}

func open(o options) (*soaking, error) {
	model, err := workload.Load(o.models, "flights", 1)
	if err != nil {
		return nil, err
	}
	s := &soaking{model: model}
	if s.event, err = workload.NewEvent("1row", model.Name, 1, model.JSON()); err != nil {
		return nil, err
	}
	if s.cloud, err = standin.Open(); err != nil {
		return nil, err
	}
	if err := workload.Register(s.cloud.S3, model); err != nil {
		return nil, err
	}
	path, err1 := filepath.Abs(o.predict)
	library, err2 := filepath.Abs(o.library)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	// The changes come faster than the cap on them allows by default.
	env := append(append(s.cloud.Env(), workload.PredictEnv(library)...), "TIDEGATE_SWAPS_PER_MINUTE=600")
	s.fn, err = host.Start(host.Command{Name: "predict", Path: path, Env: env})
	return s, err
}

func (s *soaking) send(ctx context.Context) (host.Invocation, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	s.sent++
	return s.fn.Invoke(ctx, s.event.At(time.Now()))
}

// soak sends n requests. RSS at a point is the median of samples over the hundredth of n before it: a
// garbage-collected heap breathes.
func (s *soaking) soak(ctx context.Context, n int, report *Report) error {
	started := time.Now()
	tenth := max(n/10, 1)
	window, every := max(n/100, 1), max(n/100/20, 1)
	var rss []int64
	var answers []time.Duration
	for i := 1; i <= n; i++ {
		inv, err := s.send(ctx)
		if err != nil {
			return fmt.Errorf("soak: request %d: %w", i, err)
		}
		if i%997 == 0 || i == 1 {
			answers = append(answers, inv.Answer)
			if err := s.model.Check(inv.Payload); err != nil {
				return fmt.Errorf("soak: request %d: %w", i, err)
			}
		}
		if left := (tenth - i%tenth) % tenth; left < window && left%every == 0 {
			now, err := s.fn.RSS()
			if err != nil {
				return err
			}
			rss = append(rss, now)
			if left == 0 {
				report.RSSByRequests = append(report.RSSByRequests, Sample{After: i, RSS: middle(rss)})
				fmt.Fprintf(os.Stderr, "soak: %d requests, %.1f MB, %.0f s\n", i, float64(middle(rss))/1e6, time.Since(started).Seconds())
				rss = rss[:0]
			}
		}
	}
	slices.Sort(answers)
	report.Seconds = time.Since(started).Seconds()
	report.AnswerP50US, report.AnswerP99US = at(answers, 0.5), at(answers, 0.99)
	report.RSSGrowthRequests = growth(report.RSSByRequests)
	return nil
}

func growth(samples []Sample) float64 {
	return float64(samples[len(samples)-1].RSS) / float64(samples[0].RSS)
}

func middle(values []int64) int64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// at is the quantile q of sorted durations, in microseconds.
func at(sorted []time.Duration, q float64) float64 {
	return float64(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].Nanoseconds()) / 1e3
}
