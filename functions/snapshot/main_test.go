package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/registry/registrytest"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/tests/bench/standin"
)

const registryBucket, dataBucket = "tidegate-registrybucket-example", "tidegate-databucket-example"

// environment is that of the deployed function.
func environment(pairs ...string) lambdaapitest.Env {
	return lambdaapitest.NewEnv(map[string]string{"TIDEGATE_REGISTRY_BUCKET": registryBucket, "TIDEGATE_DATA_BUCKET": dataBucket, "TIDEGATE_TRAIN_MEMORY_MB": "3008"}, pairs...)
}

// open starts a stand-in for S3 with the models and rows that the sample events name: mixed has no retrain policy, pinned has one.
func open(t *testing.T) (*standin.Cloud, lambda.Handler) {
	t.Helper()
	store := &blob.Memory{}
	reg := registry.New(store, registry.Options{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, model := range []string{"mixed", "pinned"} {
		_, _, err := reg.CreateModel(t.Context(), registry.Model{Name: model, Task: schema.Binary})
		must(err)
		m, err := registrytest.Register(t.Context(), reg, model, []byte("model"))
		must(err)
		_, err = reg.Apply(t.Context(), model, registry.Request{TransitionID: "1", Actor: "test"}, registry.Bootstrap(registry.Ref{Version: m.Version, Digest: m.Digest}))
		must(err)
	}
	digest, err := reg.PutSettings(t.Context(), "pinned", registry.Settings{Retrain: json.RawMessage(`{"sources":[{"prefix":"training/pinned/"}],"hyperparameters":{"seed":"1"},
 "schema":{"task":"binary_classification","target":"late","columns":[{"name":"dep_delay","type":"number"},{"name":"carrier","type":"category"}]}}`)})
	must(err)
	_, err = reg.Apply(t.Context(), "pinned", registry.Request{TransitionID: "2", Actor: "test"}, registry.Configure(digest))
	must(err)
	cloud, err := standin.Open()
	must(err)
	t.Cleanup(func() { _ = cloud.Close() })
	for info, err := range store.List(t.Context(), "", "") {
		must(err)
		object, err := store.Get(t.Context(), info.Key)
		must(err)
		cloud.S3.Put(registryBucket, info.Key, object.Body)
	}
	var rows strings.Builder
	rows.WriteString("dep_delay,carrier,late\n")
	for i := range 400 {
		fmt.Fprintf(&rows, "%d,UA,%d\n", i, i%2)
	}
	cloud.S3.Put(dataBucket, "training/pinned/rows.csv", []byte(rows.String()))
	handler, err := build(slog.New(slog.DiscardHandler), environment(cloud.Env()...).Get)
	must(err)
	return cloud, handler
}

func TestEvents(t *testing.T) {
	cloud, handler := open(t)
	lambdaapitest.Replay(t, handler, "../../events/snapshot/*")
	body, ok := cloud.S3.Get(registryBucket, registry.DatasetKey("pinned", 1))
	if !ok || !strings.Contains(string(body), `"key": "training/pinned/rows.csv"`) {
		t.Errorf("the dataset is stored as %s", body)
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	lambdaapitest.Needs(t, build, environment(), "TIDEGATE_DATA_BUCKET", "TIDEGATE_REGISTRY_BUCKET", "TIDEGATE_TRAIN_MEMORY_MB=much", "AWS_REGION", "AWS_SECRET_ACCESS_KEY")
}
