package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/registry"
)

// What announce emits (docs/formats/registry.md, Events).
const (
	EventSource      = "tidegate.registry"
	EventStateChange = "Model State Change"
	StepSource       = "tidegate.rollout"
	EventStepChange  = "Rollout Step Change"
)

// Bus takes events: EventBridge, or a list in tests.
type Bus interface {
	// Emit publishes one event, whose detail is encoded as JSON. It returns nil only when the bus has
	// taken it. Errors: Unavailable (try again), Internal.
	Emit(ctx context.Context, source, detailType string, at time.Time, detail any) error
}

// ObjectCreated is the part of EventBridge's S3 event "Object Created" that counts
// here. Unlike in S3's own notifications, the key is not URL-encoded.
type ObjectCreated struct {
	Detail struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key string `json:"key"`
		} `json:"object"`
	} `json:"detail"`
}

// StateChange is the detail of a "Model State Change". Delivery is at least once
// and unordered: consumers order by generation and deduplicate on it.
type StateChange struct {
	Schema       int              `json:"schema"`
	Model        string           `json:"model"`
	Generation   int64            `json:"generation"`
	TransitionID string           `json:"transition_id"`
	Kind         string           `json:"kind"`
	Slots        registry.Slots   `json:"slots"`
	Weights      registry.Weights `json:"weights"`
	Actor        string           `json:"actor"`
	Reason       string           `json:"reason,omitempty"`
	At           time.Time        `json:"at"`
}

// StepChange is the detail of a "Rollout Step Change": a rollout began, went on, was
// paused or resumed, or ended. Order by generation, take each once.
type StepChange struct {
	Schema       int           `json:"schema"`
	Model        string        `json:"model"`
	Generation   int64         `json:"generation"`
	TransitionID string        `json:"transition_id"`
	Kind         string        `json:"kind"` // rollout.start, advance, pause, resume; promote, abort, rollback
	RolloutID    string        `json:"rollout_id"`
	Status       string        `json:"status"` // progressing, paused, ended
	Step         int           `json:"step"`   // the last one, of a rollout that ended
	Weight       int           `json:"weight"` // hundredths of a percent; 0 when it ended
	Champion     *registry.Ref `json:"champion"`
	Challenger   *registry.Ref `json:"challenger"`         // that of the rollout, also when it ended
	Evidence     []string      `json:"evidence,omitempty"` // sha256 of blobs
	Actor        string        `json:"actor"`
	Reason       string        `json:"reason,omitempty"`
	At           time.Time     `json:"at"`
}

// Announcer turns log entries into events. The log is the outbox of every
// transition: an entry is written whatever process dies, S3 tells of it, and an
// error here makes the platform deliver the event again, in the end to the
// dead-letter queue.
type Announcer struct {
	Registry *registry.Registry
	Bus      Bus
}

// Run announces the log entry that event tells of; other keys are ignored. Errors:
// NotFound, the entry is not there (S3 tells of it only afterwards, so somebody
// deleted it); Unavailable; Internal, a damaged entry.
func (a *Announcer) Run(ctx context.Context, event ObjectCreated) error {
	model, generation, ok := registry.ParseLogKey(event.Detail.Object.Key)
	if !ok {
		return nil
	}
	s, err := a.Registry.LogEntry(ctx, model, generation)
	if err != nil {
		return err
	}
	err = a.Bus.Emit(ctx, EventSource, EventStateChange, s.Last.At, StateChange{
		Schema: registry.StateVersion, Model: model, Generation: generation, TransitionID: s.Last.ID, Kind: s.Last.Kind,
		Slots: s.Slots, Weights: s.Weights, Actor: s.Last.Actor, Reason: s.Last.Reason, At: s.Last.At,
	})
	if err == nil {
		err = a.step(ctx, &s)
	}
	if err != nil {
		return fmt.Errorf("rollout: announce generation %d of %s: %w", generation, model, err)
	}
	return nil
}

// step announces what the entry s means for a rollout, if anything. That of a move that
// ended one is in the entry before.
func (a *Announcer) step(ctx context.Context, s *registry.State) error {
	of := *s
	switch s.Last.Kind {
	case registry.KindStart, registry.KindAdvance, registry.KindPause, registry.KindResume:
	case registry.KindPromote, registry.KindAbort, registry.KindRollback:
		var err error
		if of, err = a.Registry.LogEntry(ctx, s.Model, s.Generation-1); err != nil {
			return err
		}
	default:
		return nil
	}
	if of.Rollout == nil {
		return nil // a rollback without one
	}
	d := StepChange{Schema: registry.StateVersion, Model: s.Model, Generation: s.Generation, TransitionID: s.Last.ID, Kind: s.Last.Kind,
		RolloutID: of.Rollout.ID, Status: Ended, Step: of.Rollout.Step, Weight: s.Weights.Challenger, Champion: s.Slots.Champion,
		Challenger: of.Slots.Challenger, Evidence: s.Last.Evidence, Actor: s.Last.Actor, Reason: s.Last.Reason, At: s.Last.At}
	if s.Rollout != nil {
		d.Status = s.Rollout.Status
	}
	return a.Bus.Emit(ctx, StepSource, EventStepChange, s.Last.At, d)
}
