package rollout

import (
	"context"
	"time"

	"github.com/tidegate/tidegate/shared/approval"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// check is a guard beyond what a state shows of itself; before is the state that is
// going to be replaced.
type check func(before *registry.State, now time.Time) error

// guarded makes change only if the checks pass too. They come after the change's own
// guard, which knows whether there is anything to do at all.
func guarded(change registry.Change, checks ...check) registry.Change {
	own := change.Apply
	change.Apply = func(next *registry.State, now time.Time) error {
		before := next.Clone()
		if err := own(next, now); err != nil {
			return err
		}
		for _, c := range checks {
			if c == nil {
				continue
			}
			if err := c(&before, now); err != nil {
				return err
			}
		}
		return nil
	}
	return change
}

// later turns a refusal found while preparing into a guard's. The transition may
// have been made by an earlier call, when nothing was in the way: that is looked up
// first, and a repeated call is told so. Other errors stay errors.
func later(err error) (check, error) {
	if fault.Is(err, fault.FailedPrecondition) || fault.Is(err, fault.NotFound) {
		return func(*registry.State, time.Time) error { return err }, nil
	}
	return nil, err
}

// refused is a change that no state allows.
func refused(kind string, err error) (registry.Change, error) {
	guard, err := later(err)
	if err != nil {
		return registry.Change{}, err
	}
	return registry.Change{Kind: kind, Apply: func(s *registry.State, now time.Time) error { return guard(s, now) }}, nil
}

// judged is the check of the evidence.
func (p *Promoter) judged(ctx context.Context, in *PromoteIn, c claim) (check, error) {
	if in.waives(WaiveEvidence) {
		return nil, nil
	}
	digest := in.judgement()
	if digest == "" {
		return later(refuse("%s needs evidence: give the digest of the judgement", c.kind))
	}
	e, err := p.Registry.Evidence(ctx, digest)
	if err != nil {
		return later(err)
	}
	return func(before *registry.State, now time.Time) error {
		return refusal(c.kind, digest, c.gates(&e, before, now))
	}, nil
}

// approved is the check of a person's consent to a move of a version.
func (p *Promoter) approved(ctx context.Context, in *PromoteIn, policy *Policy) (func(version int) check, error) {
	fixed := func(c check) func(int) check { return func(int) check { return c } }
	if !policy.Asks(in.Kind) {
		return fixed(nil), nil
	}
	if in.Approval == "" {
		c, err := later(refuse("%s needs an approval: ask for one and give its id", in.Kind))
		return fixed(c), err
	}
	r, err := approval.Read(ctx, p.Registry, in.Model, in.Approval)
	if err != nil {
		c, err := later(err)
		return fixed(c), err
	}
	evidence := ""
	if !in.waives(WaiveEvidence) {
		evidence = registry.Hex(in.judgement())
	}
	return func(version int) check {
		return func(_ *registry.State, now time.Time) error {
			switch status := r.Status(now); {
			case r.Request.For != in.Kind || r.Request.Version != version:
				return refuse("approval %s is for a %s of version %d, not for this %s of version %d", in.Approval, r.Request.For, r.Request.Version, in.Kind, version)
			case r.Request.Evidence != evidence:
				return refuse("approval %s was asked for with other evidence than this %s rests on; ask again", in.Approval, in.Kind)
			case status != approval.Approved:
				return refuse("approval %s is %s", in.Approval, status)
			case now.Sub(r.Decision.At) > policy.EvidenceMaxAge():
				return refuse("approval %s was given at %s, longer ago than evidence may be (evidence_max_age_seconds); ask again", in.Approval, r.Decision.At.Format(time.RFC3339))
			}
			return nil
		}
	}, nil
}
