package blob_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
)

func TestPutOnce(t *testing.T) {
	store := new(blob.Memory)
	for i, body := range []string{"first", "second"} {
		created, err := blob.PutOnce(t.Context(), store, "k", []byte(body))
		if err != nil || created != (i == 0) {
			t.Errorf("%s: %v %v", body, created, err)
		}
	}
	if obj, err := store.Get(t.Context(), "k"); err != nil || string(obj.Body) != "first" {
		t.Errorf("%s %v", obj.Body, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if created, err := blob.PutOnce(ended, store, "other", nil); created || !errors.Is(err, context.Canceled) {
		t.Errorf("%v %v", created, err)
	}
}
