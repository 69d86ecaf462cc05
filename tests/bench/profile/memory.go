package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

// memoryRuns is how often each file is profiled by a new process.
const memoryRuns = 5

// memory takes the peak resident memory of `tidegate profile --baseline`.
func (r *Report) memory(ctx context.Context, o options) error {
	if err := o.freeze(ctx, "distinct"); err != nil {
		return err
	}
	out := filepath.Join(o.data, "profile.json")
	r.RSSMB = map[string]figures.Spread{}
	peaks := map[string][]float64{}
	for range memoryRuns {
		for _, name := range []string{"flights", "distinct", "distinct10"} {
			p, _, err := figures.RunPeak(ctx, o.peak, 0, o.tidegate, "profile", o.path(name), "--baseline", o.baseline(name), "-o", out)
			if err != nil {
				return err
			}
			peaks[name] = append(peaks[name], p.RSSMB)
		}
	}
	for name, mb := range peaks {
		r.RSSMB[name] = figures.SpreadOf(mb)
	}
	r.Spreads["rss_mb_10x"] = r.RSSMB["distinct10"]
	r.Spreads["rss_10x_over_1x"] = figures.PerRound(peaks["distinct10"], peaks["distinct"])
	r.Spreads["rss_10x_over_dictionary_1x"] = figures.PerRound(peaks["distinct10"], peaks["flights"])
	return os.Remove(out)
}
