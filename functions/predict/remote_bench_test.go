package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/tensor"
)

// remoteRows is a binary body for affine.
func remoteRows(rows int) (body []byte, header httpapi.Header) {
	x := tensor.Tensor{Name: "x", Datatype: tensor.FP32, Shape: []int64{int64(rows), 3}, FP32s: make([]float32, 3*rows)}
	body, n := oip.AppendCall(nil, &oip.Call{Inputs: []tensor.Tensor{x}})
	return body, httpapi.Header{oip.HeaderName: strconv.Itoa(n), "content-type": "application/octet-stream"}
}

// benchmarkRemote is the function's handler, for a model that an endpoint on this machine runs; captures are off, since they
// cost the same wherever it runs. In between, the same body is sent to the endpoint itself: vs-direct is the one's time by the other's, and what predict adds.
func benchmarkRemote(b *testing.B, rows int) {
	world := inferencetest.New(b)
	serve(b, world, "m", "affine")
	c := serveContainer(b, world)
	settings := c.backend(true)
	settings.Capture = &registry.CaptureSettings{Mode: registry.CaptureOff}
	world.Configure("m", settings)
	env := environment(b, open(b, world))
	handler := wire(b, env, os.DevNull).Handler
	body, header := remoteRows(rows)
	ctx := context.Background()
	through := func() {
		resp := handler.Serve(ctx, &httpapi.Request{Method: "POST", Path: "/v2/models/m/infer", Header: header, Body: body, ID: "bench"})
		if resp.Status != 200 || resp.Header["Tidegate-Served-By"] != "endpoint" {
			b.Fatalf("%d by %s: %.200s", resp.Status, resp.Header["Tidegate-Served-By"], resp.Body)
		}
		resp.After(ctx)
	}
	direct := func() {
		req, err := http.NewRequest(http.MethodPost, "http://"+c.address+"/v2/models/m/versions/1/infer", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		for name, value := range header {
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
			b.Fatal(resp.StatusCode, err)
		}
		_ = resp.Body.Close()
	}
	for range 20 { // sessions, connections
		through()
		direct()
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	var there time.Duration
	for b.Loop() {
		through()
		b.StopTimer()
		started := time.Now()
		direct()
		there += time.Since(started)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(there), "vs-direct")
}

func BenchmarkPredictRemote1Row(b *testing.B) { benchmarkRemote(b, 1) }

func BenchmarkPredictRemote1000Rows(b *testing.B) { benchmarkRemote(b, 1000) }
