package local

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// record is a line of docs/formats/capture.md.
type record struct {
	V          int                        `json:"v"`
	ID         string                     `json:"id"`
	RequestID  string                     `json:"request_id"`
	TS         time.Time                  `json:"ts"`
	Model      string                     `json:"model"`
	Version    int                        `json:"version"`
	Digest     string                     `json:"digest"`
	Slot       string                     `json:"slot"`
	Role       string                     `json:"role"`
	Generation int64                      `json:"generation"`
	Key        string                     `json:"key"`
	FirstRow   int                        `json:"first_row"`
	Rows       int                        `json:"rows"`
	TotalRows  int                        `json:"total_rows"`
	Inputs     map[string]json.RawMessage `json:"inputs"`
	Outputs    map[string]json.RawMessage `json:"outputs"`
	Status     int                        `json:"status"`
	ErrorKind  string                     `json:"error_kind"`
	LatencyUS  int64                      `json:"latency_us"`
	ServedBy   string                     `json:"served_by"`
	Sampled    float64                    `json:"sampled"`
}

// Each prediction, and each failure of a version that was found, is captured exactly once, under the id that the answer names.
func TestCaptures(t *testing.T) {
	model := serveModel(t, "affine", "regression")
	const head = `{"id":"batch-17","inputs":[{"name":"x","shape":[2,3],"datatype":"FP32","parameters":{"binary_data_size":24}}],"parameters":{"binary_data_output":true}}`
	binary := head + "\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40\x00\x00\xa0\x40\x00\x00\xc0\x40" // 1 to 6
	const inputs, outputs = `[[1,2,3],[4,5,6]]`, `[[22.5,27.5],[49.5,63.5]]`
	requests := []struct {
		name, path string
		header     map[string]string
		body       string
		want       record
	}{
		{"JSON", "/v2/models/" + model + "/infer", map[string]string{"Tidegate-Key": "customer-4711"},
			`{"id":"batch-16","inputs":[{"name":"x","shape":[2,3],"datatype":"FP32","data":[1,2,3,4,5,6]}]}`,
			record{Status: 200, Rows: 2, Key: "customer-4711", RequestID: "batch-16", Slot: "champion"}},
		{"binary", "/v2/models/" + model + "/infer", map[string]string{"Inference-Header-Content-Length": strconv.Itoa(len(head))}, binary,
			record{Status: 200, Rows: 2, RequestID: "batch-17", Slot: "champion"}},
		{"rows", "/v1/models/" + model + "/versions/1:predict", nil, `{"instances":[[1,2,3],[4,5,6]]}`,
			record{Status: 200, Rows: 2, Slot: "pinned"}},
		{"against the contract", "/v2/models/" + model + "/infer", nil, `{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}`,
			record{Status: 400, ErrorKind: "InvalidArgument", Slot: "champion"}},
	}
	ids := make([]string, len(requests))
	for i, r := range requests {
		res, body, err := local.Call(t.Context(), http.MethodPost, r.path, r.header, []byte(r.body))
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != r.want.Status {
			t.Fatalf("%s: status %d: %s", r.name, res.StatusCode, body)
		}
		ids[i] = res.Header.Get("Tidegate-Inference-Id")
		checkHeaders(t, r.name, res.Header, r.want.Slot)
	}
	// Before any version was found there is nothing to capture.
	refused, _, err := local.Call(t.Context(), http.MethodPost, "/v2/models/"+model+"/infer", nil, []byte("{"))
	if err != nil {
		t.Fatal(err)
	}
	uncaptured := refused.Header.Get("Tidegate-Inference-Id")

	captured := waitForCaptures(t, model, len(requests))
	if len(captured[uncaptured]) > 0 {
		t.Errorf("a request that was not JSON is captured: %+v", captured[uncaptured])
	}
	for i, r := range requests {
		found := captured[ids[i]]
		if len(found) != 1 {
			t.Errorf("%s: %d records of %s, want 1", r.name, len(found), ids[i])
			continue
		}
		got, want := found[0], r.want
		if got.V != 1 || got.Version != 1 || len(got.Digest) < len("sha256:")+64 || got.Role != "served" || got.Generation != 1 || got.ServedBy != "lambda" || got.Sampled != 1 ||
			got.LatencyUS <= 0 || time.Since(got.TS).Abs() > time.Hour {
			t.Errorf("%s: %+v", r.name, got)
		}
		if got.Status != want.Status || got.ErrorKind != want.ErrorKind || got.Slot != want.Slot || got.Key != want.Key || got.RequestID != want.RequestID ||
			got.FirstRow != 0 || got.Rows != want.Rows || got.TotalRows != want.Rows {
			t.Errorf("%s: %+v, want %+v", r.name, got, want)
		}
		if want.Status == http.StatusOK && (string(got.Inputs["x"]) != inputs || string(got.Outputs["y"]) != outputs) {
			t.Errorf("%s: inputs %s, outputs %s", r.name, got.Inputs["x"], got.Outputs["y"])
		}
		if want.Status != http.StatusOK && len(got.Inputs)+len(got.Outputs) > 0 {
			t.Errorf("%s: a failed request is captured with its values: %+v", r.name, got)
		}
	}
}

// checkHeaders holds an answer to the table of docs/formats/http.md.
func checkHeaders(t *testing.T, name string, header http.Header, slot string) {
	t.Helper()
	for field, want := range map[string]string{"Tidegate-Model-Version": "1", "Tidegate-Slot": slot, "Tidegate-Generation": "1", "Tidegate-Served-By": "lambda"} {
		if got := header.Get(field); got != want {
			t.Errorf("%s: %s is %q, want %q", name, field, got, want)
		}
	}
	if id := header.Get("Tidegate-Inference-Id"); len(id) != 36 || id[14] != '7' {
		t.Errorf("%s: Tidegate-Inference-Id %q is no UUIDv7", name, id)
	}
	if timing := header.Get("Server-Timing"); timing == "" {
		t.Errorf("%s: no Server-Timing", name)
	}
}

// waitForCaptures returns the model's records by inference id, once there are n and a moment more has passed: enough for one that is there twice.
func waitForCaptures(t *testing.T, model string, n int) map[string][]record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // the traffic of other tests is captured, too
	defer cancel()
	var records []record
	err := stack.Eventually(ctx, func() (bool, error) {
		var err error
		records, err = captures(ctx, model)
		return len(records) >= n, err
	})
	if err != nil {
		t.Fatalf("%v; %d records of %s, want %d", err, len(records), model, n)
	}
	time.Sleep(500 * time.Millisecond)
	if records, err = captures(ctx, model); err != nil {
		t.Fatal(err)
	}
	byID := map[string][]record{}
	for _, r := range records {
		byID[r.ID] = append(byID[r.ID], r)
	}
	return byID
}

// arrived are the objects of captures that were read.
var arrived sync.Map

// captures reads the model's records that arrived since the tests began.
func captures(ctx context.Context, model string) ([]record, error) {
	objects, err := listed(ctx, "captures/", &arrived)
	if err != nil {
		return nil, err
	}
	var records []record
	for _, o := range objects {
		if records, err = decode(records, o.content, model); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func decode(records []record, content []byte, model string) ([]record, error) {
	if bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return nil, err
		}
		if content, err = io.ReadAll(unzipped); err != nil {
			return nil, err
		}
	}
	for line := range bytes.Lines(content) {
		if !bytes.Contains(line, []byte(`"`+model+`"`)) {
			continue
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		if r.Model == model {
			records = append(records, r)
		}
	}
	return records, nil
}
