package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// evaluationReport is the part of docs/formats/evaluation.md, "The report", that is looked at here.
type evaluationReport struct {
	ID         string `json:"id"`
	Revision   int    `json:"revision"`
	Verdict    string `json:"verdict"`
	Champion   int    `json:"champion"`
	Incomplete bool   `json:"incomplete"`
	Join       struct {
		Predictions uint64 `json:"predictions"`
		Labelled    uint64 `json:"labelled"`
	} `json:"join"`
	Versions []struct {
		Quality struct {
			Metrics []struct {
				Name  string   `json:"name"`
				Value *float64 `json:"value"`
			} `json:"metrics"`
		} `json:"quality"`
	} `json:"versions"`
	Supersedes *struct {
		Report  string   `json:"report"`
		Changes []string `json:"changes"`
	} `json:"supersedes"`
}

// evaluatedWindow is what the function evaluate says of a report.
type evaluatedWindow struct {
	ID       string  `json:"id"`
	Revision int     `json:"revision"`
	Verdict  string  `json:"verdict"`
	Rows     uint64  `json:"rows"`
	Judged   uint64  `json:"judged"`
	Coverage float64 `json:"coverage"`
	Created  bool    `json:"created"`
	Closed   bool    `json:"closed"`
}

// evaluationCompleted is the part of docs/formats/evaluation.md, "Events", that is looked at here.
type evaluationCompleted struct {
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
	Detail     struct {
		Model    string `json:"model"`
		Window   string `json:"window"`
		Rows     uint64 `json:"rows"`
		ReportID string `json:"report_id"`
		Report   string `json:"report"`
		Page     string `json:"page"`
	} `json:"detail"`
}

// Windows are as short as can be, and labels are due at once.
const shortQuality = `{"quality":{"window_minutes":60,"label_delay_minutes":0,"min_rows":20,"min_class":10},` +
	`"drift":{"columns":{"probabilities_1":{"gate":false}}}}`

// labelOf is a label of a captured prediction: by the probability that the model gave.
type labelOf struct {
	id    string
	label int
}

