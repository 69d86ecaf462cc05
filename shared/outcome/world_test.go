package outcome

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

var hour = time.Date(2026, 4, 6, 14, 0, 0, 0, time.UTC)

func idAt(rng *rand.Rand, at time.Time) string {
	var u uuid.UUID
	for i := range u {
		u[i] = byte(rng.Uint32())
	}
	ms := uint64(at.UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6], u[8] = u[6]&15|0x70, u[8]&63|0x80
	return u.String()
}

// world is the records and labels of an hour.
type world struct {
	records []capture.Record
	labels  []label.Record
}

var flights = Spec{Task: schema.Binary, Score: "probabilities", Prediction: "label", Segments: []string{"carrier", "stops"}}

// makeWorld draws requests of one to four rows: most served only, a third paired
// with another version, some failed, of two sampling shares, some records split by
// rows, and of the paired ones elsewhere than of the served ones.
func makeWorld(rng *rand.Rand, requests int) *world {
	w := &world{}
	for range requests {
		at := hour.Add(time.Duration(rng.IntN(3_600_000)) * time.Millisecond)
		r := capture.Record{V: 1, ID: idAt(rng, at), TS: at, Model: "flights", Version: 1, Digest: "sha256:aa", Slot: registry.Champion, Role: capture.Served,
			Generation: 3, Rows: 1 + rng.IntN(4), Status: 200, LatencyUS: int64(rng.IntN(1e6)), ServedBy: "lambda", Sampled: []float64{1, 0.25}[rng.IntN(2)]}
		r.TotalRows = r.Rows
		if rng.IntN(3) == 0 {
			r.Key = fmt.Sprint("key", rng.IntN(5))
		}
		if rng.IntN(20) == 0 {
			r.Status, r.ErrorKind = 400, "InvalidArgument"
			w.records = append(w.records, r)
			continue
		}
		r.Inputs, r.Outputs = map[string]any{}, map[string]any{}
		carrier, stops := []any{}, []any{}
		for range r.Rows {
			carrier = append(carrier, []any{"UA", "B6", "new \"ü\"", nil}[rng.IntN(4)])
			stops = append(stops, rng.IntN(3))
		}
		r.Inputs["carrier"], r.Inputs["delay"] = carrier, stops
		if rng.IntN(4) > 0 {
			r.Inputs["stops"] = stops
		}
		w.add(rng, r)
		if rng.IntN(3) == 0 {
			r.RolloutID, r.Role, r.Slot, r.Version = "rollout-1", capture.Paired, registry.Challenger, 2
			w.add(rng, r)
		}
		w.label(rng, &r)
	}
	return w
}

// add draws outputs, and splits the record now and then.
func (w *world) add(rng *rand.Rand, r capture.Record) {
	var scores, labels []any
	for range r.Rows {
		p := math.Round(rng.Float64()*1000) / 1000
		scores, labels = append(scores, []any{1 - p, p}), append(labels, rng.IntN(2))
	}
	if rng.IntN(15) == 0 {
		scores[0] = []any{0.5, []any{nil, 1.5, -0.1}[rng.IntN(3)]}
	}
	for first := 0; first < r.Rows; {
		part := r
		part.FirstRow, part.Rows = first, r.Rows-first
		if part.Rows > 1 && rng.IntN(3) == 0 {
			part.Rows = 1 + rng.IntN(part.Rows-1)
		}
		part.Inputs, part.Outputs = map[string]any{}, map[string]any{}
		for name, v := range r.Inputs {
			part.Inputs[name] = v.([]any)[first : first+part.Rows]
		}
		part.Outputs["probabilities"] = scores[first : first+part.Rows]
		part.Outputs["label"] = labels[first : first+part.Rows]
		if rng.IntN(40) == 0 {
			part.Outputs["probabilities"] = map[string]any{"shape": []int{part.Rows, 2}, "sha256": "00"}
		}
		w.records = append(w.records, part)
		first += part.Rows
	}
}

// label draws up to three labels for each row.
func (w *world) label(rng *rand.Rand, r *capture.Record) {
	for i := range r.TotalRows {
		id := r.ID
		if r.TotalRows > 1 {
			id += "#" + strconv.Itoa(i)
		}
		for range []int{0, 1, 1, 1, 2, 3}[rng.IntN(6)] {
			v := label.NumberOf(float64(rng.IntN(2)))
			if rng.IntN(30) == 0 {
				v = label.NumberOf(7) // no class
			}
			w.labels = append(w.labels, label.Record{ID: id, Label: v, TS: hour.Add(time.Duration(1+rng.IntN(3)) * time.Hour)})
		}
	}
	if rng.IntN(10) == 0 {
		w.labels = append(w.labels, label.Record{ID: idAt(rng, hour), Label: label.NumberOf(1), TS: hour.Add(time.Hour)})
	}
}

