package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/oklog/ulid/v2"

	"github.com/tidegate/tidegate/tests/local/stack"
)

const trainingSchema = `{"v":1,"task":"binary_classification","target":"late","time":"at","columns":[{"name":"a","type":"number"},{"name":"b","type":"number"}]}`

// monthly is a month of training rows, in which late depends on a with this weight.
func monthly(month time.Month, rows int, weight float64) []byte {
	rng := rand.New(rand.NewPCG(uint64(month), 7))
	var b bytes.Buffer
	b.WriteString("a,b,at,late\n")
	first := time.Date(2026, month, 1, 0, 0, 0, 0, time.UTC)
	step := 28 * 24 * time.Hour / time.Duration(rows)
	for i := range rows {
		x, y := rng.Float64(), rng.Float64()
		fmt.Fprintf(&b, "%.4f,%.4f,%s,%d\n", x, y, first.Add(time.Duration(i)*step).Format(time.RFC3339), lateness(rng, x, weight))
	}
	return b.Bytes()
}

func lateness(rng *rand.Rand, x, weight float64) int {
	if rng.Float64() < 1/(1+math.Exp(-weight*(x-0.5))) {
		return 1
	}
	return 0
}

// ofTwo is a request of the inputs a and b, in a world like that of the later months.
func ofTwo(rng *rand.Rand) (body string, label int) {
	x, y := rng.Float64(), rng.Float64()
	return fmt.Sprintf(`{"inputs":[{"name":"a","shape":[1,1],"datatype":"FP32","data":[%g]},{"name":"b","shape":[1,1],"datatype":"FP32","data":[%g]}]}`, x, y), lateness(rng, x, -8)
}

// putRows drops a file of training rows and returns its key.
func putRows(t *testing.T, model, name string, content []byte) string {
	t.Helper()
	bucket, key := local.Outputs["DataBucketName"], "training/"+model+"/"+name
	if _, err := local.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(content)}); err != nil {
		t.Fatal(err)
	}
	return key
}

// trained is a model whose champion was trained on the first months, and that is trained again on what lies under training/<model>/.
func trained(t *testing.T, rollout, then string) (model string) {
	t.Helper()
	model = stack.Name(t.Name())
	early := bytes.Join([][]byte{monthly(1, 1000, 8), monthly(2, 1000, 8)[len("a,b,at,late\n"):]}, nil)
	folder := "uploads/" + ulid.Make().String() + "/"
	in := map[string]any{"model": model, "task": "binary_classification", "output_uri": "s3://" + local.Outputs["RegistryBucketName"] + "/" + folder + "out/",
		"hyperparameters": map[string]string{"seed": "1", "max_iter": "20"}}
	for field, file := range map[string][]byte{"schema_uri": []byte(trainingSchema), "data_uri": early} {
		uri, err := local.Upload(t.Context(), folder+field, file)
		if err != nil {
			t.Fatal(err)
		}
		in[field] = uri
	}
	for _, step := range []struct {
		verb string
		in   map[string]any
	}{
		{"train", in},
		{"register", map[string]any{"model": model, "task": "binary_classification", "source": in["output_uri"], "actor": "test"}},
		{"promote", map[string]any{"model": model, "kind": "bootstrap", "version": 1, "transition_id": ulid.Make().String(), "seen_generation": 0, "actor": "test", "reason": "the first"}},
	} {
		event, err := json.Marshal(step.in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := local.Invoke(t.Context(), step.verb, event); err != nil {
			t.Fatalf("%s: %v", step.verb, err)
		}
	}
	putRows(t, model, "1.csv", early)
	for month := time.April; month <= time.May; month++ {
		putRows(t, model, fmt.Sprintf("%d.csv", month), monthly(month, 1500, -8))
	}
	settings := fmt.Sprintf(`{"retrain":{"sources":[{"prefix":"training/%s/"}],"schema":%s,"hyperparameters":{"seed":"1","max_iter":"20"},"then":%q},%s`,
		model, trainingSchema, then, rollout[1:])
	configure(t, model, settings)
	return model
}

// shortRollout has two steps, and bounds that few pairs reach.
const shortRollout = `{"rollout":{"approval":"start","approval_seconds":300,"steps":[{"weight":5000,"bake_seconds":2},{"weight":10000,"bake_seconds":2}]},"comparison":{"n_step":20,"first_look":{"pairs":60,"per_class":10},
	"abort_first_look":{"pairs":60,"per_class":10},"min_blocks":1,"max_wait":100,"expected_pairs":400,"guardrails":{"error_ratio":{"off":true},"latency":{"off":true},"log_loss":{"off":true}}}}`

// retrained is what an execution of the retrain machine answers.
type retrained struct {
	Model, Run, Trigger, Source, Outcome, Reason, Execution string
	Version                                                 int
}

// drifts tells the bus that the model of this stack has drifted in a window.
func drifts(t *testing.T, model, window string) {
	t.Helper()
	driftsIn(t, local.Outputs["DataBucketName"], model, window)
}

func driftsIn(t *testing.T, bucket, model, window string) {
	t.Helper()
	detail := fmt.Sprintf(`{"schema":1,"model":%q,"version":1,"window":%q,"verdict":"drift","state":"drift","before":"ok","drifted":["label"],"rows":2400,"summary":"Drift in \"label\", over 2400 rows.","report_id":"0f1e","revision":1,"report":"s3://%s/reports/drift/0f1e.json"}`, model, window, bucket)
	out, err := eventbridge.NewFromConfig(local.Config()).PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{
		{Source: aws.String("tidegate.drift"), DetailType: aws.String("Drift State Change"), Detail: &detail}}})
	if err != nil || out.FailedEntryCount > 0 {
		t.Fatal(err, out)
	}
}

