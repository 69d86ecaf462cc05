package contract

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
)

// eventTypes says what each function takes. A function that is not here takes a payload of its own: any JSON object.
var eventTypes = map[string]func() any{
	"predict":  func() any { return new(events.APIGatewayV2HTTPRequest) },
	"feedback": func() any { return new(events.APIGatewayV2HTTPRequest) },
	"announce": func() any { return new(events.EventBridgeEvent) },
	"ingest":   func() any { return new(events.EventBridgeEvent) },
}

// Each event has a sidecar <case>.want.json; tests/local replays the one and compares with the other.
func TestEvents(t *testing.T) {
	for _, fn := range load(t).functions() {
		files, err := filepath.Glob(filepath.Join(root, "events", fn.verb, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		good, bad := 0, 0
		for _, file := range files {
			if strings.HasSuffix(file, ".want.json") {
				if _, err := os.Stat(strings.TrimSuffix(file, ".want.json") + ".json"); err != nil {
					t.Errorf("%s belongs to no event", file)
				}
				continue
			}
			if strings.HasPrefix(filepath.Base(file), "bad_") {
				bad++
			} else {
				good++
			}
			t.Run(fn.verb+"/"+strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
				into := new(map[string]any)
				var event any = into
				if make := eventTypes[fn.verb]; make != nil {
					event = make()
				}
				decode(t, file, event)
				if http, ok := event.(*events.APIGatewayV2HTTPRequest); ok {
					checkHTTP(t, http)
				}
				decode(t, strings.TrimSuffix(file, ".json")+".want.json", new(map[string]any))
			})
		}
		if good == 0 || bad == 0 {
			t.Errorf("events/%s has %d events and %d bad_ ones; both kinds are needed", fn.verb, good, bad)
		}
	}
}

func decode(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		t.Fatalf("%s: something follows the JSON value", file)
	}
}

// checkHTTP holds the samples to what API Gateway really sends.
func checkHTTP(t *testing.T, event *events.APIGatewayV2HTTPRequest) {
	t.Helper()
	if event.Version != "2.0" || event.RequestContext.HTTP.Method == "" || event.RequestContext.TimeEpoch == 0 {
		t.Error("not an event of payload format 2.0")
	}
	if event.RawPath != event.RequestContext.HTTP.Path {
		t.Error("rawPath differs from requestContext.http.path")
	}
	for name := range event.Headers {
		if name != strings.ToLower(name) {
			t.Errorf("header %s: API Gateway sends names in lower case", name)
		}
	}
	if event.IsBase64Encoded {
		if _, err := base64.StdEncoding.DecodeString(event.Body); err != nil {
			t.Error(err)
		}
	}
}
