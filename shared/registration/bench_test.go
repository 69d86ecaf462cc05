package registration

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/modelfile"
	"github.com/tidegate/tidegate/shared/schema"
)

// BenchmarkParity compares 10,200 rows: with a model of 8 trees, and with one that
// costs nothing, which leaves reading and comparing the tables.
func BenchmarkParity(b *testing.B) {
	w := newWorld(b)
	file, err := modelfile.Parse(read(b, "testdata/binary/model.onnx"))
	if err != nil {
		b.Fatal(err)
	}
	sig, err := signatureOf(file)
	if err != nil {
		b.Fatal(err)
	}
	session, err := w.r.Runtime.Load(context.Background(), read(b, "testdata/binary/model.onnx"), sig)
	if err != nil {
		b.Fatal(err)
	}
	defer session.Close()
	b.Run("trees", func(b *testing.B) {
		compare(b, w.r, session, sig, read(b, "testdata/binary/holdout.csv"), read(b, "testdata/binary/predictions.csv"))
	})
	b.Run("tables", func(b *testing.B) {
		rows := []byte("x,n,s\n" + string(bytes.Repeat([]byte("0.5,1,AA\n"), 60)))
		compare(b, w.r, echo{}, echoSignature, rows, rows)
	})
}

func compare(b *testing.B, r *Registrar, session inference.Session, sig schema.Signature, holdout, predictions []byte) {
	tables := &bundle{holdout: repeated(b, "holdout.csv", holdout), predictions: repeated(b, "predictions.csv", predictions)}
	limited := Registrar{Limits: r.Limits.withDefaults()}
	rows := 0
	b.ReportAllocs()
	for b.Loop() {
		p, err := limited.parity(context.Background(), tables, session, sig, []string{"late"}, DefaultTolerance)
		if err != nil {
			b.Fatal(err)
		}
		rows += p.Rows
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// repeated keeps a table whose rows are there 170 times.
func repeated(b *testing.B, name string, csv []byte) *table {
	b.Helper()
	header, rows, _ := bytes.Cut(csv, []byte("\n"))
	path := filepath.Join(b.TempDir(), name)
	if err := os.WriteFile(path, append(append(header[:len(header):len(header)], '\n'), bytes.Repeat(rows, 170)...), 0o600); err != nil {
		b.Fatal(err)
	}
	return &table{name: name, path: path}
}

// BenchmarkReference measures 10,200 rows: two passes over the tables, and the resamples behind the intervals.
func BenchmarkReference(b *testing.B) {
	file, err := modelfile.Parse(read(b, "testdata/binary/model.onnx"))
	if err != nil {
		b.Fatal(err)
	}
	sig, err := signatureOf(file)
	if err != nil {
		b.Fatal(err)
	}
	sig.Outputs[1].Shape = []int64{-1, 2} // as the probe sees it
	tables := &bundle{holdout: repeated(b, "holdout.csv", read(b, "testdata/binary/holdout.csv")), predictions: repeated(b, "predictions.csv", read(b, "testdata/binary/predictions.csv"))}
	b.ReportAllocs()
	for b.Loop() {
		raw, warnings, err := (&Registrar{}).reference(context.Background(), tables, sig, purpose{task: schema.Binary, target: "late", rows: 10_200})
		if err != nil || raw == nil {
			b.Fatal(warnings, err)
		}
	}
}
