package outcome

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/schema"
)

// plainJoin is the join as one would write it down: maps and loops.
func (w *world) plainJoin(names *Segments, keyColumn string) (*texts, Counts) {
	x := &texts{names: names}
	var c Counts
	newest, since, values := map[string]label.Record{}, map[string]time.Time{}, map[string]map[float64]bool{}
	for _, l := range w.labels {
		if l.Label.Number > 1 {
			continue
		}
		if old, ok := newest[l.ID]; !ok || label.Newer(&l, &old) {
			newest[l.ID] = l
		}
		if at, ok := since[l.ID]; !ok || l.TS.Before(at) {
			since[l.ID] = l.TS
		}
		if values[l.ID] == nil {
			values[l.ID] = map[float64]bool{}
		}
		values[l.ID][l.Label.Number] = true
	}
	served, paired := map[string]string{}, map[string]string{}
	for i := range w.records {
		r := &w.records[i]
		id := KeyOf(r.ID)
		if r.ErrorKind != "" {
			c.Failed++
		} else {
			c.Requests++
		}
		rows := r.Rows
		if r.ErrorKind != "" {
			rows = 0
		}
		x.requests = append(x.requests, fmt.Sprintf("%016x %d+%d v%d %s status=%d %q %d", id.Lo, r.FirstRow, rows, r.Version, r.Role, r.Status, r.ErrorKind, r.LatencyUS))
		scores, ok := r.Outputs["probabilities"].([]any)
		if !ok {
			c.Unscored += uint64(rows)
			continue
		}
		for k := range rows {
			rowID, key := r.ID, id
			if r.TotalRows > 1 {
				rowID, key = fmt.Sprintf("%s#%d", r.ID, r.FirstRow+k), id.RowKey(r.FirstRow+k)
			}
			if len(values[rowID]) > 1 && r.Role == capture.Served {
				c.LabelConflicts++
			}
			score, ok := scores[k].([]any)[1].(float64)
			if !ok || score < 0 || score > 1 {
				c.BadScores++
				continue
			}
			cluster := id.Hash()
			if r.Key != "" {
				cluster = KeyOf(r.Key).Hash()
			}
			if v, ok := r.Inputs[keyColumn].([]any); ok && v[k] != nil {
				cluster = KeyOf(fmt.Sprint(v[k])).Hash()
			} else if keyColumn != "" && r.Role == capture.Served {
				c.Unkeyed++
			}
			value, at := math.NaN(), int64(0)
			if l, ok := newest[rowID]; ok {
				value, at = l.Label.Number, since[rowID].UnixMilli()
			}
			text := fmt.Sprintf("%016x%016x v%d %s %s gen%d %q at=%d cluster=%x w=%g label=%g@%d score=%g predicted=%d", key.Hi, key.Lo, r.Version, r.Slot, r.Role, r.Generation, r.RolloutID,
				r.TS.UnixMilli(), cluster, 1/r.Sampled, value, at, score, r.Outputs["label"].([]any)[k])
			for _, name := range flights.Segments {
				segment := ""
				if v, ok := r.Inputs[name].([]any); !ok {
					c.absent(name, 1)
				} else if v[k] != nil {
					segment = fmt.Sprint(v[k])
				}
				text += fmt.Sprintf(" %q", segment)
			}
			x.rows = append(x.rows, text)
			if r.Role != capture.Served {
				c.Paired++
				paired[rowID] = text
				continue
			}
			served[rowID] = text
			c.Predictions++
			c.stratum(r.Sampled, 1)
			if math.IsNaN(value) {
				c.Unlabelled++
			} else {
				c.Labelled++
			}
		}
	}
	for id, text := range paired {
		if s, ok := served[id]; ok {
			x.pairs = append(x.pairs, s+" | "+text)
			c.Pairs++
		} else {
			c.Unpaired++
		}
	}
	return x.sorted(), c
}

// stable leaves out what depends on where and how often lines were delivered.
func stable(c Counts) Counts {
	c.Late, c.Repeated, c.Labels, c.LabelDuplicates, c.LabelsUnmatched, c.LabelsUnusable, c.LabelsWithoutRows, c.First = 0, 0, 0, 0, 0, 0, 0, Problems{}
	return c
}

