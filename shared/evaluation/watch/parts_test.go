package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// until is a context that says when time is up, by the clock of the world.
type until struct {
	context.Context
	at time.Time
}

func (u until) Deadline() (time.Time, bool) { return u.at, true }

// TestNoTimeLeft: what a tick has no time for is left to the next, and nothing is counted twice.
func TestNoTimeLeft(t *testing.T) {
	want, body := undisturbed(t)
	w := newWorld(t, quick)
	w.day(date(0), 480, true, 1)
	w.now = closed(0)
	ticks, left := 0, 26
	for ; ; ticks++ {
		out, err := w.Run(until{t.Context(), w.now.Add(20 * time.Second)}, In{Tick: true})
		w.check(err)
		if out.Left == 0 {
			if len(out.Reports) != 1 || out.Reports[0].ID != want.ID {
				t.Fatalf("%+v", out)
			}
			break
		}
		if out.Left >= left || len(out.Reports) != 0 || out.Waiting[0].Bytes == 0 || out.Waiting[0].Hours == 0 {
			t.Fatalf("%d hours were left: %+v", left, out)
		}
		left = out.Left
		w.now = w.now.Add(15 * time.Minute)
	}
	if ticks < 4 || len(w.lines) != ticks+1 || w.lines[0]["EvaluationHoursWaiting"] == 0 {
		t.Errorf("%d ticks, metrics %v", ticks, w.lines)
	}
	if _, got := w.report(want); !bytes.Equal(got, body) {
		t.Error("the bytes of the report differ")
	}
}

// TestPlannedHours: hours that were joined as items of a plan make the same report.
func TestPlannedHours(t *testing.T) {
	want, body := undisturbed(t)
	w := newWorld(t, quick)
	w.day(date(0), 480, true, 1)
	w.now = closed(0)
	out, err := w.Run(t.Context(), In{Plan: &PlanIn{Model: model, Window: "2026-11-23"}})
	w.check(err)
	if p := out.Plan; p.Count != 24 || p.Hours != 24 || p.Bucket != "data" || p.Bytes == 0 {
		t.Fatalf("%+v", p)
	}
	obj, err := w.data.Get(t.Context(), out.Plan.Items)
	w.check(err)
	var items []In
	if err := json.Unmarshal(obj.Body, &items); err != nil {
		t.Fatal(err)
	}
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(len(items)) {
		for try := range 2 { // a map may run an item again
			out, err := w.Run(t.Context(), items[i])
			w.check(err)
			if h := out.Hours; len(h) != 1 || h[0].Created != (try == 0) || h[0].Hour != items[i].Hour {
				t.Fatalf("%+v", h)
			}
		}
	}
	none := until{t.Context(), w.now}
	out, err = w.Run(none, In{Model: model, Window: "2026-11-23"})
	w.check(err)
	if out.Left != 0 || out.Reports[0].ID != want.ID {
		t.Errorf("%+v", out)
	}
	if _, got := w.report(want); !bytes.Equal(got, body) {
		t.Error("the bytes of the report differ")
	}
	again, err := w.Run(t.Context(), In{Plan: &PlanIn{Model: model, Window: "2026-11-23"}})
	w.check(err)
	if again.Plan.Count != 0 || again.Plan.Hours != 24 {
		t.Errorf("%+v", again.Plan)
	}
}

// TestOpenWindow: a window that is not closed is evaluated on demand, and says so.
func TestOpenWindow(t *testing.T) {
	w := newWorld(t, quick)
	w.day(date(0), 480, true, 1)
	w.now = date(0).Add(12 * time.Hour)
	out, err := w.Run(t.Context(), In{Model: model, Window: "2026-11-23"})
	w.check(err)
	d := out.Reports[0]
	r, _ := w.report(d)
	if d.Closed || d.Rows == 0 || len(r.LeftOut) == 0 || r.LeftOut[len(r.LeftOut)-1].Reason != LeftOpen || r.LeftOut[len(r.LeftOut)-1].Count != 14 || !r.Incomplete {
		t.Errorf("%+v, %+v", d, r.LeftOut)
	}
	done := w.tickAt(closed(0))
	if len(done) != 1 || !done[0].Closed || done[0].Revision != 2 || done[0].Verdict != "fine" {
		t.Errorf("%+v", done)
	}
	if _, err := w.Run(t.Context(), In{Model: model, Window: "2026-12-24"}); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("a window that is yet to come: %v", err)
	}
}

