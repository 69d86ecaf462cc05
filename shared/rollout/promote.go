// Package rollout moves the pointer of a model and tells of it: the step bodies
// of promote and announce.
//
// The transitions themselves and the protocol are the registry's; this package
// prepares what a transition needs (a verified version, settings, evidence, an
// approval), checks all of it again on the state that is going to be replaced, and
// names the move by the caller's transition id, so that a step that is run twice
// moves nothing twice. It reads evidence and does not produce it.
//
//	p := rollout.Promoter{Registry: reg}
//	out, err := p.Run(ctx, rollout.PromoteIn{Model: "flights", Kind: "rollback", Version: 7, TransitionID: id, SeenGeneration: 12, Actor: "ana"})
package rollout

import (
	"context"
	"errors"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/training"
)

// PromoteOut says which generation the transition made. State is that of this
// generation, which is not the newest when the step was repeated late; when it was
// not needed, the present one.
type PromoteOut struct {
	Model        string         `json:"model"`
	Generation   int64          `json:"generation"`
	TransitionID string         `json:"transition_id"`
	Repeated     bool           `json:"repeated,omitempty"` // an earlier call had made it
	Unneeded     bool           `json:"unneeded,omitempty"` // another transition had reached its aim; nothing was written
	State        registry.State `json:"state"`
	Progress     *Progress      `json:"progress,omitempty"` // of a look
}

// Promoter runs the step.
type Promoter struct {
	Registry *registry.Registry
	Trust    signature.Trust // whose signature a version needs to take a slot; the zero value = nobody's
}

// maxPreparations bounds how often a move is prepared anew because champion or
// settings changed while it was.
const maxPreparations = 5

// errStale ends a try whose preparation does not fit the state any more.
var errStale = errors.New("rollout: champion or settings changed")

// Run makes the transition, or looks. Errors: InvalidArgument, the input; NotFound, no such
// model, or no such version that is READY; FailedPrecondition, a guard said no;
// AlreadyExists, the transition id belongs to another kind of transition;
// Aborted and Unavailable, repeat the call; Internal, a damaged registry.
func (p *Promoter) Run(ctx context.Context, in PromoteIn) (PromoteOut, error) {
	if err := in.check(); err != nil {
		return PromoteOut{}, err
	}
	if in.Kind == KindLook {
		return p.look(ctx, &in)
	}
	for range maxPreparations {
		change, err := p.change(ctx, &in)
		if err != nil {
			return PromoteOut{}, err
		}
		made, err := p.Registry.Apply(ctx, in.Model, registry.Request{TransitionID: in.TransitionID, SeenGeneration: in.SeenGeneration,
			Actor: in.Actor, Reason: in.Reason, Evidence: in.Evidence, Waived: in.Waive}, change)
		if errors.Is(err, errStale) {
			continue
		}
		if err != nil {
			return PromoteOut{}, err
		}
		return PromoteOut{Model: in.Model, Generation: made.State.Generation, TransitionID: in.TransitionID,
			Repeated: made.Repeated, Unneeded: made.Unneeded, State: made.State}, nil
	}
	return PromoteOut{}, fault.New(fault.Aborted, "champion or settings of model %q keep changing; repeat it with the same transition id", in.Model)
}

// change prepares the transition. What takes traffic away comes first: it must work
// with nothing read but the state itself.
func (p *Promoter) change(ctx context.Context, in *PromoteIn) (registry.Change, error) {
	switch in.Kind {
	case registry.KindRollback:
		return registry.Rollback(in.Version, in.Actor, in.Reason), nil
	case registry.KindAbort:
		return p.abort(ctx, in)
	case registry.KindPause:
		return registry.PauseRollout(in.RolloutID, in.Reason), nil
	}
	if _, err := p.Registry.Model(ctx, in.Model); err != nil {
		return registry.Change{}, err
	}
	switch in.Kind {
	case registry.KindBootstrap:
		m, err := p.Registry.Verify(ctx, in.Model, in.Version)
		if err != nil {
			return registry.Change{}, err
		}
		signed, err := later(p.Trust.Check(ctx, p.Registry, &m))
		return guarded(registry.Bootstrap(registry.Ref{Version: m.Version, Digest: m.Digest}), signed), err
	case registry.KindConfigure:
		return p.configure(ctx, in)
	case registry.KindFreeze:
		return registry.FreezeUntil(*in.Until, in.Actor, in.Reason), nil
	case registry.KindUnfreeze:
		return registry.Unfreeze(in.Reason), nil
	case registry.KindReadmit:
		return registry.Readmit(in.Version, in.Reason), nil
	case registry.KindResume:
		return p.resume(ctx, in)
	case registry.KindShadowStop:
		return registry.StopShadow(in.Version), nil
	case registry.KindShadowStart, registry.KindStart:
		return p.enter(ctx, in)
	case registry.KindAdvance, registry.KindPromote:
		return p.step(ctx, in)
	}
	return registry.Change{}, fault.Invalid(fault.Violation{Path: "kind", Problem: "is not a transition that can be asked for"})
}

// configure stores settings that all who read them would take.
func (p *Promoter) configure(ctx context.Context, in *PromoteIn) (registry.Change, error) {
	settings, err := registry.ParseSettings(in.Settings)
	if err != nil {
		return registry.Change{}, under("settings", err)
	}
	if err := CheckSettings(&settings); err != nil {
		return registry.Change{}, under("settings", err)
	}
	digest, err := p.Registry.PutSettings(ctx, in.Model, settings)
	return registry.Configure(digest), err
}

// CheckSettings holds the parts of settings that the registry keeps as they are to
// those who read them. The error is InvalidArgument and names every fault at once.
func CheckSettings(s *registry.Settings) error {
	var bad []fault.Violation
	for _, part := range []struct {
		name  string
		parse func() error
	}{
		{"drift", func() error { _, err := drift.ParsePolicy(s.Drift); return err }},
		{"quality", func() error { _, err := quality.ParsePolicy(s.Quality); return err }},
		{"comparison", func() error { _, err := comparison.ParsePolicy(s.Comparison); return err }},
		{"rollout", func() error { _, err := ParsePolicy(s.Rollout); return err }},
		{"retrain", func() error { _, err := training.ParsePolicy(s.Retrain); return err }},
		{"backend", func() error { _, err := inference.ParseBackend(s.Backend); return err }},
	} {
		if err := part.parse(); err != nil {
			bad = append(bad, fault.Public(under(part.name, err)).Violations...)
		}
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return nil
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
