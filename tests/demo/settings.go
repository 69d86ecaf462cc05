package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

// weights are those of the steps of the demo's rollouts, in hundredths of a percent.
var weights = []int{2000, 5000, 10000}

// settings are those of the demo: nobody wants to wait for the end of a day. A month of
// flights is sent within seconds, so windows are short, labels are expected at once and
// a bake lasts seconds. shadow is the number of pairs before the first step; 0 = none.
//
// The flights of a day depend on each other and are sent within seconds, so the day is
// their sticky key, and the hours and days of the clock say nothing (min_blocks 1). Errors
// and latency are not held against a version: a few hundred requests to processes that
// share two cores say nothing about either.
func settings(shadow int) (json.RawMessage, error) {
	steps := make([]rollout.Step, len(weights))
	for i, w := range weights {
		steps[i] = rollout.Step{Weight: w, BakeSeconds: 3}
	}
	return json.Marshal(map[string]any{
		"drift":      map[string]any{"window_minutes": 5, "lateness_minutes": 0},
		"quality":    map[string]any{"window_minutes": 60, "label_delay_minutes": 0},
		"comparison": json.RawMessage(comparisonSettings),
		"retrain": map[string]any{
			"sources":         []any{map[string]string{"prefix": "training/" + modelName + "/"}},
			"hyperparameters": hyperparameters(),
			"debounce":        map[string]int{"need": 2, "within_seconds": 3600, "cool_down_seconds": 24 * 3600},
		},
		"rollout": map[string]any{"steps": steps, "shadow": map[string]any{"pairs": shadow}},
	})
}

const comparisonSettings = `{"primary":"roc_auc","block":"day","min_blocks":1,"n_step":2000,"max_wait":200,
 "guardrails":{"error_ratio":{"off":true},"latency":{"off":true}}}`

func comparisonPolicy() (comparison.Policy, error) {
	return comparison.ParsePolicy([]byte(comparisonSettings))
}

// configure puts settings in force.
func (d *demo) configure(ctx context.Context, reg *registry.Registry, shadow int, reason string) error {
	document, err := settings(shadow)
	if err != nil {
		return err
	}
	return d.enforce(ctx, reg, document, reason)
}

// enforce puts a document of settings in force.
func (d *demo) enforce(ctx context.Context, reg *registry.Registry, document json.RawMessage, reason string) error {
	state, _, err := reg.State(ctx, modelName)
	if err != nil {
		return err
	}
	_, err = d.Move(ctx, rollout.PromoteIn{Model: modelName, Kind: registry.KindConfigure, Settings: document, SeenGeneration: state.Generation, Actor: actor, Reason: reason})
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	return nil
}

// champion is the version that serves.
func (d *demo) champion(ctx context.Context) (int, error) {
	state, _, err := registry.New(d.Registry, registry.Options{}).State(ctx, modelName)
	if err != nil {
		return 0, err
	}
	return state.Slots.Champion.Version, nil
}
