package comparison

import (
	"bytes"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/validate"
)

// ParsePolicy reads a policy as a person wrote it; empty or null is the default
// one, and what is not set keeps its default. The error is InvalidArgument and names
// every fault at once.
func ParsePolicy(raw []byte) (Policy, error) {
	p := DefaultPolicy()
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return p, nil
	}
	g, s := &p.Guardrails, &p.Segments
	bad := validate.Object("comparison policy", raw, "", validate.Fields{
		"primary": &p.Primary, "margin": &p.Margin, "delta": &p.Delta, "alpha": &p.Alpha,
		"expected_pairs": &p.ExpectedPairs, "n_step": &p.StepPairs, "min_blocks": &p.MinBlocks, "block": &p.Block, "max_wait": &p.MaxWait,
		"first_look":       validate.Fields{"pairs": &p.FirstLook.Pairs, "per_class": &p.FirstLook.PerClass},
		"abort_first_look": validate.Fields{"pairs": &p.HarmLook.Pairs, "per_class": &p.HarmLook.PerClass},
		"guardrails": validate.Fields{
			"error_ratio": validate.Fields{"off": &g.ErrorRatio.Off, "margin": &g.ErrorRatio.Margin},
			"latency":     validate.Fields{"off": &g.Latency.Off, "margin": &g.Latency.Margin, "factor": &g.Latency.Factor},
			"log_loss":    validate.Fields{"off": &g.LogLoss.Off, "margin": &g.LogLoss.Margin},
			"first_look":  &g.FirstLook,
		},
		"segments": validate.Fields{"column": &s.Column, "limit": &s.Limit, "pairs": &s.Pairs, "per_class": &s.PerClass, "margin": &s.Margin},
	})
	if bad = append(bad, validate.Violations(p.Check())...); len(bad) > 0 {
		return Policy{}, fault.Invalid(bad...)
	}
	return p, nil
}