// split is how a world lies in a bucket.
type split struct {
	captures, labels int     // objects
	again            float64 // share of records that are delivered twice, the second time within an hour
	zip              bool
}

// store writes the world into a bucket, in an order of its own.
func (w *world) store(t testing.TB, rng *rand.Rand, s split) *blob.Memory {
	t.Helper()
	store := &blob.Memory{}
	put := func(key string, body []byte) {
		if _, err := store.Put(context.Background(), key, body, blob.Always()); err != nil {
			t.Fatal(err)
		}
	}
	objects := make([]bytes.Buffer, s.captures)
	write := func(i int) {
		raw, err := json.Marshal(&w.records[i])
		if err != nil {
			t.Fatal(err)
		}
		objects[rng.IntN(len(objects))].Write(append(raw, '\n'))
	}
	for _, i := range rng.Perm(len(w.records)) {
		write(i)
		if rng.Float64() < s.again {
			write(i)
		}
	}
	for i := range objects {
		body := objects[i].Bytes()
		if s.zip && i%2 == 0 {
			body = zipped(t, body)
		}
		put(CapturesPrefix(hour.Add(time.Duration(i%2)*time.Hour))+fmt.Sprint("object-", i), body)
	}
	files := make([]map[string]label.Record, s.labels)
	for i := range files {
		files[i] = map[string]label.Record{}
	}
	for _, i := range rng.Perm(len(w.labels)) { // an id is in a file once
		at := rng.IntN(len(files))
		for _, taken := files[at][w.labels[i].ID]; taken; _, taken = files[at][w.labels[i].ID] {
			at = (at + 1) % len(files)
		}
		files[at][w.labels[i].ID] = w.labels[i]
	}
	for i, byID := range files {
		var body []byte
		sorted := make([]label.Record, 0, len(byID))
		for _, l := range byID {
			sorted = append(sorted, l)
		}
		slices.SortFunc(sorted, func(a, b label.Record) int { return label.Order(&a, &b) })
		for k := range sorted {
			body = label.Append(body, &sorted[k])
		}
		put(label.Key("flights", hour, fmt.Sprint("source-", i)), body)
	}
	return store
}

func zipped(t testing.TB, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// texts gathers outcomes, requests and pairs as sorted lines.
type texts struct {
	names    *Segments
	rows     []string
	requests []string
	pairs    []string
}

func (x *texts) visit(b *Batch) error {
	rows := make([]string, b.Rows)
	for i := range b.Rows {
		o := b.Requests[b.Request[i]].Origin
		rows[i] = fmt.Sprintf("%016x%016x v%d %s %s gen%d %q at=%d cluster=%x w=%g label=%g@%d", b.ID[i].Hi, b.ID[i].Lo, o.Version, o.Slot, o.Role, o.Generation, o.Rollout,
			b.At[i], b.Cluster[i], b.Weight[i], b.Label[i], b.LabelAt[i])
		if b.Score != nil {
			rows[i] += fmt.Sprintf(" score=%g", b.Score[i])
		}
		if b.Scores != nil {
			k := len(b.Scores) / b.Rows
			rows[i] += fmt.Sprintf(" scores=%g", b.Scores[i*k:(i+1)*k])
		}
		if b.Predicted != nil {
			rows[i] += fmt.Sprintf(" predicted=%d", b.Predicted[i])
		}
		for k := range b.Segments {
			rows[i] += fmt.Sprintf(" %q", x.names.Name(k, b.Segments[k][i]))
		}
	}
	for _, p := range b.Pairs {
		x.pairs = append(x.pairs, rows[p.Served]+" | "+rows[p.Paired])
	}
	for _, r := range b.Requests {
		if !r.Again {
			x.requests = append(x.requests, fmt.Sprintf("%016x %d+%d v%d %s status=%d %q %d", r.ID.Lo, r.First, r.Rows, r.Origin.Version, r.Origin.Role, r.Origin.Status, r.Origin.ErrorKind, r.LatencyUS))
		}
	}
	x.rows = append(x.rows, rows...)
	return nil
}

func (x *texts) sorted() *texts {
	slices.Sort(x.rows)
	slices.Sort(x.requests)
	slices.Sort(x.pairs)
	return x
}

// join joins the hour and gives its outcomes as text.
func join(t testing.TB, h *Hours) (*texts, Counts) {
	t.Helper()
	x := &texts{names: h.Segments()}
	counts, err := h.JoinHour(t.Context(), hour, x.visit)
	if err != nil {
		t.Fatal(err)
	}
	return x.sorted(), counts
}

func jsonLine(r capture.Record) []byte {
	raw, err := json.Marshal(&r)
	if err != nil {
		panic(err)
	}
	return append(raw, '\n')
}
