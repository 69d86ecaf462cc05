package main

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/lease"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/registry/registrytest"
)

const events = "../../events/lease"

func environment(endpoint string) map[string]string {
	return map[string]string{
		"TIDEGATE_REGISTRY_BUCKET": "tidegate-registrybucket-example",
		"AWS_REGION":               "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": endpoint,
	}
}

// TestEvents replays the sample events in the order of their names, on a bucket in memory.
func TestEvents(t *testing.T) {
	reg := registry.New(new(blob.Memory), registry.Options{})
	if _, err := registrytest.Register(t.Context(), reg, "mixed", []byte("model")); err != nil {
		t.Fatal(err)
	}
	step := lease.Keeper{Registry: reg, Now: time.Now, NewID: rand.Text}
	handler := lambdaapi.Step(slog.New(slog.DiscardHandler), step.Run)
	files, err := filepath.Glob(events + "/*.want.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	slices.Sort(files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".want.json"), func(t *testing.T) { replay(t, handler, file) })
	}
}

func replay(t *testing.T, handler lambda.Handler, file string) {
	var want struct {
		Result        json.RawMessage `json:"result"`
		Error         string          `json:"error"`
		ErrorContains string          `json:"error_contains"`
	}
	read(t, file, &want)
	var event json.RawMessage
	read(t, strings.TrimSuffix(file, ".want.json")+".json", &event)
	out, err := handler.Invoke(t.Context(), event)
	failure, failed := err.(messages.InvokeResponse_Error)
	switch {
	case want.Error != "":
		if !failed || failure.Type != want.Error || !strings.Contains(failure.Message, want.ErrorContains) {
			t.Errorf("%s, %v; want %s", out, err, want.Error)
		}
	case err != nil:
		t.Error(err)
	default:
		var g, w any
		if json.Unmarshal(out, &g) != nil || json.Unmarshal(want.Result, &w) != nil || !holds(g, w) {
			t.Errorf("%s, want %s in it", out, want.Result)
		}
	}
}

// holds says whether got has all of want.
func holds(got, want any) bool {
	object, ok := want.(map[string]any)
	if !ok {
		return got == want
	}
	has, _ := got.(map[string]any)
	for name, w := range object {
		if !holds(has[name], w) {
			return false
		}
	}
	return true
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(path, err)
	}
}

// TestOnAnEmptyBucket: what is built talks to S3, and its kinds of error arrive.
func TestOnAnEmptyBucket(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
	}))
	t.Cleanup(server.Close)
	env := environment(server.URL)
	handler, err := build(slog.New(slog.DiscardHandler), func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fault.Kind{"bad_action": fault.InvalidArgument, "bad_overtaken": fault.FailedPrecondition} {
		var event json.RawMessage
		read(t, filepath.Join(events, name+".json"), &event)
		_, err := handler.Invoke(t.Context(), event)
		if failure, ok := err.(messages.InvokeResponse_Error); !ok || failure.Type != string(want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	for _, missing := range []string{"TIDEGATE_REGISTRY_BUCKET", "AWS_REGION", "AWS_ACCESS_KEY_ID"} {
		env := environment("http://127.0.0.1:1")
		delete(env, missing)
		_, err := build(slog.New(slog.DiscardHandler), func(k string) string { return env[k] })
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}
