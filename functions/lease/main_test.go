package main

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
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
	lambdaapitest.Replay(t, handler, events)
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
		event, err := os.ReadFile(filepath.Join(events, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = handler.Invoke(t.Context(), event)
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
