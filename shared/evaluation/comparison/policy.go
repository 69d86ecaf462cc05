package comparison

import (
	"errors"
	"fmt"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/validate"
)

// Policy is the field "comparison" of a model's settings (docs/comparison.md): what
// must be shown before a challenger goes on. It is pinned when a rollout starts: a
// bound whose numbers move between looks holds at no look.
type Policy struct {
	// Primary is the metric that must not be worse, and in the end better; "" is the task's:
	// roc_auc (binary), log_loss (multiclass), mae (regression), accuracy where there are no scores.
	Primary string `json:"primary,omitempty" validate:"omitempty,oneof=roc_auc log_loss brier_score accuracy mae mse"`
	// Margin is how much worse the primary metric may be without harm, in its units for roc_auc and
	// accuracy, else as a share of the champion's; nil is 0.005, and 0.01.
	Margin *float64 `json:"margin,omitempty" validate:"omitempty,gt=0,lt=1"`
	// Delta is how much better the challenger must be, in the metric's units.
	Delta float64 `json:"delta" validate:"gte=0"`
	// Alpha is the one-sided error of each bound over all looks; harm is looked for at Alpha over the number of its checks.
	Alpha float64 `json:"alpha" validate:"gt=0,lt=0.5"`
	// ExpectedPairs is where the bound is tightest.
	ExpectedPairs int64      `json:"expected_pairs" validate:"gte=100,lte=1000000000"`
	StepPairs     int64      `json:"n_step" validate:"gte=1"`     // new pairs before a step may end
	FirstLook     Look       `json:"first_look"`                  // at what may end a rollout well
	HarmLook      Look       `json:"abort_first_look"`            // at what may abort it
	MinBlocks     int        `json:"min_blocks" validate:"gte=1"` // time blocks with pairs before a promotion
	Block         Block      `json:"block" validate:"oneof=hour day"`
	MaxWait       float64    `json:"max_wait" validate:"gte=1"` // times the bake time, until a person is asked
	Guardrails    Guardrails `json:"guardrails"`
	Segments      Segments   `json:"segments"`
}

// Look is the least that a look needs.
type Look struct {
	Pairs    int64 `json:"pairs" validate:"gte=2"`
	PerClass int64 `json:"per_class" validate:"gte=2"` // of a binary task
}

// Guardrails are what must not get worse while the primary metric gets better.
type Guardrails struct {
	ErrorRatio Guardrail `json:"error_ratio"` // margin: difference of shares of failed requests
	Latency    Latency   `json:"latency"`
	LogLoss    Guardrail `json:"log_loss"`                    // margin: share of the champion's
	FirstLook  int64     `json:"first_look" validate:"gte=1"` // requests of the challenger before the first look at errors and latency
}

// Guardrail is one of them.
type Guardrail struct {
	Off    bool    `json:"off,omitempty"`
	Margin float64 `json:"margin" validate:"gt=0,lt=1"`
}

// Latency is the guardrail on the share of slow requests: those slower than Factor
// times the champion's 95th percentile when the rollout began.
type Latency struct {
	Off    bool    `json:"off,omitempty"`
	Margin float64 `json:"margin" validate:"gt=0,lt=1"`
	Factor float64 `json:"factor" validate:"gte=1"`
}

// Segments says which segments may block by harm shown in them.
type Segments struct {
	Column string `json:"column,omitempty"` // "" for none
	Limit  int    `json:"limit" validate:"gte=1,lte=20"`
	Look
	Margin *float64 `json:"margin,omitempty" validate:"omitempty,gt=0,lt=1"` // nil: that of the primary metric
}

// DefaultPolicy holds where nothing is set.
func DefaultPolicy() Policy {
	return Policy{Alpha: 0.05, ExpectedPairs: 5000, StepPairs: 500, FirstLook: Look{1000, 50}, HarmLook: Look{300, 50}, MinBlocks: 10,
		Block: Hour, MaxWait: 7,
		Guardrails: Guardrails{ErrorRatio: Guardrail{Margin: 0.005}, Latency: Latency{Margin: 0.05, Factor: 1.5},
			LogLoss: Guardrail{Margin: 0.02}, FirstLook: 200},
		Segments: Segments{Limit: MaxSegments, Look: Look{500, 50}}}
}

// Check reports every value that cannot be. The error is InvalidArgument.
func (p *Policy) Check() error {
	var bad []fault.Violation
	var f *fault.Error
	if err := validate.Struct(p); errors.As(err, &f) {
		bad = f.Violations
	}
	if p.FirstLook.Pairs < p.HarmLook.Pairs {
		bad = append(bad, fault.Violation{Path: "first_look.pairs", Problem: "must be at least abort_first_look.pairs: harm is looked for first"})
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return nil
}

// primary is the metric that decides for the pairs of s. InvalidArgument: the pairs do not show it.
func (p *Policy) primary(s *Spec) (string, error) {
	known := s.Metrics()
	if p.Primary == "" {
		return known[0], nil
	}
	for _, m := range known {
		if m == p.Primary {
			return m, nil
		}
	}
	return "", fault.Invalid(fault.Violation{Path: "primary", Problem: fmt.Sprintf("is not a metric of these answers; they show %v", known)})
}

// margin of a primary metric in its own units, for a champion at the given value.
func (p *Policy) margin(metric string, champion float64) float64 {
	if p.Margin != nil {
		return inUnits(metric, *p.Margin, champion)
	}
	if Relative(metric) {
		return inUnits(metric, 0.01, champion)
	}
	return 0.005
}

func (p *Policy) segmentMargin(metric string, champion float64) float64 {
	if p.Segments.Margin != nil {
		return inUnits(metric, *p.Segments.Margin, champion)
	}
	return p.margin(metric, champion)
}

func inUnits(metric string, margin, champion float64) float64 {
	if Relative(metric) {
		return margin * champion
	}
	return margin
}
