package table

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

func newBuffer(content string) *bufio.Reader {
	return bufio.NewReaderSize(strings.NewReader(content), 16)
}

// BenchmarkRead reads an id, a score and a class of 200,000 rows.
func BenchmarkRead(b *testing.B) {
	type row struct {
		ID    int64   `parquet:"id"`
		Score float64 `parquet:"score"`
		Class int64   `parquet:"class,dict"`
	}
	const n = 200_000
	var csv, ndjson, table bytes.Buffer
	w := parquet.NewGenericWriter[row](&table, parquet.Compression(&parquet.Snappy))
	csv.WriteString("id,score,class,other\n")
	for i := range int64(n) {
		score := float64(i*7919%n) / n
		fmt.Fprintf(&csv, "%d,%g,%d,x\n", i, score, i&1)
		fmt.Fprintf(&ndjson, "{\"id\":%d,\"score\":%g,\"class\":%d,\"other\":\"x\"}\n", i, score, i&1)
		if _, err := w.Write([]row{{i, score, i & 1}}); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	for name, content := range map[string][]byte{"csv": csv.Bytes(), "ndjson": ndjson.Bytes(), "parquet": table.Bytes()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				t, err := Open(bytes.NewReader(content), []Column{{Name: "id"}, {Name: "score", Kind: Number}, {Name: "class"}})
				if err != nil {
					b.Fatal(err)
				}
				rows := int64(0)
				for part := range t.Parts() {
					rep, err := t.Read(b.Context(), part, func(*Batch) error { return nil })
					if err != nil {
						b.Fatal(err)
					}
					rows += rep.Rows
				}
				if rows != n {
					b.Fatal(io.ErrUnexpectedEOF)
				}
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
