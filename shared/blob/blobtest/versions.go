package blobtest

import (
	"context"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// Versioned is a store whose bucket keeps versions, which can be removed one by one.
type Versioned interface {
	blob.Store
	DeleteVersion(ctx context.Context, key, version string) error
}

// RunVersions checks what shared/garbage rests on: removing the version that was looked at
// never takes a later write away.
func RunVersions(t *testing.T, open func(t *testing.T) Versioned) {
	store := open(t)
	s := &subject{Store: store, prefix: "doctor/versions-" + unique() + "/"}
	ctx, key := t.Context(), s.key("k")
	remove := func(version string) {
		t.Helper()
		if err := store.DeleteVersion(ctx, key, version); err != nil {
			t.Fatal(err)
		}
	}
	s.put(t, "k", "the same", blob.Always())
	first, err := s.Head(ctx, key)
	if err != nil || first.VersionID == "" || first.Modified.IsZero() {
		t.Fatalf("a versioned store must tell of version and time: %+v, %v", first, err)
	}
	s.put(t, "k", "the same", blob.Always())
	second, err := s.Head(ctx, key)
	if err != nil || second.VersionID == first.VersionID {
		t.Fatalf("a second write must make another version: %+v, %v", second, err)
	}
	remove(first.VersionID)
	if obj := s.get(t, "k"); string(obj.Body) != "the same" || obj.VersionID != second.VersionID {
		t.Errorf("after its first version was removed: %+v", obj)
	}
	s.put(t, "k", "another", blob.Always())
	third, err := s.Head(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	remove(third.VersionID)
	if obj := s.get(t, "k"); string(obj.Body) != "the same" {
		t.Errorf("after its newest version was removed: %+v", obj)
	}
	remove(third.VersionID) // again
	remove(second.VersionID)
	_, err = s.Head(ctx, key)
	wantKind(t, "Head after the last version", err, fault.NotFound)
	remove(second.VersionID)
	s.put(t, "k", "new", blob.Once())
}
