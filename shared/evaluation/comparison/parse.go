package comparison

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/tidegate/tidegate/shared/fault"
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
	bad := read(raw, "", fields{
		"primary": &p.Primary, "margin": &p.Margin, "delta": &p.Delta, "alpha": &p.Alpha,
		"expected_pairs": &p.ExpectedPairs, "n_step": &p.StepPairs, "min_blocks": &p.MinBlocks, "block": &p.Block, "max_wait": &p.MaxWait,
		"first_look":       fields{"pairs": &p.FirstLook.Pairs, "per_class": &p.FirstLook.PerClass},
		"abort_first_look": fields{"pairs": &p.HarmLook.Pairs, "per_class": &p.HarmLook.PerClass},
		"guardrails": fields{
			"error_ratio": fields{"off": &g.ErrorRatio.Off, "margin": &g.ErrorRatio.Margin},
			"latency":     fields{"off": &g.Latency.Off, "margin": &g.Latency.Margin, "factor": &g.Latency.Factor},
			"log_loss":    fields{"off": &g.LogLoss.Off, "margin": &g.LogLoss.Margin},
			"first_look":  &g.FirstLook,
		},
		"segments": fields{"column": &s.Column, "limit": &s.Limit, "pairs": &s.Pairs, "per_class": &s.PerClass, "margin": &s.Margin},
	})
	var f *fault.Error
	if err := p.Check(); errors.As(err, &f) {
		bad = append(bad, f.Violations...)
	}
	if len(bad) > 0 {
		return Policy{}, fault.Invalid(bad...)
	}
	return p, nil
}

// fields are where the values of a JSON object go, by name: pointers, or fields again.
type fields map[string]any

// read goes on after a fault, so that all of them are told at once.
func read(raw []byte, path string, into fields) []fault.Violation {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		if path == "" {
			path = "comparison"
		}
		return []fault.Violation{{Path: path, Problem: "must be a JSON object"}}
	}
	var bad []fault.Violation
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := cut(name)
		if path != "" {
			at = path + "." + at
		}
		switch target := into[name].(type) {
		case nil:
			bad = append(bad, fault.Violation{Path: at, Problem: "is not a field of a comparison policy"})
		case fields:
			bad = append(bad, read(object[name], at, target)...)
		default:
			if err := json.Unmarshal(object[name], target); err != nil {
				bad = append(bad, fault.Violation{Path: at, Problem: "has the wrong type"})
			}
		}
	}
	return bad
}

// cut keeps names of unknown fields short in messages.
func cut(name string) string {
	const most = 128
	if len(name) <= most {
		return name
	}
	return string(bytes.ToValidUTF8([]byte(name[:most]), nil)) + "…"
}
