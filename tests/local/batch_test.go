package local

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// stateChange is the part of docs/formats/drift.md, "Events", that is looked at here.
type stateChange struct {
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
	Detail     struct {
		Model    string   `json:"model"`
		State    string   `json:"state"`
		Before   string   `json:"before"`
		Drifted  []string `json:"drifted"`
		Verdict  string   `json:"verdict"`
		Window   string   `json:"window"`
		ReportID string   `json:"report_id"`
		Report   string   `json:"report"`
		Page     string   `json:"page"`
	} `json:"detail"`
}

// Dropping objects is all there is to do: each ends in a report, the second that drifts in an event.
func TestDroppedBatches(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	model := watched(t)
	queue := listen(t, "tidegate.drift", model)
	folder := "batches/" + model + "/"
	drop := func(name string, content []byte, n int) driftReport {
		time.Sleep(1100 * time.Millisecond) // batches are in the order of S3's times, which are in seconds
		at := time.Now()
		put(t, folder+name, content)
		reports := waitForReports(ctx, t, model, n)
		t.Logf("%s: a report after %.1f s", name, time.Since(at).Seconds())
		for _, r := range reports {
			if r.Rows.Compared != r.Rows.In {
				t.Errorf("rows in are not rows out: %+v", r)
			}
		}
		return reports[n-1]
	}
	if r := drop("clean.csv", []byte(flightsCSV(3, 4000, 0)), 1); r.Verdict != "no_drift" || r.Rows.Compared != 4000 {
		t.Errorf("clean: %+v", r)
	}
	if r := drop("late 1+1.csv", []byte(flightsCSV(4, 3000, 15)), 2); r.Verdict != "drift" || !slices.Equal(r.Drifted, []string{"dep_delay"}) || r.Rows.Compared != 3000 {
		t.Errorf("late: %+v", r)
	}
	if r := drop("late 2.csv.gz", zipped(t, flightsCSV(5, 3000, 15)), 3); r.Verdict != "drift" || r.Rows.Compared != 3000 {
		t.Errorf("late again: %+v", r)
	}
	var event stateChange
	receive(ctx, t, queue, &event)
	if event.Source != "tidegate.drift" || event.DetailType != "Drift State Change" || event.Detail.Model != model || event.Detail.State != "drift" ||
		event.Detail.Verdict != "drift" || !slices.Equal(event.Detail.Drifted, []string{"dep_delay"}) {
		t.Errorf("the event is %+v", event)
	}
	for _, uri := range []string{event.Detail.Report, event.Detail.Page} {
		key := strings.TrimPrefix(uri, "s3://"+local.Outputs["DataBucketName"]+"/")
		if found := list(ctx, t, key); len(found) != 1 || found[0].key != key {
			t.Errorf("the event names %s, which is not there", uri)
		}
	}

	// What is no data, by its name or its place, has no report; nor has what S3 tells twice.
	for _, name := range []string{"_SUCCESS", ".hidden.csv", "_staging/part-1.csv"} {
		put(t, folder+name, []byte(flightsCSV(6, 10, 0)))
		if got := waitForExecution(ctx, t, folder+name); got.status != types.ExecutionStatusSucceeded {
			t.Errorf("%s: %+v", name, got)
		}
	}
	again := execute(ctx, t, map[string]any{"source": "aws.s3", "detail-type": "Object Created", "detail": map[string]any{
		"bucket": map[string]any{"name": local.Outputs["DataBucketName"]}, "object": map[string]any{"key": folder + "clean.csv"}}})
	if again.report(t).Created {
		t.Errorf("a second delivery made another report: %+v", again)
	}
	if reports := waitForReports(ctx, t, model, 3); len(reports) != 3 {
		t.Errorf("there are %d reports, want 3", len(reports))
	}

	// A file that is cut off fails its execution, which says which and why.
	whole := zipped(t, flightsCSV(7, 2000, 0))
	put(t, folder+"cut.csv.gz", whole[:len(whole)/2])
	if got := waitForExecution(ctx, t, folder+"cut.csv.gz"); got.status != types.ExecutionStatusFailed || got.failure != "FailedPrecondition" ||
		!strings.Contains(got.cause, folder+"cut.csv.gz") || !strings.Contains(got.cause, "unexpected EOF") {
		t.Errorf("cut off: %+v", got)
	}
	if said := says(t, 3, "drift", "calibrate", model); !strings.Contains(said, "10") || strings.Count(said, "\n") != 1 {
		t.Errorf("calibrate with three windows says %q", said)
	}
}

