package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	// Of an earlier run in this checkout; predict overwrites nothing.
	for _, name := range []string{"sizes.ndjson", "sizes.ndjson.journal"} {
		if err := os.Remove(filepath.Join(stack.Root(), ".local", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
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
