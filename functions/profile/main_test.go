package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
)

const events = "../../events/profile"

// environment is that of the deployed function, with an S3 at endpoint.
func environment(endpoint string) lambdaapitest.Env {
	return lambdaapitest.NewEnv(map[string]string{"TIDEGATE_DATA_BUCKET": "tidegate-databucket-example", "TIDEGATE_REGISTRY_BUCKET": "tidegate-registrybucket-example",
		"AWS_ENDPOINT_URL": endpoint})
}

// TestEventsAgainstEmptyBuckets replays the sample events where nothing is stored: bad ones are refused, an object
// that is gone is answered and not an error, which would be delivered again.
func TestEventsAgainstEmptyBuckets(t *testing.T) {
	var logged bytes.Buffer
	handler, err := build(slog.New(slog.NewJSONHandler(&logged, nil)), environment(lambdaapitest.EmptyS3(t)).Get)
	if err != nil {
		t.Fatal(err)
	}
	lambdaapitest.ReplayKinds(t, handler, events, map[string]fault.Kind{"bad_field": fault.InvalidArgument, "bad_key": fault.InvalidArgument, "bad_row_groups": fault.InvalidArgument,
		"batch_item": fault.FailedPrecondition, "captures": "", "other_key": ""}) // there is no champion
	out, err := handler.Invoke(t.Context(), lambdaapitest.Sample(t, events, "captures"))
	if err != nil || !strings.Contains(string(out), `"gone":true`) || !strings.Contains(logged.String(), "the captures object is gone") {
		t.Errorf("%s, %v, logged: %s", out, err, logged.String())
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	lambdaapitest.Needs(t, build, environment("http://127.0.0.1:1"), "TIDEGATE_DATA_BUCKET", "TIDEGATE_REGISTRY_BUCKET", "AWS_REGION", "AWS_SECRET_ACCESS_KEY")
}