func TestJoinIsThePlainJoinHoweverItIsStored(t *testing.T) {
	seeds := 3
	if testing.Short() {
		seeds = 1
	}
	for seed := range uint64(seeds) {
		for _, key := range []string{"", "delay", "stops", "carrier"} { // which are there always, sometimes, and not in each row
			t.Run(fmt.Sprintf("%d %s", seed, key), func(t *testing.T) { joinsAlike(t, seed, key) })
		}
	}
}

func joinsAlike(t *testing.T, seed uint64, key string) {
	spec := flights
	spec.Key = key
	rng := rand.New(rand.NewPCG(seed, 1))
	w := makeWorld(rng, 400)
	first := &Hours{Store: w.store(t, rng, split{captures: 2, labels: 3}), Model: "flights", Spec: spec}
	want, wantCounts := w.plainJoin(first.Segments(), key)
	if wantCounts.Pairs == 0 || wantCounts.BadScores == 0 || wantCounts.LabelConflicts == 0 || wantCounts.Unscored == 0 {
		t.Fatalf("the world lacks something: %+v", wantCounts)
	}
	for name, s := range map[string]split{
		"one": {captures: 2, labels: 3}, "many": {captures: 40, labels: 3}, "twice": {captures: 7, labels: 4, again: 0.5, zip: true}, "labels split": {captures: 3, labels: 9, again: 0.1},
	} {
		store := w.store(t, rng, s)
		for _, budget := range []int64{0, 40_000, 12_000} {
			h := &Hours{Store: store, Model: "flights", Spec: spec, Budget: budget}
			got, counts := join(t, h)
			if diff := cmp.Diff(stable(wantCounts), stable(counts)); diff != "" {
				t.Fatalf("%s, budget %d: counts: %s", name, budget, diff)
			}
			for what, pair := range map[string][2][]string{"rows": {want.rows, got.rows}, "requests": {want.requests, got.requests}, "pairs": {want.pairs, got.pairs}} {
				if !slices.Equal(pair[0], pair[1]) { // cmp.Diff of equal ones takes seconds
					t.Fatalf("%s, budget %d: %s: %s", name, budget, what, cmp.Diff(pair[0], pair[1]))
				}
			}
			if s.again > 0 && counts.Repeated == 0 || counts.Labels != counts.Labelled+counts.LabelDuplicates+counts.LabelsUnmatched+counts.LabelsUnusable+counts.LabelsWithoutRows {
				t.Errorf("%s, budget %d: labels do not add up: %+v", name, budget, counts)
			}
		}
	}
}

func TestRepeatedRecordsThatDifferDoNotDependOnTheirOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	w := makeWorld(rng, 60)
	n := len(w.records)
	for i := range n {
		if r := w.records[i]; i%3 == 0 && r.ErrorKind == "" {
			r.LatencyUS++
			w.records = append(w.records, r)
		}
	}
	var want *texts
	for range 5 {
		got, counts := join(t, &Hours{Store: w.store(t, rng, split{captures: 5, labels: 4, again: 0.3}), Model: "flights", Spec: flights})
		if counts.Differing == 0 {
			t.Fatal("none differ")
		}
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(texts{}), cmp.Comparer(func(a, b *Segments) bool { return true })); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestLabelsByRequestID(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	w := &world{}
	one := capture.Record{V: 1, ID: idAt(rng, hour), RequestID: "order-17", TS: hour, Model: "flights", Version: 1, Slot: "champion", Role: "served", Rows: 1, TotalRows: 1, Sampled: 1,
		Outputs: map[string]any{"probabilities": []any{0.25}, "label": []any{0}}}
	two := one
	two.ID, two.RequestID, two.Rows, two.TotalRows = idAt(rng, hour), "batch#x", 2, 2
	two.Outputs = map[string]any{"probabilities": []any{0.5, 0.75}, "label": []any{0, 1}}
	w.records = []capture.Record{one, two}
	w.labels = []label.Record{
		{ID: "order-17", Request: true, Label: label.BoolOf(true), TS: hour.Add(time.Hour)},
		{ID: "batch#x#1", Request: true, Label: label.NumberOf(1), TS: hour.Add(time.Hour)},
		{ID: "order-18", Request: true, Label: label.NumberOf(1), TS: hour.Add(time.Hour)},
		{ID: one.ID, Label: label.NumberOf(0), TS: hour},
	}
	for _, budget := range []int64{0, 5000} {
		got, counts := join(t, &Hours{Store: w.store(t, rng, split{captures: 1, labels: 1}), Model: "flights", Spec: Spec{Task: schema.Binary, Score: "probabilities"}, Budget: budget})
		if counts.Labelled != 2 || counts.Unlabelled != 1 || counts.LabelsUnmatched != 1 || counts.LabelConflicts != 1 || counts.LabelDuplicates != 1 {
			t.Errorf("%+v", counts)
		}
		if len(got.rows) != 3 {
			t.Errorf("%q", got.rows)
		}
	}
}

