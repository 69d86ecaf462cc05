package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/evaluation/trial"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/scoring"
	"github.com/tidegate/tidegate/tests/demo/flights"
)

// retrain trains on January to July once the scores have drifted, and starts the
// rollout of what came out on the evidence of rows that neither version has seen.
func (d *demo) retrain(ctx context.Context, reg *registry.Registry, all []flights.Flight, champion int) (int, error) {
	d.chapter("Train again, on January to July")
	fs := flights.Arrived(flights.Departed(flights.Of(all, 1, 2, 3, 4, 5, 6, 7)))
	data, trainingSchema, err := flights.TrainingSet(fs)
	if err != nil {
		return 0, err
	}
	var l learned
	err = d.waiting("training and registering", func() (err error) {
		l, err = d.learn(ctx, reg, data, trainingSchema)
		return err
	})
	if err != nil {
		return 0, err
	}
	d.tellTraining(&l)
	d.say("Version %d: ROC AUC %.4f on its own holdout, the last %d flights before August.", l.Version, l.Metrics["roc_auc"], l.rows.Holdout)
	start := &trial.Start{Version: l.Version, Label: flights.Target, Time: flights.TimeColumn}
	for _, side := range []struct {
		version int
		keys    *[]string
	}{{champion, &start.Champion}, {l.Version, &start.Challenger}} {
		key, err := d.score(ctx, scoring.In{Version: side.version, Run: fmt.Sprintf("demo-start-%d", l.Version), Item: fmt.Sprintf("by-%d", side.version),
			Source: scoring.Source{Bucket: d.RegistryBucketName, Key: strings.TrimPrefix(l.source, "s3://"+d.RegistryBucketName+"/") + "holdout.csv"},
			Keep:   []string{flights.Target, flights.TimeColumn}})
		if err != nil {
			return 0, err
		}
		*side.keys = []string{key}
	}
	d.say("Versions %d and %d have both answered this holdout, which is later than the training of either: the start is judged by it.", champion, l.Version)
	_, err = d.lead(ctx, stack.RolloutIn{Version: l.Version, Actor: actor, Reason: "trained on January to July", Start: start})
	return l.Version, err
}
