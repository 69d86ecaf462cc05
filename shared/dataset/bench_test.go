package dataset

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/registry"
)

// BenchmarkBuild makes a dataset of files that are not in time order among themselves: its rows are written twice.
func BenchmarkBuild(b *testing.B) {
	const files, rows = 4, 250_000
	data, size := &blob.Memory{}, 0
	for f := range files {
		var text strings.Builder
		text.WriteString("when,delay,carrier,late\n")
		for i := range rows {
			at := time.Date(2013, 1, 1, 0, 0, i*files+f, 0, time.UTC)
			fmt.Fprintf(&text, "%s,%d.25,%s,%d\n", at.Format(time.RFC3339), i%300, []string{"UA", "AA", "DL"}[i%3], i%2)
		}
		if _, err := data.Put(b.Context(), fmt.Sprintf("months/%d.csv", f), []byte(text.String()), blob.Always()); err != nil {
			b.Fatal(err)
		}
		size += text.Len()
	}
	b.SetBytes(int64(size))
	schema, err := ParseSchema([]byte(flightsSchema))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		store := &discarding{}
		builder := Builder{Buckets: map[string]Bucket{"data": data}, Registry: registry.New(store, registry.Options{}), Now: time.Now, Dir: b.TempDir()}
		built, err := builder.Build(b.Context(), Request{Name: "flights", Schema: schema, Prefixes: []Prefix{{Bucket: "data", Prefix: "months/"}}})
		if err != nil || built.Rows != files*rows {
			b.Fatal(built.Rows, err)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(files*rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(m.HeapSys)/(1<<20), "heap-MB")
}
