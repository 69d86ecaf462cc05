package outcome

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// FuzzJoinHour joins any captures with any labels, whole and in parts: neither panics, and both find the same.
func FuzzJoinHour(f *testing.F) {
	rng := rand.New(rand.NewPCG(8, 8))
	w := makeWorld(rng, 5)
	store := w.store(f, rng, split{captures: 2, labels: 3})
	read := func(prefix string) (all []byte) {
		for info := range store.List(f.Context(), prefix, "") {
			obj, err := store.Get(f.Context(), info.Key)
			if err != nil {
				f.Fatal(err)
			}
			all = append(all, obj.Body...)
		}
		return all
	}
	captures, labels := read("captures/"), read("labels/")
	f.Add(captures, labels)
	f.Add(captures[:len(captures)/2], labels[:len(labels)/3])
	f.Add([]byte(strings.ReplaceAll(string(captures), `"rows":1`, `"rows":2147483647`)), labels)
	f.Add([]byte(strings.ReplaceAll(string(captures), `"first_row":0`, `"first_row":2147483000`)), labels)
	f.Fuzz(func(t *testing.T, captures, labels []byte) {
		store := &blob.Memory{}
		for key, body := range map[string][]byte{CapturesPrefix(hour) + "a": captures, CapturesPrefix(hour) + "b": captures, "labels/filed/flights/2026-04-06/14/a.ndjson": labels} {
			if _, err := store.Put(t.Context(), key, body, blob.Always()); err != nil {
				t.Fatal(err)
			}
		}
		var rows [2][]string
		var failed [2]error
		for i, budget := range []int64{0, 5000} {
			h := &Hours{Store: store, Model: "flights", Spec: flights, Budget: budget}
			x := &texts{names: h.Segments()}
			_, err := h.JoinHour(t.Context(), hour, x.visit)
			if err != nil && !fault.Is(err, fault.Internal) && !fault.Is(err, fault.PayloadTooLarge) && !fault.Is(err, fault.InvalidArgument) {
				t.Fatalf("kind %q: %v", fault.KindOf(err), err)
			}
			rows[i], failed[i] = x.sorted().rows, err
		}
		if failed[0] == nil && failed[1] == nil && !slices.Equal(rows[0], rows[1]) {
			t.Errorf("whole %q, in parts %q", rows[0], rows[1])
		}
	})
}
