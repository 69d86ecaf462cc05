package local

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/tidegate/tidegate/tests/local/stack"
)

// mocked is what a task answers, by attempt ("0", "1-99"), in the form of Step Functions Local.
type mocked map[string]map[string]any

func returns(result any) mocked { return mocked{"0-999": {"Return": result}} }

func answers(payload map[string]any) mocked { return returns(map[string]any{"Payload": payload}) }

func throws(name, cause string) mocked {
	return mocked{"0-999": {"Throw": map[string]any{"Error": name, "Cause": cause}}}
}

// refuses is a fault of a function, as Lambda tells it.
func refuses(kind, message string) mocked {
	cause, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message})
	return throws(kind, string(cause))
}

// anyway is a run whose every task goes well.
func anyway() map[string]mocked {
	return map[string]mocked{
		"ClaimTrigger":    answers(map[string]any{"status": "acquired", "run": "the-run", "epoch": 3, "attempt": 1}),
		"ClaimAgain":      answers(map[string]any{"status": "acquired", "run": "the-run", "epoch": 4, "attempt": 2}),
		"LookAtHolder":    returns(map[string]any{"Status": "ABORTED"}),
		"DescribeTrainer": answers(map[string]any{"code": "sha256:c"}),
		"TakeSnapshot":    snapshot(nil),
		"AdoptTrained":    answers(map[string]any{"ready": false}),
		"TrainInLambda":   answers(map[string]any{}),
		"TakeTrained":     answers(map[string]any{"ready": true, "source": "s3://r/uploads/1/"}),
		"AdoptJob":        answers(map[string]any{"ready": true, "source": "s3://r/uploads/1/"}),
		"StartJob":        returns(job("Completed")),
		"LookAtJob":       returns(job("Completed")),
		"RegisterVersion": answers(map[string]any{"version": 2}),
		"PinHoldout":      answers(holdout(true, 1, "")),
		"LookAtRollout":   answers(look(map[string]any{"status": "ended"})),
		"Score":           answers(map[string]any{"uri": "s3://d/predictions/1", "digest": "sha256:d", "rows_out": 5, "created": true}),
		"JudgeStart":      judged("start", "Start: it is not worse."),
		"LookAtModel":     answers(look(nil)),
		"RenewLease":      answers(map[string]any{"status": "renewed"}),
		"StartModel":      returns(map[string]any{"ExecutionArn": "arn:of-a-model"}),
		"StartRollout":    rolledOut("promote", ""),
		"ReleaseLease":    answers(map[string]any{"status": "released"}),
		"TellOutcome":     returns(map[string]any{"FailedEntryCount": 0}),
	}
}

func snapshot(with map[string]any) mocked {
	out := map[string]any{"action": "train", "why": []string{"a file is new"}, "trainer": "lambda", "lambda": map[string]any{"model": "flights"}, "sagemaker": map[string]any{},
		"jobs": []string{"flights-0a1b-1", "flights-0a1b-2", "flights-0a1b-3"}, "then": "rollout", "approval": "none", "approval_seconds": 60}
	maps.Copy(out, with)
	return answers(out)
}

func bySageMaker() mocked {
	return snapshot(map[string]any{"trainer": "sagemaker", "lambda": map[string]any{}, "sagemaker": map[string]any{
		"AlgorithmSpecification": map[string]any{"TrainingImage": "i@sha256:1"}, "RoleArn": "arn:role", "HyperParameters": map[string]any{"seed": "1"}, "InputDataConfig": []any{},
		"OutputDataConfig": map[string]any{}, "ResourceConfig": map[string]any{}, "StoppingCondition": map[string]any{}, "EnableNetworkIsolation": true, "Tags": []any{}}})
}

func job(status string) map[string]any {
	return map[string]any{"TrainingJobStatus": status, "ModelArtifacts": map[string]any{"S3ModelArtifacts": "s3://r/uploads/1/model.tar.gz"}}
}

func holdout(comparable bool, champion int, reason string) map[string]any {
	return map[string]any{"comparable": comparable, "champion": champion, "reason": reason, "scores": []any{map[string]any{"version": 1}, map[string]any{"version": 2}}, "start": map[string]any{"version": 2}}
}

func look(with map[string]any) map[string]any {
	progress := map[string]any{"frozen": false, "champion": 1, "status": ""}
	maps.Copy(progress, with)
	return map[string]any{"progress": progress}
}

func judged(action, summary string) mocked {
	return answers(map[string]any{"decide": map[string]any{"action": action, "summary": summary, "evidence": "sha256:e", "digests": []string{"sha256:e"}, "pairs": 5}})
}

func rolledOut(outcome, summary string) mocked {
	return returns(map[string]any{"Output": map[string]any{"outcome": outcome, "detail": "ended", "summary": summary}, "ExecutionArn": "arn:rollout"})
}

