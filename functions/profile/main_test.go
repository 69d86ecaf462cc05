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
		"TIDEGATE_DATA_BUCKET": "tidegate-databucket-example", "TIDEGATE_REGISTRY_BUCKET": "tidegate-registrybucket-example",
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": endpoint,
	}
}

// TestEventsAgainstEmptyBuckets replays the sample events where nothing is stored: bad ones are refused, an object
// that is gone is answered and not an error, which would be delivered again.
func TestEventsAgainstEmptyBuckets(t *testing.T) {
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s: nothing may be written", r.Method, r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
	}))
	defer empty.Close()
	var logged bytes.Buffer
	env := environment(empty.URL)
	handler, err := build(slog.New(slog.NewJSONHandler(&logged, nil)), func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("../../events/profile/*.want.json")
	if len(files) == 0 {
		t.Fatal("no events of profile")
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".want.json")
		var want struct{ Error string }
		text, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(text, &want) != nil {
			t.Fatal(file, err)
		}
		if name == "batch_item" {
			want.Error = string(fault.FailedPrecondition) // no champion
		}
		event, err := os.ReadFile(strings.TrimSuffix(file, ".want.json") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		out, err := handler.Invoke(t.Context(), event)
		failure, failed := err.(messages.InvokeResponse_Error)
		switch {
		case want.Error != "" && (!failed || failure.Type != want.Error || failure.Message == ""):
			t.Errorf("%s: got %v, want %s", name, err, want.Error)
		case want.Error == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case name == "captures" && !strings.Contains(string(out), `"gone":true`):
			t.Errorf("%s: %s", name, out)
		}
	}
	if !strings.Contains(logged.String(), "the captures object is gone") {
		t.Errorf("logged: %s", logged.String())
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	for _, missing := range []string{"TIDEGATE_DATA_BUCKET", "TIDEGATE_REGISTRY_BUCKET", "AWS_REGION", "AWS_SECRET_ACCESS_KEY"} {
		env := environment("http://127.0.0.1:1")
		delete(env, missing)
		_, err := build(slog.New(slog.DiscardHandler), func(k string) string { return env[k] })
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}
