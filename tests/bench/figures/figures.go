// Package figures holds what the reports of the benchmarks have in common: the
// machine, medians over rounds with their spread, and ratios beside their bars.
//
// It measures nothing itself. A figure without the least and the most beside it is
// none: the machine does other work.
package figures

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// Machine is what the figures were taken on.
type Machine struct {
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Kernel  string `json:"kernel"`
	LoadAvg string `json:"load_average"` // when the run began: other work on the machine shows here
}

// ThisMachine describes the machine that the program runs on.
func ThisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), Kernel: file("/proc/sys/kernel/osrelease"), LoadAvg: file("/proc/loadavg")}
	for line := range strings.Lines(file("/proc/cpuinfo")) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			m.CPU = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
			break
		}
	}
	return m
}

// Versions are those of Go, of the commit and of packages of a Python.
func Versions(python string, packages ...string) map[string]string {
	v := map[string]string{"go": runtime.Version(), "commit": command("git", "rev-parse", "--short", "HEAD")}
	script := `import sys, importlib.metadata as m
print("python", sys.version.split()[0])
for p in sys.argv[1:]: print(p, m.version(p))`
	for line := range strings.Lines(command(python, append([]string{"-c", script}, packages...)...)) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			v[name] = version
		}
	}
	return v
}

func command(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output() // #nosec G204
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func file(path string) string {
	text, err := os.ReadFile(path) // #nosec G304 -- fixed paths below /proc
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// Spread is a figure of each round: their median is the result, least and most say how far to trust it.
type Spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// SpreadOf values, of which there must be one at least.
func SpreadOf(values []float64) Spread {
	return Spread{Median: Median(values), Least: slices.Min(values), Most: slices.Max(values)}
}

// Median of values; the mean of the middle two when their number is even, NaN of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// PerRound is a's figure over b's, round by round.
func PerRound(a, b []float64) Spread {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return SpreadOf(ratios)
}

// Bar is the limit of a ratio.
type Bar struct {
	Name  string
	Bound float64 // 0 for none
	Most  bool    // the ratio must not exceed the bound; otherwise it must reach it
}

// PrintRatios prints a line for each ratio. w is a tabwriter.
func PrintRatios(w io.Writer, ratios map[string]Spread, bars []Bar) {
	fmt.Fprintf(w, "\nratio\tmedian\tleast\tmost\tbar\t\n")
	for _, b := range bars {
		s, ok := ratios[b.Name]
		if !ok {
			continue
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%s\t\n", b.Name, s.Median, s.Least, s.Most, b.verdict(s.Median))
	}
}

func (b Bar) verdict(got float64) string {
	sign, met := "≥", got >= b.Bound
	switch {
	case b.Bound == 0:
		return ""
	case b.Most:
		sign, met = "≤", got <= b.Bound
	}
	if met {
		return fmt.Sprintf("%s %g met", sign, b.Bound)
	}
	return fmt.Sprintf("%s %g missed", sign, b.Bound)
}
