// Package rollout moves the pointer of a model and tells of it: the step bodies
// of promote and announce.
//
// The transitions themselves, their guards and the protocol are the registry's;
// this package prepares what a transition needs (a verified version, stored
// settings) and names it by the caller's transition id, so that a step that is
// run twice moves nothing twice. It does not judge evidence.
//
//	p := rollout.Promoter{Registry: reg}
//	out, err := p.Run(ctx, rollout.PromoteIn{Model: "flights", Kind: "rollback", Version: 7, TransitionID: id, SeenGeneration: 12, Actor: "ana"})
package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// PromoteIn asks for one transition. Version, Settings and Until belong to the
// kinds named beside them and are refused with any other.
type PromoteIn struct {
	Model          string          `json:"model" validate:"required"`
	Kind           string          `json:"kind" validate:"required,oneof=bootstrap configure rollback freeze unfreeze readmit"`
	TransitionID   string          `json:"transition_id" validate:"required"`
	SeenGeneration int64           `json:"seen_generation" validate:"gte=0"`
	Actor          string          `json:"actor" validate:"required"`
	Reason         string          `json:"reason,omitempty"`
	Evidence       []string        `json:"evidence,omitempty"` // sha256 of blobs
	Version        int             `json:"version,omitempty"`  // bootstrap, readmit; rollback: the version to remove
	Settings       json.RawMessage `json:"settings,omitempty"` // configure
	Until          *time.Time      `json:"until,omitempty"`    // freeze
}

// PromoteOut says which generation the transition made. State is that of this
// generation, which is not the newest when the step was repeated late.
type PromoteOut struct {
	Model        string         `json:"model"`
	Generation   int64          `json:"generation"`
	TransitionID string         `json:"transition_id"`
	Repeated     bool           `json:"repeated,omitempty"` // an earlier call had made it
	State        registry.State `json:"state"`
}

// Promoter runs the step.
type Promoter struct {
	Registry *registry.Registry
}

// Run makes the transition. Errors: InvalidArgument, the input; NotFound, no such
// model, or no such version that is READY; FailedPrecondition, a guard said no;
// AlreadyExists, the transition id belongs to another kind of transition;
// Aborted and Unavailable, repeat the call; Internal, a damaged registry.
func (p *Promoter) Run(ctx context.Context, in PromoteIn) (PromoteOut, error) {
	change, err := p.change(ctx, &in)
	if err != nil {
		return PromoteOut{}, err
	}
	made, err := p.Registry.Apply(ctx, in.Model, registry.Request{
		TransitionID: in.TransitionID, SeenGeneration: in.SeenGeneration, Actor: in.Actor, Reason: in.Reason, Evidence: in.Evidence,
	}, change)
	if err != nil {
		return PromoteOut{}, err
	}
	return PromoteOut{Model: in.Model, Generation: made.State.Generation, TransitionID: in.TransitionID, Repeated: made.Repeated, State: made.State}, nil
}

// change prepares the transition. Rollback comes first: it must work with nothing
// read but the state itself.
func (p *Promoter) change(ctx context.Context, in *PromoteIn) (registry.Change, error) {
	if err := in.check(); err != nil {
		return registry.Change{}, err
	}
	if in.Kind == registry.KindRollback {
		return registry.Rollback(in.Version, in.Actor, in.Reason), nil
	}
	if _, err := p.Registry.Model(ctx, in.Model); err != nil {
		return registry.Change{}, err
	}
	switch in.Kind {
	case registry.KindBootstrap:
		m, err := p.Registry.Verify(ctx, in.Model, in.Version)
		return registry.Bootstrap(registry.Ref{Version: m.Version, Digest: m.Digest}), err
	case registry.KindConfigure:
		settings, err := registry.ParseSettings(in.Settings)
		if err != nil {
			return registry.Change{}, under("settings", err)
		}
		if _, err := drift.ParsePolicy(settings.Drift); err != nil { // the registry keeps it as it is
			return registry.Change{}, under("settings.drift", err)
		}
		digest, err := p.Registry.PutSettings(ctx, in.Model, settings)
		return registry.Configure(digest), err
	case registry.KindFreeze:
		return registry.FreezeUntil(*in.Until, in.Actor, in.Reason), nil
	case registry.KindUnfreeze:
		return registry.Unfreeze(in.Reason), nil
	case registry.KindReadmit:
		return registry.Readmit(in.Version, in.Reason), nil
	}
	return registry.Change{}, fault.Invalid(fault.Violation{Path: "kind", Problem: "is not a transition that can be asked for"})
}

// check looks at what belongs to which kind; the tags of In cover the rest.
func (in *PromoteIn) check() error {
	var bad []fault.Violation
	field := func(path string, given bool, kinds ...string) {
		belongs := false
		for _, k := range kinds {
			belongs = belongs || k == in.Kind
		}
		if belongs && !given {
			bad = append(bad, fault.Violation{Path: path, Problem: "is required for a " + in.Kind})
		}
		if !belongs && given {
			bad = append(bad, fault.Violation{Path: path, Problem: "does not belong to a " + in.Kind})
		}
	}
	field("version", in.Version != 0, registry.KindBootstrap, registry.KindRollback, registry.KindReadmit)
	field("settings", len(in.Settings) > 0 && string(in.Settings) != "null", registry.KindConfigure)
	field("until", in.Until != nil, registry.KindFreeze)
	if in.Version != 0 && registry.CheckVersion(in.Version) != nil {
		bad = append(bad, fault.Violation{Path: "version", Problem: "must be a number from 1 on"})
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return registry.CheckName(in.Model)
}

// under puts the paths of a fault below a field of the input.
func under(field string, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || len(f.Violations) == 0 {
		return err
	}
	moved := make([]fault.Violation, len(f.Violations))
	for i, v := range f.Violations {
		moved[i] = fault.Violation{Path: field + "." + v.Path, Problem: v.Problem}
	}
	return fault.Invalid(moved...)
}
