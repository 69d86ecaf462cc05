package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/registry"
)

// RolledOut is a rollout, for programs.
type RolledOut struct {
	Version     int    `json:"version"`
	ShadowPairs uint64 `json:"shadow_pairs"` // from before the first step
	Steps       []Step `json:"steps"`
	Outcome     string `json:"outcome"` // promote or abort
}

// Step is one step of a rollout, with the evidence that it ended on.
type Step struct {
	Step       int        `json:"step"`
	Weight     int        `json:"weight"`     // hundredths of a percent
	Generation int64      `json:"generation"` // of the move that ended it
	Decision   string     `json:"decision"`   // advance, promote, abort
	Pairs      uint64     `json:"pairs"`      // of the whole rollout
	Days       int        `json:"days"`       // that these pairs are from
	Gain       [3]float64 `json:"gain"`       // of ROC AUC: lower end of the 95 % interval, value, upper end
	Lower      float64    `json:"lower"`      // the bound that holds at every look, and must pass 0 for a promotion
	Until      string     `json:"until"`      // the last day of flights that was sent by then
}

// news are the moves that were made since the last call.
func (d *demo) news(ctx context.Context, reg *registry.Registry) ([]registry.State, error) {
	var out []registry.State
	for s, err := range reg.Log(ctx, modelName, d.told+1, 0) {
		if err != nil {
			return out, err
		}
		out = append(out, s)
		d.told = s.Generation
	}
	return out, nil
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
	default:
		d.say("%s: version %d serves everything.", what, s.Slots.Champion.Version)
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
	groups := fmt.Sprintf("%d days as keys", report.KeyGroups)
	if report.Pinned {
		rows, groups = "pinned rows", fmt.Sprintf("%d days", report.Blocks)
	}
	d.say("    %s", e.Summary)
	d.say("    %d %s: ROC AUC %.4f beside %.4f, gain %+.4f [%+.4f, %+.4f]; standard error %.4f by row, %.4f over %s.",
		report.Pairs.Pairs, rows, m.Challenger.Value, m.Champion.Value, m.Delta, m.Lo, m.Hi, m.SE.Row, max(m.SE.Key, m.SE.Block), groups)
	if report.Pinned || r == nil || before.Rollout == nil {
		return nil
	}
	d.say("    At any number of looks the gain is above %+.4f, and harm would be a gain below %.3f: at most %+.4f.", b.Lower, -b.Margin, b.Harm)
	r.Steps = append(r.Steps, Step{Step: before.Rollout.Step, Weight: before.Weights.Challenger, Generation: s.Generation, Decision: e.Decision, Pairs: report.Pairs.Pairs,
		Days: report.KeyGroups, Gain: [3]float64{m.Lo, m.Delta, m.Hi}, Lower: b.Lower, Until: d.until})
	return nil
}

func percent(weight int) string { return fmt.Sprintf("%g %%", float64(weight)/100) }

// follow tells each move of a rollout as it is made, until it has ended; between two
// looks feed gives it more flights, until it has none. stop says at which move to return.
func (d *demo) follow(ctx context.Context, reg *registry.Registry, r *RolledOut, feed func(context.Context) (bool, error), stop func(*registry.State) bool) error {
	last := time.Now()
	for {
		moves, err := d.news(ctx, reg)
		if err != nil {
			return err
		}
		for i := range moves {
			before, err := reg.LogEntry(ctx, modelName, moves[i].Generation-1)
			if err != nil {
				return err
			}
			if err := d.tellMove(ctx, reg, &before, &moves[i], r); err != nil {
				return err
			}
			if last = time.Now(); stop(&moves[i]) {
				return nil
			}
		}
		more := false
		if feed != nil {
			if more, err = feed(ctx); err != nil {
				return err
			}
		}
		if more {
			last = time.Now()
			continue
		}
		if time.Since(last) > d.patience {
			return fmt.Errorf("nothing has moved for %s; tidegate rollout status %s says where the rollout stands, and its execution why", d.patience, modelName)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// ends says whether a move ends a rollout.
func ends(s *registry.State) bool {
	return s.Last.Kind == registry.KindPromote || s.Last.Kind == registry.KindAbort || s.Last.Kind == registry.KindRollback || s.Last.Kind == registry.KindPause
}

// begins says whether a move is the first step of a rollout.
func begins(s *registry.State) bool { return s.Last.Kind == registry.KindStart }

// Logged is what the log of the model holds, for programs.
type Logged struct {
	Generations int64 `json:"generations"`
	Gaps        int   `json:"gaps"`
}

// readLog counts the generations that the log lacks.
func (d *demo) readLog(ctx context.Context, reg *registry.Registry, facts *Facts) error {
	d.chapter("Read the log")
	state, _, err := reg.State(ctx, modelName)
	if err != nil {
		return err
	}
	found := map[string]bool{}
	for info, err := range d.Registry.List(ctx, "models/"+modelName+"/log/", "") {
		if err != nil {
			return err
		}
		found[info.Key] = true
	}
	facts.Log.Generations, facts.Log.Gaps = state.Generation, 0
	for g := int64(1); g <= state.Generation; g++ {
		if !found[registry.LogKey(modelName, g)] {
			facts.Log.Gaps++
		}
	}
	d.say("state.json is at generation %d, and the log has %d entries: %d are missing. Each says who moved what, why, and on which evidence; tidegate log %s prints it.",
		state.Generation, len(found), facts.Log.Gaps, modelName)
	if facts.Log.Gaps > 0 {
		return fmt.Errorf("the log lacks %d of %d generations", facts.Log.Gaps, state.Generation)
	}
	return nil
}
