package training

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/trial"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
)

// predicted is a prediction of a moment by the champion, with its label.
func (w *world) predicted(at time.Time, n int) {
	w.t.Helper()
	id := fmt.Sprintf("%08x-%04x-7000-8000-%012x", at.UnixMilli()>>16, at.UnixMilli()&0xffff, n)
	r := capture.Record{V: 1, ID: id, TS: at, Model: "flights", Version: 1, Digest: "sha256:aa", Slot: registry.Champion, Role: capture.Served, Generation: 1, Rows: 1, TotalRows: 1,
		Status: 200, ServedBy: "lambda", Sampled: 1, Inputs: map[string]any{"delay": []any{n}, "carrier": []any{"UA"}}, Outputs: map[string]any{"label": []any{1}, "probabilities": []any{[]any{0.2, 0.8}}}}
	line, err := json.Marshal(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.put(outcome.CapturesPrefix(at)+id, string(line)+"\n")
	known := label.Record{ID: id, Label: label.NumberOf(float64(n % 2)), TS: at.Add(time.Hour)}
	w.put(label.Prefix("flights", at)+id, string(label.Append(nil, &known)))
}

func TestOutcomesAreTrainedOn(t *testing.T) {
	w := newWorld(t)
	w.configure(`{"outcomes":{"hours":48,"delay_hours":24}}`)
	until := now.Truncate(time.Hour).Add(-24 * time.Hour)
	for n, at := range []time.Time{until.Add(-49 * time.Hour), until.Add(-48 * time.Hour), until.Add(-time.Minute), until} {
		w.predicted(at, n)
	}
	s := w.snapshot("run-1")
	body, err := w.registry.ReadBlob(t.Context(), s.Dataset.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(body), "delay,carrier,when,late\n1,UA,2013-07-29T00:00:00Z,1\n2,UA,2013-07-30T23:59:00Z,0\n"; got != want {
		t.Errorf("rows:\n%swant:\n%s", got, want)
	}
	redacted := json.RawMessage(`{"outcomes":{"hours":48}}`)
	digest, err := w.registry.PutSettings(t.Context(), "flights", registry.Settings{Retrain: redacted, Capture: &registry.CaptureSettings{Redact: map[string]string{"carrier": "hash"}}})
	if err != nil {
		t.Fatal(err)
	}
	w.apply(registry.Configure(digest))
	w.refused(In{Step: StepSnapshot, Run: "run-2", Code: code}, fault.FailedPrecondition, `column "carrier" is redacted in captures`)
}

func TestRecentOutcomesAreComparedToo(t *testing.T) {
	w := newWorld(t)
	w.configure(strings.Replace(tables, "{", `{"recent_hours":1000,"outcomes":{"delay_hours":2},`, 1))
	w.registered(2, w.snapshot("run-1"))
	if h := w.holdout("none-yet", 2); len(h.Scores) != 2 || h.Rows != 40 {
		t.Errorf("without outcomes: %+v", h)
	}
	// The holdout ends on the second of July at three in the afternoon: what is older was seen there.
	for n, at := range []time.Time{time.Date(2013, 7, 2, 14, 0, 0, 0, time.UTC), time.Date(2013, 7, 2, 16, 0, 0, 0, time.UTC), time.Date(2013, 7, 20, 9, 0, 0, 0, time.UTC), now.Add(-time.Hour)} {
		w.predicted(at, n)
	}
	h := w.holdout("run-1", 2)
	start, ok := h.Start.(trial.Start)
	if !h.Comparable || !ok || h.Rows != 42 || len(h.Scores) != 4 || h.Last != "2013-07-20T09:00:00Z" {
		t.Fatalf("%+v", h)
	}
	if strings.Join(start.Champion, " ") != "predictions/flights/run-1/holdout-1.ndjson predictions/flights/run-1/recent-1.ndjson" ||
		strings.Join(start.Challenger, " ") != "predictions/flights/run-1/holdout-2.ndjson predictions/flights/run-1/recent-2.ndjson" {
		t.Errorf("%+v", start)
	}
	rows, err := w.reg.Get(t.Context(), h.Scores[2].Source.Key)
	if err != nil || string(rows.Body) != "delay,carrier,when,late\n1,UA,2013-07-02T16:00:00Z,1\n2,UA,2013-07-20T09:00:00Z,0\n" {
		t.Errorf("recent rows: %s, %v", rows.Body, err)
	}
	if h.Scores[2].Item != "recent-1" || h.Scores[3].Version != 2 {
		t.Errorf("%+v", h.Scores)
	}
}
