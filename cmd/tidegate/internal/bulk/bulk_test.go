package bulk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/rows"
	"github.com/tidegate/tidegate/shared/tensor"
)

// counting yields rows 1..n, then err.
type counting struct {
	at, n int
	err   error
}

func (c *counting) Next() (rows.Row, error) {
	if c.at == c.n {
		return nil, c.err
	}
	c.at++
	return rows.Row{"x": int64(c.at)}, nil
}
func (c *counting) Close() error    { return nil }
func (c *counting) Position() int64 { return int64(c.at) }
func (c *counting) Total() int64    { return int64(c.n) }

// double answers after other goroutines have had a chance to overtake.
func double(_ context.Context, first int, batch []rows.Row) (endpoint.Result, error) {
	for range rand.IntN(20) {
		runtime.Gosched()
	}
	t := tensor.Tensor{Name: "y", Datatype: tensor.Int64, Shape: []int64{int64(len(batch))}}
	for _, r := range batch {
		t.I64s = append(t.I64s, 2*r["x"].(int64))
	}
	return endpoint.Result{ID: fmt.Sprintf("id%d", first), Version: 3, Outputs: []tensor.Tensor{t}}, nil
}

func TestEveryRowOnceInOrder(t *testing.T) {
	for _, c := range []struct{ rows, size, concurrency, skip int }{
		{0, 10, 4, 0}, {1, 10, 4, 0}, {10, 10, 1, 0}, {1003, 10, 7, 0}, {1003, 10, 7, 503}, {5, 1, 100, 5},
	} {
		var out bytes.Buffer
		w, err := NewWriter(&out, "ndjson", false)
		if err != nil {
			t.Fatal(err)
		}
		job := Job{Source: &counting{n: c.rows, err: io.EOF}, Skip: c.skip, BatchSize: c.size, Concurrency: c.concurrency, Send: double, Emit: w.Write}
		emitted, err := job.Run(context.Background())
		if err != nil || emitted != c.rows-c.skip {
			t.Fatalf("%+v: %d rows, %v", c, emitted, err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		for i := range c.rows - c.skip {
			row := c.skip + i + 1
			if !strings.Contains(lines[i], fmt.Sprintf(`"row":%d,`, row)) || !strings.Contains(lines[i], fmt.Sprintf(`"y":%d}`, 2*row)) {
				t.Fatalf("%+v: line %d is %s", c, i, lines[i])
			}
		}
	}
}

func TestStopsAtTheFirstErrorWithWhatCameBefore(t *testing.T) {
	boom := fault.New(fault.InvalidArgument, "no")
	var running atomic.Int32
	cases := map[string]Job{
		"refused batch": {Source: &counting{n: 100, err: io.EOF}, Send: func(ctx context.Context, first int, b []rows.Row) (endpoint.Result, error) {
			running.Add(1)
			defer running.Add(-1)
			if first == 41 {
				return endpoint.Result{}, boom
			}
			return double(ctx, first, b)
		}, Emit: func(Batch) error { return nil }},
		"unreadable row": {Source: &counting{n: 40, err: boom}, Send: double, Emit: func(Batch) error { return nil }},
		"full disk": {Source: &counting{n: 100, err: io.EOF}, Send: double, Emit: func(b Batch) error {
			if b.First == 41 {
				return boom
			}
			return nil
		}},
	}
	for name, job := range cases {
		job.BatchSize, job.Concurrency = 10, 3
		emitted, err := job.Run(context.Background())
		if !errors.Is(err, boom) || emitted != 40 {
			t.Errorf("%s: %d rows, %v", name, emitted, err)
		}
	}
	if running.Load() != 0 {
		t.Error("requests are still running")
	}
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	job := Job{Source: &counting{n: math.MaxInt, err: io.EOF}, BatchSize: 1, Concurrency: 2, Send: double, Emit: func(b Batch) error {
		if b.First == 5 {
			cancel()
		}
		return nil
	}}
	if emitted, err := job.Run(ctx); emitted < 5 || !fault.Is(err, fault.Unavailable) {
		t.Errorf("%d rows, %v", emitted, err)
	}
}

func TestSkipPastTheEnd(t *testing.T) {
	job := Job{Source: &counting{n: 3, err: io.EOF}, Skip: 4, BatchSize: 1, Concurrency: 1, Send: double}
	if _, err := job.Run(context.Background()); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
}

func TestOutputs(t *testing.T) {
	b := Batch{First: 7, Rows: make([]rows.Row, 2), Result: endpoint.Result{ID: "u", Version: 2, Outputs: []tensor.Tensor{
		{Name: "label", Datatype: tensor.Bytes, Shape: []int64{2}, Strings: []string{`a,"b`, ""}},
		{Name: "p", Datatype: tensor.FP32, Shape: []int64{2, 2}, FP32s: []float32{0.1, 0.9, float32(math.NaN()), 1}},
		{Name: "u", Datatype: tensor.Uint8, Shape: []int64{2, 1}, U8s: []uint8{0, 255}},
	}}}
	for format, want := range map[string]string{
		"ndjson": `{"id":"u#0","row":7,"version":2,"label":"a,\"b","p":[0.1,0.9],"u":0}` + "\n" +
			`{"id":"u#1","row":8,"version":2,"label":"","p":[null,1],"u":255}` + "\n",
		"csv": "row,id,version,label,p_0,p_1,u\n" + `7,u#0,2,"a,""b",0.1,0.9,0` + "\n8,u#1,2,,NaN,1,255\n",
	} {
		var out bytes.Buffer
		w, err := NewWriter(&out, format, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
	}
	b.Rows = make([]rows.Row, 3)
	w, err := NewWriter(io.Discard, "csv", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(b); !fault.Is(err, fault.Internal) {
		t.Errorf("an output with too few rows: %v", err)
	}
}

func TestResume(t *testing.T) {
	for _, c := range []struct {
		format, content, kept string
		rows                  int
	}{
		{"ndjson", "", "", 0},
		{"ndjson", "{}\n{}\n", "{}\n{}\n", 2},
		{"ndjson", "{}\n{\"to", "{}\n", 1},
		{"csv", "row\n1\n2", "row\n1\n", 1},
		{"csv", "ro", "", 0},
		{"ndjson", strings.Repeat("x", 1<<17) + "\ny", strings.Repeat("x", 1<<17) + "\n", 1},
	} {
		path := filepath.Join(t.TempDir(), "out")
		if c.content != "" {
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f, n, err := Resume(path, c.format)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("next\n"); err != nil {
			t.Fatal(err)
		}
		f.Close()
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n != c.rows || string(got) != c.kept+"next\n" {
			t.Errorf("%s %q: %d rows, then %q", c.format, c.content, n, got)
		}
	}
}
