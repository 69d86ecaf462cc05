package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/tests/bench/standin"
)

const bucket = "tidegate-registrybucket-example"

// environment is that of the deployed function.
func environment(pairs ...string) lambdaapitest.Env {
	return lambdaapitest.NewEnv(map[string]string{"TIDEGATE_REGISTRY_BUCKET": bucket, "TIDEGATE_LABEL_STREAM": "labels", "TIDEGATE_METRICS_NAMESPACE": "Tidegate/test"}, pairs...)
}

// start runs the function as it is deployed, with stand-ins for S3 and Firehose behind the real SDK clients, and
// returns the Runtime API that it polls and the file that it writes its lines to.
func start(t *testing.T) (*lambdaapitest.RuntimeAPI, *standin.Cloud, string) {
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
	reg := registry.New(s3.New(s3.NewClient(cfg), bucket), registry.Options{})
	for name, task := range map[string]schema.Task{"affine": schema.Regression, "mixed": schema.Binary} {
		if _, _, err := reg.CreateModel(t.Context(), registry.Model{Name: name, Task: task}); err != nil {
			t.Fatal(err)
		}
	}
	api := lambdaapitest.Start(t)
	env["AWS_LAMBDA_RUNTIME_API"] = api.Address
	stdout := filepath.Join(t.TempDir(), "stdout")
	out, err := os.Create(stdout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	real := os.Stdout
	os.Stdout = out // what build hands on is the file; no test runs beside this one
	loop, err := build(slog.New(slog.NewJSONHandler(out, nil)), env.Get)
	os.Stdout = real
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the loop ended with %v", err)
		}
	})
	return api, cloud, stdout
}

func invoke(t *testing.T, api *lambdaapitest.RuntimeAPI, event []byte) lambdaapitest.HTTPResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	result, err := api.Invoke(ctx, event)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := result.HTTP()
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestEvents replays the sample events and holds the answers to their sidecars.
func TestEvents(t *testing.T) {
	api, cloud, stdout := start(t)
	files, _ := filepath.Glob("../../events/feedback/*.want.json")
	if len(files) < 10 {
		t.Fatal("no events of feedback")
	}
	accepted := int64(0)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".want.json")
		var want struct {
			Status int
			JSON   *struct {
				Accepted int
				Rejected []struct {
					Index int
					ID    string
				}
			}
			BodyContains []string `json:"body_contains"`
		}
		text, err := os.ReadFile(file)
		if err != nil || json.Unmarshal(text, &want) != nil {
			t.Fatal(file, err)
		}
		event, err := os.ReadFile(strings.TrimSuffix(file, ".want.json") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		answer := invoke(t, api, event)
		if answer.StatusCode != want.Status || answer.Headers["Content-Type"] != "application/json" || !json.Valid([]byte(answer.Body)) {
			t.Errorf("%s: %+v, want %d", name, answer, want.Status)
		}
		for _, part := range want.BodyContains {
			if !strings.Contains(answer.Body, part) {
				t.Errorf("%s: the body lacks %q: %s", name, part, answer.Body)
			}
		}
		if want.JSON != nil {
			got := *want.JSON
			if err := json.Unmarshal([]byte(answer.Body), &got); err != nil || got.Accepted != want.JSON.Accepted || len(got.Rejected) != len(want.JSON.Rejected) {
				t.Errorf("%s: %s", name, answer.Body)
			}
			accepted += int64(want.JSON.Accepted)
		}
		if taken := cloud.Firehose.Taken(); taken.Lines != accepted {
			t.Errorf("%s: the stream has %d labels, %d were accepted", name, taken.Lines, accepted)
		}
	}
	told, err := os.ReadFile(stdout)
	if err != nil || !strings.Contains(string(told), `"route":"feedback","status":200`) || !strings.Contains(string(told), `"LabelsAccepted":1`) {
		t.Errorf("%v: %s", err, told)
	}
}

// TestRegistryThatIsDown: nothing is accepted that cannot be checked, and a model that was known before still is.
func TestRegistryThatIsDown(t *testing.T) {
	api, cloud, _ := start(t)
	const label = `{"id":"018eb3d2-1bb3-7a44-9d0b-3f2f5a6b7c8d","label":1}`
	if answer := invoke(t, api, lambdaapitest.NewHTTPEvent("POST", "/v1/feedback/mixed", label).JSON()); answer.StatusCode != 200 {
		t.Errorf("%+v", answer)
	}
	cloud.S3.SetDown(true)
	if answer := invoke(t, api, lambdaapitest.NewHTTPEvent("POST", "/v1/feedback/affine", label).JSON()); answer.StatusCode != 503 || answer.Headers["Retry-After"] == "" {
		t.Errorf("%+v", answer)
	}
	if answer := invoke(t, api, lambdaapitest.NewHTTPEvent("POST", "/v1/feedback/mixed", label).JSON()); answer.StatusCode != 200 {
		t.Errorf("%+v", answer)
	}
	if n := cloud.Firehose.Taken().Lines; n != 2 {
		t.Errorf("the stream has %d labels", n)
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	lambdaapitest.Needs(t, build, environment(), "TIDEGATE_REGISTRY_BUCKET", "TIDEGATE_LABEL_STREAM", "AWS_REGION", "AWS_SECRET_ACCESS_KEY")
}
