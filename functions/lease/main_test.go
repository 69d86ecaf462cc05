package main

import (
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
	"github.com/tidegate/tidegate/shared/lease"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/registry/registrytest"
)

const events = "../../events/lease"

func environment(endpoint string) lambdaapitest.Env {
	return lambdaapitest.NewEnv(map[string]string{"TIDEGATE_REGISTRY_BUCKET": "tidegate-registrybucket-example", "AWS_ENDPOINT_URL": endpoint})
}

// TestEvents replays the sample events in the order of their names, on a bucket in memory.
func TestEvents(t *testing.T) {
	reg := registry.New(new(blob.Memory), registry.Options{})
	if _, err := registrytest.Register(t.Context(), reg, "mixed", []byte("model")); err != nil {
		t.Fatal(err)
	}
	step := lease.Keeper{Registry: reg, Now: time.Now, NewID: rand.Text}
	handler := lambdaapi.Step(slog.New(slog.DiscardHandler), step.Run)
	lambdaapitest.Replay(t, handler, events+"/*")
}

// TestOnAnEmptyBucket: what is built talks to S3, and its kinds of error arrive.
func TestOnAnEmptyBucket(t *testing.T) {
	handler, err := build(slog.New(slog.DiscardHandler), environment(lambdaapitest.EmptyS3(t)).Get)
	if err != nil {
		t.Fatal(err)
	}
	lambdaapitest.ReplayKinds(t, handler, events, map[string]fault.Kind{"bad_action": fault.InvalidArgument, "bad_overtaken": fault.FailedPrecondition})
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	lambdaapitest.Needs(t, build, environment("http://127.0.0.1:1"), "TIDEGATE_REGISTRY_BUCKET", "AWS_REGION", "AWS_ACCESS_KEY_ID")
}
