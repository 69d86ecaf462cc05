package profile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

type flight struct {
	Delay   *float64 `parquet:"delay,optional,dict"`
	Plain   float64  `parquet:"plain,plain"`
	Hour    int32    `parquet:"hour,dict"`
	Big     int64    `parquet:"big"`
	Carrier *string  `parquet:"carrier,optional,dict"`
	Tail    string   `parquet:"tail"`
	Late    bool     `parquet:"late"`
	Tags    []string `parquet:"tags"`
	Extra   float32  `parquet:"extra"`
}

func flights(rng *rand.Rand, n int) []flight {
	rows := make([]flight, n)
	for i := range rows {
		f := &rows[i]
		if rng.IntN(10) > 0 {
			d := math.Round(rng.NormFloat64() * 30)
			f.Delay = &d
			c := string(rune('A' + rng.IntN(5)))
			f.Carrier = &c
		}
		f.Plain = rng.NormFloat64()
		if rng.IntN(100) == 0 {
			f.Plain = []float64{math.NaN(), math.Inf(1), math.Inf(-1)}[rng.IntN(3)]
		}
		f.Hour = int32(rng.IntN(24))
		f.Big = rng.Int64()
		f.Tail = fmt.Sprint("N", rng.IntN(3000))
		f.Late = rng.IntN(3) == 0
		f.Tags = []string{"a", "b"}
	}
	return rows
}

func write(t testing.TB, rows []flight, perGroup int64) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[flight](&buf, parquet.MaxRowsPerRowGroup(perGroup), parquet.PageBufferSize(4096), parquet.Compression(&parquet.Snappy))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// flightsBaseline freezes the columns from rows, the slow and obvious way.
func flightsBaseline(rows []flight) *Baseline {
	var delay, plain, hour, big, late []float64
	carrier, tail := NewCounter(), NewCounter()
	var none uint64
	for _, r := range rows {
		if r.Delay == nil {
			none++
		} else {
			delay = append(delay, *r.Delay)
			carrier.Add(*r.Carrier, 1)
		}
		plain, hour, big = append(plain, r.Plain), append(hour, float64(r.Hour)), append(big, float64(r.Big))
		tail.Add(r.Tail, 1)
		b := 0.0
		if r.Late {
			b = 1
		}
		late = append(late, b)
	}
	return &Baseline{V: BaselineVersion, Rows: uint64(len(rows)), Columns: []Column{
		numericColumn("delay", delay, none, 0), numericColumn("plain", plain, 0, 0), numericColumn("hour", hour, 0, 0),
		numericColumn("big", big, 0, 0), CategoricalColumn("carrier", carrier, none, 0), CategoricalColumn("tail", tail, 0, 0),
		numericColumn("late", late, 0, 0),
	}}
}

func countParquet(t testing.TB, raw []byte, b *Baseline) (*Tally, *ParquetFile) {
	t.Helper()
	pf, err := OpenParquet(bytes.NewReader(raw), int64(len(raw)), NewTally(b).Columns())
	if err != nil {
		t.Fatal(err)
	}
	total := NewTally(b)
	var rows uint64
	for g := pf.RowGroups() - 1; g >= 0; g-- { // any order
		part := NewTally(b)
		n, err := pf.Count(context.Background(), part, g)
		if err != nil {
			t.Fatal(err)
		}
		rows += n
		if err := total.Merge(part); err != nil {
			t.Fatal(err)
		}
	}
	if rows != uint64(pf.Rows()) {
		t.Fatalf("%d rows counted of %d", rows, pf.Rows())
	}
	return total, pf
}

// TestParquetCountsEqualTheBaselines: the same rows, through pages, dictionaries
// and row groups, give the very bytes that the baseline counted value by value.
func TestParquetCountsEqualTheBaselines(t *testing.T) {
	rows := flights(rand.New(rand.NewPCG(21, 21)), 20000)
	b := flightsBaseline(rows)
	for _, perGroup := range []int64{20000, 777} {
		tally, pf := countParquet(t, write(t, rows, perGroup), b)
		for i := range b.Columns {
			got, _ := json.Marshal(&tally.States[i])
			want, _ := json.Marshal(&b.Columns[i].State)
			if !bytes.Equal(got, want) {
				t.Errorf("%d rows a group, column %s:\n%.400s\nwant\n%.400s", perGroup, b.Columns[i].Name, got, want)
			}
		}
		if strings.Join(pf.Extra, ",") != "tags,extra" && strings.Join(pf.Extra, ",") != "extra,tags" {
			t.Errorf("extra columns %v", pf.Extra)
		}
	}
}

func TestParquetLeavesOutWhatHasNoCells(t *testing.T) {
	rows := flights(rand.New(rand.NewPCG(22, 22)), 100)
	b := flightsBaseline(rows)
	b.Columns = append(b.Columns, numericColumn("tags", []float64{1, 2}, 0, 0), numericColumn("gone", []float64{1, 2}, 0, 0))
	tally, pf := countParquet(t, write(t, rows, 100), b)
	if len(pf.LeftOut) != 1 || pf.LeftOut[0].Column != "tags" || !strings.Contains(pf.LeftOut[0].Reason, "nested") {
		t.Errorf("left out: %+v", pf.LeftOut)
	}
	if strings.Join(pf.Absent, ",") != "gone" || tally.States[len(b.Columns)-1].Missing != 100 {
		t.Errorf("absent %v, missing %d", pf.Absent, tally.States[len(b.Columns)-1].Missing)
	}
}

func TestDamagedParquetIsAnError(t *testing.T) {
	rows := flights(rand.New(rand.NewPCG(23, 23)), 5000)
	raw, b := write(t, rows, 1000), flightsBaseline(rows)
	for _, cut := range []int{0, 1, 7, 100, len(raw) / 2, len(raw) - 1} {
		if _, err := OpenParquet(bytes.NewReader(raw[:cut]), int64(cut), NewTally(b).Columns()); err == nil {
			t.Errorf("the first %d of %d bytes opened", cut, len(raw))
		}
	}
	rng := rand.New(rand.NewPCG(24, 24))
	for range 300 { // must not panic; what can still be read may be read
		bad := bytes.Clone(raw)
		for range 1 + rng.IntN(20) {
			bad[rng.IntN(len(bad))] = byte(rng.Uint32())
		}
		pf, err := OpenParquet(bytes.NewReader(bad), int64(len(bad)), NewTally(b).Columns())
		if err != nil {
			continue
		}
		for g := range pf.RowGroups() {
			_, _ = pf.Count(context.Background(), NewTally(b), g)
		}
	}
}

func BenchmarkParquet(b *testing.B) {
	rows := flights(rand.New(rand.NewPCG(25, 25)), 200000)
	raw, base := write(b, rows, 100000), flightsBaseline(rows[:50000])
	b.Run("profile", func(b *testing.B) {
		for b.Loop() {
			countParquet(b, raw, base)
		}
		b.ReportMetric(float64(len(rows)*b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
	})
}
