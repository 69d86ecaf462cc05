package local

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// ingestReport is the part of docs/formats/label.md, "Ingest report", that is looked at here.
type ingestReport struct {
	ID     string `json:"source_id"`
	Source struct {
		Key string `json:"key"`
	} `json:"source"`
	Lines      int            `json:"lines"`
	Filed      int            `json:"filed"`
	Duplicates int            `json:"duplicates"`
	Conflicts  int            `json:"conflicts"`
	LeftOut    map[string]int `json:"left_out"`
	Refused    *struct {
		Kind string `json:"kind"`
	} `json:"refused"`
}

// predicted asks for a prediction of two rows, and returns its inference id and the folder of its labels.
func predicted(t *testing.T, model string) (id, folder string) {
	t.Helper()
	res, body, err := local.Call(t.Context(), http.MethodPost, "/v2/models/"+model+"/infer", nil, []byte(`{"inputs":[{"name":"x","shape":[2,3],"datatype":"FP32","data":[1,2,3,4,5,6]}]}`))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v: %s", err, body)
	}
	id = res.Header.Get("Tidegate-Inference-Id")
	var ms int64
	if _, err := fmt.Sscanf(id[:8]+id[9:13], "%x", &ms); err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	return id, "labels/filed/" + model + "/" + time.UnixMilli(ms).UTC().Format("2006-01-02/15") + "/"
}

// waitForLabels returns the lines of the objects in a folder of filed labels, sorted, once there are n of them.
func waitForLabels(t *testing.T, folder string, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var lines []string
	err := stack.Eventually(ctx, func() (bool, error) {
		lines = filedLabels(ctx, t, folder)
		return len(lines) >= n, nil
	})
	if err != nil || len(lines) != n {
		t.Fatalf("%v; %d labels in %s, want %d: %v", err, len(lines), folder, n, lines)
	}
	return lines
}

func filedLabels(ctx context.Context, t *testing.T, folder string) []string {
	t.Helper()
	var lines []string
	for _, o := range list(ctx, t, folder) {
		lines = append(lines, strings.Split(strings.TrimSuffix(string(o.content), "\n"), "\n")...)
	}
	slices.Sort(lines)
	return lines
}

// reportsOn returns the ingest reports on the objects whose key begins so.
func reportsOn(ctx context.Context, t *testing.T, key string) []ingestReport {
	t.Helper()
	var found []ingestReport
	for _, o := range list(ctx, t, "labels/reports/") {
		var r ingestReport
		if err := json.Unmarshal(o.content, &r); err != nil {
			t.Fatalf("%s: %v", o.key, err)
		}
		if strings.HasPrefix(r.Source.Key, key) {
			found = append(found, r)
		}
	}
	return found
}

// Labels that are posted to the API are filed under the hour that their ids carry, without anybody's doing.
func TestLabelsOverHTTP(t *testing.T) {
	model := serveModel(t, "affine", "regression")
	id, folder := predicted(t, model)
	body := `{"labels":[{"id":"` + id + `#0","label":22.5,"ts":"2026-01-01T00:00:00Z"},{"id":"` + id + `#1","label":49},{"id":"` + id + `#1","label":"late"}]}`
	res, answer, err := local.Call(t.Context(), http.MethodPost, "/v1/feedback/"+model, nil, []byte(body))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v: %s", err, answer)
	}
	var got struct {
		Accepted int
		Rejected []struct {
			Index int
			Error string
		}
	}
	if err := json.Unmarshal(answer, &got); err != nil || got.Accepted != 2 || len(got.Rejected) != 1 || got.Rejected[0].Index != 2 || !strings.Contains(got.Rejected[0].Error, "finite number") {
		t.Errorf("%v: %s", err, answer)
	}
	lines := waitForLabels(t, folder, 2)
	if lines[0] != `{"id":"`+id+`#0","label":22.5,"ts":"2026-01-01T00:00:00.000Z"}` || !strings.HasPrefix(lines[1], `{"id":"`+id+`#1","label":49,"ts":"`) {
		t.Errorf("%s", lines)
	}
	for path, status := range map[string]int{"/v1/feedback/no-such-model": http.StatusNotFound, "/v1/feedback/" + model: http.StatusBadRequest} {
		res, answer, err := local.Call(t.Context(), http.MethodPost, path, nil, []byte(`{"id":"order-17","label":1}`))
		if err != nil || res.StatusCode != status {
			t.Errorf("%s: %v, status %d: %s", path, err, res.StatusCode, answer)
		}
	}
	if res, _, err := local.Call(t.Context(), http.MethodGet, "/v1/models/"+model, nil, nil); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("other routes below /v1 reach predict no more: %v, %d", err, res.StatusCode)
	}
}

