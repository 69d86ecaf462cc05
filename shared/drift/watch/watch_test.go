package watch

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
)

func date(n int) time.Time { return firstDay.AddDate(0, 0, n) }

// closed is a time when the window of day n is due.
func closed(n int) time.Time { return date(n + 1).Add(70 * time.Minute) }

// TestStateChangesAreToldOnce: two clean days, two of drift, two clean ones.
func TestStateChangesAreToldOnce(t *testing.T) {
	w := newWorld(t, "")
	shifts := []float64{0, 0, 1, 1, 0, 0}
	var verdicts []string
	for n, shift := range shifts {
		w.day(date(n), 2400, shift)
		for _, d := range w.tickAt(closed(n)) {
			verdicts = append(verdicts, d.Window+" "+string(d.Verdict)+" "+string(d.State))
		}
		for range 3 {
			if again := w.tickAt(w.now.Add(15 * time.Minute)); len(again) != 0 {
				t.Fatalf("a repeated tick reports again: %+v", again)
			}
		}
	}
	want := "2026-11-23 no_drift unknown, 2026-11-24 no_drift ok, 2026-11-25 drift ok, 2026-11-26 drift drift, 2026-11-27 no_drift drift, 2026-11-28 no_drift ok"
	if got := strings.Join(verdicts, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var states []string
	for _, e := range w.events {
		states = append(states, string(e.Before)+">"+string(e.State)+" "+strings.Join(e.Drifted, "+")+" -"+strings.Join(e.Ended, "+"))
	}
	if got := strings.Join(states, ", "); got != "unknown>ok  -, ok>drift x -, drift>ok  -x" {
		t.Errorf("events: %s", got)
	}
	if len(w.texts) != 3 || !strings.Contains(w.texts[1], "Columns that have drifted: x") {
		t.Errorf("texts: %q", w.texts)
	}
	if len(w.lines) != 6 || w.lines[3]["DriftState"] != 1 || w.lines[3]["DriftRows"] != 2400 {
		t.Errorf("metrics: %v", w.lines)
	}
	if json, html := w.keys("reports/drift/flights/", ".json"), w.keys("reports/drift/flights/", ".html"); len(html) != 6 || len(json) != 6+3 {
		t.Errorf("objects: %v %v", json, html)
	}
}

// TestOrderAndRepetition: documents written in another order, twice, give the same report.
func TestOrderAndRepetition(t *testing.T) {
	var reports [][]byte
	for _, order := range []int{1, -1} {
		w := newWorld(t, "")
		for i := range 24 {
			h := i
			if order < 0 {
				h = 23 - i
			}
			ts := date(0).Add(time.Duration(h) * time.Hour)
			w.now = ts
			key := w.captures(ts, ts, 100, 0.3, func(d *profile.Document) { d.Source.VersionID = "v" })
			obj, err := w.data.Get(t.Context(), key)
			w.check(err)
			d, err := profile.ParseDocument(obj.Body)
			w.check(err)
			w.put(key, d) // delivered again
		}
		done := w.tickAt(closed(0))
		if len(done) != 1 {
			t.Fatalf("%+v", done)
		}
		obj, err := w.data.Get(t.Context(), strings.TrimPrefix(done[0].Report, "s3://data/"))
		w.check(err)
		reports = append(reports, obj.Body)
	}
	if !bytes.Equal(reports[0], reports[1]) {
		t.Error("the reports differ")
	}
}

// TestLateCapturesSupersede: rows that arrive hours, and days, after their window was reported.
func TestLateCapturesSupersede(t *testing.T) {
	w := newWorld(t, "")
	w.day(date(0), 2400, 0)
	first := w.tickAt(closed(0))
	w.now = closed(0).Add(30 * time.Minute)
	w.captures(date(1).Add(30*time.Minute), date(0).Add(23*time.Hour), 500, 0) // profiled late: arrived in time
	second := w.tickAt(closed(0).Add(time.Hour))
	if len(second) != 1 || second[0].Window != first[0].Window || second[0].Revision != 2 || second[0].Rows != 2900 {
		t.Fatalf("%+v", second)
	}
	if s := w.report(second[0]).Supersedes; s == nil || s.Report != first[0].ID || !strings.Contains(strings.Join(s.Changes, ";"), "2900 rows compared instead of 2400") {
		t.Errorf("%+v", s)
	}
	w.day(date(1), 2400, 0)
	if done := w.tickAt(closed(1)); len(done) != 1 || done[0].Window != "2026-11-24" {
		t.Fatalf("%+v", done)
	}
	w.captures(date(1).Add(9*time.Hour), date(0).Add(9*time.Hour), 100, 0) // Firehose tried again for hours
	third := w.tickAt(closed(1).Add(30 * time.Minute))
	if len(third) != 1 || third[0].Window != "2026-11-23" || third[0].Revision != 3 || third[0].Rows != 3000 {
		t.Fatalf("%+v", third)
	}
	if again := w.tickAt(closed(1).Add(time.Hour)); len(again) != 0 {
		t.Errorf("nothing is new: %+v", again)
	}
	out, err := w.Run(t.Context(), In{Model: model, Window: "2026-11-23"})
	w.check(err)
	if got := out.Reports[0]; got.ID != third[0].ID || got.Created || got.Revision != 3 {
		t.Errorf("on demand it is another report: %+v, want %+v", got, third[0])
	}
	if h := w.report(third[0]).History; len(h) != 2 || h[0].Window != "2026-11-23" || h[0].Revision != 3 {
		t.Errorf("history %+v", h)
	}
}

// TestWholeWindowsThatAreLate: Firehose could not write for four hours and then delivers everything at once. Windows
// of which nothing arrived in time are reported like any other, once for what has come.
func TestWholeWindowsThatAreLate(t *testing.T) {
	w := newWorld(t, `{"window_minutes":60,"lateness_minutes":60,"debounce":{"need":1,"of":1}}`)
	hour := func(h, m int) time.Time {
		return date(0).Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute)
	}
	w.now = hour(7, 10)
	w.captures(hour(7, 10), hour(7, 5), 3000, 0)
	if done := w.tickAt(hour(9, 6)); len(done) != 1 || done[0].State != drift.StateOK {
		t.Fatalf("%+v", done)
	}
	w.now = hour(13, 10)
	for h := range 5 {
		w.captures(hour(13, 10), hour(9+h, 5), 3000, []float64{0, 1, 1, 1, 1}[h])
	}
	var got []string
	for _, d := range w.tickAt(hour(15, 6)) {
		got = append(got, fmt.Sprint(d.Window[11:], " ", d.Rows, " ", d.Verdict, " ", d.State))
	}
	// That of twelve had an hour to arrive and is in time. The newest window says what the state is, and tells it.
	if want := "12-00 3000 drift drift, 13-00 3000 drift drift, 09-00 3000 no_drift drift, 10-00 3000 drift drift, 11-00 3000 drift drift"; strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
	if len(w.events) != 2 || w.events[1].Window[11:] != "12-00" || w.events[1].State != drift.StateDrift {
		t.Errorf("events %+v", w.events)
	}
	for range 3 {
		if again := w.tickAt(w.now.Add(15 * time.Minute)); len(again) != 0 {
			t.Fatalf("nothing is new: %+v", again)
		}
	}
	w.captures(hour(16, 10), hour(9, 35), 500, 0) // and some that it had lost
	w.captures(hour(16, 10), hour(16, 5), 3000, 1)
	later := w.tickAt(hour(18, 6))
	if len(later) != 2 || later[1].Window[11:] != "09-00" || later[1].Revision != 2 || later[1].Rows != 3500 {
		t.Fatalf("%+v", later)
	}
	if again := w.tickAt(hour(18, 21)); len(again) != 0 || len(w.events) != 2 {
		t.Errorf("nothing is new: %+v, %+v", again, w.events)
	}
	if first := w.keys("reports/drift/flights/2026-11-23T10-00/", ".mark"); len(first) != 1 {
		t.Errorf("marks %v", first)
	}
}

