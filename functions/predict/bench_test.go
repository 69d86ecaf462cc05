package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/tests/bench/standin"
	"github.com/tidegate/tidegate/tests/bench/workload"
)

// The models are those of `make bench`, which makes them.
const models = "../../.local/bench/models"

// benchmark is the function's handler with everything that is due after an answer, on the benchmark's registry. Captures are buffered and go to a
// Firehose that throws them away, so that what is counted is the function's own.
func benchmark(b *testing.B, name string, width int, body func(*workload.Model) workload.Body, then ...func(*standin.Cloud, *workload.Model) error) {
	model, err := workload.Load(models, name, width)
	if err != nil {
		b.Skip("make bench makes the models: ", err)
	}
	cloud := open(b, nil)
	if err := workload.Register(cloud.S3, model); err != nil {
		b.Fatal(err)
	}
	for _, change := range then {
		if err := change(cloud, model); err != nil {
			b.Fatal(err)
		}
	}
	firehose := httptest.NewServer(http.HandlerFunc(discard))
	b.Cleanup(firehose.Close)
	env := environment(b, cloud)
	env["TIDEGATE_REGISTRY_BUCKET"], env["TIDEGATE_CAPTURE_MODE"] = workload.RegistryBucket, "buffered"
	env["AWS_ENDPOINT_URL_FIREHOSE"] = firehose.URL
	handler := wire(b, env, os.DevNull).Handler

	sent := body(model)
	request := &httpapi.Request{Method: http.MethodPost, Path: "/v2/models/" + name + "/infer", Header: sent.Header, Body: sent.Bytes, ID: "bench"}
	ctx := context.Background()
	serve := func() {
		response := handler.Serve(ctx, request)
		if response.Status != http.StatusOK {
			b.Fatalf("%d %s", response.Status, response.Body)
		}
		response.After(ctx)
	}
	serve() // loads the model
	serve() // and what was not needed for an answer
	b.ReportAllocs()
	b.SetBytes(int64(len(sent.Bytes)))
	for b.Loop() {
		serve()
	}
}

// discard takes whole batches without looking at them.
func discard(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_, _ = io.WriteString(w, `{"FailedPutCount":0,"RequestResponses":[]}`)
}

// BenchmarkPredict1Row is a flight of eleven columns, as JSON.
func BenchmarkPredict1Row(b *testing.B) { benchmark(b, "flights", 1, (*workload.Model).JSON) }

// BenchmarkPredict1RowPaired is the same with a shadow beside the champion: its check, run and capture are after the answer.
func BenchmarkPredict1RowPaired(b *testing.B) {
	benchmark(b, "flights", 1, (*workload.Model).JSON, func(cloud *standin.Cloud, m *workload.Model) error {
		if err := workload.AddVersion(cloud.S3, m, 2); err != nil {
			return err
		}
		var manifest registry.Manifest
		var state registry.State
		for key, into := range map[string]any{registry.ManifestKey(m.Name, 2): &manifest, registry.StateKey(m.Name): &state} {
			body, _ := cloud.S3.Get(workload.RegistryBucket, key)
			if err := json.Unmarshal(body, into); err != nil {
				return err
			}
		}
		state.Slots.Shadow = &registry.Ref{Version: 2, Digest: manifest.Digest}
		body, err := json.Marshal(state)
		cloud.S3.Put(workload.RegistryBucket, registry.StateKey(m.Name), body)
		return err
	})
}

func BenchmarkPredict1000x30JSON(b *testing.B) { benchmark(b, "wide", 30, (*workload.Model).JSON) }

func BenchmarkPredict1000x30Binary(b *testing.B) {
	benchmark(b, "wide", 30, (*workload.Model).BinaryBody)
}