// Many objects are one batch: as a prefix, or as a manifest lists them. Rows in are rows out.
func TestBatchOfManyObjects(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	model := watched(t)
	// In a folder whose name begins with _ the parts start nothing by themselves.
	folder := "batches/" + model + "/_2026-11/"
	const objects, each = 200, 25
	want, size := uint64(0), 0
	var keys []string
	for i := range objects {
		content := flightsCSV(uint64(100+i), each+i%3, 0)
		keys = append(keys, fmt.Sprintf("%spart-%05d.csv", folder, i))
		put(t, keys[i], []byte(content))
		want, size = want+uint64(each+i%3), size+len(content)
	}
	put(t, folder+"_SUCCESS", nil)
	at := time.Now()
	got := execute(ctx, t, map[string]any{"plan": map[string]any{"prefix": folder}})
	t.Logf("%d objects, %d rows, %d bytes: %.1f s", objects, want, size, time.Since(at).Seconds())
	r := got.report(t)
	if r.Rows != want || r.RowsIn != want || got.output.Batch.Count != objects {
		t.Errorf("%d rows of %d objects in; the report is %+v, the plan %+v", want, objects, r, got.output.Batch)
	}
	full := reportsOf(ctx, t, model, r.Window)
	var body driftReport
	if len(full) != 1 || json.Unmarshal(full[0], &body) != nil || body.Rows.Compared != want {
		t.Errorf("the report of the prefix is %s", full)
	}
	if len(body.LeftOut) != 1 || body.LeftOut[0].Reason != "skipped" || !slices.Equal(body.LeftOut[0].Examples, []string{folder + "_SUCCESS"}) {
		t.Errorf("left out: %+v", body.LeftOut)
	}
	if profiles := list(ctx, t, "profiles/"+model+"/batches/"+r.Window+"/"); len(profiles) != objects+2 {
		t.Errorf("%d objects lie beside the plan, want one an item", len(profiles)-2)
	}

	// The same machine again finds everything done.
	if again := execute(ctx, t, map[string]any{"plan": map[string]any{"prefix": folder}}).report(t); again.ID != r.ID || again.Created {
		t.Errorf("again: %+v", again)
	}

	// A manifest starts its batch by being put.
	type entry struct {
		Key string `json:"key"`
	}
	manifest, err := json.Marshal(map[string][]entry{"objects": {{keys[3]}, {keys[1]}}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, folder+"_manifest.json", manifest)
	listed := waitForExecution(ctx, t, folder+"_manifest.json")
	if r := listed.report(t); r.Rows != each+1+each || r.RowsIn != r.Rows || listed.output.Batch.Count != 2 {
		t.Errorf("the manifest's report is %+v", r)
	}

	// One bad object among good ones: the execution fails and names it, and it alone.
	bad := "batches/" + model + "/_bad/"
	for i := range 5 {
		put(t, fmt.Sprintf("%spart-%d.csv.gz", bad, i), zipped(t, flightsCSV(uint64(i), 50, 0)))
	}
	whole := zipped(t, flightsCSV(9, 500, 0))
	put(t, bad+"part-2.csv.gz", whole[:len(whole)-40])
	failed := execute(ctx, t, map[string]any{"plan": map[string]any{"prefix": bad}})
	if failed.status != types.ExecutionStatusFailed || !strings.Contains(failed.cause, "in 1 of 5 items: item 000003 ("+bad+"part-2.csv.gz)") {
		t.Errorf("one of five is cut off: %+v", failed)
	}
}

// What the machine is not meant for, it refuses by name.
func TestMachineRefuses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for input, want := range map[string][2]string{
		`{}`:                          {"InvalidArgument", "the S3 event"},
		`{"plan":{}}`:                 {"InvalidArgument", "one of"},
		`{"plan":{"key":"models/x"}}`: {"InvalidArgument", "batches/"},
		`{"plan":{"key":"batches/no-such-model/x.csv"}}`: {"NotFound", "no-such-model"},
	} {
		if got := execute(ctx, t, json.RawMessage(input)); got.status != types.ExecutionStatusFailed || got.failure != want[0] || !strings.Contains(got.cause, want[1]) {
			t.Errorf("%s: %+v", input, got)
		}
	}
}