// dying is a store whose next write below a prefix fails, as if the tick had ended there.
type dying struct {
	blob.Store
	below string
}

func (d *dying) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	if d.below != "" && strings.HasPrefix(key, d.below) {
		d.below = ""
		return blob.Info{}, fault.New(fault.Unavailable, "the tick has ended")
	}
	return d.Store.Put(ctx, key, body, cond)
}

// TestLateWindowsOfATickThatDies: the next one finds those that it had not come to.
func TestLateWindowsOfATickThatDies(t *testing.T) {
	w := newWorld(t, `{"window_minutes":60,"lateness_minutes":60}`)
	w.now = date(0).Add(13*time.Hour + 10*time.Minute)
	for h := 9; h <= 13; h++ {
		w.captures(w.now, date(0).Add(time.Duration(h)*time.Hour+5*time.Minute), 3000, 0)
	}
	w.Data = &dying{w.Data, "reports/drift/flights/2026-11-23T10-00/"}
	w.now = date(0).Add(15*time.Hour + 6*time.Minute)
	if _, err := w.Run(t.Context(), In{Tick: true}); err == nil {
		t.Fatal("it did not die")
	}
	var got []string
	for _, d := range w.tickAt(w.now.Add(15 * time.Minute)) {
		got = append(got, d.Window[11:])
	}
	if strings.Join(got, " ") != "10-00 11-00" {
		t.Errorf("the next tick makes the reports of %v", got)
	}
	if again := w.tickAt(w.now.Add(15 * time.Minute)); len(again) != 0 {
		t.Errorf("nothing is new: %+v", again)
	}
}

