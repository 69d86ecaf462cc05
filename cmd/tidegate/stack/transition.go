package stack

import (
	"context"

	"github.com/tidegate/tidegate/shared/registry"
)

// Transition is the payload of the promote step: one move of a model's pointer.
type Transition struct {
	Model          string             `json:"model"`
	Kind           string             `json:"kind"`
	TransitionID   string             `json:"transition_id"`   // chosen by the caller: repeating it changes nothing
	SeenGeneration int64              `json:"seen_generation"` // of the state that the caller decided on
	Actor          string             `json:"actor"`
	Reason         string             `json:"reason,omitempty"`
	Version        int                `json:"version,omitempty"`
	Settings       *registry.Settings `json:"settings,omitempty"`
}

// Transitioned is its answer.
type Transitioned struct {
	Model        string         `json:"model"`
	Generation   int64          `json:"generation"`
	TransitionID string         `json:"transition_id"`
	State        registry.State `json:"state"`
}

// Move asks promote for a transition. An empty TransitionID is given a new one
// here, once for all tries of Invoke.
func (s *Stack) Move(ctx context.Context, t Transition) (Transitioned, error) {
	if t.TransitionID == "" {
		t.TransitionID = s.NewID()
	}
	var out Transitioned
	err := s.Invoke(ctx, s.PromoteFunctionName, t, &out)
	return out, err
}