// Labels that are posted and dropped end in reports, on the schedule alone. Delivered again, in another order, they change nothing; late ones supersede.
func TestEvaluationOfPredictions(t *testing.T) {
	t.Parallel() // most of it is waiting for bakes and schedules
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	model := served(t, shortQuality)
	queue := listen(t, "tidegate.evaluation", model)
	schedule := ruleOf(t, "EvaluateRule")
	schedule("", eventtypes.RuleStateDisabled) // the stack's own must not come between
	const rows = 200
	file := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(file, []byte(flightsCSV(3, rows, 0)), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, 0, "predict", model, file, "-o", filepath.Join(t.TempDir(), "answers.ndjson"), "--batch", "10")
	waitForCaptures(t, model, rows/10)

	// The same predictions, as if they were of three hours ago: their window is closed.
	began := time.Now().UTC().Truncate(time.Hour).Add(-3 * time.Hour)
	window, folder := began.Format("2006-01-02T15-04"), "labels/filed/"+model+"/"+began.Format("2006-01-02/15")+"/"
	objects := moved(t, model, began.Add(10*time.Minute))
	labels := labelsOf(t, objects)
	if len(labels) != rows {
		t.Fatalf("%d rows are captured, want %d", len(labels), rows)
	}
	for key, content := range objects {
		put(t, key, content)
	}
	post(t, model, labels[:rows/2])
	waitForLabels(t, folder, rows/2)
	at := time.Now()
	schedule("rate(1 minute)", eventtypes.RuleStateEnabled)
	first := waitForEvaluation(ctx, t, model, window, 1)
	t.Logf("the schedule made the report after %.1f s", time.Since(at).Seconds())
	if first.Join.Predictions != rows || first.Join.Labelled != rows/2 || first.Verdict != "not_enough_data" || first.Incomplete {
		t.Errorf("half of the labels: %+v", first)
	}
	var event evaluationCompleted
	receive(ctx, t, queue, &event)
	if event.Source != "tidegate.evaluation" || event.DetailType != "Evaluation Completed" || event.Detail.ReportID != first.ID || event.Detail.Rows != rows || event.Detail.Window != window {
		t.Errorf("the event is %+v", event)
	}
	for _, uri := range []string{event.Detail.Report, event.Detail.Page} {
		key := strings.TrimPrefix(uri, "s3://"+local.Outputs["DataBucketName"]+"/")
		if found := list(ctx, t, key); len(found) != 1 {
			t.Errorf("the event names %s, which is not there", uri)
		}
	}

	// The others come late, as a file; some a second time, and in another order.
	csv := "id,label\n"
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(rows) {
		if i >= rows/2-20 {
			csv += fmt.Sprintf("%s,%d\n", labels[i].id, labels[i].label)
		}
	}
	put(t, "labels/landed/files/"+model+"/rest.csv", []byte(csv))
	second := waitForEvaluation(ctx, t, model, window, 2)
	schedule("", eventtypes.RuleStateDisabled)
	if second.Join.Labelled != rows || second.Supersedes == nil || second.Supersedes.Report != first.ID || len(second.Supersedes.Changes) == 0 || second.Revision != 2 {
		t.Errorf("late labels: %+v", second)
	}
	if m := second.Versions[0].Quality.Metrics; len(m) == 0 || m[0].Name != "roc_auc" || m[0].Value == nil {
		t.Errorf("metrics %+v", m)
	}

	// S3 and Firehose deliver at least once: nothing changes.
	for i, key := range slices.Sorted(maps.Keys(objects)) {
		if i%2 == 0 {
			put(t, key+"-again", objects[key])
		}
	}
	put(t, "labels/landed/files/"+model+"/again.csv", []byte(csv))
	if err := stack.Eventually(ctx, func() (bool, error) {
		return len(reportsOn(ctx, t, "labels/landed/files/"+model+"/again.csv")) > 0, nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := evaluateNow(t, model, window); got.Created || got.ID != second.ID || got.Judged != rows || !got.Closed || got.Coverage != 1 {
		t.Errorf("after a second delivery: %+v", got)
	}

	// The machine joins the hours side by side, and finds the same.
	ended := executeEvaluation(ctx, t, map[string]any{"model": model, "window": window})
	if len(ended) != 1 || ended[0].ID != second.ID || ended[0].Created {
		t.Errorf("the machine says %+v", ended)
	}
	if found := evaluationsOf(ctx, t, model, window); len(found) != 2 {
		t.Errorf("there are %d reports, want 2", len(found))
	}
}

// What the machine is not meant for, it refuses by name.
func TestEvaluateMachineRefuses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for input, want := range map[string]string{`{}`: "InvalidArgument", `{"model":"no-such-model","window":"2026-11-24"}`: "NotFound"} {
		if status, failure, _ := runEvaluation(ctx, t, json.RawMessage(input)); status != sfntypes.ExecutionStatusFailed || failure != want {
			t.Errorf("%s: %s %s", input, status, failure)
		}
	}
}

// served registers a model with training and holdout rows, makes it the champion and puts settings in force.
func served(t *testing.T, settings string) string {
	t.Helper()
	model, folder := stack.Name(t.Name()), testdata("registration", "testdata", "binary")
	files := map[string][]byte{"training.csv": []byte(flightsCSV(1, 4000, 0))}
	for _, name := range []string{"model.onnx", "features.json", "metrics.json", "run.json", "training_schema.json", "holdout.csv", "predictions.csv"} {
		files[name] = read(t, filepath.Join(folder, name))
	}
	if _, err := local.ServeFolder(t.Context(), model, "binary_classification", files); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, 0, "configure", model, file, "--reason", "short windows")
	return model
}

// labelsOf draws a label for each captured row, in the order of the ids.
func labelsOf(t *testing.T, objects map[string][]byte) []labelOf {
	t.Helper()
	var labels []labelOf
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		for line := range bytes.Lines(objects[key]) {
			var r struct {
				ID        string `json:"id"`
				FirstRow  int    `json:"first_row"`
				TotalRows int    `json:"total_rows"`
				Outputs   struct {
					Probabilities [][]float64 `json:"probabilities"`
				} `json:"outputs"`
			}
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			for i, p := range r.Outputs.Probabilities {
				l := labelOf{id: r.ID}
				if r.TotalRows > 1 {
					l.id = fmt.Sprintf("%s#%d", r.ID, r.FirstRow+i)
				}
				if float64((len(labels)*37)%100)/100 < p[1] {
					l.label = 1
				}
				labels = append(labels, l)
			}
		}
	}
	return labels
}

// post sends labels to the API.
func post(t *testing.T, model string, labels []labelOf) {
	t.Helper()
	var all []map[string]any
	for _, l := range labels {
		all = append(all, map[string]any{"id": l.id, "label": l.label, "ts": "2026-01-01T00:00:00Z"})
	}
	body, err := json.Marshal(map[string]any{"labels": all})
	if err != nil {
		t.Fatal(err)
	}
	res, answer, err := local.Call(t.Context(), http.MethodPost, "/v1/feedback/"+model, nil, body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v: %s", err, answer)
	}
}