// TestLeftOut: what cannot be compared is in the report, by reason, and adds up.
func TestLeftOut(t *testing.T) {
	w := newWorld(t, "")
	w.version(2, nil)
	w.version(3, w.base)
	w.day(date(0), 2400, 0)
	at := date(0).Add(10 * time.Hour)
	w.captures(at, at, 10, 0, func(d *profile.Document) { d.Groups[0].Role = capture.Paired })
	w.captures(at, at, 11, 0, func(d *profile.Document) { d.Groups[0].Version = 2 })
	w.captures(at, at, 12, 0, func(d *profile.Document) { d.Groups[0].Baseline = strings.Repeat("0", 64) })
	w.captures(at, at, 13, 0, func(d *profile.Document) { d.Groups[0].Slot = "pinned" })
	w.captures(at, at, 14, 0, func(d *profile.Document) { d.Groups[0].Version = 3 })
	w.captures(at, at, 15, 0, func(d *profile.Document) {
		d.Duplicates, d.Report.Malformed, d.Report.First = 2, 1, "line 3: not a JSON object"
	})
	w.data.Delete(w.captures(at, at, 16, 0)) // never profiled
	damaged := w.captures(at, at, 17, 0)
	_, err := w.data.Put(t.Context(), damaged, []byte("{"), blob.Always())
	w.check(err)
	done := w.tickAt(closed(0))
	if len(done) != 1 {
		t.Fatalf("%+v", done)
	}
	r := w.report(done[0])
	got := map[string]uint64{}
	for _, l := range r.LeftOut {
		got[l.Reason] += l.Count
	}
	for reason, want := range map[string]uint64{drift.LeftPaired: 10, drift.LeftNoBaseline: 11, drift.LeftOtherBaseline: 12, drift.LeftPinned: 13, drift.LeftOtherVersion: 14,
		drift.LeftMalformed: 1, drift.LeftDuplicate: 2, drift.LeftNoProfile: 2, drift.LeftUnreadable: 1} {
		if got[reason] != want {
			t.Errorf("%s: %d left out, want %d (%+v)", reason, got[reason], want, r.LeftOut)
		}
	}
	if r.Rows.Compared != 2415 || r.Rows.In != 2415+10+11+12+13+14+1 {
		t.Errorf("rows %+v", r.Rows)
	}
}

func TestNoBaseline(t *testing.T) {
	w := newWorld(t, "")
	w.version(2, nil)
	w.captures(date(0).Add(time.Hour), date(0).Add(time.Hour), 40, 0, func(d *profile.Document) {
		d.Groups = nil
		d.Report = profile.Report{Uncounted: []profile.Uncounted{{Rows: 40, Reason: "version 2 has no baseline"}}}
	})
	done := w.tickAt(closed(0))
	if len(done) != 1 || done[0].Verdict != drift.NotEnoughData || done[0].RowsIn != 40 || done[0].Rows != 0 {
		t.Fatalf("%+v", done)
	}
}

// TestEmptyWindows: a window without rows is no report by itself, and one on demand.
func TestEmptyWindows(t *testing.T) {
	w := newWorld(t, "")
	w.day(date(0), 2400, 0)
	if done := w.tickAt(closed(0)); len(done) != 1 {
		t.Fatalf("%+v", done)
	}
	if done := w.tickAt(closed(3)); len(done) != 0 {
		t.Fatalf("days without traffic: %+v", done)
	}
	out, err := w.Run(t.Context(), In{Model: model, Window: "2026-11-25"})
	w.check(err)
	if d := out.Reports[0]; d.Rows != 0 || d.Verdict != drift.NotEnoughData || d.State != drift.StateUnknown {
		t.Errorf("%+v", d)
	}
	for in, kind := range map[In]fault.Kind{{Model: model, Window: "2026-11-27"}: fault.FailedPrecondition, {Model: model, Window: "yesterday"}: fault.InvalidArgument,
		{Model: "none", Window: "2026-11-25"}: fault.NotFound, {}: fault.InvalidArgument, {Tick: true, Job: "x"}: fault.InvalidArgument} {
		if _, err := w.Run(t.Context(), in); !fault.Is(err, kind) {
			t.Errorf("%+v: %v, want %s", in, err, kind)
		}
	}
}

