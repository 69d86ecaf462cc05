package httpapi

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func benchmark(b *testing.B, path string, header Header, body []byte) {
	api := New(newFleet(b), nil, nil, Options{Enveloped: true})
	req := &Request{Method: "POST", Path: path, Header: header, Body: body, ID: "req"}
	ctx := context.Background()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		resp := api.Serve(ctx, req)
		if resp.Status != 200 {
			b.Fatalf("%s", resp.Body)
		}
		resp.After(ctx)
	}
}

// BenchmarkInfer1x11 is one row of eleven columns as JSON: all that predict adds to the model's run.
func BenchmarkInfer1x11(b *testing.B) {
	benchmark(b, "/v2/models/flights/infer", Header{}, []byte(flightsBody(1)))
}

func BenchmarkPredict1x11(b *testing.B) {
	body := `{"instances":[{"n0":1.5,"n1":1.5,"n2":1.5,"n3":1.5,"n4":1.5,"n5":1.5,"n6":1.5,"c0":"UA","c1":"UA","c2":"UA","c3":"UA"}]}`
	benchmark(b, "/v1/models/flights:predict", Header{}, []byte(body))
}

func BenchmarkInfer1000x30JSON(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	text := []byte(`{"inputs":[{"name":"x","shape":[1000,30],"datatype":"FP32","data":[`)
	for i := 0; i < 30000; i++ {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendFloat(text, float64(float32(r.NormFloat64())), 'f', -1, 32)
	}
	benchmark(b, "/v2/models/wide/infer", Header{}, append(text, `]}]}`...))
}

func BenchmarkPredict1000x30Rows(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	text := []byte(`{"instances":[`)
	for i := 0; i < 30000; i++ {
		text = append(text, ",["[btoi(i == 0):1+btoi(i%30 == 0)]...)
		if i > 0 && i%30 != 0 {
			text = append(text[:len(text)-1], ',')
		}
		text = strconv.AppendFloat(text, float64(float32(r.NormFloat64())), 'f', -1, 32)
		if i%30 == 29 {
			text = append(text, ']')
		}
	}
	benchmark(b, "/v1/models/wide:predict", Header{}, append(text, `]}`...))
}

func BenchmarkInfer1000x30Binary(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	head := `{"inputs":[{"name":"x","shape":[1000,30],"datatype":"FP32","parameters":{"binary_data_size":120000}}],"parameters":{"binary_data_output":true}}`
	head += strings.Repeat(" ", 1) // odd, so that the tensor is not aligned
	body := []byte(head)
	for i := 0; i < 30000; i++ {
		body = binary.LittleEndian.AppendUint32(body, math.Float32bits(float32(r.NormFloat64())))
	}
	benchmark(b, "/v2/models/wide/infer", Header{"inference-header-content-length": strconv.Itoa(len(head))}, body)
}
