package main

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/tidegate/tidegate/shared/serving/rpc/inferencepb"
)

// BenchmarkHTTP is a one-row request over loopback, client included, with 16
// callers for each processor.
func BenchmarkHTTP(b *testing.B) {
	e := start(b, nil, "affine")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := client.Post(e.url+"/v2/models/affine/infer", "application/json", bytes.NewReader([]byte(affineRow)))
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Errorf("status %d", resp.StatusCode)
			}
		}
	})
}

// BenchmarkGRPC is the same by gRPC, on one connection.
func BenchmarkGRPC(b *testing.B) {
	e := start(b, nil, "affine")
	client := inferencepb.NewGRPCInferenceServiceClient(dial(b, e.rpc))
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := client.ModelInfer(b.Context(), affineCall(true, 1, 2, 3)); err != nil {
				b.Error(err)
			}
		}
	})
}
