package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
	"github.com/tidegate/tidegate/shared/provenance/signature/signaturetest"
)

// endpoint is a running server.
type endpoint struct {
	url, rpc string
	end      func() error // tells it to end and waits
}

// start runs the server with models of onnxtest until the test ends.
func start(t testing.TB, env map[string]string, models ...string) endpoint {
	t.Helper()
	dir := t.TempDir()
	for _, name := range models {
		body, _ := onnxtest.Model(t, name)
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "model.onnx"), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return startIn(t, dir, env)
}

func startIn(t testing.TB, dir string, env map[string]string) endpoint {
	t.Helper()
	getenv := func(key string) string {
		if v, ok := env[key]; ok {
			return v
		}
		return map[string]string{
			"TIDEGATE_HOST": "127.0.0.1", "TIDEGATE_PORT": "0", "TIDEGATE_GRPC_PORT": "0", "TIDEGATE_MODEL_DIR": dir,
			"TIDEGATE_ONNXRUNTIME_LIB": onnxtest.Library(t), "TIDEGATE_REQUEST_LINES": "false", "TIDEGATE_THREADS": "1",
		}[key]
	}
	server, err := build(t.Context(), slog.New(slog.DiscardHandler), getenv, runtime.NumCPU())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	end := sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	e := endpoint{url: "http://" + server.HTTP.Addr().String(), end: end}
	if server.RPC != nil {
		e.rpc = server.RPC.Addr().String()
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if status, _ := e.call(t, "GET", "/ping", nil, ""); status == 200 {
			return e
		} else if time.Now().After(deadline) {
			t.Fatalf("not ready after 20 s: %d", status)
		}
	}
}

func (e endpoint) call(t testing.TB, method, path string, header map[string]string, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, e.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(got)
}

const affineRow = `{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}`

func TestTheContractOfSageMaker(t *testing.T) {
	e := start(t, map[string]string{"SAGEMAKER_BIND_TO_PORT": "0"}, "affine", "mixed")
	attributes := func(text string) map[string]string {
		return map[string]string{"X-Amzn-SageMaker-Custom-Attributes": text, "X-Amzn-SageMaker-Session-Id": "unknown", "X-Surprise": "1", "Content-Type": "application/json"}
	}
	csv := attributes("model=mixed")
	csv["Content-Type"] = "text/csv"
	for _, tt := range []struct {
		name, method, path string
		header             map[string]string
		body               string
		status             int
		says               string
	}{
		{"ping", "GET", "/ping", attributes(""), "", 200, ""},
		{"tensors", "POST", "/invocations", attributes("model=affine;deadline_ms=5000"), affineRow, 200, `"data":[22.5,27.5]`},
		{"of a version", "POST", "/invocations", attributes("model=affine;version=1"), `{"instances":[[1,2,3],[1,2,3]]}`, 200, `{"predictions":[[22.5,27.5],[22.5,27.5]]}`},
		{"split, one wide input", "POST", "/invocations", attributes("model=affine"), `{"dataframe_split":{"columns":["x"],"data":[[[1,2,3]]]}}`, 200, `{"predictions":[[22.5,27.5]]}`},
		{"inputs", "POST", "/invocations", attributes("model=affine"), `{"inputs":[[1,2,3]]}`, 200, `{"predictions":[[22.5,27.5]]}`},
		{"csv", "POST", "/invocations", csv, "n0,n1,n2,n3,n4,n5,n6,t0,t1,t2,t3\n1,2,3,4,5,6,7,a,b,c,d\n", 200, `"label":1`},
		{"records", "POST", "/invocations", attributes("model=mixed"), `{"dataframe_records":[{"n0":1,"n1":2,"n2":3,"n3":4,"n4":5,"n5":6,"n6":7,"t0":"a","t1":"b","t2":"c","t3":"d"}]}`, 200, `"label":1`},
		{"csv of one wide input", "POST", "/invocations", map[string]string{"Content-Type": "text/csv", "X-Amzn-SageMaker-Custom-Attributes": "model=affine"}, "1,2,3\n", 200, `{"predictions":[[22.5,27.5]]}`},
		{"no such version", "POST", "/invocations", attributes("model=affine;version=9"), affineRow, 404, "version 9"},
		{"media type", "POST", "/invocations", map[string]string{"Content-Type": "image/png", "X-Amzn-SageMaker-Custom-Attributes": "model=affine"}, "x", 415, ""},
		{"which model", "POST", "/invocations", map[string]string{"Content-Type": "application/json"}, affineRow, 400, "model="},
		{"TensorFlow Serving", "POST", "/v1/models/affine:predict", nil, `{"instances":[[1,2,3]]}`, 200, `{"predictions":[[22.5,27.5]]}`},
		{"a value that is none", "POST", "/invocations", csv, "n0,n1,n2,n3,n4,n5,n6,t0,t1,t2,t3\n1,2,3,4,5,6,secret,a,b,c,d\n", 400, "instances[0].n6"},
		{"ready", "GET", "/v2/health/ready", nil, "", 200, "true"},
		{"metrics", "GET", "/metrics", nil, "", 200, `tidegate_run_rows_bucket{model="affine",version="1",served_by="endpoint",le="2"}`},
	} {
		status, body := e.call(t, tt.method, tt.path, tt.header, tt.body)
		if status != tt.status || !strings.Contains(body, tt.says) || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %s", tt.name, status, body)
		}
	}
}

