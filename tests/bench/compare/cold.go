package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
	"github.com/tidegate/tidegate/tests/bench/host"
	"github.com/tidegate/tidegate/tests/bench/workload"
)

// coldStart is one start of a process, up to its first answer, in microseconds.
type coldStart struct {
	boot   float64            // process started → first poll
	first  float64            // first event delivered → answer posted
	total  float64            // process started → first answer posted
	stages map[string]float64 // what the function itself reports
}

// cold starts cmd, sends one event at once, and stops it.
func cold(ctx context.Context, cmd host.Command, event *workload.Event, check func([]byte) error) (c coldStart, err error) {
	ctx, cancel := context.WithTimeout(ctx, invocationTimeout)
	defer cancel()
	fn, err := host.Start(cmd)
	if err != nil {
		return c, err
	}
	defer func() {
		if e := fn.Stop(); err == nil {
			err = e
		}
	}()
	boot, err := fn.Ready(ctx)
	if err != nil {
		return c, err
	}
	inv, err := fn.Invoke(ctx, event.At(time.Now()))
	if err != nil {
		return c, err
	}
	if check != nil {
		if err := check(inv.Payload); err != nil {
			return c, fmt.Errorf("cold start of %s: %w", cmd.Name, err)
		}
	}
	output, _ := fn.Output()
	return coldStart{boot: micros(boot), first: micros(inv.Answer), total: micros(inv.Answered.Sub(fn.Started)), stages: stages(output)}, nil
}

// coldStarts measures starts of all functions with each model, one after the other, again and again.
func (b *bench) coldStarts(ctx context.Context) (map[string]Cold, error) {
	starts := map[string][]coldStart{}
	for i := range b.o.starts + 1 {
		say("cold start %d of %d", i, b.o.starts)
		for _, m := range []*workload.Model{b.small, b.flights} {
			event, err := workload.NewEvent("cold", m.Name, 1, m.JSON())
			if err != nil {
				return nil, err
			}
			for name, c := range map[string]host.Command{"noop": b.noop(), "predict": b.predict("TIDEGATE_PRELOAD_MODELS=" + m.Name), "python": b.peer(m)} {
				check := m.Check
				if name == "noop" {
					check = nil
				}
				s, err := cold(ctx, c, event, check)
				if err != nil {
					return nil, err
				}
				if i > 0 { // the first fills the page cache
					starts[name+"_"+m.Name] = append(starts[name+"_"+m.Name], s)
				}
			}
		}
	}
	out := map[string]Cold{}
	for name, s := range starts {
		out[name] = summarizeCold(s)
	}
	for i, s := range starts["python_small"] {
		b.coldPairs = append(b.coldPairs, s.total/starts["predict_small"][i].total)
	}
	return out, nil
}

// stages reads the timings of the function's log lines "library loaded" and "model loaded": every number whose name ends in _us.
func stages(output string) map[string]float64 {
	out := map[string]float64{}
	for line := range strings.Lines(output) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil || fields["msg"] != "model loaded" && fields["msg"] != "library loaded" {
			continue
		}
		for k, v := range fields {
			if n, ok := v.(float64); ok && strings.HasSuffix(k, "_us") {
				out[strings.TrimSuffix(k, "_us")] = n
			}
		}
	}
	return out
}

// Cold is the report of several cold starts: medians, in milliseconds.
type Cold struct {
	Starts  int                `json:"starts"`
	BootMS  float64            `json:"process_to_first_poll_ms"`
	FirstMS float64            `json:"first_event_to_answer_ms"`
	TotalMS figures.Spread     `json:"process_to_first_answer_ms"`
	Stages  map[string]float64 `json:"stages_ms,omitempty"` // as the function reports them
}

func summarizeCold(starts []coldStart) Cold {
	pick := func(f func(coldStart) float64) []float64 {
		var out []float64
		for _, s := range starts {
			out = append(out, f(s)/1e3)
		}
		return out
	}
	c := Cold{
		Starts:  len(starts),
		BootMS:  figures.Median(pick(func(s coldStart) float64 { return s.boot })),
		FirstMS: figures.Median(pick(func(s coldStart) float64 { return s.first })),
		TotalMS: figures.SpreadOf(pick(func(s coldStart) float64 { return s.total })),
	}
	for name := range starts[0].stages {
		if c.Stages == nil {
			c.Stages = map[string]float64{}
		}
		c.Stages[name] = figures.Median(pick(func(s coldStart) float64 { return s.stages[name] }))
	}
	return c
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
