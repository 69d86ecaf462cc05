package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
	"github.com/tidegate/tidegate/tests/demo/flights"
)

// actor signs what the demo does.
const actor = "demo"

// maxDiff is what the trainer's and the server's answers may differ by (DESIGN §1, principle 6).
const maxDiff = 1e-5

// hyperparameters of the demo's training: a seed, everything else as the trainer has it.
func hyperparameters() map[string]string { return map[string]string{"seed": "2013"} }

// trained remembers what was made of which training set, code and settings.
type trained struct {
	Key     string `json:"key"`
	Model   string `json:"model"`
	Version int    `json:"version"`
	Digest  string `json:"digest"`
}

// version returns the manifest of the version trained on January to March: the
// registered one when nothing that decides about it has changed, else a new one.
func (d *demo) version(ctx context.Context, reg *registry.Registry, all []flights.Flight, facts *Facts) (registry.Manifest, error) {
	window := flights.Of(all, 1, 2, 3)
	usable := flights.Arrived(flights.Departed(window))
	data, trainingSchema, err := flights.TrainingSet(usable)
	if err != nil {
		return registry.Manifest{}, err
	}
	d.chapter("Train on January to March 2013")
	late := 0
	for i := range usable {
		if usable[i].Late() {
			late++
		}
	}
	d.say("%d flights were scheduled out of New York, %d left the gate, %d of these have a recorded arrival.", len(window), len(flights.Departed(window)), len(usable))
	d.say("The task: will it arrive more than %d minutes late (%.1f %% did), from the %d columns known when it leaves the gate.",
		flights.LateAfter, 100*float64(late)/float64(len(usable)), len(flights.Inputs()))
	code, err := codeDigest(d.root)
	if err != nil {
		return registry.Manifest{}, err
	}
	key := digest(data, trainingSchema, fmt.Append(nil, hyperparameters()), []byte(code))
	manifest, ok := d.remembered(ctx, reg, key)
	if ok {
		d.say("Version %d was trained from the same rows, schema, settings and code: nothing to train.", manifest.Version)
	} else if manifest, err = d.train(ctx, reg, key, data, trainingSchema); err != nil {
		return manifest, err
	}
	if err := d.judge(manifest, facts); err != nil {
		return manifest, err
	}
	return manifest, d.reference(ctx, reg, manifest)
}

// remembered looks for the version that was made from key, which must still be READY with the same content.
func (d *demo) remembered(ctx context.Context, reg *registry.Registry, key string) (registry.Manifest, bool) {
	body, err := os.ReadFile(d.memo)
	var t trained
	if err != nil || json.Unmarshal(body, &t) != nil || t.Key != key || t.Model != modelName {
		return registry.Manifest{}, false
	}
	m, err := reg.Manifest(ctx, t.Model, t.Version)
	return m, err == nil && m.Digest == t.Digest
}

// train makes the version of key and remembers it.
func (d *demo) train(ctx context.Context, reg *registry.Registry, key string, data, trainingSchema []byte) (registry.Manifest, error) {
	var l learned
	err := d.waiting("training and registering", func() (err error) {
		l, err = d.learn(ctx, reg, data, trainingSchema)
		return err
	})
	if err != nil {
		return l.Manifest, err
	}
	d.tellTraining(&l)
	body, err := json.MarshalIndent(trained{Key: key, Model: modelName, Version: l.Version, Digest: l.Digest}, "", "  ")
	if err != nil {
		return l.Manifest, err
	}
	return l.Manifest, os.WriteFile(d.memo, body, 0o644)
}

