package dataset

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

var hour = time.Date(2026, 4, 6, 12, 0, 0, 0, time.UTC)

var binary = outcome.Spec{Task: schema.Binary, Score: "probabilities", Prediction: "label"}

// inferenceID is a UUIDv7 of a moment.
func inferenceID(at time.Time, n int) string {
	var u uuid.UUID
	ms := uint64(at.UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6], u[8], u[14], u[15] = 0x70, 0x80, byte(n>>8), byte(n)
	return u.String()
}

// request is a captured record whose rows have delays from n on.
func request(at time.Time, n, rows int) capture.Record {
	r := capture.Record{V: 1, ID: inferenceID(at, n), TS: at, Model: "flights", Version: 1, Digest: "sha256:aa", Slot: registry.Champion, Role: capture.Served,
		Generation: 1, Rows: rows, TotalRows: rows, Status: 200, ServedBy: "lambda", Sampled: 1, Inputs: map[string]any{}, Outputs: map[string]any{}}
	var delays, carriers, scores, classes []any
	for i := range rows {
		delays, carriers = append(delays, n+i), append(carriers, []any{"UA", nil, "x,\"y"}[i%3])
		scores, classes = append(scores, []float64{0.25, 0.75}), append(classes, 1)
	}
	r.Inputs["delay"], r.Inputs["carrier"], r.Outputs["probabilities"], r.Outputs["label"] = delays, carriers, scores, classes
	return r
}

func lines(records ...capture.Record) string {
	var b strings.Builder
	for _, r := range records {
		line, _ := json.Marshal(r)
		b.Write(append(line, '\n'))
	}
	return b.String()
}

func (w *world) captured(at time.Time, name string, records ...capture.Record) {
	w.put(outcome.CapturesPrefix(at)+name, lines(records...))
}

func (w *world) labelled(at time.Time, records ...label.Record) {
	slices.SortFunc(records, func(a, b label.Record) int { return label.Order(&a, &b) })
	var body []byte
	for i := range records {
		body = label.Append(body, &records[i])
	}
	w.put(label.Prefix("flights", at)+"a.ndjson", string(body))
}

func is(id string, v float64, at time.Time) label.Record {
	return label.Record{ID: id, Label: label.NumberOf(v), TS: at}
}

func (w *world) outcomes() Request {
	return Request{Name: "flights", Schema: w.schema, Outcomes: &Outcomes{Bucket: "data", Model: "flights", Spec: binary, From: hour, To: hour.Add(2 * time.Hour)}}
}

func TestLabelledPredictionsBecomeRows(t *testing.T) {
	w := newWorld(t)
	first, second, third := request(hour.Add(time.Minute), 10, 3), request(hour.Add(2*time.Minute), 20, 1), request(hour.Add(time.Hour), 30, 1)
	paired, other := first, request(hour.Add(3*time.Minute), 40, 1)
	paired.Role, paired.Version, paired.Slot = capture.Paired, 2, registry.Challenger
	other.Inputs = map[string]any{"delay": []any{1}} // of a version without the column
	foreign := request(hour.Add(4*time.Minute), 50, 1)
	foreign.Model = "trains"
	// One record comes twice, the second time in the next hour, behind a line that is none.
	w.captured(hour, "b.ndjson", second, paired, first, other, foreign)
	w.captured(hour.Add(time.Hour), "a.ndjson", third, first)
	w.put(outcome.CapturesPrefix(hour)+"broken.ndjson", "no record\n")
	later := hour.Add(30 * time.Minute)
	w.labelled(hour, is(first.ID+"#0", 1, later), is(first.ID+"#2", 0, later), is(second.ID, 0, later), is(other.ID, 1, later), is(foreign.ID, 1, later))
	changed := is(first.ID+"#2", 1, later.Add(time.Minute))
	w.put(label.Prefix("flights", hour)+"b.ndjson", string(label.Append(nil, &changed)))
	w.labelled(hour.Add(time.Hour), is(third.ID, 1, later))
	built, err := w.builder.Build(t.Context(), w.outcomes())
	if err != nil {
		t.Fatal(err)
	}
	want := `delay,carrier,when,late
10,UA,2026-04-06T12:01:00Z,1
12,"x,""y",2026-04-06T12:01:00Z,1
20,UA,2026-04-06T12:02:00Z,0
30,UA,2026-04-06T13:00:00Z,1
`
	if got := w.channel(built); got != want {
		t.Errorf("channel:\n%s\nwant:\n%s", got, want)
	}
	if o := built.Outcomes; o.Rows != 4 || o.Incomplete != 1 || o.Counts.Labelled != 5 || o.Counts.Malformed != 1 {
		t.Errorf("joined %+v", o)
	}
	kinds := map[string]int{}
	for _, s := range built.Sources {
		kinds[s.Kind]++
		if s.VersionID == "" || s.SHA256 == "" {
			t.Errorf("source %+v is not pinned", s)
		}
	}
	if kinds[Captures] != 3 || kinds[Labels] != 3 {
		t.Errorf("sources %v", kinds)
	}
	if again, err := w.builder.Build(t.Context(), w.outcomes()); err != nil || again.Created || again.Number != built.Number {
		t.Errorf("again: %+v, %v", again.Number, err)
	}
	w.captured(hour, "c.ndjson", request(hour.Add(5*time.Minute), 60, 1))
	if again, err := w.builder.Build(t.Context(), w.outcomes()); err != nil || again.Number != built.Number+1 || again.Digest != built.Digest {
		t.Errorf("another capture, without a label: %+v, %v", again.Number, err)
	}
}

