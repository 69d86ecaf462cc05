package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/tests/bench/figures"
)

// captured is records as predict writes them, of ten numbers, four texts and two scores a row.
type captured struct {
	rows int // a record
	text []byte
	base *profile.Baseline
}

// shapes are the rows a record; the ratio is that of the shape where it is least.
var shapes = []int{1, 10, 1000}

// captures counts captured NDJSON beside encoding/json, which only decodes the same bytes into records. Both are measured
// by the processor time of this process, garbage collection included: it does nothing else meanwhile.
func (r *Report) captures(ctx context.Context, rounds int) error {
	r.NDJSON = map[string]figures.Spread{}
	for _, rows := range shapes {
		c, err := makeCaptured(rows, max(1, 4000/rows))
		if err != nil {
			return err
		}
		var ours, theirs []float64
		for i := range rounds {
			say("captures of %d rows a record: round %d of %d", rows, i+1, rounds)
			a, err := processorTime(func() error { return c.count(ctx) })
			if err != nil {
				return err
			}
			b, err := processorTime(c.decode)
			if err != nil {
				return err
			}
			ours, theirs = append(ours, a), append(theirs, b)
		}
		s := figures.PerRound(theirs, ours)
		r.NDJSON[fmt.Sprintf("%d_rows_a_record", rows)] = s
		if least, ok := r.Spreads["ndjson_vs_encoding_json"]; !ok || s.Median < least.Median {
			r.Spreads["ndjson_vs_encoding_json"] = s
		}
	}
	return nil
}

// processorTime is the least of five runs, in seconds.
func processorTime(run func() error) (float64, error) {
	best := 0.0
	for range 5 {
		before := used()
		if err := run(); err != nil {
			return 0, err
		}
		if took := (used() - before).Seconds(); best == 0 || took < best {
			best = took
		}
	}
	return best, nil
}

func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (c *captured) count(ctx context.Context) error {
	baselines := func(context.Context, string, int) (*profile.Baseline, string, error) {
		return c.base, "sha256:0000000000000000000000000000000000000000000000000000000000000000", nil
	}
	docs, report, err := profile.CountCaptures(ctx, bytes.NewReader(c.text), profile.Source{}, baselines)
	if err == nil && (report.Malformed > 0 || len(docs) != 1) {
		err = fmt.Errorf("bench: captures: %+v", report)
	}
	return err
}

func (c *captured) decode() error {
	in := json.NewDecoder(bytes.NewReader(c.text))
	for {
		var r capture.Record
		if err := in.Decode(&r); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// makeCaptured draws n records from a fixed seed.
func makeCaptured(rows, n int) (*captured, error) {
	var specs []profile.Spec
	for i, name := range columns {
		kind := profile.Numeric
		if i >= numbers {
			kind = profile.Categorical
		}
		specs = append(specs, profile.Spec{Name: name, Kind: kind, Bits: 32})
	}
	build, err := profile.NewBuilder(append(specs, profile.Spec{Name: "probabilities_1", Kind: profile.Numeric, Score: true, Bits: 32}))
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(2013, uint64(rows)))
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	for range n {
		if err := out.Encode(drawRecord(rng, rows, specs, build)); err != nil {
			return nil, err
		}
	}
	return &captured{rows: rows, text: text.Bytes(), base: build.Freeze(uint64(n * rows))}, nil
}

// numbers is how many of the columns are numeric; they come first.
const numbers = 10

// drawRecord makes a record, and hands its values to build.
func drawRecord(rng *rand.Rand, rows int, specs []profile.Spec, build *profile.Builder) *capture.Record {
	at := time.Date(2026, 4, 6, 14, 31, 0, 0, time.UTC).Add(time.Duration(rng.IntN(60_000)) * time.Millisecond)
	r := &capture.Record{V: 1, ID: idAt(rng, at), TS: at, Model: "flights", Version: 1, Digest: "sha256:1f0c", Slot: registry.Champion,
		Role: capture.Served, Generation: 12, Rows: rows, TotalRows: rows, Inputs: map[string]any{}, Status: 200, LatencyUS: 412, ServedBy: "lambda", Sampled: 1}
	for i, s := range specs {
		var values []any
		for range rows {
			if s.Kind == profile.Numeric {
				x := drawNumber(rng, i)
				build.Number(i, float64(x), 1)
				values = append(values, x)
			} else {
				v := drawText(rng, s.Name)
				build.Text(i, v, 1)
				values = append(values, v)
			}
		}
		r.Inputs[s.Name] = values
	}
	var labels, scores []any
	for range rows {
		p := rng.Float32()
		build.Number(len(specs), float64(p), 1)
		labels, scores = append(labels, rng.IntN(2)), append(scores, []float32{1 - p, p})
	}
	r.Outputs = map[string]any{"label": labels, "probabilities": scores}
	return r
}

// drawNumber is a whole number, one with two decimals, or one with all that a float has, by column.
func drawNumber(rng *rand.Rand, column int) float32 {
	switch column % 3 {
	case 0:
		return float32(rng.IntN(2000))
	case 1:
		return float32(rng.IntN(100000)) / 100
	}
	return float32(rng.NormFloat64())
}

// drawText has about as many values, of about the length, as the column of the flights.
func drawText(rng *rand.Rand, column string) string {
	switch column {
	case "carrier":
		return fmt.Sprintf("%c%c", 'A'+rng.IntN(4), 'A'+rng.IntN(4))
	case "tailnum":
		return fmt.Sprintf("N%d", 10000+rng.IntN(4000))
	case "origin":
		return fmt.Sprintf("%cR", "EJL"[rng.IntN(3)])
	}
	return fmt.Sprintf("%c%cX", 'A'+rng.IntN(10), 'A'+rng.IntN(10))
}

// idAt is a UUIDv7 of that time.
func idAt(rng *rand.Rand, at time.Time) string {
	var id uuid.UUID
	ms := at.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	for i := 6; i < 16; i++ {
		id[i] = byte(rng.IntN(256))
	}
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id.String()
}
