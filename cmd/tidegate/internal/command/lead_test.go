package command

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/registry"
)

// starts is Step Functions: of one name there is one execution. The last one goes
// through history, and ends as end says.
type starts struct {
	names   []string
	inputs  []string
	fail    error
	history []types.HistoryEvent
	end     sfn.DescribeExecutionOutput
}

func (s *starts) DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	return &s.end, s.fail
}

// GetExecutionHistory gives two events a page, the newest first.
func (s *starts) GetExecutionHistory(_ context.Context, in *sfn.GetExecutionHistoryInput, _ ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error) {
	left := len(s.history)
	if in.NextToken != nil {
		if err := json.Unmarshal([]byte(*in.NextToken), &left); err != nil {
			return nil, err
		}
	}
	out := new(sfn.GetExecutionHistoryOutput)
	for ; left > 0 && len(out.Events) < 2; left-- {
		out.Events = append(out.Events, s.history[left-1])
	}
	if left > 0 {
		out.NextToken = aws.String(strconv.Itoa(left))
	}
	return out, s.fail
}

func (s *starts) StartExecution(_ context.Context, in *sfn.StartExecutionInput, _ ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	for _, name := range s.names {
		if name == *in.Name {
			return nil, &types.ExecutionAlreadyExists{}
		}
	}
	s.names, s.inputs = append(s.names, *in.Name), append(s.inputs, *in.Input)
	return &sfn.StartExecutionOutput{ExecutionArn: aws.String(strings.Replace(*in.StateMachineArn, "stateMachine", "execution", 1) + ":" + *in.Name)}, nil
}

// withMachine is a cloud whose stack has the rollout and the retrain machine.
func withMachine(t *testing.T) (*cloud, *starts) {
	c, s := newCloud(t), &starts{}
	open := c.env.Open
	c.env.Open = func(ctx context.Context, o stack.Options) (*stack.Stack, error) {
		st, err := open(ctx, o)
		if err == nil {
			st.RolloutMachineArn, st.RetrainMachineArn = "arn:aws:states:eu-west-1:123456789012:stateMachine:tidegate-rollout", "arn:aws:states:eu-west-1:123456789012:stateMachine:tidegate-retrain"
			st.States = s
		}
		return st, err
	}
	c.publish(t, "late", "model one")
	c.publish(t, "late", "model two")
	return c, s
}

// says runs a command and wants an exit code and a text in what it prints.
func (c *cloud) says(t *testing.T, want int, text string, args ...string) {
	t.Helper()
	code, out, errs := c.run(args...)
	if code != want || !strings.Contains(out+errs, text) {
		t.Errorf("tidegate %v: exit code %d, %q, %q; want %d with %q", args, code, out, errs, want, text)
	}
}

func TestRolloutIsLedByTheMachine(t *testing.T) {
	c, s := withMachine(t)
	c.says(t, ExitError, "serves nothing yet", "rollout", "start", "late", "2", "--waive", "evidence", "--reason", "x", "--actor", "ada")
	c.says(t, ExitOK, "generation 1", "promote", "late", "1", "--actor", "ada")
	c.says(t, ExitError, "needs evidence", "rollout", "start", "late", "2", "--actor", "ada")
	c.says(t, ExitError, "takes a --reason", "rollout", "start", "late", "2", "--waive", "evidence")
	c.says(t, ExitError, "go with --manual", "rollout", "start", "late", "2", "--evidence", "sha256:aa", "--approval", "a")
	c.says(t, ExitError, "9", "rollout", "start", "late", "9", "--evidence", "sha256:aa", "--actor", "ada")
	c.says(t, ExitError, "--transition-id must be", "rollout", "start", "late", "2", "--evidence", "sha256:aa", "--actor", "ada", "--transition-id", "run/1")
	c.says(t, ExitOK, "execution:tidegate-rollout:run-1", "rollout", "start", "late", "2", "--evidence", "sha256:aa", "--actor", "ada", "--transition-id", "run-1")
	c.says(t, ExitError, "has had its execution", "rollout", "start", "late", "2", "--evidence", "sha256:aa", "--actor", "ada", "--transition-id", "run-1")
	pinned := write(t, "pinned.json", `{"champion":["predictions/late/r/1.ndjson"],"challenger":["predictions/late/r/2.ndjson"],"label":"late","time":"at"}`)
	c.says(t, ExitOK, "leads version 2 of late", "rollout", "start", "late", "2", "--pinned", pinned, "--reason", "better", "--actor", "ada")
	var first, second map[string]any
	check(t, json.Unmarshal([]byte(s.inputs[0]), &first))
	check(t, json.Unmarshal([]byte(s.inputs[1]), &second))
	// The definition tells a field that is empty from one that is absent.
	if first["rollout_id"] != "run-1" || first["version"] != 2.0 || len(first["waive"].([]any)) != 0 || first["evidence"].([]any)[0] != "sha256:aa" || first["start"] != nil {
		t.Errorf("the input is %s", s.inputs[0])
	}
	if start := second["start"].(map[string]any); second["reason"] != "better" || start["version"] != 2.0 || start["label"] != "late" || second["rollout_id"] != s.names[1] {
		t.Errorf("the input is %s", s.inputs[1])
	}

	for text, content := range map[string]string{"must be a JSON object": `[]`, "start.time": `{"champion":["a"],"challenger":["b"],"label":"late"}`, "not about version 2": `{"version":3}`} {
		c.says(t, ExitError, strings.TrimPrefix(text, "start."), "rollout", "start", "late", "2", "--pinned", write(t, "bad.json", content), "--actor", "ada")
	}
	s.fail = errors.New("no network")
	c.says(t, ExitError, "AWS cannot be reached", "rollout", "start", "late", "2", "--evidence", "sha256:aa", "--actor", "ada")
}

func TestRolloutFollow(t *testing.T) {
	c, s := withMachine(t)
	c.says(t, ExitOK, "generation 1", "promote", "late", "1", "--actor", "ada")
	c.says(t, ExitError, "no rollout under way", "rollout", "follow", "late")
	c.says(t, ExitError, "is judged by the rollout machine", "rollout", "start", "late", "2", "--manual", "--pinned", "x.json")
	c.says(t, ExitOK, registry.Progressing, "rollout", "start", "late", "2", "--manual", "--waive", "evidence", "--reason", "by hand", "--actor", "ada", "--transition-id", "mine")
	c.says(t, ExitError, "is under way (mine)", "rollout", "start", "late", "2", "--evidence", "sha256:aa", "--actor", "ada")
	c.says(t, ExitOK, "rollout mine", "rollout", "follow", "late", "--actor", "ada")
	if len(s.inputs) != 1 || !strings.Contains(s.inputs[0], `"rollout_id":"mine"`) || s.names[0] == "mine" {
		t.Errorf("%v with %v", s.names, s.inputs)
	}
}
