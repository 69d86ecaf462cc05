package registration

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
)

// TestBaselineIsSplit: as the caller says, else as the drift policy in force does; scores lie elsewhere than the rows.
func TestBaselineIsSplit(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.upload(t, "binary")
	text, _ := training(t, 5000)
	w.put(t, folder+"training.csv", text)
	plain, err := w.r.Run(ctx, in())
	if err != nil {
		t.Fatal(err)
	}
	asked := in()
	asked.Segments, asked.MaxSegments, asked.Cluster = []string{"carrier"}, 2, "distance"
	split, err := w.r.Run(ctx, asked)
	if err != nil || split.Existing || split.Version != 2 || len(split.Warnings) > 0 {
		t.Fatalf("%+v, %v", split, err)
	}
	if b, _ := w.baseline(t, 1); b.V != profile.BaselineVersion || b.Split != nil {
		t.Error("a baseline is split that nobody asked for")
	}
	b, _ := w.baseline(t, 2)
	if b.V != profile.SplitBaselineVersion || len(b.Segments) != 1 || len(b.Segments[0].Values) != 2 || b.Cluster.Column != "distance" || b.SplitRows(b.Split) != 5000 {
		t.Fatalf("splits %+v of %d rows", b.Segments, b.SplitRows(b.Split))
	}
	for col := range b.Columns {
		var rows uint64
		for i := range b.Segments[0].Len() {
			rows += b.Split.Segments[0][i*len(b.Columns)+col].Rows
		}
		if want := map[bool]uint64{false: 5000}[b.Columns[col].Score]; rows != want {
			t.Errorf("%s has %d rows in segments, want %d", b.Columns[col].Name, rows, want)
		}
	}

	// From here on a policy is in force.
	if _, err := w.reg.Apply(ctx, "flights", registry.Request{TransitionID: "a", Actor: "tests"}, registry.Bootstrap(registry.Ref{Version: 1, Digest: plain.Digest})); err != nil {
		t.Fatal(err)
	}
	policy := func(id, raw string) {
		t.Helper()
		digest, err := w.reg.PutSettings(ctx, "flights", registry.Settings{Drift: json.RawMessage(raw)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.reg.Apply(ctx, "flights", registry.Request{TransitionID: id, Actor: "tests"}, registry.Configure(digest)); err != nil {
			t.Fatal(err)
		}
	}
	policy("b", `{"segments":["carrier"],"max_segments":2,"cluster":"distance"}`)
	if out, err := w.r.Run(ctx, in()); err != nil || !out.Existing || out.Digest != split.Digest {
		t.Errorf("the policy's splits: %+v, %v", out, err)
	}
	policy("c", `{"segments":["captain"]}`)
	out, err := w.r.Run(ctx, in())
	if err != nil || out.Digest != plain.Digest || len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], `"captain" is no column`) {
		t.Errorf("a policy of other columns: %+v, %v", out, err)
	}
	asked.Segments = []string{"captain"}
	if _, err := w.r.Run(ctx, asked); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), `"captain" is no column`) {
		t.Errorf("another column that was asked for: %v", err)
	}
}
