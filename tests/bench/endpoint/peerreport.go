package main

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tidegate/tidegate/tests/bench/figures"
)

// peerReport is the part of endpoint.json that comparePeers writes.
type peerReport struct {
	At       time.Time                    `json:"at"`
	Machine  figures.Machine              `json:"machine"`
	Rounds   int                          `json:"rounds"`
	Versions map[string]map[string]string `json:"versions"`
	Loads    map[string]load              `json:"loads"` // 16 one-row callers: medians over rounds; ours beside each
	Notes    []string                     `json:"notes"`

	rounds map[string][]load
}

var peerNotes = []string{
	"rps16_vs_<peer>: requests/s of 16 one-row callers of ours by the peer's, both as JSON, each pair taken one after the other on the same " + strconv.Itoa(runtime.NumCPU()) + " processors, which the callers share.",
	"p99_16_vs_<peer>: our 99th percentile by the peer's.",
	"Peers run as their documentation starts them, with the same ONNX file and the same release of ONNX Runtime, access logs off. MLServer runs a custom runtime, as it brings none for ONNX.",
}

// spreads are the ratios of the peers.
func (r *peerReport) spreads() map[string]figures.Spread {
	out := map[string]figures.Spread{}
	for name, theirs := range r.rounds {
		ours, ok := r.rounds["tidegate beside "+name]
		if !ok || len(ours) != len(theirs) {
			continue
		}
		of := func(all []load, value func(load) float64) (values []float64) {
			for _, l := range all {
				values = append(values, value(l))
			}
			return values
		}
		out["rps16_vs_"+name] = figures.PerRound(of(ours, rate), of(theirs, rate))
		out["p99_16_vs_"+name] = figures.PerRound(of(ours, p99), of(theirs, p99))
	}
	return out
}

// isPeers says whether a ratio is of comparePeers.
func isPeers(ratio string) bool {
	return strings.HasPrefix(ratio, "rps16_vs_") || strings.HasPrefix(ratio, "p99_16_vs_")
}

// write puts the peers' part into the report at path.
func (r *peerReport) write(path string) error {
	all, err := earlier(path)
	if err != nil {
		return err
	}
	r.Notes = peerNotes
	for name, by := range r.rounds {
		l := load{Callers: peerCallers}
		var rates, medians, tails []float64
		for _, one := range by {
			l.Requests += one.Requests
			rates, medians, tails = append(rates, one.Rate), append(medians, one.P50), append(tails, one.P99)
		}
		l.Rate, l.P50, l.P99 = figures.Median(rates), figures.Median(medians), figures.Median(tails)
		r.Loads[name] = l
	}
	for name := range all.Spreads {
		if isPeers(name) {
			delete(all.Spreads, name)
			delete(all.Ratios, name)
		}
	}
	spreads := r.spreads()
	for name, s := range spreads {
		all.Spreads[name], all.Ratios[name] = s, s.Median
	}
	all.Peers = r
	if err := figures.Write(path, all); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "one row, %d callers, JSON\trequests/s\tp50 µs\tp99 µs\t\n", peerCallers)
	for _, name := range slices.Sorted(maps.Keys(r.Loads)) {
		l := r.Loads[name]
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t\n", name, l.Rate, l.P50, l.P99)
	}
	figures.PrintRatios(w, spreads, bars)
	return w.Flush()
}
