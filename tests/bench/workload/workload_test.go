package workload

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

func TestEventsAreHTTPAPIEvents(t *testing.T) {
	m := model(t)
	tests := []struct {
		name string
		body Body
	}{
		{"json", m.JSON()},
		{"binary", m.BinaryBody()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := NewEvent(tt.name, m.Name, m.Rows, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			now := time.UnixMilli(1_790_000_000_123)
			var got events.APIGatewayV2HTTPRequest
			if err := json.Unmarshal(e.At(now), &got); err != nil {
				t.Fatal(err)
			}
			if got.RequestContext.TimeEpoch != now.UnixMilli() || got.RawPath != "/v2/models/small/infer" || got.IsBase64Encoded != tt.body.Binary {
				t.Errorf("event %+v", got)
			}
			body := []byte(got.Body)
			if got.IsBase64Encoded {
				if body, err = base64.StdEncoding.DecodeString(got.Body); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(tt.body.Bytes), string(body)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRequestBodies(t *testing.T) {
	m := model(t)
	want := `{"inputs":[{"name":"x","shape":[2,4],"datatype":"FP32","data":[1,2,3,4,5,6,7,0.1]}]}`
	if diff := cmp.Diff(want, string(m.JSON().Bytes)); diff != "" {
		t.Error(diff)
	}
	b := m.BinaryBody()
	n := len(b.Bytes) - 8*4
	if b.Header["inference-header-content-length"] != strconv.Itoa(n) || !json.Valid(b.Bytes[:n]) {
		t.Errorf("header %v, %d bytes before the tensor", b.Header, n)
	}
}

func TestCheck(t *testing.T) {
	m := model(t)
	jsonBody := func(data string) string {
		return `{"outputs":[{"name":"label","datatype":"INT64","shape":[2],"data":[1,0]},{"name":"probabilities","datatype":"FP32","shape":[2,2],"data":` + data + `}]}`
	}
	binary := `{"outputs":[{"name":"label","datatype":"INT64","shape":[2],"parameters":{"binary_data_size":16}},{"name":"probabilities","datatype":"FP32","shape":[2,2],"parameters":{"binary_data_size":16}}]}`
	tensors := "\x01\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x80\x3e\x00\x00\x40\x3f\x00\x00\x80\x3f\x00\x00\x00\x00"
	tests := []struct {
		name   string
		answer map[string]any
		fails  bool
	}{
		{"json", map[string]any{"statusCode": 200, "body": jsonBody("[0.25,0.75,1,0]")}, false},
		{"json, nearly", map[string]any{"statusCode": 200, "body": jsonBody("[0.2500001,0.75,1,0]")}, false},
		{"json, another answer", map[string]any{"statusCode": 200, "body": jsonBody("[0.3,0.75,1,0]")}, true},
		{"json, a row too few", map[string]any{"statusCode": 200, "body": jsonBody("[0.25,0.75]")}, true},
		{"status", map[string]any{"statusCode": 503, "body": "{}"}, true},
		{"binary", map[string]any{
			"statusCode": 200, "isBase64Encoded": true, "body": base64.StdEncoding.EncodeToString([]byte(binary + tensors)),
			"headers": map[string]string{"inference-header-content-length": strconv.Itoa(len(binary))},
		}, false},
		{"binary, header length lies", map[string]any{
			"statusCode": 200, "isBase64Encoded": true, "body": base64.StdEncoding.EncodeToString([]byte(binary)),
			"headers": map[string]string{"inference-header-content-length": "1870"},
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload, err := json.Marshal(tt.answer)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Check(payload); (err != nil) != tt.fails {
				t.Errorf("Check = %v, fails %v", err, tt.fails)
			}
		})
	}
}

func TestRegister(t *testing.T) {
	store := objects{}
	m := model(t)
	if err := Register(store, m); err != nil {
		t.Fatal(err)
	}
	if err := AddVersion(store, m, 2); err != nil {
		t.Fatal(err)
	}
	state, err := registry.ParseState(m.Name, store["models/small/state.json"])
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []int{1, 2} {
		manifest, err := registry.ParseManifest(m.Name, v, store[registry.ManifestKey(m.Name, v)])
		if err != nil {
			t.Fatal(err)
		}
		if v == 1 && manifest.Digest != state.Slots.Champion.Digest {
			t.Error("the state names another digest than the manifest")
		}
		if _, err := schema.Parse(store[registry.VersionFileKey(m.Name, v, "schema.json")]); err != nil {
			t.Error(err)
		}
	}
	blobs := 0
	for key, body := range store {
		if digest, ok := strings.CutPrefix(key, "blobs/sha256/"); ok {
			blobs++
			if _, name, _ := strings.Cut(digest, "/"); name != sum(body) {
				t.Errorf("blob %s is not stored under its digest", key)
			}
		}
	}
	if blobs != 2 || state.Generation != 1 || state.Slots.Champion.Version != 1 {
		t.Errorf("%d blobs, state %+v", blobs, state)
	}
}

type objects map[string][]byte

func (o objects) Put(_, key string, body []byte) { o[key] = body }

// model is two rows of a model with one input of four columns.
func model(t *testing.T) *Model {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"small.onnx": "onnx", "small.rows.json": `{"x":[1,2,3,4,5,6,7,0.1]}`,
		"small.expected.json": `{"label":[1,0],"probabilities":[0.25,0.75,1,0]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Load(dir, "small", 4)
	if err != nil {
		t.Fatal(err)
	}
	if m.Rows != 2 || math.Abs(float64(m.Columns[0].Floats[7])-0.1) > 1e-7 {
		t.Fatalf("loaded %+v", m)
	}
	return m
}
