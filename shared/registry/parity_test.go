package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

func TestBackendParityIsStored(t *testing.T) {
	r := New(new(blob.Memory), Options{})
	want := BackendParity{Model: "m", Version: *testRef(2), Backend: "http://gpu-1:8080", Against: "trainer", Dataset: "sha256:aa", Parity: Parity{Checked: true, Rows: 7, Tolerance: 1e-5},
		At: time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC)}
	digest, err := r.PutBackendParity(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	want.V, want.Kind = EvidenceVersion, EvidenceBackend
	got, err := r.BackendParity(t.Context(), digest)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if _, err := r.Evidence(t.Context(), digest); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("it stands for a judgement: %v", err)
	}
	for _, edit := range []func(*BackendParity){
		func(p *BackendParity) { p.Model = "" }, func(p *BackendParity) { p.Version = Ref{} }, func(p *BackendParity) { p.Backend = "" },
		func(p *BackendParity) { p.At = time.Time{} }, func(p *BackendParity) { p.Parity.Checked = false }, func(p *BackendParity) { p.Parity.Rows = 0 },
	} {
		p := want
		edit(&p)
		if _, err := r.PutBackendParity(t.Context(), p); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%+v is stored: %v", p, err)
		}
	}
	for _, digest := range []string{"sha256:" + strings.Repeat("a", 64), putBlob(t, r, []byte("{}")), putBlob(t, r, []byte("no JSON")), putBlob(t, r, golden(t, "evidence.json"))} {
		if _, err := r.BackendParity(t.Context(), digest); !fault.Is(err, fault.FailedPrecondition) {
			t.Errorf("%s: %v", digest, err)
		}
	}
}
