package onnx_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
	"github.com/tidegate/tidegate/shared/tensor"
)

// BenchmarkRun compares Session.Run with what ONNX Runtime needs by itself: the
// same model, inputs and outputs prepared beforehand. What is between the two is
// the price of making values of fresh tensors for each request.
func BenchmarkRun(b *testing.B) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour) // requests have a deadline
	defer cancel()
	for _, rows := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("mixed/rows=%d/session", rows), func(b *testing.B) {
			s, in := loaded(b, "mixed"), mixedRows(rows)
			b.ReportAllocs()
			for b.Loop() {
				_, release, err := s.Run(ctx, in, nil)
				if err != nil {
					b.Fatal(err)
				}
				release()
			}
		})
		b.Run(fmt.Sprintf("mixed/rows=%d/raw", rows), func(b *testing.B) { raw(b, "mixed", mixedRows(rows)) })
	}
}

// raw runs with everything prepared.
func raw(b *testing.B, name string, in []tensor.Tensor) {
	model, sig := onnxtest.Model(b, name)
	onnxtest.Runtime(b)
	var inNames, outNames []string
	var inputs, outputs []ort.Value
	for i, spec := range sig.Inputs {
		inNames = append(inNames, spec.Name)
		if spec.Datatype == tensor.Bytes {
			v, err := ort.NewStringTensor(in[i].Shape)
			if err != nil {
				b.Fatal(err)
			}
			if err := v.SetContents(in[i].Strings); err != nil {
				b.Fatal(err)
			}
			inputs = append(inputs, v)
			continue
		}
		v, err := ort.NewTensor(in[i].Shape, in[i].FP32s)
		if err != nil {
			b.Fatal(err)
		}
		inputs = append(inputs, v)
	}
	rows := in[0].Shape[0]
	for _, spec := range sig.Outputs {
		outNames = append(outNames, spec.Name)
		shape := append([]int64{rows}, spec.Shape[1:]...)
		var v ort.Value
		var err error
		if spec.Datatype == tensor.Int64 {
			v, err = ort.NewEmptyTensor[int64](shape)
		} else {
			v, err = ort.NewEmptyTensor[float32](shape)
		}
		if err != nil {
			b.Fatal(err)
		}
		outputs = append(outputs, v)
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		b.Fatal(err)
	}
	defer options.Destroy()
	_ = options.SetIntraOpNumThreads(1)
	s, err := ort.NewDynamicAdvancedSessionWithONNXData(model, inNames, outNames, options)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Destroy()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Run(inputs, outputs); err != nil {
			b.Fatal(err)
		}
	}
}