// way is one way through the machine: what differs from a run that goes well, and how it ends.
type way struct {
	input   string // a person's, where it is empty
	tasks   map[string]mocked
	outcome string // failed: so is the execution
	reason  string // part of it, or of error and cause
	through string // a state that it goes through
	never   string // and one that it does not
}

// ways are all that can happen to a retraining.
func ways() map[string]way {
	held := func(status string) mocked {
		return answers(map[string]any{"status": status, "run": "the-run", "holder": "arn:other"})
	}
	twice := mocked{"0": held("busy")["0-999"], "1": held("busy")["0-999"], "2": anyway()["ClaimAgain"]["0-999"]}
	clash := throws("SageMaker.ResourceInUseException", "exists")
	return map[string]way{
		"drift":     {input: `{"source":"tidegate.drift","detail":{"model":"flights","window":"w","summary":"Drift."}}`, outcome: "promoted", through: "TakeDrift"},
		"quality":   {input: `{"source":"tidegate.evaluation","detail":{"model":"flights","window":"w","summary":"Degraded."}}`, outcome: "promoted", through: "TakeQuality"},
		"scheduled": {input: `{"models":["flights","taxis"],"scheduled":"2026-10-05T00:00:00Z"}`, outcome: "scheduled", through: "TellStarted", never: "ClaimTrigger"},
		"too_many":  {input: `{"models":["flights"],"scheduled":"2026-10-05T00:00:00Z"}`, tasks: map[string]mocked{"StartModel": throws("StepFunctions.ThrottlingException", "too many")}, outcome: failed, reason: "too many"},
		"no_input":  {input: `{"model":"flights"}`, outcome: failed, reason: "The input must be"},
		"no_window": {input: `{"source":"tidegate.drift","detail":{"model":"flights"}}`, outcome: failed, reason: "The input must be"},

		"promoted":   {outcome: "promoted", reason: "made version 2 the champion", through: "TrainInLambda", never: "AskPerson"},
		"asked":      {tasks: map[string]mocked{"TakeSnapshot": snapshot(map[string]any{"approval": "rollout"})}, outcome: "promoted", through: "AskPerson"},
		"no_answer":  {tasks: map[string]mocked{"StartRollout": rolledOut("not_started", "The start of the rollout is expired.")}, outcome: "not_started", reason: "expired"},
		"aborted":    {tasks: map[string]mocked{"StartRollout": rolledOut("abort", "")}, outcome: "aborted"},
		"rolledback": {tasks: map[string]mocked{"StartRollout": rolledOut("rollback", "")}, outcome: "rolled_back"},
		"broken":     {tasks: map[string]mocked{"StartRollout": throws("States.TaskFailed", "the child failed")}, outcome: failed, reason: "the child failed", through: "ReleaseLease"},

		"duplicate": {tasks: map[string]mocked{"ClaimTrigger": held("duplicate")}, outcome: "duplicate", reason: "arn:other has had", never: "ReleaseLease"},
		"debounced": {tasks: map[string]mocked{"ClaimTrigger": answers(map[string]any{"status": "debounced", "run": "the-run", "reason": "too soon"})}, outcome: "debounced", reason: "too soon", never: "TakeSnapshot"},
		"taken":     {tasks: map[string]mocked{"ClaimTrigger": held("held")}, outcome: "promoted", through: "ClaimAgain", never: "WaitForLease"},
		"gone":      {tasks: map[string]mocked{"ClaimTrigger": held("held"), "LookAtHolder": throws("Sfn.ExecutionDoesNotExistException", "")}, outcome: "promoted", through: "HolderIsGone"},
		"byhand":    {tasks: map[string]mocked{"ClaimTrigger": held("busy"), "LookAtHolder": throws("Sfn.InvalidArnException", ""), "ClaimAgain": twice}, outcome: "promoted", through: "WaitForLease"},
		"busy":      {tasks: map[string]mocked{"ClaimTrigger": held("busy"), "ClaimAgain": held("busy")}, outcome: "busy", reason: "arn:other has the lease", through: "ReleaseLease"},
		"unclaimed": {tasks: map[string]mocked{"ClaimTrigger": refuses("Internal", "damaged")}, outcome: failed, reason: "damaged", through: "ReleaseLease"},

		"no_code":     {tasks: map[string]mocked{"DescribeTrainer": throws("Runtime.ImportModuleError", "no numpy")}, outcome: failed, reason: "no numpy"},
		"unset":       {tasks: map[string]mocked{"TakeSnapshot": refuses("FailedPrecondition", "nothing to train on")}, outcome: "refused", reason: "nothing to train on"},
		"bug":         {tasks: map[string]mocked{"TakeSnapshot": refuses("Internal", "a bug")}, outcome: failed, reason: "a bug", through: "TellOutcome"},
		"unchanged":   {tasks: map[string]mocked{"TakeSnapshot": snapshot(map[string]any{"action": "reuse", "version": 4, "standing": "champion", "why": []string{"no digest differs"}})}, outcome: "unchanged", reason: "no digest differs", never: "RegisterVersion"},
		"reused":      {tasks: map[string]mocked{"TakeSnapshot": snapshot(map[string]any{"action": "reuse", "version": 4, "standing": "none"})}, outcome: "promoted", never: "RegisterVersion"},
		"had_trained": {tasks: map[string]mocked{"AdoptTrained": anyway()["TakeTrained"]}, outcome: "promoted", never: "TrainInLambda"},
		"one_class":   {tasks: map[string]mocked{"TrainInLambda": refuses("FailedPrecondition", "one class")}, outcome: "refused", reason: "one class"},
		"deleted":     {tasks: map[string]mocked{"TrainInLambda": refuses("NotFound", "data_uri: no such object")}, outcome: "refused", reason: "no such object"},
		"too_long":    {tasks: map[string]mocked{"TrainInLambda": throws("Sandbox.Timedout", "900 seconds")}, outcome: failed, reason: "Sandbox.Timedout: 900 seconds"},
		"no_files":    {tasks: map[string]mocked{"TakeTrained": answers(map[string]any{"ready": false})}, outcome: failed, reason: "left no files"},

		"job":          {tasks: map[string]mocked{"TakeSnapshot": bySageMaker()}, outcome: "promoted", through: "AdoptJob", never: "LookAtJob"},
		"job_fails":    {tasks: map[string]mocked{"TakeSnapshot": bySageMaker(), "StartJob": throws("States.TaskFailed", `{"FailureReason":"out of memory"}`)}, outcome: failed, reason: "out of memory", never: "LookAtJob"},
		"job_refused":  {tasks: map[string]mocked{"TakeSnapshot": bySageMaker(), "StartJob": throws("SageMaker.AmazonSageMakerException", "a bad role"), "LookAtJob": throws("SageMaker.SageMakerException", "no such job")}, outcome: failed, reason: "a bad role"},
		"job_there":    {tasks: map[string]mocked{"TakeSnapshot": bySageMaker(), "StartJob": clash, "LookAtJob": {"0-2": {"Return": job("InProgress")}, "3-9": {"Return": job("Completed")}}}, outcome: "promoted", through: "WaitForJob"},
		"job_again":    {tasks: map[string]mocked{"TakeSnapshot": bySageMaker(), "StartJob": {"0": clash["0-999"], "1": {"Return": job("Completed")}}, "LookAtJob": returns(job("Stopped"))}, outcome: "promoted", through: "TryNextJob"},
		"job_lasts":    {tasks: map[string]mocked{"TakeSnapshot": bySageMaker(), "StartJob": clash, "LookAtJob": returns(job("InProgress"))}, outcome: failed, reason: "has not ended"},
		"jobs_used_up": {tasks: map[string]mocked{"TakeSnapshot": bySageMaker(), "StartJob": clash, "LookAtJob": returns(job("Failed"))}, outcome: failed, reason: "Every job"},

		"nan":          {tasks: map[string]mocked{"RegisterVersion": refuses("FailedPrecondition", "row 7 is NaN")}, outcome: "refused", reason: "row 7 is NaN", through: "ReleaseLease"},
		"no_time":      {tasks: map[string]mocked{"PinHoldout": answers(holdout(false, 1, "the rows have no time"))}, outcome: "registered", reason: "the rows have no time"},
		"the_same":     {tasks: map[string]mocked{"PinHoldout": answers(holdout(false, 2, "it is the champion"))}, outcome: "unchanged", reason: "version 2 again"},
		"no_scores":    {tasks: map[string]mocked{"Score": refuses("FailedPrecondition", "the model fails")}, outcome: "refused", reason: "the model fails"},
		"worse":        {tasks: map[string]mocked{"JudgeStart": judged("no_start", "No: it is worse.")}, outcome: "not_started", reason: "No: it is worse."},
		"proves_none":  {tasks: map[string]mocked{"JudgeStart": refuses("FailedPrecondition", "rows from before the training")}, outcome: "not_started", reason: "before the training"},
		"by_person":    {tasks: map[string]mocked{"TakeSnapshot": snapshot(map[string]any{"then": "register"})}, outcome: "registered", reason: "Start: it is not worse.", never: "StartRollout"},
		"another":      {tasks: map[string]mocked{"LookAtModel": answers(look(map[string]any{"status": "progressing", "rollout_id": "x", "challenger": 7}))}, outcome: "not_started", reason: "Rollout x of version 7"},
		"frozen":       {tasks: map[string]mocked{"LookAtModel": answers(look(map[string]any{"frozen": true}))}, outcome: "not_started", reason: "frozen"},
		"ours":         {tasks: map[string]mocked{"LookAtModel": answers(look(map[string]any{"frozen": true, "status": "paused", "rollout_id": "the-run", "challenger": 2}))}, outcome: "promoted"},
		"begun":        {tasks: map[string]mocked{"LookAtRollout": answers(look(map[string]any{"status": "paused", "rollout_id": "the-run"}))}, outcome: "promoted", never: "JudgeStart"},
		"over":         {tasks: map[string]mocked{"LookAtRollout": answers(look(map[string]any{"status": "ended", "ended_by": "promote"}))}, outcome: "promoted", never: "JudgeStart"},
		"overtaken":    {tasks: map[string]mocked{"RenewLease": refuses("FailedPrecondition", "epoch 3 is over")}, outcome: "overtaken", never: "StartRollout"},
		"not_released": {tasks: map[string]mocked{"ReleaseLease": refuses("Internal", "the lease is damaged")}, outcome: failed, reason: "the lease is damaged"},
		"not_told":     {tasks: map[string]mocked{"TellOutcome": throws("EventBridge.FailedEntry", "no")}, outcome: "promoted"},
	}
}

