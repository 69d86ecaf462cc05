package rollout_test

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/provenance/signature/signaturetest"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
)

// TestGuardsAskForSignatures: no move brings a version into a slot that no trusted key has signed.
func TestGuardsAskForSignatures(t *testing.T) {
	w := newWorld(t, steps)
	key, other := signaturetest.Signer(t), signaturetest.Signer(t)
	w.p.Trust = signature.TrustIn(key.Key())
	const unsigned = "no signature by a trusted key"
	shadow := rollout.PromoteIn{Kind: registry.KindShadowStart, Version: 2}
	start := rollout.PromoteIn{Kind: registry.KindStart, Version: 2, Evidence: []string{w.judge(2, string(comparison.Start), nil)}}
	w.refused(shadow, unsigned)
	w.refused(start, unsigned)
	start.Waive, start.Reason, start.Evidence = []string{rollout.WaiveEvidence, rollout.WaiveParity}, "never mind", nil
	w.refused(start, unsigned) // a person can waive other things
	signaturetest.Sign(t, w.reg, other, model, 2)
	w.refused(shadow, unsigned) // the wrong key
	signaturetest.Put(t, w.reg, key.Key(), model, 3, signaturetest.Bundle(t, w.reg, key, model, 2))
	w.refused(rollout.PromoteIn{Kind: registry.KindShadowStart, Version: 3}, "other content than was signed: model.onnx")
	signaturetest.Sign(t, w.reg, key, model, 2)
	w.move(shadow)
	w.move(rollout.PromoteIn{Kind: registry.KindShadowStop, Version: 2})
	id := w.start(2)
	for step := range 2 {
		w.clock = w.clock.Add(11 * time.Minute)
		w.advance(id, step)
	}
	w.clock = w.clock.Add(11 * time.Minute)
	promote := rollout.PromoteIn{Kind: registry.KindPromote, RolloutID: id, Evidence: []string{w.judge(2, string(comparison.Promote), nil)}, TransitionID: "promotion"}
	w.p.Trust = signature.TrustIn(signaturetest.Signer(t).Key()) // the key was withdrawn meanwhile
	w.refused(promote, unsigned)
	w.p.Trust = signature.TrustIn(key.Key(), signaturetest.Signer(t).Key())
	w.move(promote)
	w.p.Trust = signature.TrustIn(other.Key(), signaturetest.Signer(t).Key())
	w.store.Delete(registry.VersionFileKey(model, 2, other.Key().Path()))
	if out := w.move(promote); !out.Repeated { // it was made: a repeated call hears so
		t.Errorf("%+v", out)
	}
	// What takes traffic away needs no signature, not even of the version that serves again.
	if out := w.move(rollout.PromoteIn{Kind: registry.KindRollback, Version: 2, SeenGeneration: w.state().Generation}); out.State.Slots.Champion.Version != 1 {
		t.Errorf("%+v", out.State.Slots)
	}
}

func TestBootstrapAsksForASignature(t *testing.T) {
	w := newWorld(t, "")
	w.store.Delete(registry.StateKey(model))
	w.store.Delete(registry.LogKey(model, 1))
	key := signaturetest.Signer(t)
	w.p.Trust = signature.TrustIn(key.Key())
	in := rollout.PromoteIn{Kind: registry.KindBootstrap, Version: 1}
	if _, err := w.try(in); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("%v", err)
	}
	if _, _, err := w.reg.State(t.Context(), model); !fault.Is(err, fault.NotFound) {
		t.Errorf("there is a state: %v", err)
	}
	signaturetest.Sign(t, w.reg, key, model, 1)
	w.move(in)
}
