package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// driftReport is the part of docs/formats/drift.md, "The report", that is looked at here.
type driftReport struct {
	V       int      `json:"v"`
	Model   string   `json:"model"`
	ID      string   `json:"id"`
	Verdict string   `json:"verdict"`
	Summary string   `json:"summary"`
	Drifted []string `json:"drifted"`
	Rows    struct {
		In       uint64 `json:"in"`
		Compared uint64 `json:"compared"`
		Requests uint64 `json:"requests"`
	} `json:"rows"`
	LeftOut []struct {
		Reason   string   `json:"reason"`
		Count    uint64   `json:"count"`
		Unit     string   `json:"unit"`
		Examples []string `json:"examples"`
	} `json:"left_out"`
}

// answered is what the function drift says of a report.
type answered struct {
	Window   string `json:"window"`
	ID       string `json:"id"`
	Revision int    `json:"revision"`
	Verdict  string `json:"verdict"`
	Rows     uint64 `json:"rows"`
	RowsIn   uint64 `json:"rows_in"`
	State    string `json:"state"`
	Created  bool   `json:"created"`
}

// withoutScore are settings under which the score does not gate: batches have none, and the holdout of 60 rows decides nothing. Windows are as short as can be.
const withoutScore = `{"drift":{"window_minutes":5,"lateness_minutes":0,"columns":{"probabilities_1":{"gate":false}}}}`

// watched registers a model with training rows, makes it the champion and puts the settings in force.
func watched(t *testing.T) string {
	t.Helper()
	model, folder := stack.Name(t.Name()), testdata("registration", "testdata", "binary")
	files := map[string][]byte{"training.csv": []byte(flightsCSV(1, 4000, 0))}
	for _, name := range []string{"model.onnx", "features.json", "metrics.json", "run.json", "training_schema.json", "holdout.csv", "predictions.csv"} {
		files[name] = read(t, filepath.Join(folder, name))
	}
	if _, err := local.ServeFolder(t.Context(), model, "binary_classification", files); err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(settings, []byte(withoutScore), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, 0, "configure", model, settings, "--reason", "short windows")
	return model
}

// flightsCSV is a CSV file of flights. Late moves the delays, in minutes.
func flightsCSV(seed uint64, rows int, late float64) string {
	random := rand.New(rand.NewPCG(seed, 14))
	var csv strings.Builder
	csv.WriteString("dep_delay,distance,carrier\n")
	for range rows {
		fmt.Fprintf(&csv, "%.1f,%d,%s\n", 20+5*random.NormFloat64()+late, 100+random.IntN(1900), []string{"AA", "B6", "UA"}[random.IntN(3)])
	}
	return csv.String()
}

// Predictions end in counts within seconds, and with the schedule in a report, with no call of ours. Delivered again, in another order, they end in the
// same bytes.
func TestDriftOfPredictions(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	model := watched(t)
	schedule := ruleOf(t, "DriftRule")
	schedule("", eventtypes.RuleStateDisabled) // the stack's own must not come between
	const rows = 2000
	file := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(file, []byte(flightsCSV(2, rows, 15)), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, 0, "predict", model, file, "-o", filepath.Join(t.TempDir(), "answers.ndjson"), "--batch", "100")
	sent := time.Now()
	profiles := waitForProfiles(ctx, t, model, rows)
	took := time.Since(sent)
	t.Logf("%d rows are in %d profiles %.1f s after the last answer", rows, len(profiles), took.Seconds())
	if took > 30*time.Second {
		t.Error("that is not within seconds")
	}

	// The same captures, as if they were of two hours ago: their window is due.
	began := time.Now().UTC().Add(-2 * time.Hour).Truncate(5 * time.Minute)
	objects, window := moved(t, model, began), began.Format("2006-01-02T15-04")
	for key, content := range objects {
		put(t, key, content)
	}
	profiles = waitForProfiles(ctx, t, model, 2*rows)
	schedule("rate(1 minute)", eventtypes.RuleStateEnabled)
	var report []byte
	at := time.Now()
	err := stack.Eventually(ctx, func() (bool, error) {
		found := reportsOf(ctx, t, model, window)
		if len(found) > 0 {
			report = found[0]
		}
		return len(found) > 0, nil
	})
	if err != nil {
		t.Fatalf("the schedule made no report: %v", err)
	}
	t.Logf("the schedule made the report after %.1f s", time.Since(at).Seconds())
	schedule("", eventtypes.RuleStateDisabled)
	var r driftReport
	if err := json.Unmarshal(report, &r); err != nil {
		t.Fatal(err)
	}
	if r.Verdict != "drift" || !slices.Equal(r.Drifted, []string{"dep_delay"}) || r.Rows.In != rows || r.Rows.Compared != rows || r.Rows.Requests != rows/100 {
		t.Errorf("the report says %+v", r)
	}

	// S3 delivers at least once: nothing changes.
	deliver(t, slices.Sorted(maps.Keys(objects)))
	if again := waitForProfiles(ctx, t, model, 2*rows); !slices.Equal(again, profiles) {
		t.Errorf("a second delivery made %v of %v", again, profiles)
	}
	if got := judge(t, map[string]any{"model": model, "window": window}); got.Created || got.ID != r.ID || got.Rows != rows {
		t.Errorf("after a second delivery: %+v", got)
	}

	// And in any order: from nothing, backwards, twice.
	removed(t, "profiles/"+model+"/"+began.Format("2006-01-02/15/"), "reports/drift/"+model+"/"+window)
	backwards := slices.Sorted(maps.Keys(objects))
	slices.Reverse(backwards)
	deliver(t, backwards)
	deliver(t, backwards)
	if got := judge(t, map[string]any{"model": model, "window": window}); !got.Created || got.ID != r.ID {
		t.Errorf("backwards: %+v", got)
	}
	if found := reportsOf(ctx, t, model, window); len(found) != 1 {
		t.Errorf("backwards there are %d reports", len(found))
	} else if !bytes.Equal(found[0], report) {
		t.Errorf("backwards the report has other bytes: %s", difference(found[0], report))
	}

	// The command line reads the same captures and profiles.
	var exported struct{ Rows, Records, Duplicates int }
	parquet := filepath.Join(t.TempDir(), "window.parquet")
	document(t, &exported, "export", model, "--window", window[:len("2006-01-02T15")], "-o", parquet)
	if exported.Rows != rows || exported.Records != rows/100 || exported.Duplicates != 0 {
		t.Errorf("exported %+v", exported)
	}
	if ran := tidegate(t, "profile", parquet, "-o", filepath.Join(t.TempDir(), "p.json")); ran.code != 0 {
		t.Errorf("the exported file cannot be read: %s", ran.errors)
	}
	if said := says(t, 3, "drift", "calibrate", model); !strings.Contains(said, "10") || strings.Count(said, "\n") != 1 {
		t.Errorf("calibrate with one window says %q", said)
	}
}

