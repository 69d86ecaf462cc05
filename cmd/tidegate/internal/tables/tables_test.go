package tables

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// flight is a row of the generated data.
type flight struct {
	Delay    *float64 `parquet:"delay,optional"`
	Carrier  string   `parquet:"carrier"`
	Distance int64    `parquet:"distance"`
	Tail     string   `parquet:"tail"`
}

func generate(n int) []flight {
	rng := rand.New(rand.NewPCG(1, 2))
	rows := make([]flight, n)
	for i := range rows {
		rows[i] = flight{Carrier: []string{"UA", "AA", "B6", "DL"}[rng.IntN(4)], Distance: int64(rng.IntN(3000)), Tail: fmt.Sprintf("N%d", rng.IntN(500))}
		if rng.IntN(20) > 0 {
			x := float64(int(rng.NormFloat64()*400)) / 8
			rows[i].Delay = &x
		}
	}
	return rows
}

func csvOf(rows []flight) []byte {
	var b bytes.Buffer
	b.WriteString("delay,carrier,distance,tail\n")
	for _, r := range rows {
		if r.Delay != nil {
			b.WriteString(strconv.FormatFloat(*r.Delay, 'g', -1, 64))
		}
		fmt.Fprintf(&b, ",%s,%d,%s\n", r.Carrier, r.Distance, r.Tail)
	}
	return b.Bytes()
}

func ndjsonOf(rows []flight) []byte {
	var b bytes.Buffer
	for _, r := range rows {
		raw, _ := json.Marshal(map[string]any{"tail": r.Tail, "delay": r.Delay, "carrier": r.Carrier, "distance": r.Distance})
		b.Write(append(raw, '\n'))
	}
	return b.Bytes()
}

func parquetOf(t *testing.T, rows []flight, group int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[flight](&b, parquet.MaxRowsPerRowGroup(int64(group)))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zstded(t *testing.T, b []byte) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(b, nil)
}

