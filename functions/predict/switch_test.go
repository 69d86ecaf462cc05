package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
	"github.com/tidegate/tidegate/shared/registry"
)

// sageMaker stands in for SageMaker's runtime before c: it passes on body, content type and attributes.
func sageMaker(t *testing.T, c *container, last *atomic.Pointer[string]) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		attributes := r.Header.Get("X-Amzn-Sagemaker-Custom-Attributes")
		last.Store(&attributes)
		inner := httptest.NewRequest(http.MethodPost, "/invocations", bytes.NewReader(body))
		inner.Header.Set("Content-Type", r.Header.Get("Content-Type"))
		inner.Header.Set("X-Amzn-Sagemaker-Custom-Attributes", attributes)
		answer := httptest.NewRecorder()
		c.handler.ServeHTTP(answer, inner)
		w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		if answer.Code != 200 {
			w.Header().Set("X-Amzn-Errortype", "ModelError")
			w.WriteHeader(424)
			_ = json.NewEncoder(w).Encode(map[string]any{"OriginalStatusCode": answer.Code, "OriginalMessage": answer.Body.String()})
			return
		}
		w.Header().Set("X-Amzn-Sagemaker-Custom-Attributes", answer.Header().Get("X-Amzn-Sagemaker-Custom-Attributes"))
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestSettingsSwitchBackends: the running function follows the settings from its own session to a URL, to SageMaker and back; answers,
// captures and lines say who served, a shadow's pairs go the same way, the trace goes along, and rows that are wrong are the caller's.
func TestSettingsSwitchBackends(t *testing.T) {
	world := inferencetest.New(t)
	file, s := describe(t, "affine")
	one, two := world.Publish("m", 1, file, s), world.Publish("m", 2, second(file), s)
	world.Serve("m", one)
	shadow(world, "m", two)
	c := serveContainer(t, world)
	var attributes atomic.Pointer[string]
	cloud := open(t, world)
	f := start(t, cloud, map[string]string{"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": sageMaker(t, c, &attributes)})
	expect := func(by string) {
		t.Helper()
		answer := lambdaapitest.HTTPResult{}
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(300 * time.Millisecond) {
			if answer = f.post(t, "/v2/models/m/infer", inferBody); answer.Headers["Tidegate-Served-By"] == by {
				break
			} else if time.Now().After(end) {
				t.Fatalf("served by %q, want %s", answer.Headers["Tidegate-Served-By"], by)
			}
		}
		f.post(t, "/v2/models/m/infer", inferBody) // now the shadow is there too
		pair := f.record(t)
		if answer.StatusCode != 200 || !strings.Contains(answer.Body, `"data":[22.5,27.5]`) || answer.Headers["Tidegate-Model-Digest"] != one.Digest || answer.Headers["Tidegate-Model-Version"] != "1" {
			t.Errorf("by %s: %d %v %s", by, answer.StatusCode, answer.Headers, answer.Body)
		}
		if pair.Role != "paired" || pair.ServedBy != by || pair.Version != 2 || pair.Status != 200 {
			t.Errorf("by %s: the pair is %+v", by, pair)
		}
		lines := f.lines(t)
		line := lines[len(lines)-1]
		if _, remote := line["RemoteLatency"]; line["served_by"] != by || line["digest"] != one.Digest || remote != (by == "endpoint") {
			t.Errorf("by %s: the line is %v", by, line)
		}
	}
	turn := func(settings registry.Settings) {
		t.Helper()
		world.Configure("m", settings)
		mirror(t, world, cloud)
	}
	expect("lambda")
	turn(c.backend(true))
	expect("endpoint")
	if bad := f.post(t, "/v2/models/m/infer", strings.Replace(inferBody, "[1,3]", "[3,1]", 1)); bad.StatusCode != 400 {
		t.Errorf("%d %s", bad.StatusCode, bad.Body)
	}
	c.mood.Store(say(400, "", "", `{"error":"no"}`))
	asked := c.asked.Load()
	if bad := f.post(t, "/v2/models/m/infer", inferBody); bad.StatusCode != 400 || c.asked.Load() != asked+1 || bad.Headers["Tidegate-Served-By"] != "endpoint" {
		t.Errorf("refused by the endpoint: %d by %s %s", bad.StatusCode, bad.Headers["Tidegate-Served-By"], bad.Body)
	}
	c.mood.Store(nil)
	turn(registry.Settings{})
	expect("lambda")
	turn(registry.Settings{Backend: json.RawMessage(`{"kind":"sagemaker","endpoint":"models"}`)})
	expect("endpoint")
	if got := *attributes.Load(); !strings.HasPrefix(got, "model=m;version=") || !strings.Contains(got, ";deadline_ms=") || !strings.Contains(got, ";trace=1-") {
		t.Errorf("attributes %q", got)
	}
	turn(registry.Settings{})
	expect("lambda")
}
