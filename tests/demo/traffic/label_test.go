package traffic

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/tests/demo/flights"
)

func TestLabelsNameTheirRows(t *testing.T) {
	delayed := func(minutes float64) flights.Flight { return flights.Flight{ArrDelay: &minutes} }
	fs := []flights.Flight{delayed(16), delayed(15), {}, delayed(90), delayed(-3), delayed(31)}
	sent := []Sent{
		{Request: Request{First: 0, Rows: 1}, ID: "a"},
		{Request: Request{First: 1, Rows: 3}, ID: "b"},
		{Request: Request{First: 4, Rows: 1}, ID: "c", Err: errors.New("not answered")},
		{Request: Request{First: 5, Rows: 1}, ID: "d"},
	}
	all := Labels(sent, fs, func(f *flights.Flight) bool { return f.ArrDelay != nil })
	if diff := cmp.Diff([]Label{{"a", 1}, {"b#0", 0}, {"b#2", 1}, {"d", 1}}, all); diff != "" {
		t.Error(diff)
	}
	early := Labels(sent, fs, func(f *flights.Flight) bool { return f.Landed(30) })
	if diff := cmp.Diff([]Label{{"a", 1}, {"b#0", 0}}, early); diff != "" {
		t.Error(diff)
	}
	if got := string(LabelFile(all)); got != "id,label\na,1\nb#0,0\nb#2,1\nd,1\n" {
		t.Errorf("%q", got)
	}
}

func TestBatchesHoldEveryLabelOnce(t *testing.T) {
	var labels []Label
	for range 2*MaxBatch + 1 {
		labels = append(labels, Label{ID: string(rune('a' + len(labels)%26)), Label: len(labels) % 2})
	}
	bodies, err := Batches(labels)
	if err != nil || len(bodies) != 3 {
		t.Fatalf("%d batches, %v", len(bodies), err)
	}
	var got []Label
	for _, body := range bodies {
		var b struct{ Labels []Label }
		if err := json.Unmarshal(body, &b); err != nil || len(b.Labels) > MaxBatch {
			t.Fatalf("%d labels, %v", len(b.Labels), err)
		}
		got = append(got, b.Labels...)
	}
	if diff := cmp.Diff(labels, got); diff != "" {
		t.Error(diff)
	}
	if bodies, err := Batches(nil); len(bodies) != 0 || err != nil {
		t.Errorf("%d batches of nothing, %v", len(bodies), err)
	}
}