// TestShortWindows: an hour is a window if the policy says so, and warns.
func TestShortWindows(t *testing.T) {
	w := newWorld(t, `{"window_minutes":60,"lateness_minutes":0,"debounce":{"need":1,"of":1}}`)
	at := date(0).Add(9 * time.Hour)
	w.now = at
	w.captures(at, at.Add(20*time.Minute), 3000, 1)
	done := w.tickAt(at.Add(66 * time.Minute))
	if len(done) != 1 || done[0].Window != "2026-11-23T09-00" || done[0].State != drift.StateDrift || len(w.events) != 1 {
		t.Fatalf("%+v", done)
	}
	if r := w.report(done[0]); len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "whole days") {
		t.Errorf("%q", r.Warnings)
	}
}

// TestDue: windows of every length and lateness that a policy may have are looked at for a week, or three of them, and in order.
func TestDue(t *testing.T) {
	now, lengths := date(40).Add(64*time.Minute), 0
	for minutes := 5; minutes <= 31*1440; minutes += 5 {
		for _, lateness := range []int{0, 60, 10080} {
			p := drift.DefaultPolicy()
			if p.WindowMinutes, p.LatenessMinutes = minutes, lateness; p.Check() != nil {
				continue
			}
			lengths++
			back, wait := p.Lateness()+max(7*period.Day, 3*p.Window()), p.Lateness()+5*time.Minute
			windows := due(&p, now)
			if first := windows[0]; now.Sub(first.End) >= back || now.Sub(first.Start) < back {
				t.Errorf("%s: the oldest of %d is %s", p.Window(), len(windows), first.ID)
			}
			if last := windows[len(windows)-1]; now.Sub(last.End) < wait || now.Sub(last.End.Add(p.Window())) >= wait {
				t.Errorf("%s: the newest is %s", p.Window(), last.ID)
			}
			for i := range windows[1:] {
				if !windows[i].End.Equal(windows[i+1].Start) {
					t.Fatalf("%s: %s is followed by %s", p.Window(), windows[i].ID, windows[i+1].ID)
				}
			}
		}
	}
	if lengths != 3*(17+31) {
		t.Errorf("%d lengths", lengths)
	}
}

// TestTickGoesOn: a model with a policy that cannot be read does not stop the others.
func TestPolicyFault(t *testing.T) {
	w := newWorld(t, `{"alpha":2}`)
	_, err := w.Run(t.Context(), In{Tick: true})
	if !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("%v", err)
	}
}

// TestConcurrentTicks: however many run at once, a window has one report.
func TestConcurrentTicks(t *testing.T) {
	w := newWorld(t, "")
	w.day(date(0), 2400, 0)
	w.now = closed(0)
	quiet := *w.Watcher
	quiet.Meter = nil
	ids := make([]string, 6)
	err := period.Each(t.Context(), len(ids), func(ctx context.Context, i int) error {
		out, err := quiet.Run(ctx, In{Model: model, Window: "2026-11-23"})
		if err == nil {
			ids[i] = out.Reports[0].ID
		}
		return err
	})
	w.check(err)
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("reports %v", ids)
		}
	}
	if n := len(w.keys("reports/drift/flights/", ".json")); n != 1 {
		t.Errorf("%d reports", n)
	}
}

// TestOneModelFails: the others are judged, and the tick says that something failed.
func TestOneModelFails(t *testing.T) {
	w := newWorld(t, "")
	w.day(date(0), 2400, 0)
	_, _, err := w.Registry.CreateModel(t.Context(), registry.Model{Name: "broken"})
	w.check(err)
	_, err = w.store.Put(t.Context(), registry.StateKey("broken"), []byte("{"), blob.Always())
	w.check(err)
	w.now = closed(0)
	out, err := w.Run(t.Context(), In{Tick: true})
	if !fault.Is(err, fault.Internal) || len(out.Reports) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}