// TestEndUnderLoad is SIGTERM while 32 callers are busy: every request that the
// server took is answered, and it ends well within SageMaker's 30 s.
func TestEndUnderLoad(t *testing.T) {
	e := start(t, nil, "affine")
	var answered, refused atomic.Int64
	var callers sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	var ending atomic.Bool
	for c := range 32 {
		callers.Go(func() {
			want := fmt.Sprintf(`"data":[%v,`, answer(c))
			body := fmt.Sprintf(`{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[%d,2,3]}]}`, c)
			for {
				resp, err := client.Post(e.url+"/v2/models/affine/infer", "application/json", strings.NewReader(body))
				if err != nil { // a connection that was refused, or closed before a request was read
					if !ending.Load() {
						t.Errorf("before the end: %v", err)
					}
					refused.Add(1)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || !bytes.Contains(got, []byte(want)) {
					t.Errorf("%d %s, %v; want %s", resp.StatusCode, got, err, want)
				}
				answered.Add(1)
			}
		})
	}
	for answered.Load() < 2000 {
		time.Sleep(time.Millisecond)
	}
	ending.Store(true)
	if err := e.end(); err != nil {
		t.Error(err)
	}
	callers.Wait()
	if refused.Load() != 32 {
		t.Errorf("%d of 32 callers met the end", refused.Load())
	}
}

// answer is the first output of the affine model for [c, 2, 3].
func answer(c int) string {
	b, _ := json.Marshal(float32(c) + 21.5)
	return string(b)
}

func TestStartsThatFail(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		says string
	}{
		"port":          {map[string]string{"TIDEGATE_PORT": "x"}, "TIDEGATE_PORT"},
		"no models":     {map[string]string{"TIDEGATE_MODEL_DIR": "/does/not/exist"}, "/does/not/exist"},
		"bucket alone":  {map[string]string{"TIDEGATE_REGISTRY_BUCKET": "b"}, "TIDEGATE_PRELOAD_MODELS"},
		"keys":          {map[string]string{"TIDEGATE_TRUSTED_KEYS": "hello"}, "TIDEGATE_TRUSTED_KEYS"},
		"keys alone":    {map[string]string{"TIDEGATE_TRUSTED_KEYS": string(signaturetest.Signer(t).Key().PEM())}, "TIDEGATE_REGISTRY_BUCKET"},
		"batching":      {map[string]string{"TIDEGATE_BATCHING": `{"m":{"max_batch":-1}}`}, "max_batch"},
		"no library":    {map[string]string{"TIDEGATE_ONNXRUNTIME_LIB": "/does/not/exist.so"}, "libonnxruntime"},
		"capture mode":  {map[string]string{"TIDEGATE_CAPTURE_MODE": "sometimes"}, "TIDEGATE_CAPTURE_MODE"},
		"drain at once": {map[string]string{"TIDEGATE_DRAIN": "0.5ms"}, "TIDEGATE_DRAIN"},
	} {
		dir := t.TempDir()
		body, _ := onnxtest.Model(t, "affine")
		if err := os.WriteFile(filepath.Join(dir, "model.onnx"), body, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := build(t.Context(), slog.New(slog.DiscardHandler), func(key string) string {
			if v, ok := tt.env[key]; ok {
				return v
			}
			return map[string]string{"TIDEGATE_MODEL_DIR": dir, "TIDEGATE_HOST": "127.0.0.1"}[key]
		}, runtime.NumCPU())
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHealth(t *testing.T) {
	e := start(t, nil, "affine")
	port := e.url[strings.LastIndexByte(e.url, ':')+1:]
	getenv := func(key string) string { return map[string]string{"TIDEGATE_PORT": port}[key] }
	if err := health(t.Context(), getenv); err != nil {
		t.Error(err)
	}
	_ = e.end()
	if err := health(t.Context(), getenv); err == nil {
		t.Error("healthy after the end")
	}
}