// TestWaysOfTheRetrainMachine walks the definition as it is deployed, with each task answered as the way says: the local
// AWS has no SageMaker, and what fails in other ways cannot be made to fail at will. Not parallel: it changes how long
// waits are, of every machine.
func TestWaysOfTheRetrainMachine(t *testing.T) {
	cases, responses := map[string]map[string]string{}, map[string]mocked{}
	all := ways()
	for name, w := range all {
		tasks := anyway()
		maps.Copy(tasks, w.tasks)
		cases[name] = map[string]string{}
		for state, says := range tasks {
			responses[name+"/"+state] = says
			cases[name][state] = name + "/" + state
		}
	}
	machine, machines := local.Outputs["RetrainMachineArn"], sfn.NewFromConfig(local.Config())
	emulator(t, map[string]any{"stepfunctions._SFN_WAIT_SCALE": 0.0001, "stepfunctions._sfn_mock_config": map[string]any{
		"StateMachines": map[string]any{machine[strings.LastIndex(machine, ":")+1:]: map[string]any{"TestCases": cases}}, "MockedResponses": responses}})
	t.Cleanup(func() {
		emulator(t, map[string]any{"stepfunctions._SFN_WAIT_SCALE": 1, "stepfunctions._sfn_mock_config": map[string]any{}})
	})
	visited := map[string]bool{}
	started := map[string]string{}
	for name, w := range all {
		input := cmp.Or(w.input, `{"model":"flights","trigger":"t","source":"person","actor":"ana","reason":"why","force":false}`)
		out, err := machines.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(machine + "#" + name), Input: &input})
		if err != nil {
			t.Fatal(err)
		}
		started[name] = aws.ToString(out.ExecutionArn)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			w := all[name]
			got, err := endOf(t.Context(), started[name])
			if err != nil {
				t.Fatal(err)
			}
			states := entered(t, started[name])
			for _, s := range states {
				visited[s] = true
			}
			if got.Outcome != w.outcome || !strings.Contains(got.Reason, w.reason) {
				t.Errorf("ended as %s: %s; want %s with %q", got.Outcome, got.Reason, w.outcome, w.reason)
			}
			if w.through != "" && !slices.Contains(states, w.through) || slices.Contains(states, w.never) {
				t.Errorf("went through %v; want %q in it, and not %q", states, w.through, w.never)
			}
		})
	}
	var definition struct{ States map[string]any }
	if err := json.Unmarshal(read(t, filepath.Join(stack.Root(), "statemachines", "retrain.asl.json")), &definition); err != nil {
		t.Fatal(err)
	}
	for _, state := range slices.Sorted(maps.Keys(definition.States)) {
		if !visited[state] {
			t.Errorf("no way goes through %s", state)
		}
	}
}

// emulator sets what the local AWS lets a test set.
func emulator(t *testing.T, values map[string]any) {
	t.Helper()
	body, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(local.AWS+"/_ministack/config", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
}

// entered are the states that an execution went through, in order.
func entered(t *testing.T, execution string) (states []string) {
	t.Helper()
	pages := sfn.NewGetExecutionHistoryPaginator(sfn.NewFromConfig(local.Config()), &sfn.GetExecutionHistoryInput{ExecutionArn: &execution, MaxResults: 1000})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			if in := e.StateEnteredEventDetails; in != nil {
				states = append(states, aws.ToString(in.Name))
			}
		}
	}
	return states
}
