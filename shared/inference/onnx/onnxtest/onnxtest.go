// Package onnxtest finds ONNX Runtime and small models for tests and benchmarks.
// It is not for programs: they are told the path by their configuration.
package onnxtest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/tidegate/tidegate/shared/inference/onnx"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Library returns the path of libonnxruntime: TIDEGATE_ONNXRUNTIME_LIB, or what
// scripts/onnxruntime-lib has put under .local/. Without it the test fails:
// nothing about ONNX Runtime is proven by a test that leaves it out.
func Library(tb testing.TB) string {
	tb.Helper()
	if path := os.Getenv("TIDEGATE_ONNXRUNTIME_LIB"); path != "" {
		return path
	}
	path := filepath.Join(root(), ".local", "onnxruntime", "lib", "libonnxruntime.so")
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("no ONNX Runtime at %s: run scripts/onnxruntime-lib, or set TIDEGATE_ONNXRUNTIME_LIB", path)
	}
	return path
}

// Runtime opens ONNX Runtime with one thread.
func Runtime(tb testing.TB) *onnx.Runtime {
	tb.Helper()
	rt, err := onnx.Open(onnx.Options{Library: Library(tb), Threads: 1})
	if err != nil {
		tb.Fatal(err)
	}
	return rt
}

// Model reads a model of shared/inference/onnx/testdata (affine, echo, mixed,
// slow, fixed, varying, parse) and its signature.
func Model(tb testing.TB, name string) ([]byte, schema.Signature) {
	tb.Helper()
	sig, ok := signatures[name]
	if !ok {
		tb.Fatalf("no model %q", name)
	}
	body, err := os.ReadFile(filepath.Join(root(), "shared", "inference", "onnx", "testdata", name+".onnx"))
	if err != nil {
		tb.Fatal(err)
	}
	return body, sig
}

func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "..")
}

var signatures = map[string]schema.Signature{
	"affine": {Inputs: []schema.Spec{{Name: "x", Datatype: tensor.FP32, Shape: []int64{-1, 3}}},
		Outputs: []schema.Spec{{Name: "y", Datatype: tensor.FP32, Shape: []int64{-1, 2}}}},
	"echo":  echo(),
	"mixed": mixed(),
	"slow": {Inputs: []schema.Spec{{Name: "turns", Datatype: tensor.Int64, Shape: []int64{1}}},
		Outputs: []schema.Spec{{Name: "y", Datatype: tensor.Int64, Shape: []int64{1}}}},
	"fixed": {Inputs: []schema.Spec{{Name: "x", Datatype: tensor.FP32, Shape: []int64{2, 3}}, {Name: "k", Datatype: tensor.FP32, Shape: []int64{}}},
		Outputs: []schema.Spec{{Name: "sum", Datatype: tensor.FP32, Shape: []int64{}}, {Name: "turned", Datatype: tensor.FP32, Shape: []int64{3, 2}}}},
	"varying": {Inputs: []schema.Spec{{Name: "x", Datatype: tensor.FP32, Shape: []int64{-1}}},
		Outputs: []schema.Spec{{Name: "positions", Datatype: tensor.Int64, Shape: []int64{-1, 1}}, {Name: "found", Datatype: tensor.FP32, Shape: []int64{-1}}}},
	"parse": {Inputs: []schema.Spec{{Name: "text", Datatype: tensor.Bytes, Shape: []int64{-1, 1}}},
		Outputs: []schema.Spec{{Name: "y", Datatype: tensor.FP32, Shape: []int64{-1, 1}}}},
}

func echo() (sig schema.Signature) {
	for _, c := range []struct {
		name  string
		is    tensor.Datatype
		shape []int64
	}{
		{"bool", tensor.Bool, []int64{-1}}, {"u8", tensor.Uint8, []int64{-1}}, {"u16", tensor.Uint16, []int64{-1}}, {"u32", tensor.Uint32, []int64{-1}},
		{"u64", tensor.Uint64, []int64{-1}}, {"i8", tensor.Int8, []int64{-1}}, {"i16", tensor.Int16, []int64{-1}}, {"i32", tensor.Int32, []int64{-1}},
		{"i64", tensor.Int64, []int64{-1}}, {"fp16", tensor.FP16, []int64{-1}}, {"fp32", tensor.FP32, []int64{-1}}, {"fp64", tensor.FP64, []int64{-1}},
		{"text", tensor.Bytes, []int64{-1, 1}},
	} {
		sig.Inputs = append(sig.Inputs, schema.Spec{Name: c.name, Datatype: c.is, Shape: c.shape})
		sig.Outputs = append(sig.Outputs, schema.Spec{Name: c.name + "_out", Datatype: c.is, Shape: c.shape})
	}
	return sig
}

func mixed() schema.Signature {
	var sig schema.Signature
	for _, name := range []string{"n0", "n1", "n2", "n3", "n4", "n5", "n6"} {
		sig.Inputs = append(sig.Inputs, schema.Spec{Name: name, Datatype: tensor.FP32, Shape: []int64{-1, 1}})
	}
	for _, name := range []string{"t0", "t1", "t2", "t3"} {
		sig.Inputs = append(sig.Inputs, schema.Spec{Name: name, Datatype: tensor.Bytes, Shape: []int64{-1, 1}})
	}
	sig.Outputs = []schema.Spec{{Name: "label", Datatype: tensor.Int64, Shape: []int64{-1}}, {Name: "probabilities", Datatype: tensor.FP32, Shape: []int64{-1, 2}}}
	return sig
}