func TestBadInput(t *testing.T) {
	w := newWorld(t, "")
	w.now = closed(0)
	_, _, err := w.Registry.CreateModel(t.Context(), registry.Model{Name: "shapeless"})
	w.check(err)
	_, _, err = w.Registry.CreateModel(t.Context(), registry.Model{Name: "idle", Task: schema.Binary})
	w.check(err)
	for name, c := range map[string]struct {
		in   In
		kind fault.Kind
	}{
		"nothing":       {In{}, fault.InvalidArgument},
		"two things":    {In{Tick: true, Model: model, Window: "2026-11-23"}, fault.InvalidArgument},
		"no window":     {In{Model: model}, fault.InvalidArgument},
		"no model":      {In{Window: "2026-11-23"}, fault.InvalidArgument},
		"both":          {In{Model: model, Window: "2026-11-23", Hour: "2026-11-23T05:00:00Z"}, fault.InvalidArgument},
		"mature":        {In{Model: model, Window: "2026-11-23", MatureBefore: "2026-11-23T05:00:00Z"}, fault.InvalidArgument},
		"no date":       {In{Model: model, Window: "yesterday"}, fault.InvalidArgument},
		"no hour":       {In{Model: model, Hour: "2026-11-23T05"}, fault.InvalidArgument},
		"half an hour":  {In{Model: model, Hour: "2026-11-23T05:30:00Z"}, fault.InvalidArgument},
		"no time":       {In{Model: model, Hour: "2026-11-23T05:00:00Z", MatureBefore: "now"}, fault.InvalidArgument},
		"plan":          {In{Plan: &PlanIn{Model: model, Window: "x"}}, fault.InvalidArgument},
		"unknown model": {In{Model: "none", Window: "2026-11-23"}, fault.NotFound},
		"no task":       {In{Model: "shapeless", Window: "2026-11-23"}, fault.FailedPrecondition},
		"no version":    {In{Model: "idle", Window: "2026-11-23"}, fault.NotFound},
	} {
		if _, err := w.Run(t.Context(), c.in); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
		}
	}
	w.tickAt(closed(0)) // models without a task, or without a version, are passed over
}

// TestOneModelFails: the others are evaluated, and the tick says that something failed.
func TestOneModelFails(t *testing.T) {
	w := newWorld(t, quick)
	w.day(date(0), 480, true, 1)
	_, _, err := w.Registry.CreateModel(t.Context(), registry.Model{Name: "broken", Task: schema.Binary})
	w.check(err)
	_, err = w.store.Put(t.Context(), registry.StateKey("broken"), []byte("{"), blob.Always())
	w.check(err)
	seen := 0
	for i := range 8 { // whichever comes first
		w.now = closed(0).Add(time.Duration(i) * time.Minute)
		out, err := w.Run(t.Context(), In{Tick: true})
		if seen += len(out.Reports); !fault.Is(err, fault.Internal) || seen != 1 {
			t.Errorf("%+v, %v", out, err)
		}
	}
}

// paired are the records of a second version on the same rows, whose scores are the first one's, or noise.
func paired(records []capture.Record, version int, slot registry.Slot, good bool) []capture.Record {
	rng := rand.New(rand.NewPCG(9, 9))
	var out []capture.Record
	for _, r := range records {
		p := r.Outputs["probabilities"].([]any)[0].([]any)[1].(float64)
		if p = min(0.999, p+0.001); !good {
			p = rng.Float64()
		}
		r.Version, r.Slot, r.Role = version, slot, capture.Paired
		class := 0
		if p >= 0.5 {
			class = 1
		}
		r.Outputs = map[string]any{"label": []any{class}, "probabilities": []any{[]any{1 - p, p}}}
		out = append(out, r)
	}
	return out
}

