package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

// series is what the rounds of one load gave.
type series struct {
	rounds []samples
}

// measure runs the loads in rounds, each round in another order, so that what else the machine does
// falls on all of them alike.
func measure(ctx context.Context, loads []load, rounds int, say func(string, ...any)) (map[string]*series, error) {
	out := map[string]*series{}
	for _, l := range loads {
		say("warming %s", l.name)
		if _, err := l.do(ctx, l.warm); err != nil {
			return nil, err
		}
		out[l.name] = &series{}
	}
	for r := range rounds {
		say("round %d of %d", r+1, rounds)
		for i := range loads {
			l := loads[(i+r)%len(loads)]
			s, err := l.do(ctx, l.runs)
			if err != nil {
				return nil, fmt.Errorf("round %d: %w", r+1, err)
			}
			out[l.name].rounds = append(out[l.name].rounds, s)
		}
	}
	return out, nil
}

// p50s is the median of the answer of each round, in microseconds.
func (s *series) p50s() []float64 {
	var out []float64
	for _, r := range s.rounds {
		out = append(out, quantile(r.answer, 0.5))
	}
	return out
}

// quantile of the durations in microseconds, by the nearest rank; NaN of none.
func quantile(d []time.Duration, q float64) float64 {
	if len(d) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(d))
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return float64(sorted[max(rank, 0)].Nanoseconds()) / 1e3
}

// perRound computes a figure from the medians that the loads had in the same round.
func perRound(all map[string]*series, figure func(p50 func(name string) float64) float64) figures.Spread {
	p50s := map[string][]float64{}
	rounds := 0
	for name, s := range all {
		p50s[name] = s.p50s()
		rounds = len(p50s[name])
	}
	var out []float64
	for r := range rounds {
		out = append(out, figure(func(name string) float64 { return p50s[name][r] }))
	}
	return figures.SpreadOf(out)
}
