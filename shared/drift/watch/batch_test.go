package watch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/profile/job"
)

type row struct {
	X float64 `parquet:"x"`
	C string  `parquet:"c"`
}

func drawRows(seed uint64, n int, shift float64) []row {
	rng := rand.New(rand.NewPCG(seed, 9))
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{rng.NormFloat64() + shift, string(rune('a' + rng.IntN(5)))}
	}
	return rows
}

func (w *world) object(key string, body []byte) {
	w.t.Helper()
	_, err := w.data.Put(w.t.Context(), key, body, blob.Always())
	w.check(err)
}

func (w *world) parquet(key string, seed uint64, n int, shift float64) {
	w.t.Helper()
	var b bytes.Buffer
	w.check(parquet.Write(&b, drawRows(seed, n, shift), parquet.MaxRowsPerRowGroup(300)))
	w.object(key, b.Bytes())
}

func (w *world) csv(key string, seed uint64, n int, shift float64) {
	var b bytes.Buffer
	b.WriteString("x,c\n")
	for _, r := range drawRows(seed, n, shift) {
		fmt.Fprintf(&b, "%g,%s\n", r.X, r.C)
	}
	w.object(key, b.Bytes())
}

func (w *world) planned(in PlanIn) *PlanOut {
	w.t.Helper()
	out, err := w.Run(w.t.Context(), In{Plan: &in})
	w.check(err)
	return out.Plan
}

// profiled runs the items of a plan as the machine would, but those that skip names.
func (w *world) profiled(p *PlanOut, skip ...int) {
	w.t.Helper()
	obj, err := w.data.Get(w.t.Context(), p.Items)
	w.check(err)
	var items []json.RawMessage
	w.check(json.Unmarshal(obj.Body, &items))
	if len(items) != p.Count {
		w.t.Errorf("%d items, the plan says %d", len(items), p.Count)
	}
	j := &job.Job{Bucket: "data", Data: w.data, Registry: w.Registry, Log: slog.New(slog.DiscardHandler)}
	for i, raw := range items {
		var in job.In
		w.check(json.Unmarshal(raw, &in))
		if len(skip) > 0 && skip[0] == i {
			continue
		}
		_, err := j.Run(w.t.Context(), in)
		w.check(err)
	}
}

func TestBatch(t *testing.T) {
	w := newWorld(t, "")
	w.parquet("batches/flights/may/a.parquet", 1, 1000, 0.5)
	w.csv("batches/flights/may/b.csv", 2, 700, 0.5)
	w.object("batches/flights/may/_SUCCESS", nil)
	w.object("batches/flights/may/empty.csv", nil)
	plan := w.planned(PlanIn{Prefix: "batches/flights/may/"})
	if plan.Count != 2 || plan.Rows != 1000 || plan.Version != 1 || !strings.HasPrefix(plan.Job, "2026-11-23T00-00-00Z-") {
		t.Fatalf("%+v", plan)
	}
	if again := w.planned(PlanIn{Prefix: "batches/flights/may/"}); *again != *plan {
		t.Errorf("planned again it is another job: %+v", again)
	}
	_, err := w.Run(t.Context(), In{Model: model, Job: plan.Job})
	if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "item 000001 (batches/flights/may/a.parquet) has no profile") {
		t.Errorf("before profiling: %v", err)
	}
	w.profiled(plan)
	out, err := w.Run(t.Context(), In{Model: model, Job: plan.Job})
	w.check(err)
	d := out.Reports[0]
	if d.Verdict != drift.Drifted || d.Rows != 1700 || d.RowsIn != 1700 || len(w.events) != 0 {
		t.Errorf("%+v, events %+v", d, w.events)
	}
	again, err := w.Run(t.Context(), In{Model: model, Job: plan.Job})
	w.check(err)
	if r := again.Reports[0]; r.Created || r.ID != d.ID {
		t.Errorf("reported again it is another report: %+v", r)
	}
	r := w.report(d)
	if !r.Window.Batch || len(r.LeftOut) != 2 || r.LeftOut[0].Reason != drift.LeftEmpty || r.LeftOut[1].Reason != drift.LeftSkipped {
		t.Errorf("%+v", r.LeftOut)
	}
}

// TestBatchesHaveAStanding: batches of a model are its windows, by the time of their objects.
func TestBatchesHaveAStanding(t *testing.T) {
	w := newWorld(t, "")
	for i, shift := range []float64{0, 1, 1} {
		w.now = date(30 * i)
		key := fmt.Sprintf("batches/flights/%d.parquet", i)
		w.parquet(key, uint64(i), 3000, shift)
		plan := w.planned(PlanIn{Key: key})
		w.profiled(plan)
		_, err := w.Run(t.Context(), In{Model: model, Job: plan.Job})
		w.check(err)
	}
	if len(w.events) != 1 || w.events[0].State != drift.StateDrift || w.events[0].Before != drift.StateUnknown {
		t.Errorf("%+v", w.events)
	}
}