// execution is how a run of the drift machine ended.
type execution struct {
	status         types.ExecutionStatus
	failure, cause string
	output         struct {
		Batch struct {
			Job   string `json:"job"`
			Count int    `json:"count"`
		} `json:"batch"`
		Report struct {
			Reports []answered `json:"reports"`
		} `json:"report"`
	}
}

func (e execution) report(t *testing.T) answered {
	t.Helper()
	if len(e.output.Report.Reports) != 1 {
		t.Fatalf("the execution ended as %+v", e)
	}
	return e.output.Report.Reports[0]
}

// execute starts the machine and waits for its end.
func execute(ctx context.Context, t *testing.T, input any) execution {
	t.Helper()
	text, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	started, err := sfn.NewFromConfig(local.Config()).StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: aws.String(local.Outputs["DriftMachineArn"]), Input: aws.String(string(text))})
	if err != nil {
		t.Fatal(err)
	}
	return ended(ctx, t, *started.ExecutionArn)
}

func ended(ctx context.Context, t *testing.T, arn string) execution {
	t.Helper()
	machines := sfn.NewFromConfig(local.Config())
	var e execution
	err := stack.Eventually(ctx, func() (bool, error) {
		d, err := machines.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
		if err != nil || d.Status == types.ExecutionStatusRunning {
			return false, err
		}
		e.status, e.failure, e.cause = d.Status, aws.ToString(d.Error), aws.ToString(d.Cause)
		if d.Output == nil {
			return true, nil
		}
		return true, json.Unmarshal([]byte(*d.Output), &e.output)
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// waitForExecution finds the execution that S3's event of the object started, and waits for its end.
func waitForExecution(ctx context.Context, t *testing.T, key string) execution {
	t.Helper()
	machines := sfn.NewFromConfig(local.Config())
	named, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var found string
	err = stack.Eventually(ctx, func() (bool, error) {
		page, err := machines.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: aws.String(local.Outputs["DriftMachineArn"]), MaxResults: 100})
		if err != nil {
			return false, err
		}
		for _, e := range page.Executions {
			if seen[*e.ExecutionArn] {
				continue
			}
			seen[*e.ExecutionArn] = true
			d, err := machines.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: e.ExecutionArn})
			if err != nil {
				return false, err
			}
			if strings.Contains(aws.ToString(d.Input), string(named)) {
				found = *e.ExecutionArn
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		t.Fatalf("%s started nothing: %v", key, err)
	}
	return ended(ctx, t, found)
}

// waitForReports waits for that many reports of the model, and returns them in the order of their windows.
func waitForReports(ctx context.Context, t *testing.T, model string, n int) []driftReport {
	t.Helper()
	var reports []driftReport
	err := stack.Eventually(ctx, func() (bool, error) {
		reports = nil
		for _, text := range reportsOf(ctx, t, model, "") {
			var r driftReport
			if err := json.Unmarshal(text, &r); err != nil {
				return false, err
			}
			reports = append(reports, r)
		}
		return len(reports) >= n, nil
	})
	if err != nil {
		t.Fatalf("%v; %d reports of %s, want %d", err, len(reports), model, n)
	}
	return reports
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
