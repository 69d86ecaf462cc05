package watch

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAWindowMatures: at its close nothing is decided, since no label is due; a day later there is a verdict. Neither look is repeated.
func TestAWindowMatures(t *testing.T) {
	w := newWorld(t, "{"+wide+"}")
	w.day(date(0), 2400, true, 1)
	first := w.tickAt(closed(0))
	if len(first) != 1 || first[0].Window != "2026-11-23" || first[0].Verdict != "not_enough_data" || first[0].Rows != 2400 || first[0].Judged != 0 || !first[0].Closed {
		t.Fatalf("%+v", first)
	}
	r, _ := w.report(first[0])
	if !r.Incomplete || r.Versions[0].Estimate == nil || r.Versions[0].Estimate.Metric("roc_auc").Value == nil {
		t.Errorf("without labels there must be an estimate: %+v", r)
	}
	for i := range 3 {
		if again := w.tickAt(closed(0).Add(time.Duration(i+1) * 15 * time.Minute)); len(again) != 0 {
			t.Fatalf("a repeated tick reports again: %+v", again)
		}
	}
	second := w.tickAt(mature(0))
	if len(second) != 1 || second[0].Verdict != "fine" || second[0].Judged != 2400 || second[0].Revision != 2 || second[0].Coverage != 1 {
		t.Fatalf("%+v", second)
	}
	if r, _ := w.report(second[0]); r.Incomplete || r.Supersedes == nil || r.Supersedes.Report != first[0].ID || len(r.Versions[0].Realised) == 0 {
		t.Errorf("%+v", r.Supersedes)
	}
	if again := w.tickAt(mature(0).Add(2 * time.Hour)); len(again) != 0 {
		t.Errorf("nothing is new: %+v", again)
	}
	if len(w.events) != 2 || w.changes() != "" {
		t.Errorf("events %+v", w.events)
	}
	if c := w.events[1].(Completed); c.Metric == nil || c.Metric.Name != "roc_auc" || c.Metric.Lo == nil || c.Verdict != "fine" || len(c.Changes) == 0 || c.Judged != 2400 {
		t.Errorf("%+v", c)
	}
}

// TestStateChangesAreToldOnce: good days, then bad ones.
func TestStateChangesAreToldOnce(t *testing.T) {
	long(t)
	w := newWorld(t, `{"label_delay_minutes":0,`+wide+`}`)
	var verdicts []string
	for n, good := range []bool{true, true, false, false, true, true} {
		w.now = date(n)
		w.day(date(n), 1200, good, 1)
		for _, d := range w.tickAt(closed(n)) {
			verdicts = append(verdicts, string(d.Verdict)+" "+string(d.State))
		}
		if again := w.tickAt(closed(n).Add(2 * time.Hour)); len(again) != 0 {
			t.Fatalf("a repeated tick reports again: %+v", again)
		}
	}
	if got, want := strings.Join(verdicts, ", "), "fine unknown, fine ok, degraded ok, degraded degraded, fine degraded, fine ok"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := w.changes(), "2026-11-24 unknown>ok, 2026-11-26 ok>degraded, 2026-11-28 degraded>ok"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(w.events) != 6+3 || len(w.texts) != 3 || !strings.Contains(w.texts[1], "now in the state \"degraded\"") || !strings.HasPrefix(w.texts[1], "Quality of flights: degraded\n") {
		t.Errorf("%d events, texts %q", len(w.events), w.texts)
	}
	if l := w.lines; len(l) != 6 || l[3]["QualityDegraded"] != 1 || l[3]["EvaluationRows"] != 1200 || l[3]["EvaluationCoverage"] != 1 || l[0]["EvaluationPrimaryMetric"] < 0.7 {
		t.Errorf("metrics %v", l)
	}
	if json, html := w.keys("reports/evaluation/flights/", ".json"), w.keys("reports/evaluation/flights/", ".html"); len(json) != 6 || len(html) != 6 {
		t.Errorf("objects: %v %v", json, html)
	}
}

