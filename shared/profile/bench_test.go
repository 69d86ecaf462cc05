package profile

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/registry"
)

// captureBatch is n records of the given rows, 12 numeric and 2 categorical inputs, as predict writes them.
func captureBatch(b *testing.B, n, rows int) ([]byte, *Baseline) {
	b.Helper()
	rng := rand.New(rand.NewPCG(61, 61))
	var specs []Spec
	for i := range 12 {
		specs = append(specs, Spec{Name: fmt.Sprint("number_", 'a'+i), Kind: Numeric, Bits: 32})
	}
	specs = append(specs, Spec{Name: "carrier", Kind: Categorical}, Spec{Name: "tailnum", Kind: Categorical}, Spec{Name: "probabilities_1", Kind: Numeric, Score: true, Bits: 32})
	build, err := NewBuilder(specs)
	if err != nil {
		b.Fatal(err)
	}
	number := func(i int) float64 {
		switch i % 3 {
		case 0:
			return float64(rng.IntN(2000))
		case 1:
			return float64(rng.IntN(100000)) / 100
		}
		return float64(float32(rng.NormFloat64()))
	}
	var out []capture.Record
	for range n {
		at := morning.Add(time.Duration(rng.IntN(60_000)) * time.Millisecond)
		r := capture.Record{V: 1, ID: idAt(rng, at), TS: at.Truncate(time.Microsecond), Model: "flights", Version: 1, Digest: "sha256:" + digestA, Slot: registry.Champion,
			Role: capture.Served, Generation: 12, Rows: rows, TotalRows: rows, Inputs: map[string]any{}, Status: 200, LatencyUS: 412, ServedBy: "lambda", Sampled: 1}
		for i, s := range specs {
			if s.Score {
				continue
			}
			var values []any
			for range rows {
				if s.Kind == Numeric {
					x := float32(number(i))
					build.Number(i, float64(x), 1)
					values = append(values, x)
				} else {
					v := fmt.Sprint("N", rng.IntN(3000))
					if s.Name == "carrier" {
						v = []string{"UA", "AA", "B6", "DL"}[rng.IntN(4)]
					}
					build.Text(i, v, 1)
					values = append(values, v)
				}
			}
			r.Inputs[s.Name] = values
		}
		var labels, scores []any
		for range rows {
			p := rng.Float32()
			build.Number(14, float64(p), 1)
			labels, scores = append(labels, rng.IntN(2)), append(scores, []float32{1 - p, p})
		}
		r.Outputs = map[string]any{"label": labels, "probabilities": scores}
		out = append(out, r)
	}
	return lines(out), build.Freeze(uint64(n * rows))
}

// BenchmarkCaptures counts captured NDJSON beside encoding/json, which only decodes the same bytes into records.
func BenchmarkCaptures(b *testing.B) {
	for _, rows := range []int{1, 10, 1000} {
		raw, base := captureBatch(b, max(1, 4000/rows), rows)
		b.Run(fmt.Sprintf("rows=%d/profile", rows), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				docs, rep, err := CountCaptures(context.Background(), bytes.NewReader(raw), Source{}, bothVersions(base))
				if err != nil || rep.Malformed > 0 || len(docs) != 1 {
					b.Fatalf("%v %+v", err, rep)
				}
			}
		})
		b.Run(fmt.Sprintf("rows=%d/encoding-json", rows), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				dec := json.NewDecoder(bytes.NewReader(raw))
				for {
					var r capture.Record
					if err := dec.Decode(&r); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// realFlights is the CSV file that scripts/flights-data fetches.
func realFlights(b *testing.B) []byte {
	b.Helper()
	raw, err := os.ReadFile("../../.local/data/flights.csv")
	if err != nil {
		b.Skip("no flights: run scripts/flights-data")
	}
	return raw
}

// flightsParquet writes the flights as Parquet, numbers as doubles.
func flightsParquet(b *testing.B, text []byte, specs []Spec) []byte {
	b.Helper()
	group := parquet.Group{}
	for _, s := range specs {
		node := parquet.Leaf(parquet.DoubleType)
		if s.Kind == Categorical {
			node = parquet.String()
		}
		group[s.Name] = parquet.Encoded(parquet.Optional(node), &parquet.RLEDictionary)
	}
	schema := parquet.NewSchema("flights", group)
	place := map[string]int{}
	for _, c := range schema.Columns() {
		place[c[0]] = len(place)
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[any](&out, schema, parquet.Compression(&parquet.Snappy), parquet.MaxRowsPerRowGroup(100_000))
	cr := csv.NewReader(bytes.NewReader(text))
	if _, err := cr.Read(); err != nil {
		b.Fatal(err)
	}
	var rows []parquet.Row
	for {
		record, err := cr.Read()
		if err == io.EOF {
			break
		}
		row := make(parquet.Row, len(specs))
		for i, s := range specs {
			at := place[s.Name]
			v := parquet.NullValue()
			if s.Kind == Categorical {
				v = parquet.ByteArrayValue([]byte(record[i]))
			} else if x, err := strconv.ParseFloat(record[i], 64); err == nil {
				v = parquet.DoubleValue(x)
			}
			level := 1
			if v.IsNull() {
				level = 0
			}
			row[at] = v.Level(0, level, at)
		}
		rows = append(rows, row)
	}
	if _, err := w.WriteRows(rows); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// BenchmarkFlights profiles all columns of the 336,776 flights.
func BenchmarkFlights(b *testing.B) {
	text := realFlights(b)
	kinds := NewKinds()
	if err := kinds.CSV(context.Background(), bytes.NewReader(text)); err != nil {
		b.Fatal(err)
	}
	build, err := NewBuilder(kinds.Specs())
	if err != nil {
		b.Fatal(err)
	}
	rep, err := CountCSV(context.Background(), bytes.NewReader(text), build)
	if err != nil {
		b.Fatal(err)
	}
	base := build.Freeze(rep.Rows)
	table := flightsParquet(b, text, kinds.Specs())
	for name, raw := range map[string][]byte{"csv": text, "parquet": table} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				got, err := CountSource(context.Background(), bytes.NewReader(raw), NewTally(base), nil)
				if err != nil || got.Rows != rep.Rows {
					b.Fatalf("%v %+v", err, got)
				}
			}
			b.ReportMetric(float64(rep.Rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
