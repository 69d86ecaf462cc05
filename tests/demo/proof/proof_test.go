package proof

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/tests/demo/flights"
	"github.com/tidegate/tidegate/tests/demo/traffic"
)

// world is 1,303 flights, answered, and a capture per request.
func world() ([]traffic.Sent, []flights.Flight, []capture.Record) {
	const n = 1303
	fs := make([]flights.Flight, n)
	for i := range fs {
		delay, zero := float64(i%50)+0.1, 0 // 0.1 is not a float32
		fs[i] = flights.Flight{Month: 4, Day: 1 + i%30, DepDelay: &delay, DepTime: &zero, Carrier: "UA", Dest: fmt.Sprint("D", i%9), Distance: float64(i)}
	}
	var sent []traffic.Sent
	var records []capture.Record
	for k, r := range traffic.Plan(n, traffic.Mix{Singles: 3, Hundreds: 2}, 1) {
		s := traffic.Sent{Request: r, ID: fmt.Sprint("id", k), Version: 2}
		rec := capture.Record{ID: s.ID, Model: "flights", Version: 2, Role: capture.Served, Rows: r.Rows, TotalRows: r.Rows, Status: 200,
			Inputs: map[string]any{}, Outputs: map[string]any{}}
		for i := range r.Rows {
			p := float32(i) / 7
			s.Answers = append(s.Answers, traffic.Answer{Label: int64(i % 2), Probabilities: []float32{1 - p, p}})
		}
		for _, in := range flights.Inputs() {
			column := []any{}
			for i := range r.Rows {
				f := &fs[r.First+i]
				if in.Number != nil {
					column = append(column, float32(in.Number(f)))
				} else {
					column = append(column, in.Text(f))
				}
			}
			rec.Inputs[in.Name] = column
		}
		labels, probabilities := []any{}, []any{}
		for _, a := range s.Answers {
			labels, probabilities = append(labels, a.Label), append(probabilities, a.Probabilities)
		}
		rec.Outputs["label"], rec.Outputs["probabilities"] = labels, probabilities
		sent, records = append(sent, s), append(records, rec)
	}
	return sent, fs, records
}

// stored is what a reader of the file finds.
func stored(r capture.Record) *capture.Record {
	line, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	var out capture.Record
	if err := json.Unmarshal(line, &out); err != nil {
		panic(err)
	}
	return &out
}

func largest(records []capture.Record) int {
	at := 0
	for i := range records {
		if records[i].Rows > records[at].Rows {
			at = i
		}
	}
	return at
}

