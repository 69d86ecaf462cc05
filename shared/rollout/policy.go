package rollout

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/validate"
)

// what a policy is, in messages.
const what = "rollout policy"

// Policy is the field "rollout" of a model's settings (docs/formats/registry.md,
// Rollouts): how a challenger gets its traffic, and who must agree. What must be
// shown on the way is the field "comparison". A rollout keeps both as they were
// when it started.
type Policy struct {
	Steps  []Step `json:"steps" validate:"min=1,max=20,dive"`
	Shadow Shadow `json:"shadow"`
	// Approval is what a person must agree to: "none", "start", "promote" or "both".
	Approval        string `json:"approval" validate:"oneof=none start promote both"`
	ApprovalSeconds int64  `json:"approval_seconds" validate:"gte=1,lte=31536000"` // how long a request waits for its answer
	// EvidenceMaxAgeSeconds is how old evidence may be when a move rests on it; an approval as well.
	EvidenceMaxAgeSeconds int64 `json:"evidence_max_age_seconds" validate:"gte=1,lte=31536000"`
}

// Step is one weight and how long it stays at least.
type Step struct {
	Weight      int   `json:"weight" validate:"gte=1,lte=10000"` // hundredths of a percent
	BakeSeconds int64 `json:"bake_seconds" validate:"gte=1,lte=31536000"`
}

// Bake is how long the step lasts at least.
func (s Step) Bake() time.Duration { return time.Duration(s.BakeSeconds) * time.Second }

// Shadow is the phase before the first step, in which the new version answers
// nobody: it ends at the first bound that is reached. Both 0: there is none.
type Shadow struct {
	Pairs   int64 `json:"pairs,omitempty" validate:"gte=0,lte=1000000000"`
	Seconds int64 `json:"seconds,omitempty" validate:"gte=0,lte=31536000"`
}

// DefaultPolicy holds where nothing is set: five steps of an hour, no shadow phase,
// nobody is asked, evidence of the last week.
func DefaultPolicy() Policy {
	week := int64(7 * 24 * 3600)
	p := Policy{Approval: "none", ApprovalSeconds: week, EvidenceMaxAgeSeconds: week}
	for _, percent := range []int{1, 5, 25, 50, 100} {
		p.Steps = append(p.Steps, Step{Weight: percent * registry.MaxWeight / 100, BakeSeconds: 3600})
	}
	return p
}

// EvidenceMaxAge is how old evidence may be.
func (p *Policy) EvidenceMaxAge() time.Duration {
	return time.Duration(p.EvidenceMaxAgeSeconds) * time.Second
}

// Asks says whether a person must agree to a move of the given kind.
func (p *Policy) Asks(kind string) bool {
	switch kind {
	case registry.KindStart:
		return p.Approval == "start" || p.Approval == "both"
	case registry.KindPromote:
		return p.Approval == "promote" || p.Approval == "both"
	}
	return false
}

// ParsePolicy reads a policy as a person wrote it; empty or null is the default
// one. The error is InvalidArgument and names every fault at once.
func ParsePolicy(raw []byte) (Policy, error) {
	p := DefaultPolicy()
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return p, nil
	}
	var steps []json.RawMessage
	var shadow json.RawMessage
	bad := validate.Object(what, raw, "", validate.Fields{"steps": &steps, "shadow": &shadow, "approval": &p.Approval,
		"approval_seconds": &p.ApprovalSeconds, "evidence_max_age_seconds": &p.EvidenceMaxAgeSeconds})
	if shadow != nil {
		bad = append(bad, validate.Object(what, shadow, "shadow", validate.Fields{"pairs": &p.Shadow.Pairs, "seconds": &p.Shadow.Seconds})...)
	}
	if steps != nil {
		p.Steps = make([]Step, len(steps))
		for i, s := range steps {
			bad = append(bad, validate.Object(what, s, fmt.Sprintf("steps[%d]", i), validate.Fields{"weight": &p.Steps[i].Weight, "bake_seconds": &p.Steps[i].BakeSeconds})...)
		}
	}
	if err := p.Check(); err != nil {
		bad = append(bad, fault.Public(err).Violations...)
	}
	if len(bad) > 0 {
		return Policy{}, fault.Invalid(bad...)
	}
	return p, nil
}

// Check reports every value that cannot be. The error is InvalidArgument.
func (p *Policy) Check() error {
	var bad []fault.Violation
	if err := validate.Struct(p); err != nil {
		bad = fault.Public(err).Violations
	}
	for i := 1; i < len(p.Steps); i++ {
		if p.Steps[i].Weight <= p.Steps[i-1].Weight {
			bad = append(bad, fault.Violation{Path: fmt.Sprintf("steps[%d].weight", i), Problem: "must be above that of the step before: a key never moves back"})
		}
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return nil
}
