package rollout

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

func refuse(format string, args ...any) error {
	return fault.New(fault.FailedPrecondition, format, args...)
}

// settingsOf reads settings by the digest that a state names; "" are the defaults.
func (p *Promoter) settingsOf(ctx context.Context, model, digest string) (registry.Settings, Policy, error) {
	var s registry.Settings
	if digest != "" {
		var err error
		if s, err = p.Registry.Settings(ctx, model, digest); err != nil {
			return s, Policy{}, err
		}
	}
	policy, err := ParsePolicy(s.Rollout)
	if err != nil { // they were stored before this policy had its form
		return s, policy, refuse("the rollout policy in force is not valid (%s); configure the model again", fault.Public(err).Message)
	}
	return s, policy, nil
}

// enter prepares shadow.start and rollout.start: the version is whole, signed by who must, takes every
// request that the champion takes, and for a rollout parity, evidence and approval.
func (p *Promoter) enter(ctx context.Context, in *PromoteIn) (registry.Change, error) {
	state, _, err := p.Registry.State(ctx, in.Model)
	if err != nil {
		return refused(in.Kind, err)
	}
	settings, policy, err := p.settingsOf(ctx, in.Model, state.SettingsDigest)
	if err != nil {
		return refused(in.Kind, err)
	}
	m, err := p.Registry.Verify(ctx, in.Model, in.Version)
	if err != nil {
		return refused(in.Kind, err)
	}
	v, champion := registry.Ref{Version: m.Version, Digest: m.Digest}, *state.Slots.Champion
	stale := func(before *registry.State, _ time.Time) error {
		if *before.Slots.Champion != champion || before.SettingsDigest != state.SettingsDigest {
			return errStale
		}
		return nil
	}
	compatible, err := later(p.compatible(ctx, in.Model, champion, &m, settings))
	if err != nil {
		return registry.Change{}, err
	}
	signed, err := later(p.Trust.Check(ctx, p.Registry, &m))
	if err != nil {
		return registry.Change{}, err
	}
	if in.Kind == registry.KindShadowStart {
		return guarded(registry.StartShadow(v), stale, signed, compatible), nil
	}
	parity, err := p.parity(ctx, in, &m, settings, policy.EvidenceMaxAge())
	if err != nil {
		return registry.Change{}, err
	}
	c := claim{kind: in.Kind, decisions: []comparison.Action{comparison.Start}, model: in.Model, challenger: v, dataset: in.Dataset, maxAge: policy.EvidenceMaxAge()}
	judged, err := p.judged(ctx, in, c)
	if err != nil {
		return registry.Change{}, err
	}
	approved, err := p.approved(ctx, in, &policy)
	if err != nil {
		return registry.Change{}, err
	}
	return guarded(registry.StartRollout(v, in.TransitionID, in.Actor, policy.Steps[0].Weight), stale, signed, compatible, parity, judged, approved(v.Version)), nil
}

// parity is the check that the version answers as its trainer did: where it was
// registered, or, with evidence, on the backend that will serve it.
func (p *Promoter) parity(ctx context.Context, in *PromoteIn, m *registry.Manifest, settings registry.Settings, maxAge time.Duration) (check, error) {
	if m.Parity.Checked || in.waives(WaiveParity) {
		return nil, nil
	}
	backend, err := inference.ParseBackend(settings.Backend)
	if err != nil {
		return later(refuse("the backend in force is not valid (%s); configure the model again", fault.Public(err).Message))
	}
	found := "tidegate backend check gives evidence of it"
	for _, digest := range in.Evidence {
		e, err := p.Registry.BackendParity(ctx, digest)
		if fault.Is(err, fault.FailedPrecondition) {
			continue // a judgement, or another blob that is kept in the log
		}
		if err != nil {
			return nil, err
		}
		switch {
		case e.Model != m.Model || !same(e.Version, registry.Ref{Version: m.Version, Digest: m.Digest}):
			found = "evidence " + digest + " is of another version"
		case e.Backend != backend.Name():
			found = "evidence " + digest + " is of the backend " + cut(e.Backend) + ", and " + cut(backend.Name()) + " will serve"
		default:
			return func(_ *registry.State, now time.Time) error {
				if age := now.Sub(e.At); age > maxAge || age < -skew {
					return refuse("parity of version %d on its backend was checked at %s, longer ago than evidence may be (evidence_max_age_seconds); check it again", m.Version, e.At.Format(time.RFC3339))
				}
				return nil
			}, nil
		}
	}
	return later(refuse("parity of version %d with its trainer was not checked (%s); %s, or a person may waive it with a reason", m.Version, m.Parity.Reason, found))
}

