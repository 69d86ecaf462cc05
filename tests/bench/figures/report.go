package figures

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
)

// Main parses the flags and runs the benchmark, until an interrupt ends it.
func Main(run func(context.Context) error) {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// Write writes a report as indented JSON.
func Write(path string, report any) error {
	text, err := json.MarshalIndent(report, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("bench: report: %w", err)
	}
	return nil
}

// Medians are the ratios of a report: those of the spreads.
func Medians(spreads map[string]Spread) map[string]float64 {
	out := make(map[string]float64, len(spreads))
	for name, s := range spreads {
		out[name] = s.Median
	}
	return out
}