func TestMulticlassAndRegression(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	rec := capture.Record{V: 1, ID: idAt(rng, hour), TS: hour, Model: "flights", Version: 1, Slot: "champion", Role: "served", Rows: 2, TotalRows: 2, Sampled: 0.5,
		Outputs: map[string]any{"scores": []any{[]any{0.2, 0.3, 0.5}, []any{0.6, 0.4, 0}}, "class": []any{"red", "violet"}, "value": []any{-3.5, 1e300}}}
	for name, c := range map[string]struct {
		spec  Spec
		label label.Value
		want  string
		bad   uint64
	}{
		"multiclass": {Spec{Task: schema.Multiclass, Classes: []string{"blue", "green", "red"}, Score: "scores", Prediction: "class"}, label.TextOf("green"), "label=1@" + fmt.Sprint(hour.UnixMilli()) + " scores=[0.2 0.3 0.5] predicted=2", 1},
		"regression": {Spec{Task: schema.Regression, Score: "value"}, label.NumberOf(-4), "label=-4@" + fmt.Sprint(hour.UnixMilli()) + " score=-3.5", 0},
		"classes":    {Spec{Task: schema.Multiclass, Classes: []string{"blue", "green", "red"}, Prediction: "class"}, label.TextOf("green"), "label=1@" + fmt.Sprint(hour.UnixMilli()) + " predicted=2", 1},
	} {
		w := &world{records: []capture.Record{rec}, labels: []label.Record{{ID: rec.ID + "#0", Label: c.label, TS: hour}, {ID: rec.ID + "#1", Label: label.TextOf("none of them"), TS: hour}}}
		got, counts := join(t, &Hours{Store: w.store(t, rng, split{captures: 1, labels: 1}), Model: "flights", Spec: c.spec})
		if counts.BadClass != c.bad || counts.LabelsUnusable != 1 || counts.First.Label == "" || counts.Strata[0] != (Stratum{0.5, 2}) {
			t.Errorf("%s: %+v", name, counts)
		}
		if !slices.ContainsFunc(got.rows, func(s string) bool { return len(s) > len(c.want) && s[len(s)-len(c.want):] == c.want }) {
			t.Errorf("%s: %q", name, got.rows)
		}
	}
}

func TestLeftOutLinesAreCountedOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	good := string(jsonLine(capture.Record{V: 1, ID: idAt(rng, hour), TS: hour, Model: "flights", Version: 1, Slot: "champion", Role: "served", Rows: 1, TotalRows: 1, Sampled: 1,
		Outputs: map[string]any{"probabilities": []any{0.25}, "label": []any{0}}}))
	other := string(jsonLine(capture.Record{V: 1, ID: idAt(rng, hour), TS: hour, Model: "other", Version: 1, Slot: "champion", Role: "served", Rows: 1, TotalRows: 1, Sampled: 1}))
	early := string(jsonLine(capture.Record{V: 1, ID: idAt(rng, hour.Add(-9*time.Hour)), TS: hour, Model: "flights", Version: 1, Slot: "champion", Role: "served", Rows: 1, TotalRows: 1, Sampled: 1}))
	before := string(jsonLine(capture.Record{V: 1, ID: idAt(rng, hour.Add(-time.Minute)), TS: hour, Model: "flights", Version: 1, Slot: "champion", Role: "served", Rows: 1, TotalRows: 1, Sampled: 1}))
	broken := `{"id":"` + idAt(rng, hour) + `","model":"flights","v":`
	noID := `{"v":1,"id":"mine","model":"flights","version":1,"slot":"champion","role":"served","first_row":0,"rows":1,"total_rows":1,"sampled":1,"ts":"2026-04-06T14:00:00Z"}`
	text := good + other + early + before + broken + "\n" + noID + "\n\n[1]\n" + good + early + broken + "\n"
	store := &blob.Memory{}
	for key, body := range map[string][]byte{"a": []byte(text), "b": []byte(text), "cut.gz": zipped(t, []byte(good))[:40]} {
		if _, err := store.Put(t.Context(), CapturesPrefix(hour)+key, body, blob.Always()); err != nil {
			t.Fatal(err)
		}
	}
	for _, budget := range []int64{0, 4500} {
		_, counts := join(t, &Hours{Store: store, Model: "flights", Spec: flights, Budget: budget})
		if counts.Predictions != 1 || counts.Repeated != 3 || counts.OutOfHour != 1 || counts.Malformed != 3 || counts.Unreadable != 1 || counts.First.Malformed == "" || counts.First.Unreadable == "" {
			t.Errorf("budget %d: %+v", budget, counts)
		}
	}
}