// compatible says what is in the way of v beside the champion.
func (p *Promoter) compatible(ctx context.Context, model string, champion registry.Ref, m *registry.Manifest, settings registry.Settings) error {
	if champion.Version == m.Version {
		return nil // the state's own guard says it better
	}
	serving, err := p.Registry.Manifest(ctx, model, champion.Version)
	if err != nil {
		return err
	}
	var schemas [2]*schema.Schema
	for i, manifest := range []*registry.Manifest{&serving, m} {
		body, err := p.Registry.ReadFile(ctx, manifest, "schema.json")
		if err != nil {
			return err
		}
		s, err := schema.Parse(body)
		if err != nil {
			return fmt.Errorf("rollout: schema of %s@%d: %w", model, manifest.Version, err)
		}
		schemas[i] = s.With(settings.Contract)
	}
	found := schema.Compatible(schemas[0], schemas[1])
	if len(found) == 0 {
		return nil
	}
	const most = 3
	var why []string
	for _, v := range found[:min(len(found), most)] {
		why = append(why, v.Path+" "+v.Problem)
	}
	if len(found) > most {
		why = append(why, fmt.Sprintf("%d more", len(found)-most))
	}
	return refuse("version %d cannot stand beside version %d: %s", m.Version, champion.Version, strings.Join(why, "; "))
}

// ongoing reads the rollout that a transition names, and the policy that it keeps.
func (p *Promoter) ongoing(ctx context.Context, in *PromoteIn) (registry.State, Policy, error) {
	state, _, err := p.Registry.State(ctx, in.Model)
	if err != nil {
		return state, Policy{}, err
	}
	r, err := state.Ongoing(in.RolloutID)
	if err != nil {
		return state, Policy{}, err
	}
	_, policy, err := p.settingsOf(ctx, in.Model, r.SettingsDigest)
	return state, policy, err
}

// resume prepares rollout.resume, which lets a bake go on where it stands.
func (p *Promoter) resume(ctx context.Context, in *PromoteIn) (registry.Change, error) {
	_, policy, err := p.ongoing(ctx, in)
	if err != nil {
		return refused(in.Kind, err)
	}
	bakes := make([]time.Duration, len(policy.Steps))
	for i, s := range policy.Steps {
		bakes[i] = s.Bake()
	}
	return registry.ResumeRollout(in.RolloutID, in.Reason, bakes), nil
}

// step prepares rollout.advance and promote by the settings that the rollout keeps.
func (p *Promoter) step(ctx context.Context, in *PromoteIn) (registry.Change, error) {
	state, policy, err := p.ongoing(ctx, in)
	if err != nil {
		return refused(in.Kind, err)
	}
	r := state.Rollout
	last := len(policy.Steps) - 1
	c := claim{kind: in.Kind, model: in.Model, maxAge: policy.EvidenceMaxAge()}
	var change registry.Change
	approved := func(int) check { return nil }
	var signed check
	if in.Kind == registry.KindAdvance {
		if *in.FromStep >= last {
			return refused(in.Kind, refuse("step %d is the last of rollout %s: promote or abort it", last, r.ID))
		}
		from, to := policy.Steps[*in.FromStep], policy.Steps[*in.FromStep+1]
		change = registry.AdvanceRollout(r.ID, *in.FromStep, from.Bake(), to.Weight)
		c.decisions = []comparison.Action{comparison.Advance}
	} else {
		change = registry.Promote(r.ID, last, policy.Steps[last].Bake())
		c.decisions = []comparison.Action{comparison.Promote}
		if approved, err = p.approved(ctx, in, &policy); err != nil {
			return registry.Change{}, err
		}
		if signed, err = later(p.signed(ctx, in.Model, state.Slots.Challenger.Version)); err != nil {
			return registry.Change{}, err
		}
	}
	judged, err := p.judged(ctx, in, c)
	if err != nil {
		return registry.Change{}, err
	}
	return guarded(change, signed, judged, approved(state.Slots.Challenger.Version)), nil
}

// signed checks the signature of a version that is in a slot: keys may have changed
// since it came there.
func (p *Promoter) signed(ctx context.Context, model string, version int) error {
	if !p.Trust.Required() {
		return nil
	}
	m, err := p.Registry.Manifest(ctx, model, version)
	if err != nil {
		return err
	}
	return p.Trust.Check(ctx, p.Registry, &m)
}

// abort reads nothing unless the version is rejected by evidence.
func (p *Promoter) abort(ctx context.Context, in *PromoteIn) (registry.Change, error) {
	change := registry.Abort(in.RolloutID, in.Reject, in.Reason)
	if !in.Reject || in.waives(WaiveEvidence) {
		return change, nil
	}
	usual := DefaultPolicy() // the rollout's own would have to be read
	c := claim{kind: in.Kind, decisions: []comparison.Action{comparison.Abort, comparison.Futility}, model: in.Model, reject: true, maxAge: usual.EvidenceMaxAge()}
	judged, err := p.judged(ctx, in, c)
	return guarded(change, judged), err
}
