package onnx_test

import (
	"os"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/onnx"
	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
	"github.com/tidegate/tidegate/shared/tensor"
)

// TestCUDAFallsBackToTheCPU holds on every machine: with CUDA the same answers,
// without it the CPU and the reason. TIDEGATE_TEST_CUDA=1 says that this machine has
// a GPU and a library for it: then the CPU is a failure.
func TestCUDAFallsBackToTheCPU(t *testing.T) {
	rt, err := onnx.Open(onnx.Options{Library: onnxtest.Library(t), Threads: 1, Provider: onnx.CUDA, Device: onnx.Device{MemoryBytes: 1 << 30}})
	if err != nil {
		t.Fatal(err)
	}
	reason := rt.Fallback()
	if (rt.Provider() == onnx.CPU) != (reason != nil) {
		t.Errorf("runs on %s, reason %v", rt.Provider(), reason)
	}
	if os.Getenv("TIDEGATE_TEST_CUDA") == "1" && rt.Provider() != onnx.CUDA {
		t.Errorf("this machine has CUDA: %v", reason)
	}
	if reason != nil && !strings.Contains(reason.Error(), "run on the CPU") {
		t.Errorf("reason %v", reason)
	}
	model, sig := onnxtest.Model(t, "affine")
	session, err := rt.Load(t.Context(), model, sig)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, release, err := session.Run(t.Context(), []tensor.Tensor{{Name: "x", Datatype: tensor.FP32, Shape: []int64{1, 3}, FP32s: []float32{1, 2, 3}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if got := out[0].FP32s; got[0] != 22.5 || got[1] != 27.5 {
		t.Errorf("on %s: %v", rt.Provider(), got)
	}
}

func TestUnknownProvider(t *testing.T) {
	if _, err := onnx.Open(onnx.Options{Library: onnxtest.Library(t), Provider: "tpu"}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("%v", err)
	}
}