// judge reads the facts of a version from its manifest and holds them to what was promised.
func (d *demo) judge(m registry.Manifest, facts *Facts) error {
	var run struct {
		Rows struct {
			Holdout int `json:"holdout"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(m.Run, &run); err != nil {
		return fmt.Errorf("the run record of version %d: %w", m.Version, err)
	}
	auc, ok := m.Metrics["roc_auc"]
	if !ok {
		return fmt.Errorf("the manifest of version %d has no roc_auc", m.Version)
	}
	facts.Version = m.Version
	facts.Holdout.Rows, facts.Holdout.ROCAUC = run.Rows.Holdout, auc
	facts.Parity.Rows, facts.Parity.MaxAbsDiff = m.Parity.Rows, m.Parity.MaxAbsDiff
	d.say("On the %d rows held back its ROC AUC is %.4f.", run.Rows.Holdout, auc)
	if !m.Parity.Checked || m.Parity.Rows != run.Rows.Holdout || m.Parity.MaxAbsDiff > maxDiff {
		return fmt.Errorf("parity of version %d: %d of %d rows, largest difference %g, allowed %g", m.Version, m.Parity.Rows, run.Rows.Holdout, m.Parity.MaxAbsDiff, maxDiff)
	}
	d.say("The runtime that serves (%s) scored them again: the largest difference from the trainer's answers is %.1e.", m.Runtime, m.Parity.MaxAbsDiff)
	return nil
}

// reference tells what later predictions of the version are compared with.
func (d *demo) reference(ctx context.Context, reg *registry.Registry, m registry.Manifest) error {
	ref, _, err := quality.LoadReference(ctx, reg, modelName, m.Version)
	if err != nil {
		return fmt.Errorf("%w; to start again: make down && make demo", err)
	}
	auc := ref.Metric(quality.ROCAUC)
	if auc.Value == nil || auc.Interval == nil {
		return fmt.Errorf("the reference of version %d has no ROC AUC: %s", m.Version, auc.Reason)
	}
	d.say("Later predictions are compared with that: ROC AUC %.3f [%.3f, %.3f]. The interval is that wide because days differ from each other.", *auc.Value, auc.Interval.Lo, auc.Interval.Hi)
	return nil
}

// serve makes the version the champion, unless there is one.
func (d *demo) serve(ctx context.Context, reg *registry.Registry, m registry.Manifest) error {
	d.chapter("Point the traffic at it")
	state, _, err := reg.State(ctx, modelName)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if c := state.Slots.Champion; c == nil {
		out, err := d.Move(ctx, rollout.PromoteIn{Model: modelName, Kind: registry.KindBootstrap, Version: m.Version, SeenGeneration: state.Generation, Actor: actor, Reason: "the first version"})
		if err != nil {
			return fmt.Errorf("promote: %w", err)
		}
		d.say("One conditional write to state.json: version %d is the champion (generation %d).", m.Version, out.Generation)
	} else if c.Version == m.Version {
		d.say("Version %d is the champion already (generation %d).", m.Version, state.Generation)
	} else {
		return fmt.Errorf("version %d is the champion and version %d was trained now; traffic moves to it by a rollout, or start again: make down && make demo", c.Version, m.Version)
	}
	if state.SettingsDigest != "" {
		settings, err := reg.Settings(ctx, modelName, state.SettingsDigest)
		if err != nil || settings.Rollout != nil {
			return err
		}
	}
	if err := d.configure(ctx, reg, shadowPairs, "short windows and bakes, for the demo"); err != nil {
		return err
	}
	d.say("Drift is judged in windows of five minutes here, quality in hours, and a step of a rollout lasts seconds; by default a window is a day and a step an hour.")
	return nil
}

// waiting runs f beside a spinner.
func (d *demo) waiting(what string, f func() error) error {
	bar := d.bar(-1, what)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
				bar.Add(1)
			}
		}
	}()
	err := f()
	close(stop)
	<-stopped
	bar.Finish()
	return err
}

// codeDigest is the digest of the trainer: its sources and the packages it is pinned to.
func codeDigest(root string) (string, error) {
	h := sha256.New()
	for _, dir := range []string{"functions/train", "layers/training"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() && (e.Name() == "tests" || e.Name() == "__pycache__") {
				return filepath.SkipDir
			}
			if e.IsDir() || !strings.HasSuffix(path, ".py") && !strings.HasSuffix(path, ".txt") {
				return nil
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			fmt.Fprintf(h, "%s %d\n", filepath.ToSlash(name), len(content))
			h.Write(content)
			return err
		})
		if err != nil {
			return "", errors.Join(errors.New("the training code cannot be read; run from the repository"), err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// digest is one digest over several parts, whose borders count.
func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d\n", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
