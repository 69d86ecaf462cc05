package stack

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/tidegate/tidegate/shared/evaluation/trial"
	"github.com/tidegate/tidegate/shared/fault"
)

// Starter is the part of Step Functions that starting a machine needs.
type Starter interface {
	StartExecution(context.Context, *sfn.StartExecutionInput, ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
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
	input, err := json.Marshal(in)
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "the input of the rollout machine cannot be encoded")
	}
	out, err := s.States.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &s.RolloutMachineArn, Name: &name, Input: aws.String(string(input))})
	var exists *types.ExecutionAlreadyExists
	if errors.As(err, &exists) {
		return "", fault.Wrap(err, fault.AlreadyExists, "rollout %s has had its execution; tidegate rollout follow %s goes on with a rollout that is under way", in.RolloutID, in.Model)
	}
	if err != nil {
		return "", awsFault(err, "the rollout machine cannot be started")
	}
	return aws.ToString(out.ExecutionArn), nil
}
