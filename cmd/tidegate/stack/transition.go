package stack

import (
	"context"

	"github.com/tidegate/tidegate/shared/approval"
	"github.com/tidegate/tidegate/shared/rollout"
)

// Move asks promote for a transition. An empty TransitionID is given a new one
// here, once for all tries of Invoke.
func (s *Stack) Move(ctx context.Context, t rollout.PromoteIn) (rollout.PromoteOut, error) {
	if t.TransitionID == "" {
		t.TransitionID = s.NewID()
	}
	var out rollout.PromoteOut
	err := s.Invoke(ctx, s.PromoteFunctionName, t, &out)
	return out, err
}

// Decide records what a person decided about a request.
func (s *Stack) Decide(ctx context.Context, in approval.In) (approval.Out, error) {
	var out approval.Out
	err := s.Invoke(ctx, s.ApproveFunctionName, in, &out)
	return out, err
}
