package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/registry"
)

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

// retell tells the rollouts of an earlier run by the log alone, and returns the version
// of the first one; 0 when there was none yet.
func (d *demo) retell(ctx context.Context, reg *registry.Registry, facts *Facts) (int, error) {
	moves, err := d.news(ctx, reg)
	if err != nil {
		return 0, err
	}
	if !slices.ContainsFunc(moves, func(s registry.State) bool { return s.Slots.Shadow != nil || s.Rollout != nil }) {
		return 0, nil
	}
	d.chapter("Read how versions came and went")
	end := slices.IndexFunc(moves, func(s registry.State) bool { return s.Last.Kind == registry.KindRollback })
	if end < 0 {
		return 0, errors.New("an earlier run was interrupted; to start again: make down && make demo")
	}
	d.say("An earlier run has told it with its flights; the log has kept each move, and its evidence.")
	var r *RolledOut
	for i := range moves[1 : end+1] {
		before, s := &moves[i], &moves[i+1]
		if begins(s) {
			r = &RolledOut{Version: s.Slots.Challenger.Version}
		}
		if err := d.tellMove(ctx, reg, before, s, r); err != nil {
			return 0, err
		}
		if r != nil && ends(s) {
			r.Outcome = s.Last.Kind
			facts.Rollouts = append(facts.Rollouts, *r)
			r = nil
		}
	}
	// What the log does not know is in the facts of that run.
	var earlier Facts
	if body, err := os.ReadFile(d.facts); err == nil && json.Unmarshal(body, &earlier) == nil {
		facts.Rollback, facts.Retraining = earlier.Rollback, earlier.Retraining
	}
	if len(facts.Rollouts) == 0 {
		return 0, errors.New("the log has no rollout that ended")
	}
	return facts.Rollouts[0].Version, nil
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
