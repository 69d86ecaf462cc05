package bulk

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/rows"
	"github.com/tidegate/tidegate/shared/tensor"
)

var first = Identity{Input: Input{Digest: "sha256:aa", Bytes: 10}, Model: "m", Version: 3, Digest: "sha256:bb", Format: NDJSON}

// options of an output whose clock moves a little with each look at it.
func options(path, format string, step time.Duration) Options {
	now := time.Unix(0, 0)
	id := first
	id.Format = format
	return Options{Path: path, Identity: id, Journal: true, Single: true, Now: func() time.Time { now = now.Add(step); return now }}
}

// answers are rows [from, from+n) of version v.
func answers(from, n, v int) Batch {
	p := tensor.Tensor{Name: "p", Datatype: tensor.FP32, Shape: []int64{int64(n), 2}}
	label := tensor.Tensor{Name: "label", Datatype: tensor.Bytes, Shape: []int64{int64(n)}}
	for i := range n {
		p.FP32s = append(p.FP32s, float32(from+i)/3, float32(math.NaN()))
		label.Strings = append(label.Strings, fmt.Sprintf("row %d", from+i))
	}
	return Batch{First: from, Rows: n, Result: endpoint.Result{ID: fmt.Sprintf("id%d", from), Version: v, Digest: "sha256:dd", Outputs: []tensor.Tensor{label, p}}}
}

// checkRows reads an output back: rows 1 to n, each once, in order, with its answer.
func checkRows(t *testing.T, path string, n int) {
	t.Helper()
	src, err := rows.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	for i := 1; ; i++ {
		row, err := src.Next()
		if err == io.EOF && i == n+1 {
			return
		}
		if err != nil || i > n {
			t.Fatalf("%s: row %d of %d: %v", path, i, n, err)
		}
		if fmt.Sprint(row["row"]) != fmt.Sprint(i) || row["label"] != fmt.Sprintf("row %d", i) || fmt.Sprint(row["version"]) != "3" {
			t.Fatalf("%s: row %d is %v", path, i, row)
		}
	}
}

// crash leaves files as a process that is killed does: what was written stays, and
// the end of the output may hold anything that the journal does not vouch for.
func (out *Output) crash(t *testing.T, torn string) {
	t.Helper()
	if _, err := out.file.WriteString(torn); err != nil {
		t.Fatal(err)
	}
	if err := out.file.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCrashes kills runs at random places until one comes to the end.
func TestCrashes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"out.ndjson", "out.csv", "out.parquet"} {
		format := strings.TrimPrefix(filepath.Ext(name), ".")
		for range 7 {
			path := filepath.Join(t.TempDir(), name)
			const n = 1000
			for crashes := 0; ; crashes++ {
				out, err := OpenOutput(options(path, format, time.Duration(random.IntN(700))*time.Millisecond))
				if err != nil {
					t.Fatal(err)
				}
				last := out.Rows()
				until := min(n, last+random.IntN(300))
				for at := last; at < until; {
					size := min(1+random.IntN(40), until-at)
					if err := out.Write(answers(at+1, size, 3)); err != nil {
						t.Fatal(err)
					}
					at += size
				}
				if until < n || random.IntN(2) == 0 && crashes < 10 {
					out.crash(t, strings.Repeat("x", random.IntN(30)))
					continue
				}
				if err := out.Close(true); err != nil {
					t.Fatal(err)
				}
				break
			}
			checkRows(t, path, n)
			left, err := filepath.Glob(path + ".*")
			if err != nil || len(left) != 1 || left[0] != path+JournalSuffix {
				t.Fatalf("left behind: %v, %v", left, err)
			}
			again, err := OpenOutput(options(path, format, 0))
			if err != nil || !again.Complete() || again.Rows() != n || again.Close(true) != nil {
				t.Fatalf("started once more: %+v, %v", again, err)
			}
		}
	}
}

func TestAnInterruptKeepsEveryRow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.ndjson")
	out, err := OpenOutput(options(path, NDJSON, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Write(answers(1, 7, 3)); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(false); err != nil {
		t.Fatal(err)
	}
	if out, err = OpenOutput(options(path, NDJSON, 0)); err != nil || out.Rows() != 7 || out.Complete() {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err := OpenOutput(options(path, NDJSON, 0)); !fault.Is(err, fault.AlreadyExists) {
		t.Errorf("two runs at once: %v", err)
	}
	if err := out.Write(answers(8, 1, 4)); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "from row 8 on version 4 answers") {
		t.Errorf("another version: %v", err)
	}
	swapped := answers(8, 1, 3)
	swapped.Result.Digest = "sha256:ee"
	if err := out.Write(swapped); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "from row 8 on another model answers") {
		t.Errorf("another model of that version: %v", err)
	}
	if err := out.Close(false); err != nil {
		t.Fatal(err)
	}
	checkRows(t, path, 7)
}