// shards writes rows to so many files in random order and in all forms.
func shards(t *testing.T, rng *rand.Rand, rows []flight, n int) []string {
	t.Helper()
	dir := t.TempDir()
	parts := make([][]flight, n)
	for _, i := range rng.Perm(len(rows)) {
		k := rng.IntN(n)
		parts[k] = append(parts[k], rows[i])
	}
	var paths []string
	for i, part := range parts {
		switch i % 4 {
		case 0:
			paths = append(paths, write(t, dir, fmt.Sprintf("%d.parquet", i), parquetOf(t, part, 1+rng.IntN(300))))
		case 1:
			paths = append(paths, write(t, dir, fmt.Sprintf("%d.csv", i), csvOf(part)))
		case 2:
			paths = append(paths, write(t, dir, fmt.Sprintf("%d.csv.gz", i), zipped(csvOf(part))))
		case 3:
			paths = append(paths, write(t, dir, fmt.Sprintf("%d.csv.zst", i), zstded(t, csvOf(part))))
		}
	}
	rng.Shuffle(n, func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	return paths
}

func frozen(t *testing.T, paths []string, o Options) (*profile.Baseline, []byte) {
	t.Helper()
	set, err := Open(paths)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	b, report, err := set.Freeze(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.Rows != b.Rows {
		t.Errorf("%d rows reported, %d in the baseline", report.Rows, b.Rows)
	}
	raw, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return b, raw
}

func counted(t *testing.T, b *profile.Baseline, paths []string, o Options) ([]byte, Report) {
	t.Helper()
	set, err := Open(paths)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	tally, report, err := set.Count(context.Background(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(tally.States)
	if err != nil {
		t.Fatal(err)
	}
	return raw, report
}

// TestSameBytesForAnySharding spreads the same rows over files of all forms, in
// any order, and reads them with any number of workers.
func TestSameBytesForAnySharding(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	rows := generate(3000)
	whole := []string{write(t, t.TempDir(), "whole.parquet", parquetOf(t, rows, len(rows)))}
	b, want := frozen(t, whole, Options{Workers: 1})
	wantCounts, _ := counted(t, b, whole, Options{Workers: 1})
	for _, n := range []int{1, 2, 7, 40} {
		for _, workers := range []int{1, 3, 8} {
			paths := shards(t, rng, rows, n)
			if _, got := frozen(t, paths, Options{Workers: workers}); !bytes.Equal(got, want) {
				t.Errorf("%d files, %d workers: another baseline", n, workers)
			}
			got, report := counted(t, b, paths, Options{Workers: workers})
			if !bytes.Equal(got, wantCounts) || report.Rows != uint64(len(rows)) {
				t.Errorf("%d files, %d workers: other counts of %d rows", n, workers, report.Rows)
			}
		}
	}
	// Objects have no order of columns: theirs are by name, and the counts are the same.
	nd := []string{write(t, t.TempDir(), "rows.ndjson", ndjsonOf(rows))}
	if got, _ := counted(t, b, nd, Options{}); !bytes.Equal(got, wantCounts) {
		t.Error("NDJSON: other counts")
	}
	if other, _ := frozen(t, nd, Options{}); other.Columns[0].Name != "carrier" || other.Columns[3].Name != "tail" {
		t.Error("NDJSON: columns are not by name")
	}
}

func TestChunksAddUpToTheWhole(t *testing.T) {
	var text bytes.Buffer
	text.WriteString("when,delay,carrier,distance,tail\n")
	rows := generate(2000)
	for i, line := range strings.Split(strings.TrimSpace(string(csvOf(rows))), "\n")[1:] {
		day := ""
		if i%50 > 0 {
			day = fmt.Sprintf("2026-%02d-%02dT12:00:00Z", 1+i%12, 1+i%28)
		}
		text.WriteString(day + "," + line + "\n")
	}
	path := []string{write(t, t.TempDir(), "rows.csv", text.Bytes())}
	b, _ := frozen(t, path, Options{})
	set, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	for chunk, want := range map[string]int{"month": 12, "day": 84} {
		chunks, unplaced, err := set.Chunks(context.Background(), b, "when", chunk, Options{})
		if err != nil || len(chunks) != want || unplaced != 40 {
			t.Fatalf("%s: %d chunks, %d rows without a time, %v", chunk, len(chunks), unplaced, err)
		}
		var n uint64
		for _, c := range chunks {
			n += c.Rows
			if c.Counts.States[1].Rows != c.Rows {
				t.Errorf("%s: %d rows counted, %d read", c.Name, c.Counts.States[1].Rows, c.Rows)
			}
		}
		if n+unplaced != 2000 {
			t.Errorf("%s: %d rows of 2000", chunk, n+unplaced)
		}
	}
	for _, column := range []string{"nothing", "carrier"} {
		if _, _, err := set.Chunks(context.Background(), b, column, "day", Options{}); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("cut by %s: %v", column, err)
		}
	}
}

func TestOptions(t *testing.T) {
	path := []string{write(t, t.TempDir(), "rows.csv", csvOf(generate(200)))}
	b, _ := frozen(t, path, Options{Columns: []string{"distance", "tail"}, Kinds: map[string]profile.Kind{"distance": profile.Categorical}})
	if len(b.Columns) != 2 || b.Columns[0].Kind != profile.Categorical {
		t.Errorf("%d columns, the first %s", len(b.Columns), b.Columns[0].Kind)
	}
	set, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	for _, o := range []Options{{Columns: []string{"x"}}, {Kinds: map[string]profile.Kind{"x": profile.Numeric}}} {
		if _, _, err := set.Freeze(context.Background(), o); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(fault.Public(err).Message, "delay, carrier") {
			t.Errorf("%v: %v", o, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := set.Freeze(ctx, Options{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := Open([]string{path[0], path[0]}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a file named twice: %v", err)
	}
	if _, err := Open([]string{t.TempDir()}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestColumnsThatSomeFilesLack(t *testing.T) {
	dir := t.TempDir()
	paths := []string{write(t, dir, "a.csv", []byte("x,y\n1,2\n3,4\n")), write(t, dir, "b.csv", []byte("x,z\n5,6\n7\n"))}
	b, _ := frozen(t, paths, Options{})
	got, report := counted(t, b, paths, Options{})
	if len(b.Columns) != 3 || b.Columns[1].State.Missing != 1 || report.Malformed != 1 || len(report.Notes) != 3 {
		t.Errorf("%+v, %s", report, got)
	}
	only, err := Open(paths[:1])
	if err != nil {
		t.Fatal(err)
	}
	defer only.Close()
	_, report, err = only.Count(context.Background(), b, Options{})
	if diff := cmp.Diff([]string{"z"}, report.Absent); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

// TestManyNames: every name of an NDJSON file is a column, and a file whose keys are values is refused by its name.
func TestManyNames(t *testing.T) {
	const names = 1500
	dir := t.TempDir()
	var text, wide bytes.Buffer
	for i := range names {
		fmt.Fprintf(&text, "{\"c%04d\":%d,\"all\":1}\n", names-1-i, i)
	}
	paths := []string{write(t, dir, "rows.ndjson", text.Bytes())}
	b, want := frozen(t, paths, Options{Workers: 1})
	if len(b.Columns) != names+1 || b.Columns[1].Name != "c0000" || b.Columns[names].State.Missing != names-1 {
		t.Errorf("%d columns", len(b.Columns))
	}
	if _, got := frozen(t, paths, Options{Workers: 3}); !bytes.Equal(got, want) {
		t.Error("3 workers: another baseline")
	}
	for i := range 100_001 {
		fmt.Fprintf(&wide, "{\"user-%d\":1}\n", i)
	}
	set, err := Open([]string{write(t, dir, "wide.ndjson", wide.Bytes())})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	for _, workers := range []int{1, 3} {
		_, _, err := set.Freeze(context.Background(), Options{Workers: workers})
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(fault.Public(err).Message, "wide.ndjson: the lines name more than 100000 columns") {
			t.Errorf("%d workers: %v", workers, err)
		}
	}
}

func TestSniff(t *testing.T) {
	dir := t.TempDir()
	b, raw := frozen(t, []string{write(t, dir, "a.csv", []byte("x\n1\n"))}, Options{})
	d := profile.NewDocument("", 0, strings.Repeat("0", 64), profile.Source{Key: "k"}, profile.NewTally(b), profile.Report{})
	doc, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for want, texts := range map[Content][]string{
		Baseline:    {string(raw), "\n " + string(raw), string(zipped(raw))},
		Profile:     {string(doc)},
		Statistics:  {`{"version":0.0,"dataset":{"item_count":1},"features":[{"name":"x"},{"name":"y","numerical_statistics":{}}]}`},
		Constraints: {`{"version":0.0,"features":[{"name":"x","completeness":1.0}],"monitoring_config":{}}`},
		Rows: {"", "a,b\n", `{"a":1}` + "\n" + `{"a":2}`, `{"v":1,"rows":2,"columns":3}`, `{"v":1,"source":"x","groups":"y"}`, `{"version":1,"features":"x"}`, `{"version":1,"features":[{"a":1}]}`, `{"columns":[{}]}`,
			`{`, `{"features`, "PAR1", "\x1f\x8bzz"},
	} {
		for _, text := range texts {
			if got, err := Sniff(write(t, dir, "file", []byte(text))); err != nil || got != want {
				t.Errorf("%.60q is %s, want %s (%v)", text, got, want, err)
			}
		}
	}
}
