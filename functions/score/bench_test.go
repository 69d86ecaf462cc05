package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/scoring"
	"github.com/tidegate/tidegate/tests/bench/standin"
	"github.com/tidegate/tidegate/tests/bench/workload"
)

// The models are those of `make bench`, which makes them.
const models = "../../.local/bench/models"

const benchRows = 200_000

// BenchmarkScoreFlights predicts flights of eleven columns from S3 to S3, by ONNX Runtime.
func BenchmarkScoreFlights(b *testing.B) {
	model, err := workload.Load(models, "flights", 1)
	if err != nil {
		b.Skip("make bench makes the models: ", err)
	}
	cloud, err := standin.Open()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cloud.Close() })
	if err := workload.AddVersion(cloud.S3, model, 1); err != nil {
		b.Fatal(err)
	}
	env := environment(b, cloud.Env()...)
	env["TIDEGATE_REGISTRY_BUCKET"] = workload.RegistryBucket
	handler, err := build(slog.New(slog.DiscardHandler), env.Get)
	if err != nil {
		b.Fatal(err)
	}
	forever = append(forever, handler)
	items := 0
	for format, body := range map[string][]byte{"csv": flightsCSV(model), "ndjson": flightsNDJSON(model), "parquet": flightsParquet(b, model)} {
		cloud.S3.Put(dataBucket, "batches/flights/"+format, body)
		b.Run(format, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				items++
				event, err := json.Marshal(scoring.In{Model: "flights", Version: 1, Run: "bench", Item: fmt.Sprint(items), Source: scoring.Source{Key: "batches/flights/" + format}})
				if err != nil {
					b.Fatal(err)
				}
				if answer, err := handler.Invoke(b.Context(), event); err != nil || !bytes.Contains(answer, fmt.Appendf(nil, `"rows_out":%d`, benchRows)) {
					b.Fatalf("%s, %v", answer, err)
				}
			}
			b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// number is what the i-th row has in a column of numbers.
func number(c *workload.Column, i int) float32 { return c.Floats[0] + float32(i%97) }

func flightsCSV(m *workload.Model) []byte {
	var b bytes.Buffer
	for k := range m.Columns {
		fmt.Fprintf(&b, "%s,", m.Columns[k].Name)
	}
	b.WriteString("row\n")
	for i := range benchRows {
		for k := range m.Columns {
			if c := &m.Columns[k]; c.Strings != nil {
				fmt.Fprintf(&b, "%s,", c.Strings[0])
			} else {
				fmt.Fprintf(&b, "%g,", number(c, i))
			}
		}
		fmt.Fprintf(&b, "%d\n", i)
	}
	return b.Bytes()
}

func flightsNDJSON(m *workload.Model) []byte {
	var b bytes.Buffer
	for i := range benchRows {
		b.WriteByte('{')
		for k := range m.Columns {
			if c := &m.Columns[k]; c.Strings != nil {
				fmt.Fprintf(&b, "%q:%q,", c.Name, c.Strings[0])
			} else {
				fmt.Fprintf(&b, "%q:%g,", c.Name, number(c, i))
			}
		}
		fmt.Fprintf(&b, "\"row\":%d}\n", i)
	}
	return b.Bytes()
}

func flightsParquet(b *testing.B, m *workload.Model) []byte {
	columns := parquet.Group{}
	for k := range m.Columns {
		if c := &m.Columns[k]; c.Strings != nil {
			columns[c.Name] = parquet.String()
		} else {
			columns[c.Name] = parquet.Leaf(parquet.FloatType)
		}
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[map[string]any](&out, parquet.NewSchema("flights", columns))
	for i := range benchRows {
		row := map[string]any{}
		for k := range m.Columns {
			if c := &m.Columns[k]; c.Strings != nil {
				row[c.Name] = c.Strings[0]
			} else {
				row[c.Name] = number(c, i)
			}
		}
		if _, err := w.Write([]map[string]any{row}); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
