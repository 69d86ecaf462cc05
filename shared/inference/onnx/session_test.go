package onnx_test

import (
	"context"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/onnx"
	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

func loaded(tb testing.TB, name string) inference.Session {
	tb.Helper()
	model, sig := onnxtest.Model(tb, name)
	s, err := onnxtest.Runtime(tb).Load(tb.Context(), model, sig)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func fp32(name string, shape []int64, data ...float32) tensor.Tensor {
	return tensor.Tensor{Name: name, Datatype: tensor.FP32, Shape: shape, FP32s: data}
}

func TestRunComputesTheGraph(t *testing.T) {
	s := loaded(t, "affine")
	for _, rows := range []int64{1, 2, 1000} { // the memory of one run is reused by the next
		x := fp32("x", []int64{rows, 3})
		for range rows {
			x.FP32s = append(x.FP32s, 1, 1, 1)
		}
		out, release, err := s.Run(t.Context(), []tensor.Tensor{x}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(out) != 1 || out[0].Name != "y" || !cmp.Equal(out[0].Shape, []int64{rows, 2}) || int64(len(out[0].FP32s)) != 2*rows {
			t.Fatalf("%d rows: %+v", rows, out)
		}
		if last := out[0].FP32s[2*rows-2:]; last[0] != 9.5 || last[1] != 11.5 { // 1+3+5+0.5, 2+4+6-0.5
			t.Fatalf("%d rows: last row %v", rows, last)
		}
		release()
		release() // harmless
	}
}

func everyDatatype() []tensor.Tensor {
	n := []int64{3}
	return []tensor.Tensor{
		{Name: "bool", Datatype: tensor.Bool, Shape: n, Bools: []bool{true, false, true}},
		{Name: "u8", Datatype: tensor.Uint8, Shape: n, U8s: []uint8{0, 1, 255}},
		{Name: "u16", Datatype: tensor.Uint16, Shape: n, U16s: []uint16{0, 1, 65535}},
		{Name: "u32", Datatype: tensor.Uint32, Shape: n, U32s: []uint32{0, 1, math.MaxUint32}},
		{Name: "u64", Datatype: tensor.Uint64, Shape: n, U64s: []uint64{0, 1, math.MaxUint64}},
		{Name: "i8", Datatype: tensor.Int8, Shape: n, I8s: []int8{-128, 0, 127}},
		{Name: "i16", Datatype: tensor.Int16, Shape: n, I16s: []int16{-32768, 0, 32767}},
		{Name: "i32", Datatype: tensor.Int32, Shape: n, I32s: []int32{math.MinInt32, 0, math.MaxInt32}},
		{Name: "i64", Datatype: tensor.Int64, Shape: n, I64s: []int64{math.MinInt64, 0, math.MaxInt64}},
		{Name: "fp16", Datatype: tensor.FP16, Shape: n, U16s: []uint16{0x3c00, 0xbc00, 0x7bff}}, // 1, -1, 65504
		{Name: "fp32", Datatype: tensor.FP32, Shape: n, FP32s: []float32{-1.5, float32(math.NaN()), math.MaxFloat32}},
		{Name: "fp64", Datatype: tensor.FP64, Shape: n, FP64s: []float64{-1.5, math.Inf(1), math.MaxFloat64}},
		{Name: "text", Datatype: tensor.Bytes, Shape: []int64{3, 1}, Strings: []string{"", "Zürich", strings.Repeat("long", 100)}},
	}
}

func TestEveryDatatypePassesUnchanged(t *testing.T) {
	s := loaded(t, "echo")
	inputs := everyDatatype()
	out, release, err := s.Run(t.Context(), inputs, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for i := range inputs {
		inputs[i].Name += "_out"
	}
	if d := cmp.Diff(inputs, out, cmpopts.EquateNaNs()); d != "" {
		t.Errorf("in and out differ:\n%s", d)
	}
}

func TestWantPicksOutputsInItsOrder(t *testing.T) {
	s := loaded(t, "mixed")
	out, release, err := s.Run(t.Context(), mixedRows(1), []string{"probabilities", "label"})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if len(out) != 2 || out[0].Name != "probabilities" || out[1].Name != "label" {
		t.Errorf("outputs %+v", out)
	}
	if _, _, err := s.Run(t.Context(), mixedRows(1), []string{"nothing"}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("unknown output: %v", err)
	}
}

// mixedRows has the numbers 0..6 and "a" "b" "c" "" in every row, with n3 missing.
func mixedRows(rows int) []tensor.Tensor {
	sig := signature("mixed")
	in := make([]tensor.Tensor, len(sig.Inputs))
	for i, spec := range sig.Inputs {
		in[i] = tensor.Tensor{Name: spec.Name, Datatype: spec.Datatype, Shape: []int64{int64(rows), 1}}
		in[i].Resize(rows)
		for r := range rows {
			switch {
			case spec.Name == "n3":
				in[i].FP32s[r] = float32(math.NaN())
			case spec.Datatype == tensor.FP32:
				in[i].FP32s[r] = float32(i)
			default:
				in[i].Strings[r] = []string{"a", "b", "c", ""}[i-7]
			}
		}
	}
	return in
}

func TestStringsAndMissingNumbersReachTheGraph(t *testing.T) {
	s := loaded(t, "mixed")
	out, release, err := s.Run(t.Context(), mixedRows(2), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	score := 0.1*(0+1+2+4+5+6) + 1 + 2 // models.py: a is 1, b is 2; the other logit is 1
	want := 1 / (1 + math.Exp(1-score))
	if got := float64(out[1].FP32s[3]); math.Abs(got-want) > 1e-6 {
		t.Errorf("probability %v, want %v", got, want)
	}
	if d := cmp.Diff([]int64{1, 1}, out[0].I64s); d != "" {
		t.Errorf("label: %s", d)
	}
}

func TestScalarsAndFixedShapes(t *testing.T) {
	s := loaded(t, "fixed")
	in := []tensor.Tensor{fp32("x", []int64{2, 3}, 1, 2, 3, 4, 5, 6), fp32("k", []int64{}, 10)}
	out, release, err := s.Run(t.Context(), in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	want := []tensor.Tensor{fp32("sum", []int64{}, 31), fp32("turned", []int64{3, 2}, 1, 4, 2, 5, 3, 6)}
	if d := cmp.Diff(want, out, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}

func TestOutputsWhoseShapeDependsOnTheValues(t *testing.T) {
	s := loaded(t, "varying")
	for _, c := range []struct {
		x     []float32
		at    []int64
		found []float32
	}{
		{[]float32{0, 2, 0, -1}, []int64{1, 3}, []float32{2, -1}},
		{[]float32{1, 2, 3, 4}, []int64{0, 1, 2, 3}, []float32{1, 2, 3, 4}},
		{[]float32{0, 0, 0, 0}, []int64{}, []float32{}},
	} {
		out, release, err := s.Run(t.Context(), []tensor.Tensor{fp32("x", []int64{4}, c.x...)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := int64(len(c.at))
		want := []tensor.Tensor{{Name: "positions", Datatype: tensor.Int64, Shape: []int64{n, 1}, I64s: c.at}, fp32("found", []int64{n}, c.found...)}
		if d := cmp.Diff(want, out, cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
		release()
	}
}

func TestTheDeadlineReachesIntoTheRun(t *testing.T) {
	s := loaded(t, "slow")
	turns := func(n int64) []tensor.Tensor {
		return []tensor.Tensor{{Name: "turns", Datatype: tensor.Int64, Shape: []int64{1}, I64s: []int64{n}}}
	}
	out, release, err := s.Run(t.Context(), turns(3), nil)
	if err != nil || out[0].I64s[0] != 3 {
		t.Fatalf("%v %v", out, err)
	}
	release()
	for _, c := range []struct {
		end  func(context.Context) (context.Context, context.CancelFunc)
		kind fault.Kind
	}{
		{func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 20*time.Millisecond)
		}, fault.DeadlineExceeded},
		{func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(20*time.Millisecond, cancel)
			return ctx, cancel
		}, fault.Unavailable},
	} {
		ctx, cancel := c.end(t.Context())
		_, _, err = s.Run(ctx, turns(1<<40), nil) // years, if it were not for the deadline
		cancel()
		if !fault.Is(err, c.kind) {
			t.Errorf("want %s, got %v", c.kind, err)
		}
		if _, _, err = s.Run(ctx, turns(1), nil); !fault.Is(err, c.kind) {
			t.Errorf("with an ended context: want %s, got %v", c.kind, err)
		}
	}
}

func TestRunsAreConcurrentAndCloseDrains(t *testing.T) {
	s := loaded(t, "mixed")
	var running sync.WaitGroup
	for g := range 4 {
		running.Go(func() {
			for i := range 200 {
				out, release, err := s.Run(t.Context(), mixedRows(1+(g+i)%5), nil)
				if fault.Is(err, fault.Unavailable) {
					return // closed meanwhile
				}
				if err != nil || out[1].FP32s[0] != out[1].FP32s[0] || len(out[0].I64s) != 1+(g+i)%5 {
					t.Errorf("run: %v %v", out, err)
					return
				}
				release()
			}
		})
	}
	time.Sleep(time.Millisecond)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	running.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, _, err := s.Run(t.Context(), mixedRows(1), nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after close: %v", err)
	}
}

// TestResultsThatAreNotReleased: forgetting them costs memory until they are
// collected, never the process.
func TestResultsThatAreNotReleased(t *testing.T) {
	s := loaded(t, "mixed")
	for range 20 {
		if _, _, err := s.Run(t.Context(), mixedRows(3), nil); err != nil {
			t.Fatal(err)
		}
		runtime.GC()
	}
	time.Sleep(10 * time.Millisecond) // finalizers run on a goroutine of their own
	runtime.GC()
}

func TestRefusedInputs(t *testing.T) {
	affine, parse := loaded(t, "affine"), loaded(t, "parse")
	const secret = "secret-4711"
	for name, c := range map[string]struct {
		session inference.Session
		in      []tensor.Tensor
		kind    fault.Kind
	}{
		"too few inputs":   {affine, nil, fault.InvalidArgument},
		"another width":    {affine, []tensor.Tensor{fp32("x", []int64{1, 2}, 1, 2)}, fault.InvalidArgument},
		"another rank":     {affine, []tensor.Tensor{fp32("x", []int64{3}, 1, 2, 3)}, fault.InvalidArgument},
		"no rows":          {affine, []tensor.Tensor{fp32("x", []int64{0, 3})}, fault.InvalidArgument},
		"another datatype": {affine, []tensor.Tensor{{Name: "x", Datatype: tensor.Int64, Shape: []int64{1, 3}, I64s: []int64{1, 2, 3}}}, fault.InvalidArgument},
		"unknown datatype": {affine, []tensor.Tensor{{Name: "x", Datatype: "COMPLEX64", Shape: []int64{1, 3}}}, fault.InvalidArgument},
		"NUL in a string":  {parse, []tensor.Tensor{{Name: "text", Datatype: tensor.Bytes, Shape: []int64{1, 1}, Strings: []string{secret + "\x00"}}}, fault.InvalidArgument},
		"the graph fails":  {parse, []tensor.Tensor{{Name: "text", Datatype: tensor.Bytes, Shape: []int64{1, 1}, Strings: []string{secret}}}, fault.Internal},
	} {
		_, _, err := c.session.Run(t.Context(), c.in, nil)
		if !fault.Is(err, c.kind) {
			t.Errorf("%s: want %s, got %v", name, c.kind, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error repeats the input: %v", name, err)
		}
	}
	if _, _, err := parse.Run(t.Context(), []tensor.Tensor{{Name: "text", Datatype: tensor.Bytes, Shape: []int64{1, 1}, Strings: []string{"2.5"}}}, nil); err != nil {
		t.Errorf("the session does not survive a failed run: %v", err)
	}
}

func signature(name string) schema.Signature {
	var probe testing.B // Model only needs somewhere to fail
	_, sig := onnxtest.Model(&probe, name)
	return sig
}

var _ inference.Runtime = (*onnx.Runtime)(nil)