// ruleOf returns what changes a scheduled rule of the stack until the test ends; "" is what the template says.
func ruleOf(t *testing.T, id string) func(schedule string, state eventtypes.RuleState) {
	t.Helper()
	described, err := cloudformation.NewFromConfig(local.Config()).DescribeStackResource(t.Context(),
		&cloudformation.DescribeStackResourceInput{StackName: &local.Name, LogicalResourceId: &id})
	if err != nil {
		t.Fatal(err)
	}
	name := *described.StackResourceDetail.PhysicalResourceId
	name = name[strings.LastIndex(name, "|")+1:]
	bus := eventbridge.NewFromConfig(local.Config())
	before, err := bus.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: &name})
	if err != nil {
		t.Fatal(err)
	}
	set := func(ctx context.Context, schedule *string, state eventtypes.RuleState) {
		if _, err := bus.PutRule(ctx, &eventbridge.PutRuleInput{Name: &name, Description: before.Description, ScheduleExpression: schedule, State: state}); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { set(context.WithoutCancel(t.Context()), before.ScheduleExpression, before.State) })
	return func(schedule string, state eventtypes.RuleState) {
		if schedule == "" {
			schedule = *before.ScheduleExpression
		}
		set(t.Context(), &schedule, state)
	}
}

// evaluationsOf are the reports of a window by revision, each of which has its page.
func evaluationsOf(ctx context.Context, t *testing.T, model, window string) []evaluationReport {
	t.Helper()
	var reports []evaluationReport
	pages := map[string]bool{}
	found := list(ctx, t, "reports/evaluation/"+model+"/"+window+"/")
	for _, object := range found {
		if page, ok := strings.CutSuffix(object.key, ".html"); ok {
			pages[page] = bytes.HasPrefix(bytes.ToLower(object.content), []byte("<!doctype html>"))
		}
	}
	for _, object := range found {
		name, ok := strings.CutSuffix(object.key, ".json")
		if !ok || strings.HasSuffix(name, ".event") {
			continue
		}
		var r evaluationReport
		if err := json.Unmarshal(object.content, &r); err != nil {
			t.Fatal(err)
		}
		if reports = append(reports, r); !pages[name] {
			t.Errorf("%s has no page", object.key)
		}
	}
	slices.SortFunc(reports, func(a, b evaluationReport) int { return a.Revision - b.Revision })
	return reports
}

// waitForEvaluation waits for the report of that revision.
func waitForEvaluation(ctx context.Context, t *testing.T, model, window string, revision int) evaluationReport {
	t.Helper()
	var reports []evaluationReport
	err := stack.Eventually(ctx, func() (bool, error) {
		reports = evaluationsOf(ctx, t, model, window)
		return len(reports) >= revision, nil
	})
	if err != nil {
		t.Fatalf("the schedule made no report of revision %d: %v", revision, err)
	}
	return reports[revision-1]
}

// evaluateNow asks evaluate for one report.
func evaluateNow(t *testing.T, model, window string) evaluatedWindow {
	t.Helper()
	event, err := json.Marshal(map[string]any{"model": model, "window": window})
	if err != nil {
		t.Fatal(err)
	}
	out, err := local.Invoke(t.Context(), "evaluate", event)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Reports []evaluatedWindow }
	if err := json.Unmarshal(out, &got); err != nil || len(got.Reports) != 1 {
		t.Fatalf("%v: evaluate answers %s", err, out)
	}
	return got.Reports[0]
}

// executeEvaluation starts the machine, waits for its end and returns its reports.
func executeEvaluation(ctx context.Context, t *testing.T, input any) []evaluatedWindow {
	t.Helper()
	status, failure, output := runEvaluation(ctx, t, input)
	var got struct {
		Report struct{ Reports []evaluatedWindow }
	}
	if status != sfntypes.ExecutionStatusSucceeded || json.Unmarshal(output, &got) != nil {
		t.Fatalf("the execution ended as %s: %s", status, failure)
	}
	return got.Report.Reports
}

func runEvaluation(ctx context.Context, t *testing.T, input any) (status sfntypes.ExecutionStatus, failure string, output []byte) {
	t.Helper()
	text, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	machines := sfn.NewFromConfig(local.Config())
	started, err := machines.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(local.Outputs["EvaluateMachineArn"]), Input: aws.String(string(text))})
	if err != nil {
		t.Fatal(err)
	}
	err = stack.Eventually(ctx, func() (bool, error) {
		d, err := machines.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: started.ExecutionArn})
		if err != nil || d.Status == sfntypes.ExecutionStatusRunning {
			return false, err
		}
		status, failure, output = d.Status, aws.ToString(d.Error), []byte(aws.ToString(d.Output))
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return status, failure, output
}
