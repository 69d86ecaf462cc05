package bulk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip"
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
func double(_ context.Context, inputs []tensor.Tensor) (endpoint.Result, error) {
	for range rand.IntN(20) {
		runtime.Gosched()
	}
	x := inputs[0]
	t := tensor.Tensor{Name: "y", Datatype: tensor.Int64, Shape: []int64{x.Rows()}}
	for _, v := range x.I64s {
		t.I64s = append(t.I64s, 2*v)
	}
	return endpoint.Result{ID: fmt.Sprintf("id%d", x.I64s[0]), Version: 3, Outputs: []tensor.Tensor{t}, Tries: 1}, nil
}

var xs = []rows.Spec{{Name: "x", Datatype: tensor.Int64, Shape: []int64{-1, 1}}}

func TestEveryRowOnceInOrder(t *testing.T) {
	for _, c := range []struct{ rows, size, concurrency, skip int }{
		{0, 10, 4, 0}, {1, 10, 4, 0}, {10, 10, 1, 0}, {1003, 10, 7, 0}, {1003, 10, 7, 503}, {5, 1, 100, 5},
	} {
		var out bytes.Buffer
		w, err := NewWriter(&out, "ndjson", false)
		if err != nil {
			t.Fatal(err)
		}
		job := Job{Source: &counting{n: c.rows, err: io.EOF}, Specs: xs, Skip: c.skip, Pace: Fixed(c.size), Concurrency: c.concurrency, Send: double, Emit: w.Write}
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
	boom := fault.New(fault.PermissionDenied, "no")
	var running atomic.Int32
	cases := map[string]Job{
		"refused batch": {Source: &counting{n: 100, err: io.EOF}, Send: func(ctx context.Context, in []tensor.Tensor) (endpoint.Result, error) {
			running.Add(1)
			defer running.Add(-1)
			if in[0].I64s[0] == 41 {
				return endpoint.Result{}, boom
			}
			return double(ctx, in)
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
		job.Specs, job.Pace, job.Concurrency = xs, Fixed(10), 3
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
	job := Job{Source: &counting{n: math.MaxInt, err: io.EOF}, Specs: xs, Pace: Fixed(1), Concurrency: 2, Send: double, Emit: func(b Batch) error {
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
	job := Job{Source: &counting{n: 3, err: io.EOF}, Skip: 4, Specs: xs, Pace: Fixed(1), Concurrency: 1, Send: double}
	if _, err := job.Run(context.Background()); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
}

func TestOutputs(t *testing.T) {
	b := Batch{First: 7, Rows: 2, Result: endpoint.Result{ID: "u", Version: 2, Outputs: []tensor.Tensor{
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
}

// TestABatchIsHalvedUntilItFits finds the most that a server takes, whatever it
// says of it, and does not try larger ones again and again.
func TestABatchIsHalvedUntilItFits(t *testing.T) {
	for _, kind := range []fault.Kind{fault.PayloadTooLarge, fault.DeadlineExceeded, fault.InvalidArgument, fault.Internal} {
		var refused atomic.Int32
		job := Job{Source: &counting{n: 5000, err: io.EOF}, Specs: xs, Pace: Adaptive(1), Concurrency: 2, Send: func(ctx context.Context, in []tensor.Tensor) (endpoint.Result, error) {
			if in[0].Rows() > 70 {
				refused.Add(1)
				return endpoint.Result{}, fault.New(kind, "batch-size must be <= 70")
			}
			return double(ctx, in)
		}}
		next := 1
		job.Emit = func(b Batch) error {
			if b.First != next || b.Result.Outputs[0].I64s[0] != int64(2*next) {
				t.Errorf("%s: rows from %d where %d is next", kind, b.First, next)
			}
			next += b.Rows
			return nil
		}
		if n, err := job.Run(t.Context()); err != nil || n != 5000 || refused.Load() > 20 {
			t.Errorf("%s: %d rows, %d refusals, %v", kind, n, refused.Load(), err)
		}
	}
}

// TestTheRowAtFault is named, and the rows before it are kept.
func TestTheRowAtFault(t *testing.T) {
	poison := func(kind fault.Kind, violations ...fault.Violation) func(context.Context, []tensor.Tensor) (endpoint.Result, error) {
		return func(ctx context.Context, in []tensor.Tensor) (endpoint.Result, error) {
			for i, v := range in[0].I64s {
				if v == 137 {
					err := fault.New(kind, "cannot be computed")
					for _, problem := range violations {
						problem.Path = fmt.Sprintf(problem.Path, i)
						err.Violations = append(err.Violations, problem)
					}
					return endpoint.Result{}, err
				}
			}
			return double(ctx, in)
		}
	}
	short := func(ctx context.Context, in []tensor.Tensor) (endpoint.Result, error) {
		r, err := double(ctx, in)
		if in[0].I64s[0] == 101 {
			r.Outputs[0].Shape[0]--
			r.Outputs[0].I64s = r.Outputs[0].I64s[1:]
		}
		return r, err
	}
	for name, c := range map[string]struct {
		send    func(context.Context, []tensor.Tensor) (endpoint.Result, error)
		emitted int
		kind    fault.Kind
		message string
	}{
		"no place":  {poison(fault.Internal), 136, fault.Internal, "row 137: cannot be computed"},
		"bad input": {poison(fault.InvalidArgument), 136, fault.InvalidArgument, "row 137: cannot be computed"},
		"a place": {poison(fault.InvalidArgument, fault.Violation{Path: `inputs["x"].data[%d]`, Problem: "is above the maximum"}), 100, fault.InvalidArgument,
			`rows 101 to 200: row 137, column "x" is above the maximum`},
		"rows lost": {short, 100, fault.FailedPrecondition, `rows 101 to 200: output "y" has 99 rows where 100 were sent`},
	} {
		job := Job{Source: &counting{n: 1000, err: io.EOF}, Specs: xs, Pace: Fixed(100), Concurrency: 3, Send: c.send, Emit: func(Batch) error { return nil }}
		n, err := job.Run(t.Context())
		if n != c.emitted || !fault.Is(err, c.kind) || !strings.Contains(fault.Public(err).Message, c.message) && !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %d rows, %v", name, n, err)
		}
	}
}

func TestAModelOfAFixedBatch(t *testing.T) {
	job := Job{Source: &counting{n: 25, err: io.EOF}, Specs: xs, Pace: Whole(10), Concurrency: 1, Send: double, Emit: func(Batch) error { return nil }}
	if n, err := job.Run(t.Context()); n != 20 || err == nil || !strings.Contains(err.Error(), "only 5 from row 21 on") {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestPace(t *testing.T) {
	p := Adaptive(11)
	answered := func(d time.Duration) { p.took(p.Rows(), &endpoint.Result{Latency: d, Tries: 1}) }
	for range 20 {
		answered(time.Millisecond)
	}
	if n := p.Rows(); n != mostRows {
		t.Errorf("a quick server gets %d rows", n)
	}
	for range 20 {
		answered(time.Second)
	}
	if n := p.Rows(); n != 1 {
		t.Errorf("a slow server gets %d rows", n)
	}
	p.took(1, &endpoint.Result{Latency: time.Millisecond, Tries: 2})
	if n := p.Rows(); n != 1 {
		t.Errorf("an answer after a wait made it %d rows", n)
	}
	if n := Adaptive(1 << 20).Rows(); n != 1 {
		t.Errorf("%d rows of a million values", n)
	}
	f := Fixed(64)
	f.took(64, &endpoint.Result{Latency: time.Hour, Tries: 1})
	if f.Rows() != 64 {
		t.Error("a fixed pace changed")
	}
	if f.refused(64); f.Rows() != 32 {
		t.Error("a refused size is kept")
	}
}

// BenchmarkJob is what the client side costs: rows of a CSV file of eleven columns
// read, made tensors, and their answers written, with a server that takes no time.
func BenchmarkJob(b *testing.B) {
	const n = 50_000
	var text bytes.Buffer
	var specs []rows.Spec
	for c := range 11 {
		fmt.Fprintf(&text, "c%d,", c)
		specs = append(specs, rows.Spec{Name: fmt.Sprintf("c%d", c), Datatype: tensor.FP32, Shape: []int64{-1, 1}})
	}
	text.WriteString("left\n")
	for i := range n {
		for c := range 11 {
			fmt.Fprintf(&text, "%d,", i*c%1000)
		}
		text.WriteString("x\n")
	}
	send := func(_ context.Context, in []tensor.Tensor) (endpoint.Result, error) {
		body, _ := oip.AppendCall(nil, &oip.Call{Inputs: in})
		p := tensor.Tensor{Name: "p", Datatype: tensor.FP32, Shape: []int64{in[0].Rows(), 1}, FP32s: in[0].FP32s}
		return endpoint.Result{ID: fmt.Sprint(len(body)), Version: 1, Outputs: []tensor.Tensor{p}, Tries: 1}, nil
	}
	for b.Loop() {
		src, err := rows.At("rows", bytes.NewReader(text.Bytes()), nil)
		if err != nil {
			b.Fatal(err)
		}
		w, err := NewWriter(io.Discard, NDJSON, false)
		if err != nil {
			b.Fatal(err)
		}
		job := Job{Source: src, Specs: specs, Pace: Adaptive(11), Concurrency: 4, Send: send, Emit: w.Write}
		if got, err := job.Run(b.Context()); err != nil || got != n {
			b.Fatal(got, err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
