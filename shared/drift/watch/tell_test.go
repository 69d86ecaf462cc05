package watch

import (
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/drift"
)

// TestSegmentsAreTold: those that drift, and those that no longer do.
func TestSegmentsAreTold(t *testing.T) {
	w := &Watcher{Data: &blob.Memory{}, Bucket: "data"}
	r := &drift.Report{Model: "flights"}
	r.Standing.Before = drift.Standing{Model: drift.StateDrift, Segments: map[string]drift.State{"carrier=UA": drift.StateDrift, "carrier=B6": drift.StateDrift, "carrier=AA": drift.StateOK}}
	r.Standing.After = drift.Standing{Model: drift.StateDrift, Segments: map[string]drift.State{"carrier=UA": drift.StateDrift, "carrier=B6": drift.StateOK}}
	if !r.Standing.After.Changed(&r.Standing.Before) {
		t.Error("another set of segments is no change")
	}
	s := w.change(r)
	if !slices.Equal(s.DriftedSegments, []string{"carrier=UA"}) || !slices.Equal(s.EndedSegments, []string{"carrier=B6"}) || len(s.Drifted)+len(s.Ended) > 0 {
		t.Errorf("%+v", s)
	}
	if text := text(&s); !strings.Contains(text, "Segments that have drifted: carrier=UA") || !strings.Contains(text, "no longer do: carrier=B6") {
		t.Error(text)
	}
}
