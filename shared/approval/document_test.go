package approval_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/approval"
	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

const oldID = "01KJ3B2R9V6N3Z0W8M4C5XQ8B0"

func stored(t testing.TB, part string) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/v1/" + part + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func put(t testing.TB, store *blob.Memory, part string, body []byte) {
	t.Helper()
	if _, err := store.Put(t.Context(), registry.ApprovalKey(model, oldID, part), body, blob.Always()); err != nil {
		t.Fatal(err)
	}
}

// TestOldDocumentsLoad: what was stored once must load for ever, to the last field.
func TestOldDocumentsLoad(t *testing.T) {
	store := new(blob.Memory)
	put(t, store, "request", stored(t, "request"))
	put(t, store, "decision", stored(t, "decision"))
	r, err := approval.Read(t.Context(), registry.New(store, registry.Options{}), model, oldID)
	if err != nil {
		t.Fatal(err)
	}
	for part, doc := range map[string]any{"request": r.Request, "decision": r.Decision} {
		body, err := json.MarshalIndent(doc, "", "  ")
		if diff := cmp.Diff(string(stored(t, part)), string(body)+"\n"); err != nil || diff != "" {
			t.Errorf("%s: %v (-stored +written)\n%s", part, err, diff)
		}
	}
}

// FuzzRead: whatever lies there is an approval or damaged, never a panic.
func FuzzRead(f *testing.F) {
	f.Add(stored(f, "request"), stored(f, "decision"))
	f.Add([]byte(`{"v":2}`), []byte(`null`))
	f.Add([]byte(`{`), []byte(``))
	f.Fuzz(func(t *testing.T, request, decision []byte) {
		store := new(blob.Memory)
		put(t, store, "request", request)
		put(t, store, "decision", decision)
		r, err := approval.Read(t.Context(), registry.New(store, registry.Options{}), model, oldID)
		if err != nil && !fault.Is(err, fault.Internal) {
			t.Fatal(err)
		}
		if err == nil && (r.Request.ID != oldID || r.Decision == nil || r.Decision.ID != oldID) {
			t.Fatalf("%+v", r)
		}
	})
}
