package scored

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tidegate/tidegate/cmd/tidegate/internal/tables"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/schema"
)

func TestParseCut(t *testing.T) {
	for text, want := range map[string]Cut{"day": {By: "day"}, "month": {By: "month"}, "100": {Rows: 100}, "5000": {Rows: 5000}} {
		if got, err := ParseCut(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "week", "99", "-5", "1e3", "100 rows", "0100"} {
		if _, err := ParseCut(text); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestFind: every moment is within the bounds of its chunk, and chunks do not overlap.
func TestFind(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var starts []int64
	for range 50 {
		starts = append(starts, 1+rng.Int64N(4e12))
	}
	slices.Sort(starts)
	for name, c := range map[string]*chunker{"day": {cut: Cut{By: "day"}}, "month": {cut: Cut{By: "month"}}, "rows": {cut: Cut{Rows: 100}, starts: starts}} {
		for range 2000 {
			at := starts[0] + rng.Int64N(4e12)
			key, from, to := c.find(at)
			if key != from || at < from || at > to {
				t.Fatalf("%s: %d is in the chunk from %d to %d", name, at, from, to)
			}
			if again, _, _ := c.find(to); name != "rows" && again != key {
				t.Fatalf("%s: the end %d of chunk %d is in chunk %d", name, to, key, again)
			}
			if next, _, _ := c.find(to + 1); name != "rows" && next != to+1 {
				t.Fatalf("%s: chunk %d follows on %d", name, next, to)
			}
		}
	}
}

// table writes a CSV file of the lines and opens it.
func table(t *testing.T, header string, lines ...string) *tables.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "table.csv")
	content := header + "\n"
	for _, l := range lines {
		content += l + "\n"
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := tables.Open([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	return set
}

func lines(n int, of func(i int) string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = of(i)
	}
	return out
}

func TestDigest(t *testing.T) {
	a, b := table(t, "id", "1"), table(t, "id", "2")
	both := &tables.Set{Files: []*tables.File{a.Files[0], b.Files[0]}}
	turned := &tables.Set{Files: []*tables.File{b.Files[0], a.Files[0]}}
	seen := map[string]bool{}
	for _, set := range []*tables.Set{a, b, both} {
		d, err := Digest(t.Context(), set)
		if err != nil || seen[d] {
			t.Errorf("%s %v", d, err)
		}
		seen[d] = true
	}
	if d, _ := Digest(t.Context(), turned); !seen[d] {
		t.Error("the order of the files decides")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Digest(ctx, a); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}

// TestChunksAddUp: chunks hold the rows of their time, and together those of the whole that have one.
func TestChunksAddUp(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	set := table(t, "id,score,label,time", lines(3000, func(i int) string {
		when := start.Add(time.Duration(i/2) * time.Hour).Format(time.RFC3339) // two rows of each moment
		if i%50 == 0 {
			when = ""
		}
		return fmt.Sprintf("%d,0.%03d,%d,%s", i, i%1000, i%2, when)
	})...)
	in := &Input{Task: schema.Binary, Names: outcome.Names{Scores: []string{"score"}, Label: "label", Time: "time"}, Predictions: []*tables.Set{set}, Workers: 3}
	layouts, err := in.Layouts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &evaluation.Setup{Task: quality.Binary, Policy: quality.DefaultPolicy(), Versions: []evaluation.Version{{Version: 1, Layout: layouts[0]}}}
	whole, err := in.Tally(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []Cut{{By: "day"}, {By: "month"}, {Rows: 500}} {
		chunks, placed, err := in.Chunks(t.Context(), s, cut)
		if err != nil {
			t.Fatal(err)
		}
		var rows uint64
		last := ""
		for _, c := range chunks {
			rows += c.Tally.Rows()
			if c.Window.ID <= last {
				t.Errorf("%v: %s after %s", cut, c.Window.ID, last)
			}
			last = c.Window.ID
		}
		if rows != placed || placed != whole.Rows()-60 {
			t.Errorf("%v: %d rows in %d chunks, %d placed of %d", cut, rows, len(chunks), placed, whole.Rows())
		}
		if want := map[string]int{"day": 63, "month": 3, "": 6}[cut.By]; len(chunks) != want {
			t.Errorf("%v: %d chunks, want %d", cut, len(chunks), want)
		}
	}
	if _, _, err := in.Chunks(t.Context(), s, Cut{Rows: 1}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("%v", err)
	}
}

func TestPairs(t *testing.T) {
	a := table(t, "id,score,carrier", lines(90, func(i int) string { return fmt.Sprintf("%d,0.5,%s", i, []string{"AA", "", "UA"}[i%3]) })...)
	b := table(t, "id,score,carrier", lines(60, func(i int) string { return fmt.Sprintf("%d,0.4,%s", i, []string{"AA", "", "UA"}[i%3]) })...)
	labels := table(t, "id,label", lines(45, func(i int) string { return fmt.Sprintf("%d,%d", i, i%5/4) })...)
	in := &Input{Task: schema.Binary, Names: outcome.Names{ID: "id", Scores: []string{"score"}, Label: "label"}, Predictions: []*tables.Set{a, b}, Labels: labels}
	got, err := in.Pairs(t.Context(), "carrier")
	if err != nil {
		t.Fatal(err)
	}
	want := comparison.Counts{Pairs: 15, Positives: 3, Negatives: 12}
	if len(got) != 3 || got["AA"] != want || got[""] != want || got["UA"] != want {
		t.Errorf("%+v", got)
	}
}

func TestInterrupted(t *testing.T) {
	set := table(t, "id,score,label", lines(20_000, func(i int) string { return fmt.Sprintf("%d,0.5,1", i) })...)
	in := &Input{Task: schema.Binary, Names: outcome.Names{Scores: []string{"score"}, Label: "label"}, Predictions: []*tables.Set{set}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.Tally(ctx, &evaluation.Setup{Task: quality.Binary, Policy: quality.DefaultPolicy()}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}
