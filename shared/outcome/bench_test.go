package outcome

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/schema"
)

// BenchmarkJoinHour joins records of one row, or of a hundred, with a label a row.
func BenchmarkJoinHour(b *testing.B) {
	for name, c := range map[string]struct{ records, rows int }{"1": {20_000, 1}, "100": {200, 100}} {
		rng := rand.New(rand.NewPCG(1, 1))
		w := &world{}
		for range c.records {
			r := capture.Record{V: 1, ID: idAt(rng, hour), TS: hour, Model: "flights", Version: 1, Digest: "sha256:aa", Slot: "champion", Role: "served", Rows: c.rows, TotalRows: c.rows,
				Status: 200, ServedBy: "lambda", Sampled: 1, Inputs: map[string]any{}, Outputs: map[string]any{}}
			var delay, carrier, scores, classes []any
			for range c.rows {
				p := float64(rng.Float32())
				delay, carrier = append(delay, rng.IntN(300)), append(carrier, "UA")
				scores, classes = append(scores, []any{1 - p, p}), append(classes, rng.IntN(2))
			}
			r.Inputs["delay"], r.Inputs["carrier"], r.Inputs["stops"] = delay, carrier, delay
			r.Outputs["probabilities"], r.Outputs["label"] = scores, classes
			w.records = append(w.records, r)
			for i := range c.rows {
				id := r.ID
				if c.rows > 1 {
					id += "#" + string(label.NumberOf(float64(i)).Append(nil))
				}
				w.labels = append(w.labels, label.Record{ID: id, Label: label.NumberOf(1), TS: hour})
			}
		}
		store := &streams{Memory: w.store(b, rng, split{captures: 2, labels: 1})}
		b.Run("rows="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				counts, err := (&Hours{Store: store, Model: "flights", Spec: flights}).JoinHour(b.Context(), hour, func(*Batch) error { return nil })
				if err != nil || counts.Labelled != uint64(c.records*c.rows) {
					b.Fatalf("%+v, %v", counts, err)
				}
			}
			b.ReportMetric(float64(c.records*c.rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// streams is a store; blob.Memory copies every object that is opened, which is part of the bytes a run.
type streams struct{ *blob.Memory }

// BenchmarkJoinFiles joins as many predictions with as many labels of Parquet files.
func BenchmarkJoinFiles(b *testing.B) {
	type prediction struct {
		ID    int64   `parquet:"id"`
		Score float64 `parquet:"score"`
		Class int64   `parquet:"class,dict"`
	}
	type truth struct {
		ID    int64 `parquet:"id"`
		Label int64 `parquet:"label,dict"`
	}
	const n = 200_000
	rng := rand.New(rand.NewPCG(1, 1))
	rows, labels := make([]prediction, n), make([]truth, n)
	for i, id := range rng.Perm(n) {
		rows[i] = prediction{int64(id), rng.Float64(), int64(id & 1)}
		labels[i] = truth{int64(i), int64(rng.IntN(2))}
	}
	snappy := parquet.Compression(&parquet.Snappy)
	a, c := parquetOf(b, rows, snappy, parquet.MaxRowsPerRowGroup(50_000)), parquetOf(b, labels, snappy, parquet.MaxRowsPerRowGroup(50_000))
	b.ReportAllocs()
	for b.Loop() {
		f := Files{Task: schema.Binary, Names: Names{ID: "id", Scores: []string{"score"}, Prediction: "class", Label: "label"},
			Predictions: []Predicted{{Files: []File{{"p", bytes.NewReader(a)}}}}, Labels: []File{{"l", bytes.NewReader(c)}}}
		counts, err := f.Join(b.Context(), func(int, *Batch) error { return nil })
		if err != nil || counts.Labelled != n {
			b.Fatalf("%+v, %v", counts, err)
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