func TestWhatIsNotGoneOnWith(t *testing.T) {
	for name, c := range map[string]struct {
		change func(o *Options, path string) error
		want   string
	}{
		"another input":   {func(o *Options, _ string) error { o.Identity.Input.Digest = "sha256:cc"; return nil }, "the input has changed since the first 5 rows"},
		"another model":   {func(o *Options, _ string) error { o.Identity.Model = "other"; return nil }, `5 rows of model "m"`},
		"another version": {func(o *Options, _ string) error { o.Identity.Version = 4; return nil }, "the model's version was 3 for the first 5 rows and is 4 now"},
		"another digest":  {func(o *Options, _ string) error { o.Identity.Digest = "sha256:cc"; return nil }, "the model has changed"},
		"another form":    {func(o *Options, _ string) error { o.Identity.Format = CSV; return nil }, "were written as ndjson"},
		"cut off":         {func(_ *Options, path string) error { return os.Truncate(path, 10) }, "is shorter than its journal says"},
		"a bad journal":   {func(_ *Options, path string) error { return os.WriteFile(path+JournalSuffix, []byte("{"), 0o600) }, "is not a journal of this release"},
		"a newer journal": {func(_ *Options, path string) error {
			return os.WriteFile(path+JournalSuffix, []byte(`{"v":99,"model":"m"}`), 0o600)
		}, "is not a journal of this release"},
		"no journal": {func(_ *Options, path string) error { return os.Remove(path + JournalSuffix) }, "is there already and has no journal"},
	} {
		path := filepath.Join(t.TempDir(), "out.ndjson")
		out, err := OpenOutput(options(path, NDJSON, 0))
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Write(answers(1, 5, 3)); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(false); err != nil {
			t.Fatal(err)
		}
		o := options(path, NDJSON, 0)
		if err := c.change(&o, path); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenOutput(o); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "--restart") {
			t.Errorf("%s: %v", name, err)
		}
		o.Restart = true
		if out, err = OpenOutput(o); err != nil || out.Rows() != 0 || out.Close(true) != nil {
			t.Errorf("%s: begun anew: %v", name, err)
		}
	}
}

// TestEveryDatatypeAsParquet reads back what was written.
func TestEveryDatatypeAsParquet(t *testing.T) {
	outputs := []tensor.Tensor{
		{Name: "bool", Datatype: tensor.Bool, Bools: []bool{true, false}},
		{Name: "u8", Datatype: tensor.Uint8, U8s: []uint8{0, 255}}, {Name: "u16", Datatype: tensor.Uint16, U16s: []uint16{0, 65535}},
		{Name: "u32", Datatype: tensor.Uint32, U32s: []uint32{0, math.MaxUint32}}, {Name: "u64", Datatype: tensor.Uint64, U64s: []uint64{0, 1 << 62}},
		{Name: "i8", Datatype: tensor.Int8, I8s: []int8{0, -128}}, {Name: "i16", Datatype: tensor.Int16, I16s: []int16{0, -32768}},
		{Name: "i32", Datatype: tensor.Int32, I32s: []int32{0, math.MinInt32}}, {Name: "i64", Datatype: tensor.Int64, I64s: []int64{0, math.MinInt64}},
		{Name: "f16", Datatype: tensor.FP16, U16s: []uint16{0, 0x3c00}}, {Name: "f32", Datatype: tensor.FP32, FP32s: []float32{0, 0.1}},
		{Name: "f64", Datatype: tensor.FP64, FP64s: []float64{0, 0.1}}, {Name: "text", Datatype: tensor.Bytes, Strings: []string{"", "a\"b"}},
	}
	for i := range outputs {
		outputs[i].Shape = []int64{2}
	}
	path := filepath.Join(t.TempDir(), "out.parquet")
	out, err := OpenOutput(options(path, Parquet, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Write(Batch{First: 1, Rows: 2, Result: endpoint.Result{Version: 3, Outputs: outputs}}); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(true); err != nil {
		t.Fatal(err)
	}
	src, err := rows.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := src.Next(); err != nil {
		t.Fatal(err)
	}
	row, err := src.Next()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"row": int64(2), "id": "", "version": int64(3), "bool": false, "u8": int64(255), "u16": int64(65535), "u32": int64(math.MaxUint32), "u64": int64(1 << 62),
		"i8": int64(-128), "i16": int64(-32768), "i32": int64(math.MinInt32), "i64": int64(math.MinInt64), "f16": 1.0, "f32": float64(float32(0.1)), "f64": 0.1, "text": "a\"b"}
	for name, w := range want {
		if row[name] != w {
			t.Errorf("%s: %v (%T), want %v", name, row[name], row[name], w)
		}
	}
	if len(row) != len(want) {
		t.Errorf("%d columns, want %d", len(row), len(want))
	}
}

func TestAnswersThatChangeTheirForm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.parquet")
	out, err := OpenOutput(options(path, Parquet, 0))
	if err != nil {
		t.Fatal(err)
	}
	other := answers(3, 2, 3)
	other.Result.Outputs = other.Result.Outputs[:1]
	for _, b := range []Batch{answers(1, 2, 3), other} {
		if err := out.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(true); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "from row 3 on") {
		t.Errorf("%v", err)
	}
}

func TestNoRows(t *testing.T) {
	for _, name := range []string{"out.ndjson", "out.csv", "out.parquet"} {
		path := filepath.Join(t.TempDir(), name)
		out, err := OpenOutput(options(path, strings.TrimPrefix(filepath.Ext(name), "."), 0))
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Close(true); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParseJournal(f *testing.F) {
	f.Add([]byte(`{"v":1,"input":{"digest":"sha256:aa","bytes":10},"model":"m","version":3,"digest":"d","format":"ndjson","rows":5,"bytes":100,"complete":false,"at":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"v":1,"rows":-1}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		j, err := parseJournal(body)
		if err == nil && (j.Rows < 0 || j.Bytes < 0 || j.Model == "") {
			t.Errorf("%+v", j)
		}
	})
}

func FuzzFrames(f *testing.F) {
	var good bytes.Buffer
	w, err := NewWriter(&good, Parquet, false)
	if err != nil {
		f.Fatal(err)
	}
	if err := w.Write(answers(1, 3, 3)); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:20])
	f.Add([]byte{255, 255, 255, 255, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		err := parquetOf(io.Discard, bytes.NewReader(body))
		if err != nil && !fault.Is(err, fault.FailedPrecondition) {
			t.Errorf("%v", err)
		}
	})
}
