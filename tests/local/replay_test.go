package local

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// The buckets and the folder that sample events name.
const (
	exampleBucket = "tidegate-registrybucket-example"
	exampleData   = "tidegate-databucket-example"
	exampleUpload = "uploads/01KJ3B2R9V6N3Z0W8M4C5XQ7TD/"
)

// want is what an event's sidecar says of the outcome.
type want struct {
	// Of an answer to an HTTP event.
	Status         int             `json:"status"`
	Base64         bool            `json:"base64"`
	JSON           json.RawMessage `json:"json"` // fields that the body has, compared deeply; others are free
	BodyContains   []string        `json:"body_contains"`
	BodyEndsBase64 string          `json:"body_ends_base64"`
	// Of a step.
	Result        json.RawMessage `json:"result"`         // fields that the result has
	Error         string          `json:"error"`          // error type
	ErrorContains string          `json:"error_contains"` // of the message
	Any           bool            `json:"any"`            // either outcome is right; it must only end
}

// pythonError is what the local AWS calls every error of a Python function; in an account it is the exception's class. scripts/test-train holds train to the
// classes, so here its message says which error it was.
const pythonError = "Runtime.HandlerError"

// TestEvents replays every sample event against the deployed functions. They run in the order of their functions and names, on models that
// this test registers first.
func TestEvents(t *testing.T) {
	prepare(t)
	for _, verb := range []string{"register", "promote", "lease", "approve", "announce", "train", "snapshot", "predict", "score", "feedback", "ingest", "profile", "drift", "evaluate"} {
		files, err := filepath.Glob(filepath.Join(stack.Root(), "events", verb, "*.want.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no events of %s: %v", verb, err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".want.json")
			t.Run(verb+"/"+name, func(t *testing.T) { replay(t, verb, name) })
		}
	}
}

func prepare(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	for model, task := range map[string]string{"affine": "regression", "mixed": "binary_classification", "pinned": "binary_classification"} {
		file := model
		if model == "pinned" { // which is only retrained
			file = "mixed"
		}
		onnx, err := os.ReadFile(filepath.Join(stack.Root(), "shared", "inference", "onnx", "testdata", file+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		if model == "affine" {
			if _, err := local.Upload(ctx, exampleUpload+"affine.onnx", onnx); err != nil {
				t.Fatal(err)
			}
		}
		// On an instance that was kept the model is served already.
		var failure *stack.FunctionError
		if _, err := local.Serve(ctx, model, task, onnx); err != nil && !(errors.As(err, &failure) && failure.Type == "FailedPrecondition") {
			t.Fatal(err)
		}
	}
	schema, rows := trainingData()
	put(t, "training/pinned/rows.csv", []byte(rows))
	settings := fmt.Sprintf(`{"retrain":{"sources":[{"prefix":"training/pinned/"}],"hyperparameters":{"seed":"1"},"schema":%s}}`, schema)
	configure := map[string]any{"model": "pinned", "kind": "configure", "transition_id": "01KJ3B2R9V6N3Z0W8M4C5XQ9CA", "seen_generation": 1, "actor": "test", "settings": json.RawMessage(settings)}
	if body, err := json.Marshal(configure); err != nil {
		t.Fatal(err)
	} else if _, err := local.Invoke(ctx, "promote", body); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"schema.json": schema, "train.csv": rows} {
		if _, err := local.Upload(ctx, exampleUpload+name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
}

// trainingData is 400 rows of something that can be learned: late when the delay at departure is long, more so with one carrier.
func trainingData() (schema, rows string) {
	schema = `{"v":1,"task":"binary_classification","target":"late","columns":[{"name":"dep_delay","type":"number"},{"name":"carrier","type":"category"}]}`
	var csv strings.Builder
	csv.WriteString("dep_delay,carrier,late\n")
	carriers := []string{"AA", "UA", "WN"}
	for i := range 400 {
		delay, carrier, late := (i*37)%61-20, carriers[i%3], 0
		if delay+10*(i%3) > 20 {
			late = 1
		}
		fmt.Fprintf(&csv, "%d,%s,%d\n", delay, carrier, late)
	}
	return schema, csv.String()
}

func replay(t *testing.T, verb, name string) {
	folder := filepath.Join(stack.Root(), "events", verb)
	event, err := os.ReadFile(filepath.Join(folder, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, name+".want.json"))
	if err != nil {
		t.Fatal(err)
	}
	here := func(b []byte) []byte {
		b = bytes.ReplaceAll(b, []byte(exampleBucket), []byte(local.Outputs["RegistryBucketName"]))
		return bytes.ReplaceAll(b, []byte(exampleData), []byte(local.Outputs["DataBucketName"]))
	}
	var w want
	decoder := json.NewDecoder(bytes.NewReader(here(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&w); err != nil {
		t.Fatal(err)
	}
	out, err := local.Invoke(t.Context(), verb, here(event))
	var failure *stack.FunctionError
	switch {
	case errors.As(err, &failure):
		named := failure.Type == w.Error || verb == "train" && failure.Type == pythonError && w.ErrorContains != ""
		if w.Any || w.Error != "" && named && strings.Contains(failure.Message, w.ErrorContains) {
			return
		}
		t.Fatalf("failed with %v, want %s", failure, text)
	case err != nil:
		t.Fatal(err)
	case w.Error != "":
		t.Fatalf("answered %s, want the error %s", out, w.Error)
	case w.Status != 0:
		compareAnswer(t, out, w)
	case w.Result != nil:
		compare(t, "", parse(t, out), parse(t, w.Result))
	}
}

func compareAnswer(t *testing.T, out json.RawMessage, w want) {
	t.Helper()
	var answer struct {
		StatusCode      int    `json:"statusCode"`
		Body            string `json:"body"`
		IsBase64Encoded bool   `json:"isBase64Encoded"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	body := []byte(answer.Body)
	if answer.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(answer.Body); err != nil {
			t.Fatal(err)
		}
	}
	if answer.StatusCode != w.Status {
		t.Fatalf("status %d, want %d; body %.500s", answer.StatusCode, w.Status, body)
	}
	if w.Base64 && !answer.IsBase64Encoded {
		t.Error("a binary body must be sent as base64")
	}
	for _, part := range w.BodyContains {
		if !bytes.Contains(body, []byte(part)) {
			t.Errorf("the body lacks %q: %.500s", part, body)
		}
	}
	if end, err := base64.StdEncoding.DecodeString(w.BodyEndsBase64); err != nil || !bytes.HasSuffix(body, end) {
		t.Errorf("the body does not end with %x: %.500x", end, body)
	}
	if w.JSON != nil {
		compare(t, "", parse(t, body), parse(t, w.JSON))
	}
}

func parse(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%v: %.500s", err, text)
	}
	return value
}

// compare says where got lacks something of want. Objects may have more fields, lists are as long; null is also an absent field.
func compare(t *testing.T, path string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is %v, want an object", path, got)
			return
		}
		for name, value := range want {
			compare(t, path+"."+name, object[name], value)
		}
	case []any:
		items, ok := got.([]any)
		if !ok || len(items) != len(want) {
			t.Errorf("%s is %v, want %v", path, got, want)
			return
		}
		for i, value := range want {
			compare(t, fmt.Sprintf("%s[%d]", path, i), items[i], value)
		}
	case float64:
		number, ok := got.(float64)
		if !ok || math.Abs(number-want) > 1e-6 {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	default:
		if got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
}
