package scoring

import (
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/provenance/signature/signaturetest"
)

func TestOnlySignedVersionsScore(t *testing.T) {
	w := newWorld(t, nil)
	w.put(source, []byte("x\n1\n2\n"))
	key := signaturetest.Signer(t)
	w.scorer.Trust = signature.TrustIn(key.Key())
	_, err := w.scorer.Run(t.Context(), item())
	if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "no signature by a trusted key") {
		t.Errorf("unsigned: %v", err)
	}
	if n := w.runtime.Open(); n != 0 {
		t.Errorf("%d models are loaded", n)
	}
	signaturetest.Put(t, w.Registry, key.Key(), "m", 2, signaturetest.Bundle(t, w.Registry, key, "m", 1))
	if _, err := w.scorer.Run(t.Context(), item()); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "model.onnx") {
		t.Errorf("another version's signature: %v", err)
	}
	signed := item()
	signed.Version = 1
	signaturetest.Sign(t, w.Registry, key, "m", 1)
	if out, _ := w.ran(signed); out.RowsOut != 2 {
		t.Errorf("%+v", out)
	}
}