// Labels that are dropped as a file are filed; duplicates, their order, and events that come again change nothing.
func TestLabelsAsFiles(t *testing.T) {
	model := serveModel(t, "affine", "regression")
	id, folder := predicted(t, model)
	rows := []string{id + "#0,1,2026-01-02T00:00:00Z", id + "#0,2,2026-01-01T00:00:00Z", id + "#1,3,2026-01-01T00:00:00Z", id + "#1,3,2026-01-01T00:00:00Z", "nobody,1,", id + "#1,late,"}
	want := []string{`{"id":"` + id + `#0","label":1,"ts":"2026-01-02T00:00:00.000Z"}`, `{"id":"` + id + `#1","label":3,"ts":"2026-01-01T00:00:00.000Z"}`}
	key := "labels/landed/files/" + model + "/april.csv"
	put(t, key, []byte("id,label,ts\n"+strings.Join(rows, "\n")+"\n"))
	if got := waitForLabels(t, folder, 2); !slices.Equal(got, want) {
		t.Errorf("%s", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := stack.Eventually(ctx, func() (bool, error) { return len(reportsOn(ctx, t, key)) > 0, nil }); err != nil {
		t.Fatal(err)
	}
	reports := reportsOn(ctx, t, key)
	if r := reports[0]; len(reports) != 1 || r.Lines != 6 || r.Filed != 2 || r.Duplicates != 1 || r.Conflicts != 1 || r.LeftOut["bad_id"] != 1 || r.LeftOut["wrong_type"] != 1 {
		t.Errorf("%+v", reports)
	}
	before := list(ctx, t, folder)
	event, err := json.Marshal(map[string]any{"source": "aws.s3", "detail-type": "Object Created",
		"detail": map[string]any{"bucket": map[string]any{"name": local.Outputs["DataBucketName"]}, "object": map[string]any{"key": key}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		out, err := local.Invoke(ctx, "ingest", event)
		var got struct{ Labels int }
		if err := cmp.Or(err, json.Unmarshal(out, &got)); err != nil || got.Labels != 2 {
			t.Errorf("%s, %v", out, err)
		}
	}
	if after := list(ctx, t, folder); len(after) != 1 || len(before) != 1 || after[0].tag != before[0].tag || len(reportsOn(ctx, t, key)) != 1 {
		t.Errorf("delivered again it is filed again: %v, %v", before, after)
	}
	// The same rows in another order are another source of the same labels.
	slices.Reverse(rows)
	put(t, "labels/landed/files/"+model+"/again.csv.gz", zipped(t, "id,label,ts\n"+strings.Join(rows, "\n")))
	if got := waitForLabels(t, folder, 4); !slices.Equal(slices.Compact(got), want) {
		t.Errorf("%s", got)
	}
}

// A file that holds no labels of a known form is refused, with a report that says why.
func TestLabelsThatAreRefused(t *testing.T) {
	model := serveModel(t, "affine", "regression")
	key := "labels/landed/files/" + model + "/headless.csv"
	put(t, key, []byte("018eb3d2-1bb3-7a44-9d0b-3f2f5a6b7c8d,1\n"))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	err := stack.Eventually(ctx, func() (bool, error) {
		reports := reportsOn(ctx, t, key)
		return len(reports) == 1 && reports[0].Refused != nil && reports[0].Refused.Kind == "InvalidArgument", nil
	})
	if err != nil {
		t.Fatalf("%v; %+v", err, reportsOn(ctx, t, key))
	}
	event := fmt.Sprintf(`{"detail":{"bucket":{"name":%q},"object":{"key":%q}}}`, local.Outputs["DataBucketName"], key)
	var failure *stack.FunctionError
	if _, err := local.Invoke(ctx, "ingest", []byte(event)); !errors.As(err, &failure) || failure.Type != "InvalidArgument" || !strings.Contains(failure.Message, "first line") {
		t.Errorf("%v", err)
	}
}

// The command line sends a file through the API, and says which rows are no labels.
func TestLabelsFromTheCommandLine(t *testing.T) {
	model := serveModel(t, "affine", "regression")
	id, folder := predicted(t, model)
	file := filepath.Join(t.TempDir(), "labels.csv")
	if err := os.WriteFile(file, []byte("id,label,ts\n"+id+"#1,2.5,2026-01-01T00:00:00Z\n"+id+"#0,1.5,2026-01-01T00:00:00Z\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var summary struct {
		Rows, Accepted, Rejected int
	}
	document(t, &summary, "feedback", model, file)
	if summary.Rows != 2 || summary.Accepted != 2 || summary.Rejected != 0 {
		t.Errorf("%+v", summary)
	}
	want := []string{`{"id":"` + id + `#0","label":1.5,"ts":"2026-01-01T00:00:00.000Z"}`, `{"id":"` + id + `#1","label":2.5,"ts":"2026-01-01T00:00:00.000Z"}`}
	if got := waitForLabels(t, folder, 2); !slices.Equal(got, want) {
		t.Errorf("%s", got)
	}
	if err := os.WriteFile(file, []byte("id,label\n"+id+",late\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := says(t, 3, "feedback", model, file); !strings.Contains(got, "1 of 1 labels were rejected") {
		t.Error(got)
	}
}
