package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/tidegate/tidegate/shared/fault"
)

func environment(endpoint string) map[string]string {
	return map[string]string{
		"TIDEGATE_REGISTRY_BUCKET": "registry-example", "TIDEGATE_DATA_BUCKET": "data-example", "TIDEGATE_EVENT_BUS": "default", "TIDEGATE_QUALITY_TOPIC": "",
		"TIDEGATE_METRICS_NAMESPACE": "Tidegate/test", "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_ENDPOINT_URL": endpoint,
	}
}

// TestEvents: each sample ends as its sidecar says, beside an S3 without any object.
func TestEvents(t *testing.T) {
	aws := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		switch {
		case r.Method == http.MethodGet && r.URL.Query().Get("list-type") == "2":
			_, _ = w.Write([]byte(`<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`))
		case r.Method == http.MethodGet:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`<Error><Code>NoSuchKey</Code></Error>`))
		default:
			t.Errorf("%s %s: nothing may be written", r.Method, r.URL.Path)
		}
	}))
	t.Cleanup(aws.Close)
	env := environment(aws.URL)
	handler, err := build(slog.New(slog.NewJSONHandler(new(bytes.Buffer), nil)), func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fault.Kind{"tick": "", "bad_two_things": fault.InvalidArgument, "bad_hour": fault.InvalidArgument, "bad_field": fault.InvalidArgument,
		"bad_model": fault.NotFound, "bad_plan_window": fault.NotFound, "window": fault.NotFound, "plan": fault.NotFound, "item": fault.NotFound,
		"decide": fault.NotFound, "bad_decide": fault.InvalidArgument} // there is no model
	files, err := filepath.Glob("../../events/evaluate/*.json")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if strings.HasSuffix(name, ".want") {
			continue
		}
		seen++
		payload, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = handler.Invoke(t.Context(), payload)
		failure, _ := err.(messages.InvokeResponse_Error)
		if kind, ok := want[name]; !ok || string(kind) != failure.Type {
			t.Errorf("%s: %v, want %q", name, err, kind)
		}
	}
	if seen != len(want) {
		t.Errorf("%d samples, want %d", seen, len(want))
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	for _, missing := range []string{"TIDEGATE_REGISTRY_BUCKET", "TIDEGATE_DATA_BUCKET", "AWS_REGION"} {
		env := environment("http://127.0.0.1:1")
		delete(env, missing)
		_, err := build(slog.New(slog.DiscardHandler), func(k string) string { return env[k] })
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	env := environment("http://127.0.0.1:1")
	env["TIDEGATE_QUALITY_TOPIC"] = "quality"
	if _, err := build(slog.New(slog.DiscardHandler), func(k string) string { return env[k] }); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("a topic that is no ARN: %v", err)
	}
	env["TIDEGATE_QUALITY_TOPIC"] = "arn:aws:sns:eu-west-1:111122223333:quality"
	if _, err := build(slog.New(slog.DiscardHandler), func(k string) string { return env[k] }); err != nil {
		t.Errorf("with a topic: %v", err)
	}
}
