package evaluation

import (
	"math/rand/v2"
	"testing"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
)

// BenchmarkAdd counts batches of 4,000 labelled rows: of one version; with segments;
// and in pairs with another version.
func BenchmarkAdd(b *testing.B) {
	ref := testReference(b, 20_000)
	pairs := testSetup(ref)
	pairs.MatureBefore = testWindow.End
	segments := &Setup{Task: quality.Binary, Policy: testPolicy(), Versions: pairs.Versions}
	plain := &Setup{Task: quality.Binary, Policy: quality.DefaultPolicy(), Versions: pairs.Versions}
	for name, s := range map[string]*Setup{"plain": plain, "segments": segments, "pairs": pairs} {
		b.Run(name, func(b *testing.B) {
			rows := day(rand.New(rand.NewPCG(1, 1)), 4000, 8, 0.05, 1)
			if s.Pairing == nil {
				for _, r := range rows {
					r.pair = nil
				}
			}
			names := newNames()
			batch := batchOf(rows, names)
			x, err := NewTally(s)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := x.Add(batch, names); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch.Rows), "ns/row")
		})
	}
}