func TestFindings(t *testing.T) {
	cases := map[string]struct {
		harm func(rs []capture.Record) []capture.Record
		want Finding
	}{
		"as it should be": {func(rs []capture.Record) []capture.Record { return rs }, Finding{Rows: 1303}},
		"one request lost": {func(rs []capture.Record) []capture.Record {
			at := largest(rs)
			return append(rs[:at], rs[at+1:]...)
		}, Finding{Rows: 303, Missing: 1000}},
		"one record twice": {func(rs []capture.Record) []capture.Record { return append(rs, rs[largest(rs)]) }, Finding{Rows: 2303, Duplicates: 1000}},
		"split by rows":    {func(rs []capture.Record) []capture.Record { return split(rs, largest(rs), 600) }, Finding{Rows: 1303}},
		"half of a split": {func(rs []capture.Record) []capture.Record {
			rs = split(rs, largest(rs), 600)
			return rs[:len(rs)-1]
		}, Finding{Rows: 903, Missing: 400}},
		"another input": {func(rs []capture.Record) []capture.Record {
			rs[largest(rs)].Inputs["distance"].([]any)[7] = 1e6
			return rs
		}, Finding{Rows: 1303, Mismatched: 1}},
		"an input lost": {func(rs []capture.Record) []capture.Record {
			delete(rs[largest(rs)].Inputs, "carrier")
			return rs
		}, Finding{Rows: 1303, Mismatched: 1000}},
		"another label": {func(rs []capture.Record) []capture.Record {
			rs[largest(rs)].Outputs["label"].([]any)[0] = 9
			return rs
		}, Finding{Rows: 1303, Mismatched: 1}},
		"other probabilities": {func(rs []capture.Record) []capture.Record {
			rs[largest(rs)].Outputs["probabilities"].([]any)[3] = []any{0.5, 0.5}
			return rs
		}, Finding{Rows: 1303, Mismatched: 1}},
		"another version": {func(rs []capture.Record) []capture.Record {
			rs[largest(rs)].Version = 3
			return rs
		}, Finding{Rows: 1303, Mismatched: 1000}},
		"rows that were never sent": {func(rs []capture.Record) []capture.Record {
			rs[largest(rs)].FirstRow = 1
			return rs
		}, Finding{Rows: 1303, Missing: 1000, Mismatched: 1000}},
		"other runs and roles": {func(rs []capture.Record) []capture.Record {
			other, paired := rs[0], rs[0]
			other.ID, paired.Role = "other", capture.Paired
			return append(rs, other, paired)
		}, Finding{Rows: 1303}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			sent, fs, records := world()
			l := NewLedger(sent, fs)
			for _, r := range c.harm(records) {
				l.Add(stored(r))
			}
			got := l.Finding()
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Finding{}, "First")); diff != "" {
				t.Error(diff)
			}
			if wrong := got.Missing+got.Mismatched > 0; wrong != (got.First != "") || got.OK() != (!wrong && got.Duplicates == 0) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func split(rs []capture.Record, at, rows int) []capture.Record {
	head, tail := rs[at], rs[at]
	head.Rows, tail.FirstRow, tail.Rows = rows, rows, rs[at].Rows-rows
	cut := func(columns map[string]any, from, to int) map[string]any {
		out := map[string]any{}
		for name, c := range columns {
			out[name] = c.([]any)[from:to]
		}
		return out
	}
	head.Inputs, head.Outputs = cut(rs[at].Inputs, 0, rows), cut(rs[at].Outputs, 0, rows)
	tail.Inputs, tail.Outputs = cut(rs[at].Inputs, rows, rs[at].Rows), cut(rs[at].Outputs, rows, rs[at].Rows)
	rs[at] = head
	return append(rs, tail)
}

func TestCollectReadsWhatLands(t *testing.T) {
	sent, fs, records := world()
	store := &blob.Memory{}
	since := time.Date(2026, 1, 2, 3, 30, 0, 0, time.UTC)
	land := func(key string, zip bool, rs ...capture.Record) {
		var b bytes.Buffer
		for _, r := range rs {
			if err := json.NewEncoder(&b).Encode(r); err != nil {
				t.Error(err)
			}
		}
		body := b.Bytes()
		if zip {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			w.Write(body)
			w.Close()
			body = z.Bytes()
		}
		if _, err := store.Put(context.Background(), key, body, blob.Always()); err != nil {
			t.Error(err)
		}
	}
	land("captures/2026-01-02/01/old", false, capture.Record{})
	land("captures/2026-01-02/03/a", true, records[0], records[1])
	land("captures/2026-01-02/04/b", false, records[2:len(records)-1]...)
	l := NewLedger(sent, fs)
	looks := 0
	c := Collector{Store: store, Since: since, Poll: time.Millisecond, Patience: time.Hour, Settle: 5 * time.Millisecond}
	err := c.Collect(context.Background(), l, func(int) {
		if looks++; looks == 3 {
			land("captures/2026-01-02/03/late", true, records[len(records)-1])
		}
	})
	if got := l.Finding(); err != nil || !got.OK() || got.Rows != 1303 || looks < 4 {
		t.Errorf("%+v after %d looks, %v", got, looks, err)
	}
	l = NewLedger(sent, fs)
	if err := (&Collector{Store: &blob.Memory{}, Since: since}).Collect(context.Background(), l, func(int) {}); err != nil || l.Finding().Missing != 1303 {
		t.Errorf("%+v, %v", l.Finding(), err)
	}
}
