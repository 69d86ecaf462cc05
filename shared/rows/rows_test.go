package rows

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

var specs = []Spec{
	{Name: "delay", Datatype: tensor.FP32, Shape: []int64{-1, 1}},
	{Name: "carrier", Datatype: tensor.Bytes, Shape: []int64{-1, 1}},
	{Name: "stops", Datatype: tensor.Int64, Shape: []int64{-1}},
}

func want() []tensor.Tensor {
	return []tensor.Tensor{
		{Name: "delay", Datatype: tensor.FP32, Shape: []int64{2, 1}, FP32s: []float32{-3.5, float32(math.NaN())}},
		{Name: "carrier", Datatype: tensor.Bytes, Shape: []int64{2, 1}, Strings: []string{"UA", ""}, Missing: []int{1}},
		{Name: "stops", Datatype: tensor.Int64, Shape: []int64{2}, I64s: []int64{1, 9007199254740993}},
	}
}

func TestEveryFormatGivesTheSameColumns(t *testing.T) {
	const csv = "delay,carrier,stops,ignored\n-3.5,UA,1,x\nNA,,9007199254740993,y\n"
	const ndjson = `{"delay":-3.5,"carrier":"UA","stops":1}` + "\n\n" + `{"delay":null,"stops":9007199254740993}`
	files := map[string][]byte{
		"t.csv": []byte(csv), "bom.csv": []byte("\ufeff" + csv), "t.csv.gz": zipped(t, csv),
		"t.ndjson": []byte(ndjson), "t.jsonl": []byte(ndjson), "t.parquet": parquetFile(t),
	}
	for name, content := range files {
		t.Run(name, func(t *testing.T) {
			src := open(t, name, content)
			batch := all(t, src)
			got, err := Columns(specs, batch, 1)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want(), got, cmpopts.EquateNaNs()); diff != "" {
				t.Error(diff)
			}
			if src.Position() != src.Total() {
				t.Errorf("at the end the position is %d of %d", src.Position(), src.Total())
			}
		})
	}
}

func TestWideInputs(t *testing.T) {
	wide := []Spec{{Name: "x", Datatype: tensor.FP64, Shape: []int64{-1, 3}}}
	for name, content := range map[string]string{
		"list.ndjson": `{"x":[1,2,3]}`, "spread.csv": "x_0,x_1,x_2\n1,2,3\n",
	} {
		got, err := Columns(wide, all(t, open(t, name, []byte(content))), 1)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff([]float64{1, 2, 3}, got[0].FP64s); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, err := Columns(wide, all(t, open(t, "short.ndjson", []byte(`{"x":[1,2]}`))), 1); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a list that is too short: %v", err)
	}
	free := []Spec{{Name: "x", Datatype: tensor.FP64, Shape: []int64{-1, -1}}}
	if _, err := Columns(free, []Row{{}}, 1); !fault.Is(err, fault.Unimplemented) {
		t.Errorf("a free dimension: %v", err)
	}
}

func TestBadInput(t *testing.T) {
	const secret = "s3cret"
	cases := map[string]struct{ name, content, says string }{
		"empty csv":        {"a.csv", "", "header"},
		"column twice":     {"a.csv", "a,a\n1,2\n", "twice"},
		"ragged":           {"a.csv", "delay,carrier,stops\n1,UA\n", "row 1"},
		"not a number":     {"a.csv", "delay,carrier,stops\n" + secret + ",UA,1\n", `row 1, column "delay"`},
		"no whole number":  {"a.ndjson", `{"delay":1,"stops":1.5}`, `column "stops"`},
		"missing whole":    {"a.ndjson", `{"delay":1}`, "missing"},
		"not an object":    {"a.ndjson", "[1]", "row 1"},
		"two on a line":    {"a.ndjson", `{"stops":1}{"stops":2}`, "row 1"},
		"truncated object": {"a.ndjson", `{"stops":`, "row 1"},
		"null":             {"a.ndjson", "null", "row 1"},
		"not parquet":      {"a.parquet", "PAR1 and then something else", "Parquet"},
		"empty parquet":    {"a.parquet", "", "Parquet"},
		"cut gzip":         {"a.csv.gz", "\x1f\x8b", "gzip"},
		"unknown format":   {"a.xlsx", "x", "--format"},
		"infinite":         {"a.csv", "delay,stops\ninf,1\n", "range"},
		"over FP32":        {"a.csv", "delay,stops\n1e39,1\n", "range"},
		"overflow":         {"a.ndjson", `{"stops":9223372036854775808}`, "whole number"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := readAll(filepath.Join(t.TempDir(), c.name), []byte(c.content))
			if !fault.Is(err, fault.InvalidArgument) {
				t.Fatalf("kind %q: %v", fault.KindOf(err), err)
			}
			message := fault.Public(err).Message
			if !strings.Contains(message, c.says) || strings.Contains(message, secret) {
				t.Errorf("message %q: want it to say %q and no value", message, c.says)
			}
		})
	}
}

func TestMissingColumnsAreNamed(t *testing.T) {
	got := Missing(specs, Row{"delay": "1", "Carrier": "UA", "stops_0": "1"})
	if diff := cmp.Diff([]string{"carrier"}, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a.csv", []byte("delay,carrier,stops\n1,UA,2\n"))
	f.Add("a.ndjson", []byte(`{"delay":1,"carrier":"UA","stops":2}`))
	f.Add("a.parquet", []byte("PAR1....PAR1"))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		format := formatOf(name)
		if format == "" {
			return
		}
		// Only the kind matters: a reader of files may refuse, but never panic.
		err := readAll(filepath.Join(t.TempDir(), "f."+format), content)
		if err != nil && !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("kind %q: %v", fault.KindOf(err), err)
		}
	})
}

func BenchmarkColumns(b *testing.B) {
	batch := make([]Row, 1000)
	for i := range batch {
		batch[i] = Row{"delay": "12.5", "carrier": "UA", "stops": "2"}
	}
	for b.Loop() {
		if _, err := Columns(specs, batch, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func readAll(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	src, err := Open(path, "")
	if err != nil {
		return err
	}
	defer src.Close()
	for n := 1; ; n++ {
		row, err := src.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := Columns(specs, []Row{row}, n); err != nil {
			return err
		}
	}
}

func open(t *testing.T, name string, content []byte) Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

func all(t *testing.T, src Source) []Row {
	t.Helper()
	var batch []Row
	for {
		row, err := src.Next()
		if errors.Is(err, io.EOF) {
			return batch
		}
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, row)
	}
}

func zipped(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func parquetFile(t *testing.T) []byte {
	t.Helper()
	type flight struct {
		Delay   *float64 `parquet:"delay,optional"`
		Carrier *string  `parquet:"carrier,optional"`
		Stops   int64    `parquet:"stops"`
		Tags    []string `parquet:"tags,list"`
		Price   int64    `parquet:"price,decimal(2:18)"`
	}
	delay, carrier := -3.5, "UA"
	var b bytes.Buffer
	w := parquet.NewGenericWriter[flight](&b)
	if _, err := w.Write([]flight{{&delay, &carrier, 1, []string{"a", "b"}, 5}, {nil, nil, 9007199254740993, nil, 6}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
