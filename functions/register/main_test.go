package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
)

// environment is that of the deployed function, with an S3 at endpoint.
func environment(t *testing.T, endpoint string) map[string]string {
	return map[string]string{
		"TIDEGATE_REGISTRY_BUCKET": "tidegate-registrybucket-example", "TIDEGATE_ONNXRUNTIME_LIB": onnxtest.Library(t),
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": endpoint,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
	}
}

// TestBadEventsAgainstAnEmptyBucket replays the bad sample events; the good ones run on the local AWS (tests/local).
func TestBadEventsAgainstAnEmptyBucket(t *testing.T) {
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		if r.URL.Query().Has("list-type") {
			_, _ = io.WriteString(w, `<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`)
			return
		}
		if r.Method != http.MethodGet {
			t.Errorf("%s %s: nothing may be written", r.Method, r.URL.Path)
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
	}))
	defer empty.Close()
	var logged bytes.Buffer
	env := environment(t, empty.URL)
	handler, err := build(slog.New(slog.NewJSONHandler(&logged, nil)), func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("../../events/register/bad_*.want.json")
	if len(files) == 0 {
		t.Fatal("no bad events of register")
	}
	for _, file := range files {
		var want struct{ Error string }
		text, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(text, &want) != nil {
			t.Fatal(file, err)
		}
		event, err := os.ReadFile(strings.TrimSuffix(file, ".want.json") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		_, err = handler.Invoke(t.Context(), event)
		failure, ok := err.(messages.InvokeResponse_Error)
		if !ok || failure.Type != want.Error || failure.Message == "" {
			t.Errorf("%s: got %v, want %s", filepath.Base(file), err, want.Error)
		}
	}
	if logged.Len() == 0 {
		t.Error("nothing was logged")
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	for missing, want := range map[string]string{
		"TIDEGATE_REGISTRY_BUCKET": "TIDEGATE_REGISTRY_BUCKET",
		"AWS_REGION":               "AWS_REGION",
	} {
		env := environment(t, "http://127.0.0.1:1")
		delete(env, missing)
		_, err := build(slog.New(slog.DiscardHandler), func(k string) string { return env[k] })
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	env := environment(t, "http://127.0.0.1:1")
	env["TIDEGATE_ONNXRUNTIME_LIB"] = "/no/such/lib.so"
	if _, err := build(slog.New(slog.DiscardHandler), func(k string) string { return env[k] }); !fault.Is(err, fault.Internal) {
		t.Errorf("without a library: %v", err)
	}
}