// TestRequestsWithoutRowsComeInBatches joins an hour of failed requests, and of records whose outputs are not there.
func TestRequestsWithoutRowsComeInBatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	w := makeWorld(rng, 50)
	for i := range 4 * batchRows {
		r := capture.Record{V: 1, ID: idAt(rng, hour), TS: hour, Model: "flights", Version: 1, Slot: "champion", Role: "served", Rows: 1, TotalRows: 1, Status: 500, ErrorKind: "Internal", Sampled: 1}
		if i%4 == 0 {
			r.Status, r.ErrorKind = 200, ""
		}
		w.records = append(w.records, r)
	}
	h := &Hours{Store: w.store(t, rng, split{captures: 2, labels: 3}), Model: "flights", Spec: flights}
	want, wantCounts := w.plainJoin(h.Segments(), "")
	got := &texts{names: h.Segments()}
	batches := 0
	counts, err := h.JoinHour(t.Context(), hour, func(b *Batch) error {
		batches++
		const ofOneID = 8 // a few records: as many may come above
		if len(b.Requests) > batchRows+ofOneID {
			t.Errorf("batch %d has %d requests and %d rows", batches, len(b.Requests), b.Rows)
		}
		return got.visit(b)
	})
	if err != nil {
		t.Fatal(err)
	}
	if batches < 5 || counts.Failed < 3*batchRows || counts.Unscored < batchRows {
		t.Errorf("%d batches: %+v", batches, counts)
	}
	if diff := cmp.Diff(stable(wantCounts), stable(counts)); diff != "" {
		t.Error(diff)
	}
	got.sorted()
	for what, pair := range map[string][2][]string{"rows": {want.rows, got.rows}, "requests": {want.requests, got.requests}, "pairs": {want.pairs, got.pairs}} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Errorf("%s differ from those of the plain join: %d, want %d", what, len(pair[1]), len(pair[0]))
		}
	}
}

func TestErrors(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	w := makeWorld(rng, 20)
	store := w.store(t, rng, split{captures: 1, labels: 3})
	stop := errors.New("stop")
	if _, err := (&Hours{Store: store, Model: "flights", Spec: flights}).JoinHour(t.Context(), hour, func(*Batch) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the visitor's error: %v", err)
	}
	if _, err := (&Hours{Store: store, Model: "flights", Spec: flights, Budget: 1}).JoinHour(t.Context(), hour, func(*Batch) error { return nil }); !fault.Is(err, fault.PayloadTooLarge) {
		t.Errorf("no memory at all: %v", err)
	}
	if _, err := (&Hours{Store: store, Model: "flights"}).JoinHour(t.Context(), hour, nil); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("no spec: %v", err)
	}
	if _, err := store.Put(t.Context(), label.Key("flights", hour, "damaged"), []byte(`{"id":1}`+"\n"), blob.Always()); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Hours{Store: store, Model: "flights", Spec: flights}).JoinHour(t.Context(), hour, func(*Batch) error { return nil }); !fault.Is(err, fault.Internal) {
		t.Errorf("damaged labels: %v", err)
	}
	empty := &Hours{Store: &blob.Memory{}, Model: "flights", Spec: flights}
	counts, err := empty.Join(t.Context(), hour, hour.Add(3*time.Hour), func(*Batch) error { t.Error("a batch of nothing"); return nil })
	if err != nil || counts.Predictions != 0 {
		t.Errorf("nothing to join: %+v, %v", counts, err)
	}
}
