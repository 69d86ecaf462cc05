package main

import (
	"context"
	"fmt"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/scoring"
	"github.com/tidegate/tidegate/tests/demo/flights"
)

// month drops the flights of a month with their scores, unless they lie there already, and waits for the report.
func (d *demo) month(ctx context.Context, all []flights.Flight, month, version int) (*drift.Report, error) {
	usable := flights.Departed(flights.Of(all, month))
	scores, err := d.scoresOf(ctx, usable, month, version)
	if err != nil {
		return nil, err
	}
	rows, err := flights.Batch(usable, scores)
	if err != nil {
		return nil, err
	}
	info, err := d.once(ctx, fmt.Sprintf("batches/%s/2013-%02d-%s.csv", modelName, month, digest(rows)[:8]), rows)
	if err != nil {
		return nil, err
	}
	report, err := d.reportOf(ctx, info)
	if err != nil {
		return nil, fmt.Errorf("the batch %s: %w", info.Key, err)
	}
	if report.Rows.In != uint64(len(usable)) {
		return nil, fmt.Errorf("the batch %s has %d rows and the report tells of %d", info.Key, len(usable), report.Rows.In)
	}
	return report, nil
}

// scoresOf has flights of a month scored by a version. Names that begin with _ start no batch.
func (d *demo) scoresOf(ctx context.Context, usable []flights.Flight, month, version int) ([]float32, error) {
	rows, err := flights.Batch(usable, nil)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("2013-%02d-%s", month, digest(rows)[:8])
	info, err := d.once(ctx, "batches/"+modelName+"/_rows/"+name+".csv", rows)
	if err != nil {
		return nil, err
	}
	key, err := d.score(ctx, scoring.In{Version: version, Run: fmt.Sprintf("demo-v%d", version), Item: name, Source: scoring.Source{Key: info.Key}})
	if err != nil {
		return nil, err
	}
	scores, err := d.lateness(ctx, key)
	if err == nil && len(scores) != len(usable) {
		err = fmt.Errorf("%s has %d answers to %d rows", key, len(scores), len(usable))
	}
	return scores, err
}

// once puts an object, unless it lies there already.
func (d *demo) once(ctx context.Context, key string, body []byte) (blob.Info, error) {
	_, err := d.Data.Put(ctx, key, body, blob.Once())
	if err != nil && !fault.Is(err, fault.FailedPrecondition) {
		return blob.Info{}, err
	}
	return d.Data.Head(ctx, key)
}