// difference is where two texts part.
func difference(a, b []byte) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	return fmt.Sprintf("%.300s\nand not %.300s", a[max(0, i-100):], b[max(0, i-100):])
}

// waitForProfiles waits until the model's profiles hold that many rows, and returns what is stored: key, version and ETag of each.
func waitForProfiles(ctx context.Context, t *testing.T, model string, rows uint64) []string {
	t.Helper()
	var stored []string
	var have uint64
	err := stack.Eventually(ctx, func() (bool, error) {
		stored, have = nil, 0
		for _, object := range list(ctx, t, "profiles/"+model+"/2") {
			var p struct {
				Report struct {
					Rows uint64 `json:"rows"`
				} `json:"report"`
			}
			if err := json.Unmarshal(object.content, &p); err != nil {
				return false, err
			}
			stored, have = append(stored, object.key+" "+object.tag), have+p.Report.Rows
		}
		return have >= rows, nil
	})
	if err != nil || have != rows {
		t.Fatalf("%v; %d rows are profiled, want %d", err, have, rows)
	}
	return stored
}

// moved are the model's captures, each object as it would be if all its predictions had come at that time.
func moved(t *testing.T, model string, at time.Time) map[string][]byte {
	t.Helper()
	ms := fmt.Sprintf("%012x", at.UnixMilli())
	objects := map[string][]byte{}
	all, err := listed(t.Context(), "captures/", &arrived)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range all {
		var lines bytes.Buffer
		for line := range bytes.Lines(object.content) {
			if !bytes.Contains(line, []byte(`"`+model+`"`)) {
				continue
			}
			var r map[string]json.RawMessage
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			if string(r["model"]) != `"`+model+`"` {
				continue
			}
			var id string
			if err := json.Unmarshal(r["id"], &id); err != nil {
				t.Fatal(err)
			}
			r["id"] = fmt.Appendf(nil, `"%s-%s%s"`, ms[:8], ms[8:], id[13:])
			r["ts"] = fmt.Appendf(nil, `"%s"`, at.Format(time.RFC3339))
			encoded, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			lines.Write(append(encoded, '\n'))
		}
		if lines.Len() > 0 {
			objects[at.Format("captures/2006-01-02/15/")+"moved-"+filepath.Base(object.key)] = lines.Bytes()
		}
	}
	return objects
}

// deliver sends profile what S3 told it of the objects, in this order.
func deliver(t *testing.T, keys []string) {
	t.Helper()
	for _, key := range keys {
		event, err := json.Marshal(map[string]any{"source": "aws.s3", "detail-type": "Object Created",
			"detail": map[string]any{"bucket": map[string]any{"name": local.Outputs["DataBucketName"]}, "object": map[string]any{"key": key}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := local.Invoke(t.Context(), "profile", event); err != nil {
			t.Fatal(err)
		}
	}
}

// judge asks drift for one report.
func judge(t *testing.T, in map[string]any) answered {
	t.Helper()
	event, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := local.Invoke(t.Context(), "drift", event)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Reports []answered }
	if err := json.Unmarshal(out, &got); err != nil || len(got.Reports) != 1 {
		t.Fatalf("%v: drift answers %s", err, out)
	}
	return got.Reports[0]
}

// reportsOf are the reports of a window, each of which has its page.
func reportsOf(ctx context.Context, t *testing.T, model, window string) [][]byte {
	t.Helper()
	var reports [][]byte
	pages := map[string]bool{}
	found := list(ctx, t, "reports/drift/"+model+"/"+window)
	for _, object := range found {
		if page, ok := strings.CutSuffix(object.key, ".html"); ok {
			pages[page] = bytes.HasPrefix(bytes.ToLower(object.content), []byte("<!doctype html>"))
		}
	}
	for _, object := range found {
		if name, ok := strings.CutSuffix(object.key, ".json"); ok && !strings.HasSuffix(name, ".event") {
			if reports = append(reports, object.content); !pages[name] {
				t.Errorf("%s has no page", object.key)
			}
		}
	}
	return reports
}

func put(t *testing.T, key string, content []byte) {
	t.Helper()
	bucket := local.Outputs["DataBucketName"]
	if _, err := local.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(content)}); err != nil {
		t.Fatal(err)
	}
}

func removed(t *testing.T, prefixes ...string) {
	t.Helper()
	bucket := local.Outputs["DataBucketName"]
	for _, prefix := range prefixes {
		for _, o := range list(t.Context(), t, prefix) {
			if _, err := local.S3().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &o.key}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
