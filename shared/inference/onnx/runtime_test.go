package onnx_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/onnx"
	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

func TestOpenIsOncePerProcess(t *testing.T) {
	first := onnxtest.Runtime(t)
	second := onnxtest.Runtime(t)
	if !strings.HasPrefix(first.String(), "onnxruntime 1.") || first.String() != second.String() {
		t.Errorf("versions %q and %q", first, second)
	}
	if _, err := onnx.Open(onnx.Options{Library: "/elsewhere/libonnxruntime.so"}); !fault.Is(err, fault.Internal) {
		t.Errorf("another path: %v", err)
	}
}

// TestAMissingLibrarySaysWhatToDo runs before the library is loaded only when it
// is run alone; loading it fails the same way in both cases.
func TestAMissingLibrarySaysWhatToDo(t *testing.T) {
	notALibrary := filepath.Join(t.TempDir(), "libonnxruntime.so")
	if err := os.WriteFile(notALibrary, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "absent.so"), notALibrary} {
		err := onnx.LoadLibrary(path)
		if !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "TIDEGATE_ONNXRUNTIME_LIB") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	rt := onnxtest.Runtime(t)
	affine, sig := onnxtest.Model(t, "affine")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	renamed := schema.Signature{Inputs: []schema.Spec{{Name: "other", Datatype: tensor.FP32, Shape: []int64{-1, 3}}}, Outputs: sig.Outputs}
	complex64 := schema.Signature{Inputs: []schema.Spec{{Name: "x", Datatype: "COMPLEX64", Shape: []int64{-1, 3}}}, Outputs: sig.Outputs}
	halves := schema.Signature{Inputs: sig.Inputs, Outputs: []schema.Spec{{Name: "y", Datatype: tensor.FP16, Shape: []int64{-1, -1}}}}
	text := schema.Signature{Inputs: []schema.Spec{{Name: "x", Datatype: tensor.Bytes}}, Outputs: sig.Outputs}
	for name, c := range map[string]struct {
		ctx   context.Context
		model []byte
		sig   schema.Signature
		kind  fault.Kind
	}{
		"nothing":           {t.Context(), nil, sig, fault.InvalidArgument},
		"not a model":       {t.Context(), []byte("PK\x03\x04 something else"), sig, fault.InvalidArgument},
		"cut off":           {t.Context(), affine[:len(affine)-20], sig, fault.InvalidArgument},
		"no signature":      {t.Context(), affine, schema.Signature{}, fault.InvalidArgument},
		"unknown datatype":  {t.Context(), affine, complex64, fault.InvalidArgument},
		"FP16 of any width": {t.Context(), affine, halves, fault.Unimplemented},
		"a scalar string":   {t.Context(), affine, text, fault.Unimplemented},
		"context ended":     {ended, affine, sig, fault.Unavailable},
	} {
		if s, err := rt.Load(c.ctx, c.model, c.sig); !fault.Is(err, c.kind) {
			t.Errorf("%s: want %s, got %v %v", name, c.kind, s, err)
		}
	}
	// ONNX Runtime learns the names when it runs.
	s, err := rt.Load(t.Context(), affine, renamed)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Run(t.Context(), []tensor.Tensor{fp32("other", []int64{1, 3}, 1, 2, 3)}, nil); err == nil {
		t.Error("a signature that names another input runs")
	}
}

func TestThreads(t *testing.T) {
	for _, c := range []struct{ memory, processors, want int }{
		{0, 8, 8}, {128, 2, 1}, {1024, 2, 1}, {1769, 2, 1}, {2048, 2, 1}, {3538, 2, 2}, {10240, 6, 6}, {3008, 2, 2}, {0, 0, 1},
	} {
		if got := onnx.Threads(c.memory, c.processors); got != c.want {
			t.Errorf("Threads(%d, %d) = %d, want %d", c.memory, c.processors, got, c.want)
		}
	}
}