// TestLateLabelsSupersede: labels that come days later recount their hours only, and the report says what is different.
func TestLateLabelsSupersede(t *testing.T) {
	w := newWorld(t, `{"label_delay_minutes":0,`+wide+`}`)
	w.day(date(0), 2400, true, 0.5)
	first := w.tickAt(closed(0))
	if len(first) != 1 || first[0].Verdict != "not_enough_data" || first[0].Coverage != 0.5 {
		t.Fatalf("%+v", first)
	}
	hours := len(w.keys("evaluations/flights/", ".json"))
	if hours != 25 { // captures of the hour before the first may be in its folder
		t.Fatalf("%d hours are kept", hours)
	}
	w.now = date(3)
	late := date(0).Add(9 * time.Hour)
	f := flow(7, late, 100, true)
	w.labelled(late, f.labels[50:])
	second := w.tickAt(date(3).Add(time.Minute))
	if len(second) != 1 || second[0].Revision != 2 || second[0].Window != "2026-11-23" || second[0].Judged != 1250 {
		t.Fatalf("%+v", second)
	}
	if n := len(w.keys("evaluations/flights/", ".json")); n != hours+1 {
		t.Errorf("%d hours were counted again, want 1", n-hours)
	}
	if s := func() string { r, _ := w.report(second[0]); return strings.Join(r.Supersedes.Changes, "; ") }(); !strings.Contains(s, "1250 labels known instead of 1200") {
		t.Errorf("%q", s)
	}
	again := slices.Clone(f.labels[50:80]) // the same labels from another source, which came later: no news
	for i := range again {
		again[i].TS = w.now
	}
	w.labelled(late, again)
	if done := w.tickAt(date(3).Add(2 * time.Hour)); len(done) != 0 {
		t.Errorf("a repeated label is no news: %+v", done)
	}
	w.rest(date(0), 2400, true, 0.5)
	third := w.tickAt(date(3).Add(4 * time.Hour))
	if len(third) != 1 || third[0].Revision != 3 || third[0].Verdict != "fine" || third[0].Coverage != 1 {
		t.Fatalf("%+v", third)
	}
	out, err := w.Run(t.Context(), In{Model: model, Window: "2026-11-23"})
	w.check(err)
	if got := out.Reports[0]; got.ID != third[0].ID || got.Created {
		t.Errorf("on demand it is another report: %+v, want %+v", got, third[0])
	}
	// Beyond the bound a window is left alone.
	w.captures(late, flow(8, late, 10, true).records)
	if done := w.tickAt(date(12)); len(done) != 0 {
		t.Errorf("%+v", done)
	}
}

// TestOftenLabels: however often labels come, a day is looked at twice an hour.
func TestOftenLabels(t *testing.T) {
	long(t)
	w := newWorld(t, `{"label_delay_minutes":0,`+wide+`}`)
	w.day(date(0), 2400, true, 0.2)
	if done := w.tickAt(closed(0)); len(done) != 1 {
		t.Fatalf("%+v", done)
	}
	reports := 0
	for i := range 12 {
		hour := date(0).Add(time.Duration(i) * time.Hour)
		w.labelled(hour, flow(7, hour, 100, true).labels[20:40])
		reports += len(w.tickAt(closed(0).Add(time.Duration(i+1) * 15 * time.Minute)))
	}
	if reports != 6 {
		t.Errorf("%d reports in three hours", reports)
	}
}

// TestLongDelay: with labels that take days, the windows that wait for theirs do not make the state unknown.
func TestLongDelay(t *testing.T) {
	long(t)
	w := newWorld(t, `{"label_delay_minutes":7200,`+wide+`}`)
	last := map[string]string{}
	for n := range 9 {
		w.now = date(n)
		w.day(date(n), 480, true, 1)
		for _, d := range w.tickAt(closed(n)) {
			last[d.Window] = string(d.Verdict) + " " + string(d.State)
		}
	}
	for window, want := range map[string]string{"2026-11-23": "fine unknown", "2026-11-24": "fine ok", "2026-11-25": "fine ok", "2026-11-26": "fine ok",
		"2026-11-27": "not_enough_data unknown", "2026-12-01": "not_enough_data ok"} {
		if last[window] != want {
			t.Errorf("%s: %q, want %q", window, last[window], want)
		}
	}
	if got := w.changes(); got != "2026-11-24 unknown>ok" {
		t.Errorf("%q", got)
	}
}

// TestEmptyWindow: a window without a prediction is no report by itself, and one on demand.
func TestEmptyWindow(t *testing.T) {
	w := newWorld(t, quick)
	w.now = closed(0)
	w.labelled(date(0), flow(1, date(0), 10, true).labels)
	if done := w.tickAt(closed(0)); len(done) != 0 {
		t.Fatalf("%+v", done)
	}
	out, err := w.Run(t.Context(), In{Model: model, Window: "2026-11-23"})
	w.check(err)
	if d := out.Reports[0]; d.Rows != 0 || d.Verdict != "not_enough_data" || d.State != "unknown" {
		t.Errorf("%+v", d)
	}
}

// TestMeasuredDelay: once labels are known to come within an hour, nobody waits a day for them.
func TestMeasuredDelay(t *testing.T) {
	w := newWorld(t, "{"+wide+"}")
	w.day(date(0), 1200, true, 1)
	w.tickAt(closed(0))
	if done := w.tickAt(mature(0)); len(done) != 1 || done[0].Verdict != "fine" {
		t.Fatalf("%+v", done)
	}
	w.day(date(1), 1200, true, 1)
	done := w.tickAt(closed(1))
	if len(done) != 1 || done[0].Window != "2026-11-24" || done[0].Verdict != "fine" {
		t.Fatalf("%+v", done)
	}
	if r, _ := w.report(done[0]); r.Delay.Source != "measured" || r.Delay.Seconds < 3500 || r.Delay.Seconds > 4000 || r.Incomplete {
		t.Errorf("%+v", r.Delay)
	}
}
