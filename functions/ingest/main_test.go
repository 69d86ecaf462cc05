package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/ingestion"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/tests/bench/standin"
)

const (
	data   = "tidegate-databucket-example"
	models = "tidegate-registrybucket-example"
	events = "../../events/ingest"
)

// environment is that of the deployed function.
func environment(pairs ...string) lambdaapitest.Env {
	return lambdaapitest.NewEnv(map[string]string{"TIDEGATE_DATA_BUCKET": data, "TIDEGATE_REGISTRY_BUCKET": models, "TIDEGATE_METRICS_NAMESPACE": "Tidegate/test"}, pairs...)
}

// open builds the function beside a stand-in for S3 that knows one model.
func open(t *testing.T) (lambda.Handler, *standin.Cloud, *bytes.Buffer) {
	t.Helper()
	cloud, err := standin.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Close() })
	env := environment(cloud.Env()...)
	cfg, err := awsenv.Config(env.Get)
	if err != nil {
		t.Fatal(err)
	}
	reg := registry.New(s3.New(s3.NewClient(cfg), models), registry.Options{})
	if _, _, err := reg.CreateModel(t.Context(), registry.Model{Name: "mixed", Task: schema.Binary}); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	handler, err := build(slog.New(slog.NewJSONHandler(&log, nil)), env.Get)
	if err != nil {
		t.Fatal(err)
	}
	return handler, cloud, &log
}

// TestEventsAgainstAnEmptyBucket replays the sample events where nothing has landed.
func TestEventsAgainstAnEmptyBucket(t *testing.T) {
	handler, _, log := open(t)
	lambdaapitest.Replay(t, handler, events+"/*")
	if !strings.Contains(log.String(), "its labels are not filed") {
		t.Errorf("logged: %s", log)
	}
}

// TestFileBecomesFiledLabels runs the function on a dropped file, twice: the second delivery answers the same.
func TestFileBecomesFiledLabels(t *testing.T) {
	handler, cloud, _ := open(t)
	const id = "018eb3d2-1bb3-7a44-9d0b-3f2f5a6b7c8d"
	cloud.S3.Put(data, "labels/landed/files/mixed/april.csv", []byte("id,label,ts\n"+id+"#1,0,2024-04-07T00:00:00Z\n"+id+"#0,1,2024-04-07T00:00:00Z\nx,1,\n"))
	first, err := handler.Invoke(t.Context(), lambdaapitest.Sample(t, events, "file"))
	if err != nil {
		t.Fatal(err)
	}
	var out ingestion.Out
	if err := json.Unmarshal(first, &out); err != nil || out.Labels != 2 || out.LeftOut != 1 {
		t.Fatalf("%s, %v", first, err)
	}
	stored, ok := cloud.S3.Get(data, out.Report)
	if !ok {
		t.Fatalf("there is no report %s", out.Report)
	}
	report, err := ingestion.ParseReport(stored)
	if err != nil {
		t.Fatal(err)
	}
	filed, _ := cloud.S3.Get(data, "labels/filed/mixed/2024-04-06/14/"+report.ID+".ndjson")
	if want := `{"id":"` + id + `#0","label":1,"ts":"2024-04-07T00:00:00.000Z"}` + "\n" + `{"id":"` + id + `#1","label":0,"ts":"2024-04-07T00:00:00.000Z"}` + "\n"; string(filed) != want {
		t.Errorf("filed %s", filed)
	}
	again, err := handler.Invoke(t.Context(), lambdaapitest.Sample(t, events, "file"))
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("delivered again: %s, %v", again, err)
	}
}

// TestStoreThatIsDown: the kind of the error is what Lambda keeps beside the event.
func TestStoreThatIsDown(t *testing.T) {
	handler, cloud, _ := open(t)
	cloud.S3.SetDown(true)
	_, err := handler.Invoke(t.Context(), lambdaapitest.Sample(t, events, "file"))
	if failure, ok := err.(messages.InvokeResponse_Error); !ok || failure.Type != string(fault.Unavailable) {
		t.Errorf("%v, want Unavailable", err)
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	lambdaapitest.Needs(t, build, environment(), "TIDEGATE_DATA_BUCKET", "TIDEGATE_REGISTRY_BUCKET", "AWS_REGION", "AWS_SECRET_ACCESS_KEY")
}