// TestShadow: the shadow of the window is compared with the champion on the same rows.
func TestShadow(t *testing.T) {
	w := newWorld(t, quick)
	ref := w.version(2, nil)
	w.move(registry.StartShadow(ref))
	for h := range 24 {
		hour := date(0).Add(time.Duration(h) * time.Hour)
		f := flow(7, hour, 60, true)
		w.captures(hour, f.records)
		w.captures(hour, paired(f.records, 2, registry.Shadow, false))
		w.labelled(hour, f.labels)
	}
	done := w.tickAt(closed(0))
	if len(done) != 1 || done[0].Verdict != "fine" || done[0].Version != 1 {
		t.Fatalf("%+v", done)
	}
	r, _ := w.report(done[0])
	if r.Comparison == nil || r.Better == nil || r.Better.Answer != "no" || len(r.Versions) != 2 || r.Versions[1].NoReference == "" {
		t.Errorf("%+v, %q, better %+v", r.Comparison, r.Uncompared, r.Better)
	}
	if c := w.events[len(w.events)-1].(Completed); c.Better != "no" {
		t.Errorf("%+v", c)
	}
	// Before its training ended, nothing is evidence.
	w2 := newWorld(t, quick)
	late, err := quality.ParseReference(mustEncode(t, reference(t, 1)))
	w2.check(err)
	late.TrainingEnd = date(2)
	w2.move(registry.StartShadow(w2.version(2, late)))
	for h := range 24 {
		hour := date(0).Add(time.Duration(h) * time.Hour)
		f := flow(7, hour, 60, true)
		w2.captures(hour, f.records)
		w2.captures(hour, paired(f.records, 2, registry.Shadow, true))
		w2.labelled(hour, f.labels)
	}
	if done = w2.tickAt(closed(0)); len(done) != 1 {
		t.Fatalf("%+v", done)
	}
	if r, _ := w2.report(done[0]); r.Comparison != nil || !strings.Contains(r.Uncompared, "training") {
		t.Errorf("%q", r.Uncompared)
	}
}

