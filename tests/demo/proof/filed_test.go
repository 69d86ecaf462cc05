package proof

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/label"
)

func TestFilingWaitsForEveryLabel(t *testing.T) {
	ctx := context.Background()
	store := &blob.Memory{}
	// Two hours: the predictions of one request lie in the first, that of another in the second.
	ids := []string{"019d6334-73b3-7a44-9d0b-3f2f5a6b7c8d#0", "019d6334-73b3-7a44-9d0b-3f2f5a6b7c8d#1", "019d6384-73b3-7a44-9d0b-3f2f5a6b7c8d"}
	file := func(source string, ids ...string) {
		at, _ := label.TimeOf(ids[0])
		var text strings.Builder
		for _, id := range ids {
			text.WriteString(`{"id":"` + id + `","label":1,"ts":"2026-04-06T18:20:00.000Z"}` + "\n")
		}
		if _, err := store.Put(ctx, label.Key("flights", at, source), []byte(text.String()), blob.Always()); err != nil {
			t.Fatal(err)
		}
	}
	file("first", ids[0])
	looks := 0
	w := Filing{Store: store, Model: "flights", Poll: time.Millisecond, Patience: time.Hour}
	err := w.Wait(ctx, ids, func(left int) {
		switch looks++; looks {
		case 1:
			if left != 2 {
				t.Errorf("%d labels are left, want 2", left)
			}
			file("second", ids[0], ids[1])
			file("third", ids[2])
		case 2:
			if left != 0 {
				t.Errorf("%d labels are left, want none", left)
			}
		}
	})
	if err != nil || looks != 2 {
		t.Errorf("%v after %d looks", err, looks)
	}
	w = Filing{Store: &blob.Memory{}, Model: "flights"}
	if err := w.Wait(ctx, ids, func(int) {}); err == nil || !strings.Contains(err.Error(), "3 of 3 labels are not filed") {
		t.Errorf("nothing is filed: %v", err)
	}
	if err := w.Wait(ctx, []string{"order-17"}, func(int) {}); err == nil {
		t.Error("an id without a time is waited for")
	}
	at, _ := label.TimeOf(ids[2])
	if _, err := store.Put(ctx, label.Key("flights", at, "damaged"), []byte("{"), blob.Always()); err != nil {
		t.Fatal(err)
	}
	w = Filing{Store: store, Model: "flights"}
	if err := w.Wait(ctx, append(ids, "019d6384-73b3-7a44-9d0b-3f2f5a6b7c8e"), func(int) {}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged object: %v", err)
	}
}
