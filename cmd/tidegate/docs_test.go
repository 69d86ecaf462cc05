package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestDriftGuide runs every command of docs/drift.md, in order, in one folder.
// A line ends with "# exit code N" when N is not 0.
func TestDriftGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/drift.md")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin+"/tidegate", ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	commands := shell(string(guide))
	if len(commands) < 10 {
		t.Fatalf("only %d commands found", len(commands))
	}
	run := func(t *testing.T, commands []step, flights func(w io.Writer) error, outputs ...string) {
		dir := t.TempDir()
		prepare(t, dir, flights)
		for _, c := range commands {
			cmd := exec.Command("bash", "-c", c.text)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d, want %d (%v): %s\n%s", code, c.code, err, c.text, out)
			}
		}
		for _, name := range outputs {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	t.Run("made-up flights", func(t *testing.T) {
		run(t, commands, generate, "july.html", "july.json", "profile.json", "constraint_violations.json", "window.parquet")
	})
	t.Run("the flights of 2013", func(t *testing.T) { // the quick start, as a reader runs it
		raw, err := os.ReadFile("../../.local/data/flights.csv")
		if err != nil {
			t.Skip("make demo has not been run")
		}
		run(t, commands[:3], func(w io.Writer) error { _, err := w.Write(raw); return err }, "july.html")
	})
}

type step struct {
	text string
	code int
}

// shell takes the sh blocks apart: a line is a command, and so is a here-document with its first line.
func shell(text string) []step {
	var out []step
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		lines := strings.Split(strings.TrimSpace(block[1]), "\n")
		for i := 0; i < len(lines); i++ {
			c := step{text: lines[i]}
			if m := regexp.MustCompile(`<<'?(\w+)`).FindStringSubmatch(c.text); m != nil {
				for i++; i < len(lines); i++ {
					c.text += "\n" + lines[i]
					if lines[i] == m[1] {
						break
					}
				}
			}
			if m := regexp.MustCompile(`# exit code (\d)$`).FindStringSubmatch(c.text); m != nil {
				c.code, _ = strconv.Atoi(m[1])
			}
			out = append(out, c)
		}
	}
	return out
}

// generate writes a year of flights: those of July are late.
func generate(w io.Writer) error {
	rng := rand.New(rand.NewPCG(20, 13))
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "year,month,day,dep_delay,carrier,flight,tailnum,origin,distance,time_hour")
	for month := 1; month <= 12; month++ {
		for i := range 2500 {
			delay := 5 + rng.NormFloat64()*20
			if month == 7 {
				delay += 20
			}
			day := 1 + i%28
			fmt.Fprintf(b, "2013,%d,%d,%.0f,%s,%d,N%d,%s,%d,2013-%02d-%02dT%02d:00:00Z\n", month, day, delay, []string{"UA", "B6", "DL"}[rng.IntN(3)],
				100+rng.IntN(60), rng.IntN(300), []string{"JFK", "LGA"}[rng.IntN(2)], 100*rng.IntN(25), month, day, 5+i%18)
		}
	}
	return b.Flush()
}

// prepare writes the files that the guide takes as given.
func prepare(t *testing.T, dir string, flights func(w io.Writer) error) {
	t.Helper()
	var table bytes.Buffer
	if err := flights(&table); err != nil {
		t.Fatal(err)
	}
	put := func(name string, content []byte) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("flights.csv", table.Bytes())
	put("captures/2026-11-24/12/a", []byte(`{"v":1,"id":"u1","ts":"2026-11-24T12:00:00Z","model":"flights","version":7,"digest":"sha256:0","slot":"champion","role":"served",`+
		`"generation":1,"first_row":0,"rows":2,"total_rows":2,"inputs":{"dep_delay":[12,3],"carrier":["UA","B6"]},"outputs":{"label":[0,1]},"status":200,"latency_us":1,"served_by":"lambda","sampled":1}`+"\n"))
	statistics, constraints := monitored(t, table.Bytes())
	put("statistics.json", statistics)
	put("constraints.json", constraints)
}

// monitored makes Model Monitor's files of January, with the delays as a sketch that was never compacted.
func monitored(t *testing.T, table []byte) (statistics, constraints []byte) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")
	at := map[string]int{}
	for i, name := range strings.Split(lines[0], ",") {
		at[name] = i
	}
	var delays []float64
	missing := 0
	for _, line := range lines[1:] {
		fields := strings.Split(line, ",")
		if fields[at["month"]] != "1" {
			continue
		}
		x, err := strconv.ParseFloat(fields[at["dep_delay"]], 64)
		if err != nil {
			missing++
			continue
		}
		delays = append(delays, x)
	}
	marshal := func(v any) []byte {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	return marshal(map[string]any{"version": 0, "dataset": map[string]any{"item_count": len(delays) + missing}, "features": []any{
			map[string]any{"name": "dep_delay", "inferred_type": "Integral", "numerical_statistics": map[string]any{
				"common":       map[string]any{"num_present": len(delays), "num_missing": missing},
				"distribution": map[string]any{"kll": map[string]any{"sketch": map[string]any{"parameters": map[string]any{"c": 0.64, "k": 2048}, "data": [][]float64{delays}}}}}}}}),
		marshal(map[string]any{"version": 0, "features": []any{map[string]any{"name": "dep_delay", "inferred_type": "Integral", "completeness": 0.9}},
			"monitoring_config": map[string]any{"datatype_check_threshold": 1.0, "distribution_constraints": map[string]any{"comparison_threshold": 0.1}}})
}
