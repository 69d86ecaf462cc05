package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/registration"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/tests/demo/flights"
)

// learned is a version, and what its training left.
type learned struct {
	registry.Manifest
	uploaded string // where the training set lies
	bytes    int    // of it
	source   string // where the trained files lie
	rows     struct{ Train, Holdout int }
	took     time.Duration // of the training
	existing bool
}

// learn trains and registers a version. It says nothing, so that it can go on beside something else.
func (d *demo) learn(ctx context.Context, reg *registry.Registry, data, trainingSchema []byte) (learned, error) {
	l := learned{bytes: len(data), source: "s3://" + d.RegistryBucketName + "/uploads/" + d.NewID() + "/"}
	var err error
	if l.uploaded, err = d.Upload(ctx, []stack.File{memoryFile("train.csv", data), memoryFile("schema.json", trainingSchema)}, nil); err != nil {
		return l, err
	}
	in := map[string]any{
		"model": modelName, "task": schema.Binary, "schema_uri": l.uploaded + "schema.json", "data_uri": l.uploaded + "train.csv",
		"output_uri": l.source, "hyperparameters": hyperparameters(),
	}
	var answer struct {
		Rows struct{ Train, Holdout int } `json:"rows"`
	}
	start := time.Now()
	if err := d.Invoke(ctx, d.TrainFunctionName, in, &answer); err != nil {
		return l, fmt.Errorf("train: %w", err)
	}
	l.rows, l.took = answer.Rows, time.Since(start)
	var out registration.Out
	register := registration.In{Model: modelName, Task: schema.Binary, Target: flights.Target, Source: l.source, Actor: actor}
	if err := d.Invoke(ctx, d.RegisterFunctionName, register, &out); err != nil {
		return l, fmt.Errorf("register: %w", err)
	}
	l.existing = out.Existing
	l.Manifest, err = reg.Manifest(ctx, modelName, out.Version)
	return l, err
}

func (d *demo) tellTraining(l *learned) {
	d.say("Uploaded %.1f MB to %s", float64(l.bytes)/1e6, l.uploaded)
	d.say("The train function took %.0f s for %d rows and held the last %d back.", l.took.Seconds(), l.rows.Train, l.rows.Holdout)
	if l.existing {
		d.say("It is version %d again, byte for byte.", l.Version)
	} else {
		d.say("Registered as version %d.", l.Version)
	}
}

func memoryFile(name string, content []byte) stack.File {
	return stack.File{Name: name, Size: int64(len(content)), Open: func() (io.ReadSeekCloser, error) {
		return readCloser{bytes.NewReader(content)}, nil
	}}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }
