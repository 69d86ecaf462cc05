package main

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
)

// environment is that of the deployed function, with an S3 at endpoint.
func environment(t *testing.T, endpoint string) lambdaapitest.Env {
	return lambdaapitest.NewEnv(map[string]string{"TIDEGATE_REGISTRY_BUCKET": "tidegate-registrybucket-example", "TIDEGATE_ONNXRUNTIME_LIB": onnxtest.Library(t),
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769", "AWS_ENDPOINT_URL": endpoint})
}

// TestBadEventsAgainstAnEmptyBucket replays the bad sample events; the good ones run on the local AWS (tests/local).
func TestBadEventsAgainstAnEmptyBucket(t *testing.T) {
	var logged bytes.Buffer
	handler, err := build(slog.New(slog.NewJSONHandler(&logged, nil)), environment(t, lambdaapitest.EmptyS3(t)).Get)
	if err != nil {
		t.Fatal(err)
	}
	lambdaapitest.Replay(t, handler, "../../events/register/bad_*")
	if logged.Len() == 0 {
		t.Error("nothing was logged")
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	env := environment(t, "http://127.0.0.1:1")
	lambdaapitest.Needs(t, build, env, "TIDEGATE_REGISTRY_BUCKET", "AWS_REGION")
	env["TIDEGATE_ONNXRUNTIME_LIB"] = "/no/such/lib.so"
	if _, err := build(slog.New(slog.DiscardHandler), env.Get); !fault.Is(err, fault.Internal) {
		t.Errorf("without a library: %v", err)
	}
}
