package rollout_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/approval"
	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
	"github.com/tidegate/tidegate/shared/schema"
)

const model = "flights"

// steps of the tests: three, ten minutes each.
const steps = `{"steps":[{"weight":100,"bake_seconds":600},{"weight":2500,"bake_seconds":600},{"weight":10000,"bake_seconds":600}],"evidence_max_age_seconds":86400`

// world is a model with three versions of which the first serves, on a clock that tests set.
type world struct {
	t     testing.TB
	store *blob.Memory
	reg   *registry.Registry
	p     rollout.Promoter
	clock time.Time
	moves int
	refs  map[int]registry.Ref
}

func newWorld(t testing.TB, settings string) *world {
	t.Helper()
	w := &world{t: t, store: new(blob.Memory), clock: time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC), refs: map[int]registry.Ref{}}
	w.reg = w.on(w.store)
	w.p = rollout.Promoter{Registry: w.reg}
	_, _, err := w.reg.CreateModel(t.Context(), registry.Model{Name: model, Task: schema.Regression})
	w.must(err)
	for range 3 {
		w.publish(inferencetest.Schema(), registry.Parity{Checked: true, Rows: 20})
	}
	w.move(rollout.PromoteIn{Kind: registry.KindBootstrap, Version: 1})
	if settings != "" {
		w.move(rollout.PromoteIn{Kind: registry.KindConfigure, Settings: json.RawMessage(`{"rollout":` + settings + `}}`)})
	}
	return w
}

func (w *world) on(store blob.Store) *registry.Registry {
	return registry.New(store, registry.Options{Now: func() time.Time { return w.clock },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }, Rand: func() float64 { return 0.5 }})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// publish makes the next version READY.
func (w *world) publish(s schema.Schema, parity registry.Parity) int {
	w.t.Helper()
	ctx := w.t.Context()
	document, err := s.Encode()
	w.must(err)
	file := []byte(fmt.Sprint("model", len(w.refs)))
	files := []registry.File{{Path: "model.onnx", Size: int64(len(file)), SHA256: sum(file), Blob: true}, {Path: "schema.json", Size: int64(len(document)), SHA256: sum(document)}}
	m := registry.Manifest{Model: model, Digest: registry.ContentDigest(files), Files: files, Runtime: "test", Parity: parity}
	m.Version, err = w.reg.Claim(ctx, model, m.Digest, "test")
	w.must(err)
	w.must(w.reg.PutBlob(ctx, files[0].SHA256, bytes.NewReader(file), files[0].Size))
	_, err = w.reg.PutVersionFile(ctx, model, m.Version, "schema.json", document)
	w.must(err)
	_, _, err = w.reg.PutManifest(ctx, m)
	w.must(err)
	w.refs[m.Version] = registry.Ref{Version: m.Version, Digest: m.Digest}
	return m.Version
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func (w *world) blob(body []byte) string {
	w.t.Helper()
	w.must(w.reg.PutBlob(w.t.Context(), sum(body), bytes.NewReader(body), int64(len(body))))
	return "sha256:" + sum(body)
}

// judge stores evidence for the state that is, changed by edit.
func (w *world) judge(challenger int, decision string, edit func(*registry.Evidence)) string {
	w.t.Helper()
	s := w.state()
	e := registry.Evidence{V: 1, Kind: registry.EvidenceComparison, Model: model, Champion: *s.Slots.Champion, Challenger: w.refs[challenger],
		Decision: decision, Reject: decision == string(comparison.Abort), At: w.clock}
	if s.Rollout != nil {
		e.RolloutID, e.Step = s.Rollout.ID, s.Rollout.Step
	} else {
		e.Dataset = "sha256:" + strings.Repeat("d", 64)
	}
	if edit != nil {
		edit(&e)
	}
	body, err := json.Marshal(e)
	w.must(err)
	return w.blob(body)
}

func (w *world) state() registry.State {
	w.t.Helper()
	s, _, err := w.reg.State(w.t.Context(), model)
	w.must(err)
	return s
}

// try asks for a move; what the input leaves open is filled in.
func (w *world) try(in rollout.PromoteIn) (rollout.PromoteOut, error) {
	w.t.Helper()
	if in.TransitionID == "" {
		w.moves++
		in.TransitionID = fmt.Sprint("move-", w.moves)
	}
	if in.Actor == "" {
		in.Actor = "ana"
	}
	in.Model = model
	return w.p.Run(w.t.Context(), in)
}

func (w *world) move(in rollout.PromoteIn) rollout.PromoteOut {
	w.t.Helper()
	out, err := w.try(in)
	if err != nil {
		w.t.Fatalf("%s: %v", in.Kind, err)
	}
	return out
}

// start begins a rollout of a version and returns its id.
func (w *world) start(version int) string {
	w.t.Helper()
	return w.move(rollout.PromoteIn{Kind: registry.KindStart, Version: version, Evidence: []string{w.judge(version, string(comparison.Start), nil)}}).TransitionID
}

func (w *world) advance(id string, from int) rollout.PromoteOut {
	w.t.Helper()
	return w.move(rollout.PromoteIn{Kind: registry.KindAdvance, RolloutID: id, FromStep: &from, Evidence: []string{w.judge(w.state().Slots.Challenger.Version, string(comparison.Advance), nil)}})
}

func (w *world) refused(in rollout.PromoteIn, want string) {
	w.t.Helper()
	generation := w.state().Generation
	_, err := w.try(in)
	if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), want) {
		w.t.Errorf("%s: %v, want a refusal with %q", in.Kind, err, want)
	}
	if got := w.state().Generation; got != generation {
		w.t.Errorf("%s: refused, and moved to generation %d", in.Kind, got)
	}
}

// ask makes an approval and answers it.
func (w *world) ask(id, move string, version int, evidence, answer string) {
	w.t.Helper()
	desk := approval.Desk{Registry: w.reg, Now: func() time.Time { return w.clock }}
	_, err := desk.Run(w.t.Context(), approval.In{Action: approval.ActionAsk, Model: model, ID: id, For: move, Version: version, Evidence: evidence, Actor: "machine", ExpiresSeconds: 3600})
	w.must(err)
	if answer != "" {
		_, err = desk.Run(w.t.Context(), approval.In{Action: answer, Model: model, ID: id, Actor: "bob", Reason: "looked at it"})
		w.must(err)
	}
}