// executionsOf lists the executions of the retrain machine for a model, the newest first.
func executionsOf(ctx context.Context, model string) (arns []string, err error) {
	machines := sfn.NewFromConfig(local.Config())
	pages := sfn.NewListExecutionsPaginator(machines, &sfn.ListExecutionsInput{StateMachineArn: aws.String(local.Outputs["RetrainMachineArn"])})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range page.Executions {
			d, err := machines.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: e.ExecutionArn})
			if err != nil {
				return nil, err
			}
			if strings.Contains(aws.ToString(d.Input), model) {
				arns = append(arns, aws.ToString(e.ExecutionArn))
			}
		}
	}
	return arns, nil
}

// nth waits for the n-th execution of a model to begin, and returns those that there are.
func nth(ctx context.Context, t *testing.T, model string, n int) []string {
	t.Helper()
	var arns []string
	err := stack.Eventually(ctx, func() (bool, error) {
		var err error
		arns, err = executionsOf(ctx, model)
		return len(arns) >= n, err
	})
	if err != nil {
		t.Fatalf("of %s there are %d executions instead of %d: %v", model, len(arns), n, err)
	}
	return arns
}

// failed is the outcome of an execution that failed; the reason is its error and its cause.
const failed = "FAILED"

// endOf waits for the end of an execution.
func endOf(ctx context.Context, execution string) (out retrained, err error) {
	machines := sfn.NewFromConfig(local.Config())
	err = stack.Eventually(ctx, func() (bool, error) {
		d, err := machines.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &execution})
		if err != nil || d.Status == types.ExecutionStatusRunning {
			return false, err
		}
		if d.Status != types.ExecutionStatusSucceeded {
			out = retrained{Outcome: string(d.Status), Reason: aws.ToString(d.Error) + ": " + aws.ToString(d.Cause)}
			return true, nil
		}
		return true, json.Unmarshal([]byte(aws.ToString(d.Output)), &out)
	})
	return out, err
}

// ends waits for the end of an execution that does not fail.
func ends(ctx context.Context, t *testing.T, execution string) retrained {
	t.Helper()
	out, err := endOf(ctx, execution)
	if err != nil || out.Outcome == failed {
		t.Fatalf("%s: %+v, %v", execution, out, err)
	}
	return out
}

// The loop closes: drift starts a retraining, whose version a person lets go, and which is promoted under live traffic.
// The same event again is a duplicate, the same data again is no training, and bad data is refused by its name.
func TestRetrain(t *testing.T) {
	t.Parallel() // most of it is waiting
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	model := trained(t, shortRollout, "rollout")
	traffic := drive(t, model, 200, ofTwo)

	driftsIn(t, "another-stacks-data", model, "2026-04") // whose model has the same name
	drifts(t, model, "2026-05")
	first := nth(ctx, t, model, 1)[0]
	if err := stack.Eventually(ctx, func() (bool, error) {
		var waiting []struct {
			Request struct{ ID, Evidence string }
		}
		document(t, &waiting, "approvals", model)
		if len(waiting) == 0 {
			d, err := sfn.NewFromConfig(local.Config()).DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &first})
			if err == nil && d.Status != types.ExecutionStatusRunning {
				err = fmt.Errorf("the execution is %s: %s %s", d.Status, aws.ToString(d.Output), aws.ToString(d.Cause))
			}
			return false, err
		}
		if waiting[0].Request.Evidence == "" {
			t.Error("the approval shows no evidence")
		}
		says(t, 0, "approve", model+"/"+waiting[0].Request.ID, "--reason", "looks right")
		return true, nil
	}); err != nil {
		t.Fatal("nobody asks for an approval: ", err)
	}
	got := ends(ctx, t, first)
	if all := nth(ctx, t, model, 1); len(all) != 1 {
		t.Errorf("the event of another stack started a retraining: %s", all)
	}
	if got.Outcome != "promoted" || got.Version != 2 || got.Source != "drift" || got.Trigger != "drift 2026-05" {
		t.Fatalf("the retraining ended as %+v", got)
	}
	if log := logOf(t, model); log[len(log)-1].Last.Kind != "promote" || log[len(log)-1].Slots.Champion.Version != 2 {
		t.Errorf("the log ends with %+v", log[len(log)-1])
	}
	traffic.stop()
	if len(traffic.failed) > 0 {
		t.Errorf("%d requests failed, the first with %s", len(traffic.failed), traffic.failed[0])
	}

	drifts(t, model, "2026-05")
	second := nth(ctx, t, model, 2)
	for _, arn := range second {
		if arn != first {
			if got := ends(ctx, t, arn); got.Outcome != "duplicate" || !strings.Contains(got.Reason, first) {
				t.Errorf("the same event again: %+v", got)
			}
		}
	}

	said := says(t, 0, "retrain", model, "--reason", "nothing is new", "--actor", "ana", "--follow")
	if !strings.Contains(said, "it would be version 2, which is champion") || !strings.Contains(said, "\nunchanged: ") {
		t.Errorf("the same data again:\n%s", said)
	}

	putRows(t, model, "6.csv", []byte("a,at,late\n0.1,2026-06-01T00:00:00Z,1\n"))
	said = says(t, 3, "retrain", model, "--reason", "a bad file", "--actor", "ana", "--follow")
	if !strings.Contains(said, "the retraining is refused: ") || !strings.Contains(said, "6.csv") {
		t.Errorf("a bad file:\n%s", said)
	}
}