func mustEncode(t *testing.T, r *quality.Reference) []byte {
	t.Helper()
	raw, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestManySegments: a column with more values than are measured apart is cut into the
// largest ones, the same at each look.
func TestManySegments(t *testing.T) {
	w := newWorld(t, `{"label_delay_minutes":0,"segments":["carrier"],"max_segments":2,`+wide+`}`)
	add := func(h int, share float64) {
		hour := date(0).Add(time.Duration(h) * time.Hour)
		f := flow(7, hour, 40, true)
		for i := range f.records {
			name := "rare" + fmt.Sprint(i)
			if i%4 < 2 {
				name = []string{"AA", "UA"}[i%4]
			}
			f.records[i].Inputs = map[string]any{"carrier": []any{name}}
		}
		w.captures(hour, f.records)
		w.labelled(hour, f.labels[:int(share*40)])
	}
	for h := range 12 {
		add(h, 1)
	}
	done := w.tickAt(closed(0))
	if len(done) != 1 {
		t.Fatalf("%+v", done)
	}
	r, _ := w.report(done[0])
	c := r.Versions[0].Segments
	if len(c) != 1 || len(c[0].Segments) != 2 || c[0].Segments[0].Value != "AA" || c[0].Other == nil || c[0].Other.Counts.Predictions != 240 {
		t.Fatalf("%+v", c)
	}
	kept := len(w.keys("evaluations/flights/2026-11-23/", ".json"))
	add(20, 0.5)
	if done = w.tickAt(closed(0).Add(2 * time.Hour)); len(done) != 1 || done[0].Rows != 520 {
		t.Fatalf("%+v", done)
	}
	if n := len(w.keys("evaluations/flights/2026-11-23/", ".json")) - kept; n != 2 { // the hour, and the one before, which looks into it
		t.Errorf("%d hours were counted again", n)
	}
	if keys := w.keys("evaluations/flights/segments/", ".json"); len(keys) != 1 {
		t.Errorf("%v", keys)
	}
}

// TestNoReference: nothing can be said of a version without one but what it was.
func TestNoReference(t *testing.T) {
	for _, task := range []schema.Task{schema.Binary, schema.Multiclass, schema.Regression} {
		w := newWorld(t, "")
		name := strings.ToLower(string(task))
		_, _, err := w.Registry.CreateModel(t.Context(), registry.Model{Name: name, Task: task})
		w.check(err)
		described := schema.Schema{V: 1, Task: task, Signature: schema.Signature{Inputs: []schema.Spec{{Name: "x", Datatype: tensor.FP32, Shape: []int64{-1, 1}}},
			Outputs: []schema.Spec{{Name: "y", Datatype: tensor.FP32, Shape: map[schema.Task][]int64{schema.Binary: {-1, 2}, schema.Multiclass: {-1, 3}, schema.Regression: {-1, 1}}[task]}}}}
		raw, err := described.Encode()
		w.check(err)
		ref := w.files(name, 1, map[string][]byte{"schema.json": raw})
		_, err = w.Registry.Apply(t.Context(), name, registry.Request{TransitionID: "t", Actor: "test"}, registry.Bootstrap(ref))
		w.check(err)
		rng := rand.New(rand.NewPCG(1, 1))
		var labels []label.Record
		var records []capture.Record
		for range 300 {
			at := date(0).Add(time.Duration(rng.IntN(3600)) * time.Second)
			p := rng.Float64()
			answer := map[schema.Task]any{schema.Binary: []any{1 - p, p}, schema.Multiclass: []any{p / 2, p / 2, 1 - p}, schema.Regression: []any{100 * p}}[task]
			r := capture.Record{V: 1, ID: idAt(rng, at), TS: at, Model: name, Version: 1, Slot: registry.Champion, Role: capture.Served, Generation: 1, Rows: 1, TotalRows: 1,
				Status: 200, ServedBy: "lambda", Sampled: 1, Outputs: map[string]any{"y": []any{answer}}}
			records = append(records, r)
			labels = append(labels, label.Record{ID: r.ID, Label: label.NumberOf(float64(rng.IntN(2))), TS: at})
		}
		w.captures(date(0), records)
		w.labelledOf(name, date(0), labels)
		done := w.tickAt(mature(0))
		if len(done) != 1 || done[0].Verdict != "not_enough_data" || done[0].Judged != 300 {
			t.Errorf("%s: %+v", task, done)
			continue
		}
		if r, _ := w.report(done[0]); r.Versions[0].NoReference == "" || r.Versions[0].Quality.Metrics[0].Value == nil && task != schema.Multiclass {
			t.Errorf("%s: %+v", task, r.Versions[0].Quality.Metrics)
		}
	}
}

// TestShadowOfTheTime: what counts is who held a slot within the window, and not now.
func TestShadowOfTheTime(t *testing.T) {
	w := newWorld(t, quick)
	ref := w.version(2, reference(t, 2))
	w.now = date(0).Add(time.Hour)
	w.move(registry.StartShadow(ref))
	w.now = date(0).Add(20 * time.Hour)
	w.move(registry.StopShadow(2))
	for n := range 2 {
		for h := range 24 {
			hour := date(n).Add(time.Duration(h) * time.Hour)
			f := flow(7, hour, 40, true)
			w.captures(hour, f.records)
			if n == 0 {
				w.captures(hour, paired(f.records, 2, registry.Shadow, true))
			}
			w.labelled(hour, f.labels)
		}
	}
	done := w.tickAt(closed(1))
	if len(done) != 2 {
		t.Fatalf("%+v", done)
	}
	first, _ := w.report(done[0])
	second, _ := w.report(done[1])
	if first.Comparison == nil || len(first.Versions) != 2 || first.Versions[1].Reference == nil || first.Versions[1].Role != capture.Paired {
		t.Errorf("the shadow of the first day: %+v, %q", first.Comparison, first.Uncompared)
	}
	if second.Comparison != nil || second.Uncompared != "" || len(second.Versions) != 1 {
		t.Errorf("the second day had none: %+v, %q", second.Comparison, second.Uncompared)
	}
}
