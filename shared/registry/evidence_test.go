package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

func putBlob(t testing.TB, r *Registry, body []byte) string {
	t.Helper()
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	if err := r.PutBlob(t.Context(), digest, bytes.NewReader(body), int64(len(body))); err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestOldEvidenceLoads(t *testing.T) {
	r := New(new(blob.Memory), Options{})
	e, err := r.Evidence(t.Context(), putBlob(t, r, golden(t, "evidence.json")))
	checkRoundTrip(t, "evidence.json", e, err)
}

func TestEvidenceIsStored(t *testing.T) {
	r := New(new(blob.Memory), Options{})
	want := Evidence{Model: "m", Champion: *testRef(1), Challenger: *testRef(2), Decision: "start", At: time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC), Report: json.RawMessage("{}")}
	digest, err := r.PutEvidence(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.PutEvidence(t.Context(), want); err != nil || again != digest {
		t.Errorf("the same evidence: %s, %v; want %s", again, err, digest)
	}
	want.V, want.Kind = EvidenceVersion, EvidenceComparison
	got, err := r.Evidence(t.Context(), digest)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	for _, edit := range []func(*Evidence){
		func(e *Evidence) { e.Model = "" }, func(e *Evidence) { e.Champion.Version = 0 }, func(e *Evidence) { e.Challenger.Version = 0 },
		func(e *Evidence) { e.Decision = "" }, func(e *Evidence) { e.At = time.Time{} },
	} {
		e := want
		edit(&e)
		if _, err := r.PutEvidence(t.Context(), e); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%+v: %v", e, err)
		}
	}
	if _, err := r.Evidence(t.Context(), "x"); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
}

// FuzzEvidence: any blob is evidence or a refusal, never an alarm or a panic.
func FuzzEvidence(f *testing.F) {
	f.Add(golden(f, "evidence.json"))
	f.Add([]byte(`{"v":9,"kind":"comparison"}`))
	f.Add([]byte(`{"v":1,"kind":"drift"}`))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := New(new(blob.Memory), Options{})
		e, err := r.Evidence(t.Context(), putBlob(t, r, body))
		if err != nil && !fault.Is(err, fault.FailedPrecondition) {
			t.Fatal(err)
		}
		if err == nil && (e.V != EvidenceVersion || e.Kind != EvidenceComparison) {
			t.Fatalf("%+v", e)
		}
	})
}
