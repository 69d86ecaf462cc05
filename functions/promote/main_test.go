package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
)

// environment is that of the deployed function, with an S3 at endpoint.
func environment(endpoint string) lambdaapitest.Env {
	return lambdaapitest.NewEnv(map[string]string{"TIDEGATE_REGISTRY_BUCKET": "tidegate-registrybucket-example", "AWS_ENDPOINT_URL": endpoint})
}

// TestEventsAgainstAnEmptyBucket replays the sample events: what they ask for needs a model, so all are refused, and
// nothing is written. On a bucket with models they run on the local AWS (tests/local).
func TestEventsAgainstAnEmptyBucket(t *testing.T) {
	var logged bytes.Buffer
	handler, err := build(slog.New(slog.NewJSONHandler(&logged, nil)), environment(lambdaapitest.EmptyS3(t)).Get)
	if err != nil {
		t.Fatal(err)
	}
	lambdaapitest.ReplayKinds(t, handler, "../../events/promote", map[string]fault.Kind{
		"bad_kind": fault.InvalidArgument, "bad_no_actor": fault.InvalidArgument,
		"bad_rollback": fault.FailedPrecondition, "bad_bootstrap_again": fault.NotFound, "configure": fault.NotFound,
	})
	if logged.Len() == 0 {
		t.Error("nothing was logged")
	}
}

// TestPayloadIsStrict: a misspelt field must not be a transition with less in it.
func TestPayloadIsStrict(t *testing.T) {
	handler, err := build(slog.New(slog.DiscardHandler), environment(lambdaapitest.EmptyS3(t)).Get)
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
	lambdaapitest.Needs(t, build, environment("http://127.0.0.1:1"), "TIDEGATE_REGISTRY_BUCKET", "AWS_REGION", "AWS_ACCESS_KEY_ID")
}
