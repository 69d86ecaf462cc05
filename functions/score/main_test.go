package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/scoring"
	"github.com/tidegate/tidegate/tests/bench/standin"
)

const registryBucket, dataBucket = "tidegate-registrybucket-example", "tidegate-databucket-example"

// environment is that of the deployed function.
func environment(t testing.TB, pairs ...string) lambdaapitest.Env {
	return lambdaapitest.NewEnv(map[string]string{"TIDEGATE_REGISTRY_BUCKET": registryBucket, "TIDEGATE_DATA_BUCKET": dataBucket,
		"TIDEGATE_ONNXRUNTIME_LIB": onnxtest.Library(t), "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"}, pairs...)
}

// open starts a stand-in for S3 with version 1 of the model affine and the tables that the sample events name.
func open(t testing.TB) (*standin.Cloud, lambda.Handler) {
	t.Helper()
	world := inferencetest.New(t)
	file, signature := onnxtest.Model(t, "affine")
	world.Publish("affine", 1, file, schema.Schema{V: schema.Version, Task: schema.Unspecified, Signature: signature})
	cloud, err := standin.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Close() })
	for info, err := range world.Store.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		object, err := world.Store.Get(t.Context(), info.Key)
		if err != nil {
			t.Fatal(err)
		}
		cloud.S3.Put(registryBucket, info.Key, object.Body)
	}
	cloud.S3.Put(dataBucket, "batches/affine/2026-04.csv", []byte("x_0,x_1,x_2,flight,late\n1,2,3,UA1,0\n4,5,6,UA2,1\n"))
	cloud.S3.Put(dataBucket, "batches/affine/2026-04.parquet", columnar(t))
	handler, err := build(slog.New(slog.DiscardHandler), environment(t, cloud.Env()...).Get)
	if err != nil {
		t.Fatal(err)
	}
	forever = append(forever, handler)
	return cloud, handler
}

// forever holds what build made: memory that sessions have pinned may not become garbage.
var forever []lambda.Handler

// columnar is three row groups of two rows.
func columnar(t testing.TB) []byte {
	type row struct {
		X0     float32 `parquet:"x_0"`
		X1     float32 `parquet:"x_1"`
		X2     float32 `parquet:"x_2"`
		Flight string  `parquet:"flight"`
		Late   int64   `parquet:"late"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, parquet.MaxRowsPerRowGroup(2))
	for i := range 6 {
		if _, err := w.Write([]row{{1, 2, float32(i), fmt.Sprintf("UA%d", i), 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSampleEvents replays every sample event, the good ones twice: the second time nothing is scored.
func TestSampleEvents(t *testing.T) {
	cloud, handler := open(t)
	files, _ := filepath.Glob("../../events/score/*.want.json")
	if len(files) == 0 {
		t.Fatal("no sample events")
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".want.json")
		var want struct{ Error string }
		text, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(text, &want) != nil {
			t.Fatal(file, err)
		}
		event, err := os.ReadFile(strings.TrimSuffix(file, ".want.json") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		answer, err := handler.Invoke(t.Context(), event)
		if want.Error != "" {
			if failure, ok := err.(messages.InvokeResponse_Error); !ok || failure.Type != want.Error || failure.Message == "" {
				t.Errorf("%s: got %v, want %s", name, err, want.Error)
			}
			continue
		}
		var first, second scoring.Out
		if err != nil || json.Unmarshal(answer, &first) != nil || !first.Created {
			t.Fatalf("%s: %s, %v", name, answer, err)
		}
		again, err := handler.Invoke(t.Context(), event)
		if err != nil || json.Unmarshal(again, &second) != nil || second.Created {
			t.Fatalf("%s again: %s, %v", name, again, err)
		}
		if first.Created = false; first != second {
			t.Errorf("%s: %+v, then %+v", name, first, second)
		}
		body, _ := cloud.S3.Get(dataBucket, strings.TrimPrefix(first.URI, "s3://"+dataBucket+"/"))
		check(t, name, body)
	}
}

// check compares stored predictions with what the model gives for these rows.
func check(t *testing.T, name string, body []byte) {
	t.Helper()
	want := map[string]string{
		"rows":       `{"first_row":0,"rows":2,"ids":["UA1","UA2"],"kept":{"late":["0","1"]},"outputs":{"y":[[22.5,27.5],[49.5,63.5]]}}`,
		"row_groups": `{"first_row":0,"rows":4,"ids":["UA0","UA1","UA2","UA3"],"kept":{"late":[1,1,1,1]},"outputs":{"y":[[`,
	}[name]
	if want == "" || !strings.Contains(string(body), "\n"+want) {
		t.Errorf("%s: %s\nlacks %s", name, body, want)
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	lambdaapitest.Needs(t, build, environment(t), "TIDEGATE_DATA_BUCKET", "TIDEGATE_REGISTRY_BUCKET", "AWS_REGION", "AWS_SECRET_ACCESS_KEY")
	if _, err := build(slog.New(slog.DiscardHandler), environment(t, "TIDEGATE_ONNXRUNTIME_LIB=/no/such/lib.so").Get); !fault.Is(err, fault.Internal) {
		t.Errorf("without a library: %v", err)
	}
}