func TestTablesAndOutcomesTogether(t *testing.T) {
	w := newWorld(t)
	w.put("months/01.csv", month(1, 3))
	r := request(hour, 10, 1)
	w.captured(hour, "a.ndjson", r)
	w.labelled(hour, is(r.ID, 1, hour))
	in := w.outcomes()
	in.Prefixes = []Prefix{{Bucket: "data", Prefix: "months/"}}
	built, err := w.builder.Build(t.Context(), in)
	if err != nil || built.Rows != 4 || built.Last != "2026-04-06T12:00:00Z" || built.Outcomes.Rows != 1 {
		t.Errorf("%+v, %v", built, err)
	}
	w.schema = w.parse(strings.Replace(flightsSchema, `"columns": [`, `"columns": [{"name": "when", "type": "category"}, `, 1))
	in.Schema = w.schema
	if built, err := w.builder.Build(t.Context(), in); err != nil || built.Rows != 3 || built.Outcomes.Incomplete != 1 {
		t.Errorf("the time is an input that captures do not hold: %+v, %v", built, err)
	}
}

func TestOutcomesThatAreNone(t *testing.T) {
	w := newWorld(t)
	w.refused(fault.FailedPrecondition, "there is nothing to train on", w.outcomes())
	r := request(hour, 10, 1)
	w.captured(hour, "a.ndjson", r)
	w.refused(fault.FailedPrecondition, "outcomes: 1 predictions from 2026-04-06T12:00:00Z to 2026-04-06T14:00:00Z, 0 of them labelled", w.outcomes())
	w.labelled(hour, is(r.ID, 1, hour))
	w.builder.Buckets["data"] = &meddled{w.data, func(key string) {
		if strings.HasPrefix(key, "labels/") {
			w.data.Delete(key)
		}
	}}
	w.refused(fault.FailedPrecondition, "training file s3://data/labels/filed/flights/2026-04-06/12/a.ndjson was deleted", w.outcomes())
}

func TestLabelsAreWrittenAsTablesHaveThem(t *testing.T) {
	w := newWorld(t)
	r := request(hour, 10, 1)
	w.captured(hour, "a.ndjson", r)
	w.labelled(hour, label.Record{ID: r.ID, Label: label.TextOf("yes"), TS: hour})
	in := w.outcomes()
	in.Outcomes.Spec.Classes = []string{"no", "yes"}
	built, err := w.builder.Build(t.Context(), in)
	if err != nil || !strings.HasSuffix(w.channel(built), ",yes\n") {
		t.Errorf("classes: %v, %v", built, err)
	}
	in.Schema = w.parse(`{"task":"regression","target":"late","columns":[{"name":"delay","type":"number"}]}`)
	in.Outcomes.Spec = outcome.Spec{Task: schema.Regression, Score: "y"}
	r.Outputs["y"] = []any{1.5}
	w.captured(hour, "a.ndjson", r)
	w.labelled(hour, is(r.ID, 0.1, hour))
	if built, err = w.builder.Build(t.Context(), in); err != nil || w.channel(built) != "delay,late\n10,0.1\n" {
		t.Errorf("numbers: %v", err)
	}
}
