package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/tests/bench/standin"
)

const bucket = "tidegate-registrybucket-example"

// function is predict as it is deployed: built from its environment, polling a Runtime API, with stand-ins for S3 and
// Firehose behind the real SDK clients.
type function struct {
	*lambdaapitest.RuntimeAPI
	cloud  *standin.Cloud
	stdout string // the file that the process writes its lines to
	stop   func()
}

// open starts the stand-ins, with what the world's registry holds.
func open(tb testing.TB, world *inferencetest.World) *standin.Cloud {
	tb.Helper()
	cloud, err := standin.Open()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = cloud.Close() })
	if world != nil {
		mirror(tb, world, cloud)
	}
	return cloud
}

// mirror copies the world's objects to the stand-in for S3, but for the keys left out.
func mirror(tb testing.TB, world *inferencetest.World, cloud *standin.Cloud, without ...string) {
	tb.Helper()
	for info, err := range world.Store.List(tb.Context(), "", "") {
		if err != nil {
			tb.Fatal(err)
		}
		left := false
		for _, key := range without {
			left = left || key == info.Key
		}
		object, err := world.Store.Get(tb.Context(), info.Key)
		if err != nil {
			tb.Fatal(err)
		}
		if !left {
			cloud.S3.Put(bucket, info.Key, object.Body)
		}
	}
}

// environment is that of the deployed function, with the cloud's endpoints.
func environment(tb testing.TB, cloud *standin.Cloud) map[string]string {
	env := map[string]string{
		"TIDEGATE_REGISTRY_BUCKET": bucket, "TIDEGATE_CAPTURE_STREAM": "captures", "TIDEGATE_ONNXRUNTIME_LIB": onnxtest.Library(tb),
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
	}
	if cloud != nil {
		for _, pair := range cloud.Env() {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
	}
	return env
}

// wire calls build with standard output going to a file.
func wire(tb testing.TB, env map[string]string, file string) *lambdaapi.Loop {
	tb.Helper()
	out, err := os.Create(file)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = out.Close() })
	real := os.Stdout
	os.Stdout = out // what build hands on is the file; no test runs beside this one
	loop, err := build(tb.Context(), slog.New(slog.NewJSONHandler(out, nil)), func(k string) string { return env[k] })
	os.Stdout = real
	if err != nil {
		tb.Fatal(err)
	}
	forever = append(forever, loop)
	return loop
}

// forever holds what build made: a fleet is never closed, since it lives as long as its process, and the memory that its
// sessions have pinned may not become garbage.
var forever []*lambdaapi.Loop

// start runs the function until the test ends or stop is called. more is added to its environment.
func start(t *testing.T, cloud *standin.Cloud, more map[string]string) *function {
	t.Helper()
	f := &function{RuntimeAPI: lambdaapitest.Start(t), cloud: cloud, stdout: filepath.Join(t.TempDir(), "stdout")}
	env := environment(t, cloud)
	env["AWS_LAMBDA_RUNTIME_API"] = f.Address
	for name, value := range more {
		env[name] = value
	}
	loop := wire(t, env, f.stdout)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	stopped := false
	f.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the loop ended with %v", err)
		}
	}
	t.Cleanup(f.stop)
	return f
}

// send delivers a request's event and returns what a client would see.
func (f *function) send(t *testing.T, event lambdaapitest.HTTPEvent) lambdaapitest.HTTPResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	result, err := f.Invoke(ctx, event.JSON())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := result.HTTP()
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func (f *function) post(t *testing.T, path, body string) lambdaapitest.HTTPResult {
	t.Helper()
	return f.send(t, lambdaapitest.NewHTTPEvent("POST", path, body))
}

// lines are what the function has logged once it polls again, with what of it is one request's.
func (f *function) lines(t *testing.T) []map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := f.Idle(ctx); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(f.stdout)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for line := range bytes.Lines(text) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, fields)
	}
	return all
}

// counted is the sum of a count over all lines.
func (f *function) counted(t *testing.T, name string) (sum float64) {
	t.Helper()
	for _, line := range f.lines(t) {
		if n, ok := line[name].(float64); ok {
			sum += n
		}
	}
	return sum
}

// describe is the schema of a model of onnxtest, as register would have written it.
func describe(tb testing.TB, model string) ([]byte, schema.Schema) {
	file, signature := onnxtest.Model(tb, model)
	s := schema.Schema{V: schema.Version, Task: schema.Unspecified, Signature: signature}
	if model == "mixed" {
		s.Contract.Columns = map[string]schema.Column{"t0": {Categories: []string{"a", "b"}}} // others are drift, not an error
	}
	return file, s
}

// serve publishes version 1 of a model under a name and makes it the champion.
func serve(tb testing.TB, world *inferencetest.World, name, model string) {
	tb.Helper()
	file, s := describe(tb, model)
	world.Serve(name, world.Publish(name, 1, file, s))
}