// TestRowsInAreRowsOut: a profile that is missing, of something else or short of rows fails the job, and says where.
func TestRowsInAreRowsOut(t *testing.T) {
	w := newWorld(t, "")
	w.parquet("batches/flights/a.parquet", 1, 600, 0)
	w.parquet("batches/flights/b.parquet", 2, 600, 0)
	plan := w.planned(PlanIn{Prefix: "batches/flights/"})
	w.profiled(plan, 1)
	run := func() string {
		_, err := w.Run(t.Context(), In{Model: model, Job: plan.Job})
		if !fault.Is(err, fault.FailedPrecondition) {
			t.Fatalf("%v, want FailedPrecondition", err)
		}
		return fault.Public(err).Message
	}
	if got := run(); !strings.Contains(got, "1 of 2 items: item 000002 (batches/flights/b.parquet) has no profile") {
		t.Error(got)
	}
	w.object(job.FailureKey(model, plan.Job, "000002"), []byte("batches/flights/b.parquet cannot be read\n"))
	if got := run(); !strings.Contains(got, "(batches/flights/b.parquet) has no profile: batches/flights/b.parquet cannot be read") || strings.Contains(got, "\n") {
		t.Error(got)
	}
	key := profile.BatchKey(model, plan.Job, "000002")
	first, err := w.data.Get(t.Context(), profile.BatchKey(model, plan.Job, "000001"))
	w.check(err)
	w.object(key, first.Body)
	if got := run(); !strings.Contains(got, "item 000002 (batches/flights/b.parquet) has the profile of something else") {
		t.Error(got)
	}
	d, err := profile.ParseDocument(first.Body)
	w.check(err)
	d.Source.Key = "batches/flights/b.parquet"
	d.Groups = nil
	d.Report = profile.Report{Rows: 0, Uncounted: []profile.Uncounted{{Reason: "the object was deleted before it was read"}}}
	w.put(key, d)
	if got := run(); !strings.Contains(got, "has 0 rows of 600: the object was deleted") {
		t.Error(got)
	}
}

func TestPlanRefuses(t *testing.T) {
	w := newWorld(t, "")
	w.object("batches/flights/m.json", []byte(`{"objects":[{"key":"batches/other/x"}]}`))
	w.object("batches/flights/n.json", []byte(`[`))
	w.object("batches/flights/o.json", []byte(`{"objects":[{"key":"batches/flights/gone.csv"}]}`))
	for _, tt := range []struct {
		in   PlanIn
		kind fault.Kind
	}{
		{PlanIn{}, fault.InvalidArgument},
		{PlanIn{Key: "captures/x"}, fault.InvalidArgument},
		{PlanIn{Key: "batches/flights/a", Prefix: "batches/flights/"}, fault.InvalidArgument},
		{PlanIn{Key: "batches/flights/m.json", Bucket: "other"}, fault.InvalidArgument},
		{PlanIn{Key: "batches/flights/none.csv"}, fault.NotFound},
		{PlanIn{Key: "batches/nobody/none.csv"}, fault.NotFound},
		{PlanIn{Prefix: "batches/flights/empty/"}, fault.NotFound},
		{PlanIn{Manifest: "batches/flights/m.json"}, fault.InvalidArgument},
		{PlanIn{Manifest: "batches/flights/n.json"}, fault.InvalidArgument},
		{PlanIn{Manifest: "batches/flights/o.json"}, fault.NotFound},
	} {
		if _, err := w.Run(t.Context(), In{Plan: &tt.in}); !fault.Is(err, tt.kind) {
			t.Errorf("%+v: %v, want %s", tt.in, err, tt.kind)
		}
	}
	if _, err := w.Run(t.Context(), In{Model: model, Job: "../../x"}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("%v", err)
	}
	if _, err := w.Run(t.Context(), In{Model: model, Job: "2026-11-23T00-00-00Z-0123456789ab"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}

func TestManifest(t *testing.T) {
	w := newWorld(t, "")
	w.csv("batches/flights/a.csv", 1, 10, 0)
	w.csv("batches/flights/b.csv", 1, 10, 0)
	w.object("batches/flights/m.json", []byte(`{"objects":[{"key":"batches/flights/b.csv"}]}`))
	if p := w.planned(PlanIn{Manifest: "batches/flights/m.json"}); p.Count != 1 {
		t.Errorf("%+v", p)
	}
}

func TestChunks(t *testing.T) {
	got := chunks([]rowGroup{{600_000, 1}, {600_000, 1}, {10, 70 << 20}, {10, 1}, {10, 1}})
	if fmt.Sprint(got) != "[{[0 1] 1200000} {[2] 10} {[3 4] 20}]" {
		t.Error(got)
	}
	if got := chunks(nil); fmt.Sprint(got) != "[{[] 0}]" {
		t.Error(got)
	}
}
