package main

import (
	"regexp"
	"strconv"
	"strings"
)

// Benchmark is one line of `go test -bench -benchmem`.
type Benchmark struct {
	Name   string  `json:"name"`
	NS     float64 `json:"ns_per_op"`
	Bytes  int64   `json:"bytes_per_op"`
	Allocs int64   `json:"allocations_per_op"`
}

var benchLine = regexp.MustCompile(`^(Benchmark\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op(?:.*?\s(\d+) B/op)?(?:\s+(\d+) allocs/op)?`)

// parseBenchmarks reads the output of go test; other lines are passed over.
func parseBenchmarks(text string) []Benchmark {
	var out []Benchmark
	for line := range strings.Lines(text) {
		m := benchLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		ns, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			continue
		}
		b := Benchmark{Name: m[1], NS: ns}
		b.Bytes, _ = strconv.ParseInt(m[3], 10, 64)
		b.Allocs, _ = strconv.ParseInt(m[4], 10, 64)
		out = append(out, b)
	}
	return out
}
