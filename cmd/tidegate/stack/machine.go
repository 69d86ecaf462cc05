package stack

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/tidegate/tidegate/shared/evaluation/trial"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/pause"
)

// Machines is the part of Step Functions that starting a machine and following it need.
type Machines interface {
	StartExecution(context.Context, *sfn.StartExecutionInput, ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
	GetExecutionHistory(context.Context, *sfn.GetExecutionHistoryInput, ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error)
}

// RolloutIn is the input of the rollout machine (statemachines/rollout.asl.json).
type RolloutIn struct {
	Model     string       `json:"model"`
	Version   int          `json:"version"`
	RolloutID string       `json:"rollout_id"`
	Actor     string       `json:"actor"`
	Reason    string       `json:"reason"`
	Evidence  []string     `json:"evidence"`
	Waive     []string     `json:"waive"`
	Start     *trial.Start `json:"start,omitempty"` // predictions of pinned rows, to be judged
}

// LeadRollout starts an execution of the rollout machine and returns its ARN. name is
// the execution's: of equal names and inputs one runs. Errors: AlreadyExists, an
// execution of that name has ended, or has another input; FailedPrecondition, the
// stack has no such machine; what AWS says.
func (s *Stack) LeadRollout(ctx context.Context, name string, in RolloutIn) (execution string, err error) {
	if s.RolloutMachineArn == "" || s.States == nil {
		return "", fault.New(fault.FailedPrecondition, "stack %q has no rollout machine; deploy it again with this version's template.yaml, or lead the rollout by hand with --manual", s.Name)
	}
	// The machine tells absent from empty.
	in.Evidence, in.Waive = append([]string{}, in.Evidence...), append([]string{}, in.Waive...)
	execution, err = s.start(ctx, s.RolloutMachineArn, name, in)
	if fault.Is(err, fault.AlreadyExists) {
		return "", fault.Wrap(err, fault.AlreadyExists, "rollout %s has had its execution; tidegate rollout follow %s goes on with a rollout that is under way", in.RolloutID, in.Model)
	}
	return execution, err
}

// RetrainIn is the input of the retrain machine (statemachines/retrain.asl.json).
type RetrainIn struct {
	Model   string `json:"model"`
	Trigger string `json:"trigger"`
	Source  string `json:"source"`
	Actor   string `json:"actor"`
	Reason  string `json:"reason"`
	Force   bool   `json:"force"`
}

// Retrain starts an execution of the retrain machine and returns its ARN. Errors:
// FailedPrecondition, the stack has no such machine; what AWS says.
func (s *Stack) Retrain(ctx context.Context, in RetrainIn) (execution string, err error) {
	if s.RetrainMachineArn == "" || s.States == nil {
		return "", fault.New(fault.FailedPrecondition, "stack %q has no retrain machine; deploy it again with this version's template.yaml", s.Name)
	}
	return s.start(ctx, s.RetrainMachineArn, s.NewID(), in)
}

func (s *Stack) start(ctx context.Context, machine, name string, in any) (execution string, err error) {
	input, err := json.Marshal(in)
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "the input of %s cannot be encoded", machine)
	}
	out, err := s.States.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &machine, Name: &name, Input: aws.String(string(input))})
	var exists *types.ExecutionAlreadyExists
	if errors.As(err, &exists) {
		return "", fault.Wrap(err, fault.AlreadyExists, "there is an execution %s already", name)
	}
	if err != nil {
		return "", awsFault(err, "the machine cannot be started")
	}
	return aws.ToString(out.ExecutionArn), nil
}

// Step is a state that an execution has left.
type Step struct {
	State  string
	At     time.Time
	Output []byte // the data of the execution by then, in JSON
}

// Ending is how an execution ended.
type Ending struct {
	Succeeded bool
	Status    string
	Output    []byte
	Error     string
	Cause     string
}

// lookTries is how many looks in a row may find AWS out of reach before Follow gives up.
const lookTries = 6

// Follow tells each of the states that an execution leaves, once and in order, until
// it ends. It looks every so often; a look that does not reach AWS is made again.
// Errors: that of each; what AWS says.
func (s *Stack) Follow(ctx context.Context, execution string, every time.Duration, each func(Step) error) (Ending, error) {
	seen, failed := int64(0), 0
	for {
		// The status first: what happened before it is told, whatever is asked then.
		d, events, err := s.look(ctx, execution, seen)
		if failed++; err == nil {
			failed = 0
		} else if !fault.Is(err, fault.Unavailable) || failed == lookTries {
			return Ending{}, err
		}
		for _, e := range events {
			seen = e.Id
			if left := e.StateExitedEventDetails; left != nil {
				if err := each(Step{State: aws.ToString(left.Name), At: aws.ToTime(e.Timestamp), Output: []byte(aws.ToString(left.Output))}); err != nil {
					return Ending{}, err
				}
			}
		}
		if err == nil && d.Status != types.ExecutionStatusRunning && d.Status != types.ExecutionStatusPendingRedrive {
			return Ending{Succeeded: d.Status == types.ExecutionStatusSucceeded, Status: string(d.Status), Output: []byte(aws.ToString(d.Output)), Error: aws.ToString(d.Error), Cause: aws.ToString(d.Cause)}, nil
		}
		if err := pause.For(ctx, every); err != nil {
			return Ending{}, fault.Wrap(err, fault.Unavailable, "interrupted; the execution goes on: %s", execution)
		}
	}
}

// look is the status of an execution, and its events after the one called seen.
func (s *Stack) look(ctx context.Context, execution string, seen int64) (*sfn.DescribeExecutionOutput, []types.HistoryEvent, error) {
	d, err := s.States.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &execution})
	if err != nil {
		return nil, nil, awsFault(err, "the execution cannot be described")
	}
	events, err := s.news(ctx, execution, seen)
	return d, events, err
}

// news are the events after the one called seen, oldest first.
func (s *Stack) news(ctx context.Context, execution string, seen int64) ([]types.HistoryEvent, error) {
	var found []types.HistoryEvent
	in := &sfn.GetExecutionHistoryInput{ExecutionArn: &execution, ReverseOrder: true, MaxResults: 100}
	for {
		page, err := s.States.GetExecutionHistory(ctx, in)
		if err != nil {
			return nil, awsFault(err, "the history of the execution cannot be read")
		}
		for _, e := range page.Events {
			if e.Id <= seen {
				return reversed(found), nil
			}
			found = append(found, e)
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return reversed(found), nil
		}
	}
}

func reversed(events []types.HistoryEvent) []types.HistoryEvent {
	slices.Reverse(events)
	return events
}
