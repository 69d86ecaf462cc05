package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lambdaapi/lambdaapitest"
)

const events = "../../events/announce"

const entry = `{"schema":1,"model":"affine","generation":1,"slots":{"champion":{"version":1,"digest":"sha256:bd782a11bd782a11bd782a11bd782a11bd782a11bd782a11bd782a11bd782a11"}},` +
	`"weights":{"challenger":0},"last":{"transition_id":"01KJ3B2R9V6N3Z0W8M4C5XQ807","at":"2026-04-06T14:31:15Z","kind":"bootstrap","actor":"ana@example.com","reason":"first version"}}`

// environment is that of the deployed function, with S3 and EventBridge at endpoint.
func environment(endpoint string) lambdaapitest.Env {
	return lambdaapitest.NewEnv(map[string]string{"TIDEGATE_REGISTRY_BUCKET": "tidegate-registrybucket-example", "TIDEGATE_EVENT_BUS": "models", "AWS_ENDPOINT_URL": endpoint})
}

// announcing builds the function beside an S3 that holds one log entry, and a bus that notes what it gets.
func announcing(t *testing.T) (handler lambda.Handler, emitted *[]string) {
	emitted = new([]string)
	aws := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Amz-Target") == "AWSEvents.PutEvents":
			body, _ := io.ReadAll(r.Body)
			*emitted = append(*emitted, string(body))
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_, _ = io.WriteString(w, `{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}`)
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/models/affine/log/000000000001.json"):
			_, _ = io.WriteString(w, entry)
		case r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
		default:
			t.Errorf("%s %s: nothing may be written", r.Method, r.URL.Path)
		}
	}))
	t.Cleanup(aws.Close)
	handler, err := build(slog.New(slog.DiscardHandler), environment(aws.URL).Get)
	if err != nil {
		t.Fatal(err)
	}
	return handler, emitted
}
func TestLogEntryBecomesAnEvent(t *testing.T) {
	handler, emitted := announcing(t)
	if _, err := handler.Invoke(t.Context(), lambdaapitest.Sample(t, events, "log_entry")); err != nil {
		t.Fatal(err)
	}
	if len(*emitted) != 1 {
		t.Fatalf("%d calls of the bus, want 1", len(*emitted))
	}
	var sent struct {
		Entries []struct{ EventBusName, Source, DetailType, Detail string }
	}
	if err := json.Unmarshal([]byte((*emitted)[0]), &sent); err != nil || len(sent.Entries) != 1 {
		t.Fatalf("%v: %s", err, (*emitted)[0])
	}
	e := sent.Entries[0]
	if e.EventBusName != "models" || e.Source != "tidegate.registry" || e.DetailType != "Model State Change" {
		t.Errorf("%+v", e)
	}
	for _, part := range []string{`"model":"affine"`, `"generation":1`, `"kind":"bootstrap"`, `"transition_id":"01KJ3B2R9V6N3Z0W8M4C5XQ807"`} {
		if !strings.Contains(e.Detail, part) {
			t.Errorf("%s lacks %s", e.Detail, part)
		}
	}
}

// TestOtherObjects: an entry that is absent is an error, which Lambda delivers again; another key is nothing to announce.
func TestOtherObjects(t *testing.T) {
	handler, emitted := announcing(t)
	_, err := handler.Invoke(t.Context(), lambdaapitest.Sample(t, events, "bad_absent"))
	if failure, ok := err.(messages.InvokeResponse_Error); !ok || failure.Type != string(fault.NotFound) {
		t.Errorf("an absent entry: %v, want NotFound", err)
	}
	if _, err := handler.Invoke(t.Context(), lambdaapitest.Sample(t, events, "bad_key")); err != nil {
		t.Errorf("another key: %v", err)
	}
	if len(*emitted) > 0 {
		t.Errorf("announced %s", *emitted)
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	lambdaapitest.Needs(t, build, environment("http://127.0.0.1:1"), "TIDEGATE_REGISTRY_BUCKET", "AWS_REGION", "AWS_SECRET_ACCESS_KEY")
}
