package frame

import (
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

func TestTheFirstFrameCounts(t *testing.T) {
	ctx, store := t.Context(), new(blob.Memory)
	if f, err := Read(ctx, store, "m", "a rollout/…"); f != nil || err != nil {
		t.Errorf("before: %+v, %v", f, err)
	}
	first := &Frame{V: Version, Rollout: "a rollout/…", SlowMicros: 1200, Column: "carrier", Segments: []string{"UA", ""}, Requests: 300}
	for i, f := range []*Frame{first, {V: Version, Rollout: first.Rollout, SlowMicros: 9}} {
		got, err := f.Freeze(ctx, store, "m")
		if err != nil || got.SlowMicros != 1200 || len(got.Segments) != 2 || got.Column != "carrier" {
			t.Errorf("freeze %d: %+v, %v", i, got, err)
		}
	}
	if f, err := Read(ctx, store, "m", first.Rollout); err != nil || f.SlowMicros != 1200 {
		t.Errorf("after: %+v, %v", f, err)
	}
	if f, err := Read(ctx, store, "other", first.Rollout); f != nil || err != nil {
		t.Errorf("of another model: %+v, %v", f, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"cut":             `{"v":1,"rollout_id":"r"`,
		"another rollout": `{"v":1,"rollout_id":"q"}`,
		"no format":       `{"rollout_id":"r"}`,
		"a newer format":  `{"v":2,"rollout_id":"r"}`,
	} {
		store := new(blob.Memory)
		if _, err := store.Put(t.Context(), key("m", "r"), []byte(body), blob.Always()); err != nil {
			t.Fatal(err)
		}
		if f, err := Read(t.Context(), store, "m", "r"); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}
