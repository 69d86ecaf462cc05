package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/tests/bench/figures"
)

// row has a column of each type that the flights have.
type row struct {
	Month int64   `parquet:"month,dict"`
	Delay float64 `parquet:"dep_delay"`
	Dest  string  `parquet:"dest,dict"`
}

func TestReadersFindAllRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	w := parquet.NewGenericWriter[row](f, parquet.MaxRowsPerRowGroup(1000))
	var rows []row
	for i := range int64(2500) {
		rows = append(rows, row{i % 12, float64(i) / 7, "LAX"})
	}
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	build, err := profile.NewBuilder([]profile.Spec{{Name: "month", Kind: profile.Numeric}, {Name: "dep_delay", Kind: profile.Numeric}, {Name: "dest", Kind: profile.Categorical}})
	if err != nil {
		t.Fatal(err)
	}
	pf, err := profile.OpenParquet(f, info.Size(), build.Columns())
	if err != nil {
		t.Fatal(err)
	}
	for g := range pf.RowGroups() {
		if _, err := pf.Count(t.Context(), build, g); err != nil {
			t.Fatal(err)
		}
	}
	b := build.Freeze(2500)
	one := &table{name: "t", file: f, size: info.Size(), base: b}
	for _, workers := range []int{1, 3} {
		if err := one.bare(t.Context(), workers); err != nil {
			t.Error(err)
		}
		got, err := one.tally(t.Context(), workers)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got.States {
			x, _ := json.Marshal(&got.States[i])
			y, _ := json.Marshal(&b.Columns[i].State)
			if string(x) != string(y) {
				t.Errorf("%d workers count %s, want %s", workers, x, y)
			}
		}
	}
}

func TestBareReadLooksAtValues(t *testing.T) {
	if add([]int64{1, 2, 4}, nil) != 7 || add([]float64{1, 2, 4}, []int32{2, 2, 0}) != 9 {
		t.Error("sums of values")
	}
	if lengths([]uint32{0, 3, 5}, nil) != 5 || lengths([]uint32{0, 3, 5}, []int32{1, 1, 0}) != 7 {
		t.Error("lengths of texts")
	}
}

func TestCapturesAreCountedAndDecoded(t *testing.T) {
	for _, rows := range shapes {
		c, err := makeCaptured(rows, 3)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.count(context.Background()); err != nil {
			t.Error(err)
		}
		if err := c.decode(); err != nil {
			t.Error(err)
		}
	}
}

func TestReport(t *testing.T) {
	r := Report{Spreads: map[string]figures.Spread{}}
	for _, file := range files {
		for _, reader := range []string{"bare_read", "duckdb", "polars"} {
			r.Spreads[ratioName(file, reader)] = figures.Spread{Median: 1}
		}
	}
	for _, name := range []string{"rss_mb_10x", "rss_10x_over_1x", "rss_10x_over_dictionary_1x", "ndjson_vs_encoding_json"} {
		r.Spreads[name] = figures.Spread{Median: 1}
	}
	r.finish()
	for _, b := range bars {
		if r.Ratios[b.Name] != 1 {
			t.Errorf("a bar for %s, which is not computed", b.Name)
		}
	}
	if err := r.print(io.Discard); err != nil {
		t.Error(err)
	}
}
