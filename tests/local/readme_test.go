package local

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// block is a fenced part of README.md.
type block struct{ language, text string }

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

func blocks(t *testing.T) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		all = append(all, block{m[1], m[2]})
	}
	return all
}

// TestReadme runs each sh block of README.md in turn, in one shell after the other from the root, on the stack of the tests and after the demo, as
// the page says. A json block is what the block before it prints. Blocks of other languages are for accounts, or are this very run.
func TestReadme(t *testing.T) {
	if _, err := os.Stat(filepath.Join(stack.Root(), ".local", local.Instance, "demo.json")); err != nil {
		t.Skip("the demo has not run on this instance: scripts/demo --instance ", local.Instance)
	}
	var printed []byte
	ran := 0
	for _, b := range blocks(t) {
		switch b.language {
		case "sh":
			printed = shell(t, b.text)
			ran++
		case "json":
			var got, want any
			if err := json.Unmarshal([]byte(b.text), &want); err != nil {
				t.Fatalf("README: %v in\n%s", err, b.text)
			}
			if err := json.Unmarshal(printed, &got); err != nil {
				t.Fatalf("%v in\n%s", err, printed)
			}
			if !alike(want, got) {
				t.Errorf("README shows\n%s\nand this was printed\n%s", b.text, printed)
			}
		}
	}
	if ran < 3 {
		t.Errorf("README has %d sh blocks", ran)
	}
}

func shell(t *testing.T, text string) []byte {
	t.Helper()
	// The page tells of the instance that `make demo` leaves.
	script := strings.ReplaceAll(text, ".local/stack/env", ".local/"+local.Instance+"/env")
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", `. ".local/$1/env"; eval "$2"`, "readme", local.Instance, script)
	cmd.Dir = stack.Root()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s%s", err, text, out.Bytes(), errs.Bytes())
	}
	return out.Bytes()
}

