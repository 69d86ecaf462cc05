package job

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/tidegate/tidegate/shared/profile"
)

// TestSplitsOfBatchesAndCaptures: what a version's baseline is split by, its profiles are too.
func TestSplitsOfBatchesAndCaptures(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	b, _, err := w.job.baseline(ctx, "flights", 1)
	if err != nil {
		t.Fatal(err)
	}
	split := b.Whole()
	if err := split.SplitBy(profile.By{Segments: []string{"carrier"}, Cluster: "delay"}); err != nil {
		t.Fatal(err)
	}
	own := split.Splitter()
	if _, err := profile.CountCSV(ctx, bytes.NewReader(text(3000)), own); err != nil {
		t.Fatal(err)
	}
	split.Keep(own)
	raw, err := json.Marshal(split)
	if err != nil {
		t.Fatal(err)
	}
	w.publish(t, map[string][]byte{"model.onnx": []byte("3"), profile.BaselineFile: raw})
	split, digest, err := w.job.baseline(ctx, "flights", 3)
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, "batches/flights/a.csv", text(500))
	w.put(t, "batches/flights/a.parquet", table(t, 500, 200))
	captures := w.put(t, "captures/2026-04-06/15/x.gz", zipped(fmt.Appendf(nil, line, 1, "flights", 3)))
	var want []byte
	for i, in := range []In{item("batches/flights/a.csv", func(i *Item) { i.Version = 3 }),
		item("batches/flights/a.parquet", func(i *Item) { i.Version, i.ID = 3, "001" }), event("captures/2026-04-06/15/x.gz", captures.VersionID)} {
		out, err := w.job.Run(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		key := out.Profile
		if key == "" {
			key = out.Profiles[0]
		}
		d := w.document(t, key)
		window := profile.NewWindow(split, digest, profile.Selection{Version: 3})
		if err := window.Add(d); err != nil {
			t.Fatal(err)
		}
		s := window.Strata()[0]
		if rows := split.SplitRows(s.Split); d.V != profile.SplitDocumentVersion || rows != out.Rows || rows == 0 {
			t.Errorf("%s: format %d, %d of %d rows are split", in.Key, d.V, rows, out.Rows)
		}
		if got, _ := json.Marshal(s.Split); i == 0 {
			want = got
		} else if i == 1 && !bytes.Equal(got, want) {
			t.Error("CSV and Parquet are split otherwise")
		}
	}
}
