package main

import (
	"log/slog"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
)

func environment(endpoint string) lambdaapitest.Env {
	return lambdaapitest.NewEnv(map[string]string{"TIDEGATE_REGISTRY_BUCKET": "registry-example", "TIDEGATE_DATA_BUCKET": "data-example", "TIDEGATE_EVENT_BUS": "default",
		"TIDEGATE_DRIFT_TOPIC": "", "TIDEGATE_METRICS_NAMESPACE": "Tidegate/test", "AWS_ENDPOINT_URL": endpoint})
}

// TestEvents: each sample ends as it must beside an S3 without any object, and so without a model.
func TestEvents(t *testing.T) {
	handler, err := build(slog.New(slog.DiscardHandler), environment(lambdaapitest.EmptyS3(t)).Get)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fault.Kind{"tick": "", "bad_two_things": fault.InvalidArgument, "bad_plan_key": fault.InvalidArgument,
		"bad_field": fault.InvalidArgument, "bad_model": fault.NotFound}
	lambdaapitest.ReplayKinds(t, handler, "../../events/drift", want)
	if n := len(lambdaapitest.Samples(t, "../../events/drift")); n != len(want) {
		t.Errorf("%d samples, want %d", n, len(want))
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	env := environment("http://127.0.0.1:1")
	lambdaapitest.Needs(t, build, env, "TIDEGATE_REGISTRY_BUCKET", "TIDEGATE_DATA_BUCKET", "AWS_REGION", "TIDEGATE_DRIFT_TOPIC=no-arn")
	env["TIDEGATE_DRIFT_TOPIC"] = "arn:aws:sns:eu-west-1:111122223333:drift"
	if _, err := build(slog.New(slog.DiscardHandler), env.Get); err != nil {
		t.Errorf("with a topic: %v", err)
	}
}
