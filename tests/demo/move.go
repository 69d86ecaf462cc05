package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/registry"
)

// RolledOut is a rollout, for programs.
type RolledOut struct {
	Version int    `json:"version"`
	Steps   []Step `json:"steps"`
	Outcome string `json:"outcome"` // promote or abort
}

// Step is one step of a rollout, with the evidence that it ended on.
type Step struct {
	Step       int        `json:"step"`
	Weight     int        `json:"weight"`          // hundredths of a percent
	Generation int64      `json:"generation"`      // of the move that ended it
	Decision   string     `json:"decision"`        // advance, promote, abort
	Pairs      uint64     `json:"pairs"`           // of the whole rollout
	Keys       int        `json:"keys"`            // groups of keys, which are days, that these pairs are from
	Gain       [3]float64 `json:"gain"`            // of ROC AUC: lower end of the 95 % interval, value, upper end
	Lower      float64    `json:"lower"`           // the bound that holds at every look, and must pass 0 for a promotion
	Until      string     `json:"until,omitempty"` // the last day of flights that was sent by then
}

// tellMove prints a move with its evidence, and files it under its rollout. before is the state that it replaced.
func (d *demo) tellMove(ctx context.Context, reg *registry.Registry, before, s *registry.State, r *RolledOut) error {
	l := &s.Last
	what := fmt.Sprintf("generation %d, %s", s.Generation, l.Kind)
	switch l.Kind {
	case registry.KindShadowStart:
		d.say("%s: version %d scores each request after version %d has answered it.", what, s.Slots.Shadow.Version, s.Slots.Champion.Version)
	case registry.KindStart:
		d.say("%s: version %d answers %s of the keys.", what, s.Slots.Challenger.Version, percent(s.Weights.Challenger))
	case registry.KindAdvance:
		d.say("%s: version %d answers %s of the keys.", what, s.Slots.Challenger.Version, percent(s.Weights.Challenger))
	case registry.KindPromote:
		d.say("%s: version %d is the champion.", what, s.Slots.Champion.Version)
	case registry.KindAbort, registry.KindRollback:
		d.say("%s: version %d answers everything.", what, s.Slots.Champion.Version)
	default:
		d.say("%s: %s", what, l.Reason)
	}
	if len(l.Waived) > 0 {
		d.say("    %s waives: %s. %q", l.Actor, strings.Join(l.Waived, ", "), l.Reason)
	}
	if len(l.Evidence) == 0 {
		return nil
	}
	e, err := reg.Evidence(ctx, l.Evidence[0])
	if err != nil {
		return err
	}
	var report comparison.Report
	if err := json.Unmarshal(e.Report, &report); err != nil {
		return fmt.Errorf("the report of evidence %s: %w", l.Evidence[0], err)
	}
	if len(report.Metrics) == 0 || len(report.Bounds) == 0 {
		return fmt.Errorf("the evidence %s measures nothing", l.Evidence[0])
	}
	m, b := &report.Metrics[0], &report.Bounds[0]
	rows := "pairs"
	groups := fmt.Sprintf("%d groups of days, the keys", report.KeyGroups)
	if report.Pinned {
		rows, groups = "pinned rows", fmt.Sprintf("%d days", report.Blocks)
	}
	spread := fmt.Sprintf("%.4f over %s", max(m.SE.Key, m.SE.Block), groups)
	if report.KeyGroups == 1 {
		spread = "and all are of one day, the key"
	}
	d.say("    %s", e.Summary)
	d.say("    %d %s: ROC AUC %.4f beside %.4f, gain %+.4f [%+.4f, %+.4f]; standard error %.4f by row, %s.",
		report.Pairs.Pairs, rows, m.Challenger.Value, m.Champion.Value, m.Delta, m.Lo, m.Hi, m.SE.Row, spread)
	if report.Pinned || r == nil || before.Rollout == nil {
		return nil
	}
	d.say("    At any number of looks the gain is above %+.4f, and harm would be a gain below %.3f: at most %+.4f.", b.Lower, -b.Margin, b.Harm)
	r.Steps = append(r.Steps, Step{Step: before.Rollout.Step, Weight: before.Weights.Challenger, Generation: s.Generation, Decision: e.Decision, Pairs: report.Pairs.Pairs,
		Keys: report.KeyGroups, Gain: [3]float64{m.Lo, m.Delta, m.Hi}, Lower: b.Lower, Until: d.until})
	return nil
}

func percent(weight int) string { return fmt.Sprintf("%g %%", float64(weight)/100) }
