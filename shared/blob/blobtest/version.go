package blobtest

import (
	"context"
	"io"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

// versioned is a store whose objects can be read as they were.
type versioned interface {
	OpenVersion(ctx context.Context, key, version string, offset, length int64) (io.ReadCloser, blob.Info, error)
}

// testVersions holds stores that keep versions to reading the one that is asked for.
func testVersions(t *testing.T, s *subject) {
	store, ok := s.Store.(versioned)
	if !ok {
		t.Skip("the store reads the newest version only")
	}
	first := s.put(t, "pinned", "first", blob.Always())
	if first.VersionID == "" {
		t.Skip("the bucket keeps no versions")
	}
	second := s.put(t, "pinned", "second", blob.Always())
	read := func(version string, offset, length int64) (string, blob.Info) {
		t.Helper()
		body, info, err := store.OpenVersion(t.Context(), s.key("pinned"), version, offset, length)
		if err != nil {
			t.Fatalf("OpenVersion(%s): %v", version, err)
		}
		defer body.Close()
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text), info
	}
	if text, info := read(first.VersionID, 0, -1); text != "first" || info.VersionID != first.VersionID || info.ETag != first.ETag || info.Size != 5 {
		t.Errorf("the first version reads %q, %+v", text, info)
	}
	if text, info := read("", 0, -1); text != "second" || info.VersionID != second.VersionID {
		t.Errorf("the newest version reads %q, %+v", text, info)
	}
	if text, info := read(first.VersionID, 1, 3); text != "irs" || info.Size != 5 {
		t.Errorf("a range reads %q, %+v", text, info)
	}
	for _, r := range [][2]int64{{9, -1}, {2, 0}} {
		if text, info := read(first.VersionID, r[0], r[1]); text != "" || info.VersionID != first.VersionID || info.Size != 5 {
			t.Errorf("nothing at %v reads %q, %+v", r, text, info)
		}
	}
	_, _, err := store.OpenVersion(t.Context(), s.key("nothing"), first.VersionID, 0, -1)
	wantKind(t, "OpenVersion of an absent key", err, fault.NotFound)
}
