package lease

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/fault"
)

func stored(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/v1/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestOldDocumentsLoad: what was stored once must load for ever, to the last field.
func TestOldDocumentsLoad(t *testing.T) {
	l, err := parseLease("flights", stored(t, "lease.json"))
	check(t, "lease.json", l, err)
	c, err := parseClaim("trigger.json", "flights", "retrain", stored(t, "trigger.json"))
	check(t, "trigger.json", c, err)
}

func check(t *testing.T, name string, doc any, err error) {
	t.Helper()
	body, merr := json.MarshalIndent(doc, "", "  ")
	if diff := cmp.Diff(string(stored(t, name)), string(body)+"\n"); err != nil || merr != nil || diff != "" {
		t.Errorf("%s: %v, %v (-stored +written)\n%s", name, err, merr, diff)
	}
}

// FuzzDocuments: whatever lies there is a document of ours or damaged, never a panic.
func FuzzDocuments(f *testing.F) {
	f.Add(stored(f, "lease.json"))
	f.Add(stored(f, "trigger.json"))
	f.Add([]byte(`{"v":1,"model":"flights","runs":[{}],"signals":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := parseLease("flights", body)
		if err != nil && !fault.Is(err, fault.Internal) {
			t.Fatal(err)
		}
		if err == nil && body != nil && (l.Model != "flights" || l.Epoch < 0) {
			t.Fatalf("%+v", l)
		}
		c, err := parseClaim("k", "flights", "retrain", body)
		if err != nil && !fault.Is(err, fault.Internal) {
			t.Fatal(err)
		}
		if err == nil && (c.Holder == "" || c.Attempt < 1) {
			t.Fatalf("%+v", c)
		}
	})
}
