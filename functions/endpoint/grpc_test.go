package main

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tidegate/tidegate/shared/serving/rpc/inferencepb"
)

func dial(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// affineCall asks for rows of the affine model; raw says how the values travel.
func affineCall(raw bool, values ...float32) *inferencepb.ModelInferRequest {
	in := &inferencepb.ModelInferRequest_InferInputTensor{Name: "x", Datatype: "FP32", Shape: []int64{int64(len(values) / 3), 3}}
	req := &inferencepb.ModelInferRequest{ModelName: "affine", Id: "call-1", Inputs: []*inferencepb.ModelInferRequest_InferInputTensor{in}}
	if !raw {
		in.Contents = &inferencepb.InferTensorContents{Fp32Contents: values}
		return req
	}
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	req.RawInputContents = [][]byte{b}
	return req
}

func floats(b []byte) (all []float32) {
	for i := 0; i+4 <= len(b); i += 4 {
		all = append(all, math.Float32frombits(binary.LittleEndian.Uint32(b[i:])))
	}
	return all
}

func TestGRPCInfers(t *testing.T) {
	e := start(t, nil, "affine", "mixed")
	conn := dial(t, e.rpc)
	client := inferencepb.NewGRPCInferenceServiceClient(conn)
	for _, raw := range []bool{false, true} {
		var header metadata.MD
		ctx := metadata.AppendToOutgoingContext(t.Context(), "tidegate-key", "u-1", "tidegate-priority", "low")
		got, err := client.ModelInfer(ctx, affineCall(raw, 1, 2, 3, 2, 2, 3), grpc.Header(&header), grpc.UseCompressor(gzip.Name))
		if err != nil {
			t.Fatal(err)
		}
		if want := []float32{22.5, 27.5, 23.5, 29.5}; got.ModelName != "affine" || got.ModelVersion != "1" || got.Id != "call-1" || len(got.Outputs) != 1 ||
			!slices.Equal(got.Outputs[0].Shape, []int64{2, 2}) || len(floats(got.RawOutputContents[0])) != len(want) || floats(got.RawOutputContents[0])[0] != want[0] {
			t.Errorf("raw %v: %v, outputs %v", raw, got, floats(got.RawOutputContents[0]))
		}
		if header.Get("tidegate-model-version")[0] != "1" || len(header.Get("tidegate-inference-id")) != 1 {
			t.Errorf("headers %v", header)
		}
	}
	mixed := &inferencepb.ModelInferRequest{ModelName: "mixed", ModelVersion: "1", Outputs: []*inferencepb.ModelInferRequest_InferRequestedOutputTensor{{Name: "label"}}}
	for i := range 7 {
		mixed.Inputs = append(mixed.Inputs, &inferencepb.ModelInferRequest_InferInputTensor{Name: "n" + string(rune('0'+i)), Datatype: "FP32", Shape: []int64{1, 1},
			Contents: &inferencepb.InferTensorContents{Fp32Contents: []float32{float32(i + 1)}}})
	}
	for i := range 4 {
		mixed.Inputs = append(mixed.Inputs, &inferencepb.ModelInferRequest_InferInputTensor{Name: "t" + string(rune('0'+i)), Datatype: "BYTES", Shape: []int64{1, 1},
			Contents: &inferencepb.InferTensorContents{BytesContents: [][]byte{{byte('a' + i)}}}})
	}
	got, err := client.ModelInfer(t.Context(), mixed)
	if err != nil || len(got.Outputs) != 1 || got.Outputs[0].Name != "label" || got.Outputs[0].Datatype != "INT64" || len(got.RawOutputContents[0]) != 8 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestGRPCTellsAboutModels(t *testing.T) {
	e := start(t, nil, "affine")
	conn := dial(t, e.rpc)
	client, ctx := inferencepb.NewGRPCInferenceServiceClient(conn), t.Context()
	live, err := client.ServerLive(ctx, &inferencepb.ServerLiveRequest{})
	if err != nil || !live.Live {
		t.Errorf("live %v, %v", live, err)
	}
	ready, err := client.ServerReady(ctx, &inferencepb.ServerReadyRequest{})
	if err != nil || !ready.Ready {
		t.Errorf("ready %v, %v", ready, err)
	}
	model, err := client.ModelReady(ctx, &inferencepb.ModelReadyRequest{Name: "affine", Version: "1"})
	if err != nil || !model.Ready {
		t.Errorf("model ready %v, %v", model, err)
	}
	if _, err := client.ModelReady(ctx, &inferencepb.ModelReadyRequest{Name: "nope"}); status.Code(err) != codes.NotFound {
		t.Errorf("readiness of no model: %v", err)
	}
	server, err := client.ServerMetadata(ctx, &inferencepb.ServerMetadataRequest{})
	if err != nil || server.Name == "" || !slices.Contains(server.Extensions, "binary_tensor_data") {
		t.Errorf("server %v, %v", server, err)
	}
	meta, err := client.ModelMetadata(ctx, &inferencepb.ModelMetadataRequest{Name: "affine"})
	if err != nil || meta.Platform != "onnx_onnxv1" || len(meta.Inputs) != 1 || meta.Inputs[0].Datatype != "FP32" || !slices.Equal(meta.Inputs[0].Shape, []int64{-1, 3}) {
		t.Errorf("model %v, %v", meta, err)
	}
	health, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil || health.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", health, err)
	}
}

func TestGRPCRefuses(t *testing.T) {
	e := start(t, map[string]string{"TIDEGATE_MAX_BODY": "4096"}, "affine")
	client := inferencepb.NewGRPCInferenceServiceClient(dial(t, e.rpc))
	change := func(f func(req *inferencepb.ModelInferRequest)) *inferencepb.ModelInferRequest {
		req := affineCall(false, 1, 2, 3)
		f(req)
		return req
	}
	for name, tt := range map[string]struct {
		req  *inferencepb.ModelInferRequest
		code codes.Code
		says string
	}{
		"no model":         {change(func(r *inferencepb.ModelInferRequest) { r.ModelName = "nope" }), codes.NotFound, "nope"},
		"no version":       {change(func(r *inferencepb.ModelInferRequest) { r.ModelVersion = "9" }), codes.NotFound, "9"},
		"a broken version": {change(func(r *inferencepb.ModelInferRequest) { r.ModelVersion = "../1" }), codes.NotFound, "version"},
		"no inputs":        {change(func(r *inferencepb.ModelInferRequest) { r.Inputs = nil }), codes.InvalidArgument, "inputs is empty"},
		"datatype":         {change(func(r *inferencepb.ModelInferRequest) { r.Inputs[0].Datatype = "FP99" }), codes.InvalidArgument, "inputs[0].datatype"},
		"other field": {change(func(r *inferencepb.ModelInferRequest) {
			r.Inputs[0].Contents = &inferencepb.InferTensorContents{Fp64Contents: []float64{1, 2, 3}}
		}), codes.InvalidArgument, "inputs[0].contents"},
		"too few":          {change(func(r *inferencepb.ModelInferRequest) { r.Inputs[0].Contents.Fp32Contents = []float32{1} }), codes.InvalidArgument, "inputs[0]"},
		"both":             {change(func(r *inferencepb.ModelInferRequest) { r.RawInputContents = [][]byte{{1}} }), codes.InvalidArgument, "raw_input_contents"},
		"raw of one input": {change(func(r *inferencepb.ModelInferRequest) { r.RawInputContents = [][]byte{{1}, {2}} }), codes.InvalidArgument, "2 entries for 1 inputs"},
		"FP16 typed":       {change(func(r *inferencepb.ModelInferRequest) { r.Inputs[0].Datatype = "FP16" }), codes.InvalidArgument, "FP16"},
		"range": {change(func(r *inferencepb.ModelInferRequest) {
			r.Inputs[0].Datatype, r.Inputs[0].Contents = "INT8", &inferencepb.InferTensorContents{IntContents: []int32{1, 300, 2}}
		}), codes.InvalidArgument, "inputs[0].contents [1]"},
		"output": {change(func(r *inferencepb.ModelInferRequest) {
			r.Outputs = []*inferencepb.ModelInferRequest_InferRequestedOutputTensor{{Name: "z"}}
		}), codes.InvalidArgument, "outputs[0].name"},
		"NaN": {change(func(r *inferencepb.ModelInferRequest) { r.Inputs[0].Contents.Fp32Contents[1] = float32(math.NaN()) }), codes.InvalidArgument, `inputs["x"].data[1]`},
		"several": {change(func(r *inferencepb.ModelInferRequest) {
			r.Inputs[0].Contents.Fp32Contents[1] = float32(math.NaN())
			r.Inputs[0].Contents.Fp32Contents[2] = float32(math.Inf(1))
		}), codes.InvalidArgument, "2 faults"},
		"over the limit": {affineCall(true, make([]float32, 3000)...), codes.ResourceExhausted, "larger than max"},
	} {
		_, err := client.ModelInfer(t.Context(), tt.req)
		if status.Code(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "tidegate-priority", "urgent")
	if _, err := client.ModelInfer(ctx, affineCall(true, 1, 2, 3)); status.Code(err) != codes.InvalidArgument {
		t.Errorf("priority: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := client.ModelInfer(ctx, affineCall(true, 1, 2, 3)); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("deadline: %v", err)
	}
}

// TestGRPCEndUnderLoad: calls in progress are answered, later ones are turned away.
func TestGRPCEndUnderLoad(t *testing.T) {
	e := start(t, nil, "affine")
	client := inferencepb.NewGRPCInferenceServiceClient(dial(t, e.rpc))
	var callers sync.WaitGroup
	var warm sync.WaitGroup
	warm.Add(16)
	for c := range 16 {
		callers.Go(func() {
			for n := 0; ; n++ {
				got, err := client.ModelInfer(t.Context(), affineCall(true, float32(c), 2, 3))
				if n == 50 {
					warm.Done()
				}
				if err != nil {
					if status.Code(err) != codes.Unavailable || n <= 50 {
						t.Errorf("call %d: %v", n, err)
					}
					return
				}
				if y := floats(got.RawOutputContents[0])[0]; y != float32(c)+21.5 {
					t.Errorf("caller %d got %v", c, y)
				}
			}
		})
	}
	warm.Wait()
	if err := e.end(); err != nil {
		t.Error(err)
	}
	callers.Wait()
}
