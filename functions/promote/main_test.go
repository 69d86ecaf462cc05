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
)

// environment is that of the deployed function, with an S3 at endpoint.
func environment(endpoint string) map[string]string {
	return map[string]string{
		"TIDEGATE_REGISTRY_BUCKET": "tidegate-registrybucket-example",
		"AWS_REGION":               "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": endpoint,
	}
}

func empty(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			t.Errorf("%s %s: nothing may be written", r.Method, r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestEventsAgainstAnEmptyBucket replays the sample events: what they ask for needs a model, so all are refused, and
// nothing is written. On a bucket with models they run on the local AWS (tests/local).
func TestEventsAgainstAnEmptyBucket(t *testing.T) {
	var logged bytes.Buffer
	env := environment(empty(t).URL)
	handler, err := build(slog.New(slog.NewJSONHandler(&logged, nil)), func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fault.Kind{
		"bad_kind": fault.InvalidArgument, "bad_no_actor": fault.InvalidArgument,
		"bad_rollback": fault.FailedPrecondition, "bad_bootstrap_again": fault.NotFound, "configure": fault.NotFound,
	} {
		event, err := os.ReadFile(filepath.Join("../../events/promote", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = handler.Invoke(t.Context(), event)
		failure, ok := err.(messages.InvokeResponse_Error)
		if !ok || failure.Type != string(want) || failure.Message == "" {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	if logged.Len() == 0 {
		t.Error("nothing was logged")
	}
}

// TestPayloadIsStrict: a misspelt field must not be a transition with less in it.
func TestPayloadIsStrict(t *testing.T) {
	env := environment(empty(t).URL)
	handler, err := build(slog.New(slog.DiscardHandler), func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]any{"model": "flights", "kind": "rollback", "transition_id": "x", "actor": "ana", "version": 7}
	for field, value := range map[string]any{"seen_generaton": 12, "settings": map[string]any{}, "until": "2026-10-05T09:30:00Z"} {
		payload := map[string]any{field: value}
		for k, v := range good {
			payload[k] = v
		}
		body, _ := json.Marshal(payload)
		_, err := handler.Invoke(t.Context(), body)
		failure, ok := err.(messages.InvokeResponse_Error)
		if !ok || failure.Type != string(fault.InvalidArgument) || !strings.Contains(failure.Message, field) {
			t.Errorf("with %s: got %v, want InvalidArgument that names it", field, err)
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