// alike compares JSON values: numbers to three decimals, since processors differ in the last digits of a model; "…" in the page stands for anything.
func alike(want, got any) bool {
	switch w := want.(type) {
	case string:
		g, ok := got.(string)
		return ok && (w == "…" || w == g)
	case float64:
		g, ok := got.(float64)
		return ok && math.Abs(w-g) < 1e-3
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !alike(w[i], g[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for name := range w {
			if !alike(w[name], g[name]) {
				return false
			}
		}
		return true
	}
	return want == got
}

// The targets that README and CONTRIBUTING name exist.
func TestMakeTargets(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(stack.Root(), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("(?m)(?:^ *|`)make ([a-z-]+)")
	found := 0
	for _, page := range []string{"README.md", "CONTRIBUTING.md", "docs/benchmarks.md"} {
		text, err := os.ReadFile(filepath.Join(stack.Root(), page))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllSubmatch(text, -1) {
			found++
			if !bytes.Contains(makefile, []byte("\n"+string(m[1])+":")) {
				t.Errorf("%s names `make %s`, which the Makefile does not have", page, m[1])
			}
		}
	}
	if found < 5 {
		t.Errorf("%d targets named", found)
	}
}

// What the demo proves holds on this machine too: nothing lost, nothing doubled, the serving runtime answers as the trainer did.
func TestDemoFacts(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(stack.Root(), ".local", local.Instance, "demo.json"))
	if err != nil {
		t.Skip("the demo has not run on this instance: scripts/demo --instance ", local.Instance)
	}
	var facts struct {
		Holdout struct {
			Rows   int     `json:"rows"`
			ROCAUC float64 `json:"roc_auc"`
		} `json:"holdout"`
		Parity struct {
			Rows       int     `json:"rows"`
			MaxAbsDiff float64 `json:"max_abs_diff"`
		} `json:"parity"`
		Sent     struct{ Requests, Rows int }                        `json:"sent"`
		Errors   int                                                 `json:"errors"`
		Captured struct{ Rows, Missing, Duplicates, Mismatched int } `json:"captured"`
		Drift    []struct {
			Window, Verdict string
			Rows            int
			Columns         []string
		} `json:"drift"`
		Evaluation []evaluated `json:"evaluation"`
	}
	if err := json.Unmarshal(text, &facts); err != nil {
		t.Fatal(err)
	}
	c := facts.Captured
	if facts.Sent.Rows < 27_000 || c.Rows != facts.Sent.Rows || c.Missing+c.Duplicates+c.Mismatched+facts.Errors != 0 {
		t.Errorf("sent and captured: %s", text)
	}
	// What really drifts in these flights: tail numbers of new aircraft, in every month.
	for i, month := range facts.Drift {
		if i < 8 && (month.Window != fmt.Sprintf("2013-%02d", 5+i) || month.Rows < 27_000 || month.Verdict != "drift" || !slices.Contains(month.Columns, "tailnum") ||
			slices.Contains(month.Columns, "distance")) {
			t.Errorf("drift of month %d: %+v", 5+i, month)
		}
	}
	if len(facts.Drift) < 8 {
		t.Errorf("%d windows were judged", len(facts.Drift))
	}
	checkEvaluation(t, facts.Evaluation)
	if facts.Parity.Rows != facts.Holdout.Rows || facts.Parity.MaxAbsDiff > 1e-5 || facts.Holdout.ROCAUC < 0.85 || facts.Holdout.ROCAUC > 1 {
		t.Errorf("holdout and parity: %s", text)
	}
}

// evaluated is a report on the quality of April's predictions in one hour: first of the early labels, then of all of them.
type evaluated struct {
	Window, Verdict string
	Version, N      int
	Coverage        float64
	ROCAUC          []float64 `json:"roc_auc"` // lower end, value, upper end
	CBPE            []float64 `json:"cbpe_roc_auc"`
}

// checkEvaluation: early labels give no verdict, since they are no random part, and what they show is not what all labels show.
func checkEvaluation(t *testing.T, all []evaluated) {
	t.Helper()
	if len(all) == 0 || len(all)%2 != 0 { // the requests of a month may lie on both sides of an hour
		t.Fatalf("%d reports on quality; want one of the early labels and one of all of them for each hour", len(all))
	}
	early, late := all[:len(all)/2], all[len(all)/2:]
	known := 0
	largest := 0
	for i := range late {
		known += late[i].N
		if late[i].N > late[largest].N {
			largest = i
		}
		if late[i].Window != "2013-04" || late[i].Version < 1 || early[i].Coverage > late[i].Coverage || late[i].Coverage > 1 {
			t.Errorf("%+v, and then %+v", early[i], late[i])
		}
		for _, e := range []evaluated{early[i], late[i]} {
			if e.Coverage < 0.95 && e.Verdict != "not_enough_data" || !slices.Contains([]string{"fine", "degraded", "not_enough_data"}, e.Verdict) {
				t.Errorf("the verdict on %.1f %% of the labels is %q", 100*e.Coverage, e.Verdict)
			}
		}
	}
	first, last := early[largest], late[largest]
	if known < 27_000 || first.Coverage >= 0.95 || last.Coverage < 0.95 {
		t.Errorf("%d labels, coverage %g and then %g", known, first.Coverage, last.Coverage)
	}
	for _, area := range [][]float64{first.ROCAUC, first.CBPE, last.ROCAUC, last.CBPE} {
		if len(area) != 3 || area[0] >= area[1] || area[1] >= area[2] {
			t.Fatalf("%v is no value inside of its interval", area)
		}
	}
	if truth := last.ROCAUC; truth[1] < 0.85 || truth[1] > 0.95 || truth[2]-truth[0] > 0.1 || first.ROCAUC[1] >= truth[1] || last.CBPE[1] < 0.85 || last.CBPE[1] > 0.97 {
		t.Errorf("ROC AUC of the early labels %v, of all %v, estimated %v", first.ROCAUC, truth, last.CBPE)
	}
}