// TestRetrainIsTakenUp: an execution that is stopped in each state in turn is taken up by the next one of its trigger,
// which repeats nothing that was finished; in the end there is one dataset, one training and one version of it.
func TestRetrainIsTakenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	model := trained(t, `{"comparison":{"abort_first_look":{"pairs":60,"per_class":10},"min_blocks":1}}`, "register")
	machines := sfn.NewFromConfig(local.Config())
	start := func() string {
		var r struct{ Execution string }
		document(t, &r, "retrain", model, "--reason", "a test", "--actor", "ana", "--trigger", "one")
		return r.Execution
	}
	before := ""
	for _, state := range []string{"ClaimTrigger", "DescribeTrainer", "TakeSnapshot", "TrainInLambda", "TakeTrained", "RegisterVersion", "PinHoldout", "LookAtRollout", "ScoreRows", "JudgeStart"} {
		execution := start()
		if err := stack.Eventually(ctx, func() (bool, error) {
			h, err := machines.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: &execution, MaxResults: 1000})
			if err != nil {
				return false, err
			}
			for _, e := range h.Events {
				if in := e.StateEnteredEventDetails; in != nil && aws.ToString(in.Name) == state {
					return true, nil
				}
				// What is finished is not entered again.
				if e.Type == types.HistoryEventTypeExecutionSucceeded || e.Type == types.HistoryEventTypeExecutionFailed || state == "TakeTrained" && e.StateEnteredEventDetails != nil && aws.ToString(e.StateEnteredEventDetails.Name) == "RegisterVersion" {
					return true, nil
				}
			}
			return false, nil
		}); err != nil {
			t.Fatalf("%s is not reached: %v", state, err)
		}
		if _, err := machines.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: &execution, Cause: aws.String("a test stops it in " + state)}); err != nil {
			t.Fatalf("%s: %v", state, err)
		}
		d, err := machines.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &execution})
		if err != nil || d.Status != types.ExecutionStatusAborted {
			t.Fatalf("%s: %s, %v", state, d.Status, err)
		}
		if claim := stepOf(ctx, t, execution, "ClaimAgain"); before != "" && !strings.Contains(claim, before) {
			t.Errorf("the execution that was stopped in %s took over from another than %s: %s", state, before, claim)
		}
		before = execution
	}

	last := start()
	got := ends(ctx, t, last)
	if got.Outcome != "registered" || got.Version != 2 || !strings.Contains(got.Reason, "Start: ") {
		t.Errorf("the last execution ended as %+v", got)
	}
	if trained := stepOf(ctx, t, last, "TrainInLambda"); trained != "" {
		t.Errorf("the last execution trained again: %s", trained)
	}
	var versions []struct{ Version int }
	document(t, &versions, "version", "list", model)
	if len(versions) != 2 {
		t.Errorf("there are the versions %v", versions)
	}
	var r struct {
		Result struct{ Outcome, Reason string }
	}
	document(t, &r, "retrain", model, "--reason", "once more", "--actor", "ana", "--trigger", "one", "--follow")
	if r.Result.Outcome != "duplicate" || !strings.Contains(r.Result.Reason, last) {
		t.Errorf("the same trigger once more: %+v", r.Result)
	}
}

// stepOf is what an execution held after a state; "" where it has not left it.
func stepOf(ctx context.Context, t *testing.T, execution, state string) (output string) {
	t.Helper()
	h, err := sfn.NewFromConfig(local.Config()).GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: &execution, MaxResults: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range h.Events {
		if left := e.StateExitedEventDetails; left != nil && aws.ToString(left.Name) == state {
			output = aws.ToString(left.Output)
		}
	}
	return output
}
