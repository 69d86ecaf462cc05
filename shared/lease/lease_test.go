package lease_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lease"
	"github.com/tidegate/tidegate/shared/registry"
)

const model = "flights"

// world is a keeper on a clock that tests set.
type world struct {
	t     *testing.T
	store *blob.Memory
	reg   *registry.Registry
	k     lease.Keeper
	clock time.Time
	ids   int
}

func newWorld(t *testing.T, debounce string) *world {
	w := &world{t: t, store: new(blob.Memory), clock: time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC)}
	w.reg = registry.New(w.store, registry.Options{Now: func() time.Time { return w.clock }, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	w.k = lease.Keeper{Registry: w.reg, Now: func() time.Time { return w.clock }, NewID: func() string { w.ids++; return fmt.Sprint("id", w.ids) }}
	if debounce != "" {
		digest, err := w.reg.PutSettings(t.Context(), model, registry.Settings{Retrain: json.RawMessage(`{"debounce":` + debounce + `,"other":1}`)})
		if err != nil {
			t.Fatal(err)
		}
		w.apply("boot", registry.Bootstrap(registry.Ref{Version: 1, Digest: digest}))
		w.apply("conf", registry.Configure(digest))
	}
	return w
}

func (w *world) apply(id string, c registry.Change) {
	w.t.Helper()
	if _, err := w.reg.Apply(w.t.Context(), model, registry.Request{TransitionID: id, Actor: "test"}, c); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) run(in lease.In) (lease.Out, error) {
	in.Model, in.Machine = model, "retrain"
	return w.k.Run(w.t.Context(), in)
}

func (w *world) acquire(holder, trigger, source string, seen *lease.Seen) lease.Out {
	w.t.Helper()
	out, err := w.run(lease.In{Action: lease.ActionAcquire, Holder: holder, Trigger: trigger, Source: source, Seconds: 3600, Seen: seen})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) release(holder, trigger string, epoch int64, outcome string) lease.Out {
	w.t.Helper()
	out, err := w.run(lease.In{Action: lease.ActionRelease, Holder: holder, Trigger: trigger, Epoch: epoch, Outcome: outcome})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) want(out lease.Out, status lease.Status, epoch int64) {
	w.t.Helper()
	if out.Status != status || out.Epoch != epoch {
		w.t.Errorf("%+v, want %s at epoch %d", out, status, epoch)
	}
}

func TestOneAtATime(t *testing.T) {
	w := newWorld(t, "")
	first := w.acquire("A", "event-1", lease.SourcePerson, nil)
	w.want(first, lease.Acquired, 1)
	if want := w.clock.Add(time.Hour + 2*time.Minute); !first.ExpiresAt.Equal(want) || first.Attempt != 1 || first.Run != lease.Digest(model, "event-1") {
		t.Errorf("%+v", first)
	}
	w.want(w.acquire("A", "event-1", lease.SourcePerson, nil), lease.Acquired, 1) // the answer was lost
	held := w.acquire("B", "event-1", lease.SourcePerson, nil)
	w.want(held, lease.Held, 0)
	w.want(w.acquire("B", "event-1", lease.SourcePerson, &lease.Seen{Holder: "A", Status: "RUNNING"}), lease.Duplicate, 0)
	w.want(w.acquire("B", "event-1", lease.SourcePerson, &lease.Seen{Holder: "A", Status: "SUCCEEDED"}), lease.Duplicate, 0)
	busy := w.acquire("C", "event-2", lease.SourcePerson, nil)
	if w.want(busy, lease.Busy, 0); busy.Holder != "A" {
		t.Errorf("%+v", busy)
	}
	w.want(w.acquire("C", "event-2", lease.SourcePerson, &lease.Seen{Holder: "A", Status: "RUNNING"}), lease.Busy, 0)
	w.want(w.release("A", "event-1", 1, "succeeded"), lease.Released, 1)
	w.want(w.release("A", "event-1", 1, "succeeded"), lease.Released, 1)
	w.want(w.acquire("C", "event-2", lease.SourcePerson, nil), lease.Acquired, 2)
	w.want(w.acquire("D", "event-1", lease.SourcePerson, nil), lease.Duplicate, 0) // used up for ever
	if late := w.release("A", "event-1", 1, "failed"); late.Status != lease.Overtaken || late.Holder != "C" {
		t.Errorf("%+v", late)
	}
	if err := lease.Check(t.Context(), w.reg, model, "C", 2); err != nil {
		t.Error(err)
	}
}

// TestStoppedExecutionsAreTakenOver, their trigger and their lease, and are told so.
func TestStoppedExecutionsAreTakenOver(t *testing.T) {
	for _, status := range []string{"FAILED", "TIMED_OUT", "ABORTED", "NOT_FOUND"} {
		w := newWorld(t, "")
		w.acquire("A", "event-1", "drift", nil)
		out := w.acquire("B", "event-1", "drift", &lease.Seen{Holder: "A", Status: status}) // not debounced: the run goes on
		if w.want(out, lease.Acquired, 2); out.TakenOver != "A" || out.Attempt != 2 || out.Run != lease.Digest(model, "event-1") {
			t.Errorf("%s: %+v", status, out)
		}
		w.want(w.acquire("B", "event-1", "drift", &lease.Seen{Holder: "A", Status: status}), lease.Acquired, 2)
		// A third one saw the same, but too late: the holder is another by now.
		if out := w.acquire("C", "event-1", "drift", &lease.Seen{Holder: "A", Status: status}); out.Status != lease.Held || out.Holder != "B" {
			t.Errorf("%s: %+v", status, out)
		}
		_, err := w.run(lease.In{Action: lease.ActionRenew, Holder: "A", Trigger: "event-1", Epoch: 1, Seconds: 60})
		if !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "epoch 1 is over, it belongs to B at epoch 2") {
			t.Errorf("%s: %v", status, err)
		}
		if err := lease.Check(t.Context(), w.reg, model, "A", 1); !fault.Is(err, fault.FailedPrecondition) {
			t.Errorf("%s: %v", status, err)
		}
		if out := w.release("A", "event-1", 1, "failed"); out.Status != lease.Overtaken {
			t.Errorf("%s: %+v", status, out)
		}
		if err := lease.Check(t.Context(), w.reg, model, "B", 2); err != nil {
			t.Errorf("%s: %v", status, err)
		}
	}
}

// TestALeaseOfAnotherTriggerIsTakenOver when its holder ended, or its time did: then even if nobody can be asked.
func TestALeaseOfAnotherTriggerIsTakenOver(t *testing.T) {
	w := newWorld(t, "")
	w.acquire("A", "event-1", lease.SourcePerson, nil)
	if out := w.acquire("B", "event-2", lease.SourcePerson, &lease.Seen{Holder: "A", Status: "ABORTED"}); out.Status != lease.Acquired || out.TakenOver != "A" {
		t.Errorf("%+v", out)
	}
	w.clock = w.clock.Add(time.Hour) // by this clock the two minutes of grace are left
	w.want(w.acquire("C", "event-3", lease.SourcePerson, nil), lease.Busy, 0)
	w.clock = w.clock.Add(2*time.Minute + time.Second)
	w.want(w.acquire("C", "event-3", lease.SourcePerson, nil), lease.Acquired, 3)
	out, err := w.run(lease.In{Action: lease.ActionRenew, Holder: "C", Trigger: "event-3", Epoch: 3, Seconds: 7200})
	if err != nil || !out.ExpiresAt.Equal(w.clock.Add(2*time.Hour+2*time.Minute)) {
		t.Errorf("%+v, %v", out, err)
	}
	out, err = w.run(lease.In{Action: lease.ActionRenew, Holder: "C", Trigger: "event-3", Epoch: 3, Seconds: 1}) // never nearer
	if err != nil || !out.ExpiresAt.Equal(w.clock.Add(2*time.Hour+2*time.Minute)) {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestAFailedRunGivesItsTriggerBack without anybody looking at it.
func TestAFailedRunGivesItsTriggerBack(t *testing.T) {
	w := newWorld(t, "")
	w.acquire("A", "event-1", "drift", nil)
	w.release("A", "event-1", 1, "failed")
	if out := w.acquire("B", "event-1", "drift", nil); out.Status != lease.Acquired || out.Epoch != 2 || out.TakenOver != "A" || out.Attempt != 2 {
		t.Errorf("%+v", out)
	}
	// One that never got the lease gives its trigger back too.
	w.want(w.acquire("C", "event-2", lease.SourcePerson, nil), lease.Busy, 0)
	w.want(w.release("C", "event-2", 0, "failed"), lease.Released, 0)
	w.release("B", "event-1", 2, "succeeded")
	w.want(w.acquire("D", "event-2", lease.SourcePerson, nil), lease.Acquired, 3)
}

func TestDebounce(t *testing.T) {
	w := newWorld(t, `{"need":2,"within_seconds":7776000,"cool_down_seconds":86400}`)
	day := 24 * time.Hour
	why := func(out lease.Out) string {
		for _, g := range out.Gates {
			if !strings.Contains(out.Reason, g.Reason) {
				t.Errorf("%q does not say %q", out.Reason, g.Reason)
			}
		}
		return out.Reason
	}
	may := w.acquire("A", "may", "drift", nil)
	if may.Status != lease.Refrained || !strings.Contains(why(may), "1 of the 2 signals") {
		t.Errorf("%+v", may)
	}
	w.want(w.acquire("A2", "may", "drift", nil), lease.Duplicate, 0) // used up: it counts once
	w.clock = w.clock.Add(100 * day)                                 // too long ago by now
	w.want(w.acquire("B", "june", "drift", nil), lease.Refrained, 0)
	w.clock = w.clock.Add(31 * day)
	w.want(w.acquire("C", "july", "drift", nil), lease.Acquired, 1)
	w.release("C", "july", 1, "succeeded")
	w.clock = w.clock.Add(time.Hour)
	if out := w.acquire("D", "quality", "quality", nil); out.Status != lease.Refrained || !strings.Contains(why(out), "a run began 1h0m0s ago") || !strings.Contains(why(out), "1 of the 2") {
		t.Errorf("%+v", out)
	}
	w.want(w.acquire("E", "by hand", lease.SourcePerson, nil), lease.Acquired, 2)
	w.release("E", "by hand", 2, "failed")
	w.clock = w.clock.Add(2 * day) // the failed run uses up nothing: quality and this one are two
	w.want(w.acquire("F", "august", "drift", nil), lease.Acquired, 3)
}

func TestDebouncePolicy(t *testing.T) {
	for raw, want := range map[string]string{
		``: "", `null`: "", `{}`: "", `{"debounce":null,"x":1}`: "", `{"debounce":{"need":3,"within_seconds":60}}`: "",
		`[]`:                                    "retrain must be a JSON object",
		`{"debounce":[]}`:                       "debounce must be an object",
		`{"debounce":{"colour":1}}`:             "debounce must be an object of",
		`{"debounce":{"need":2}}`:               "debounce.within_seconds is required",
		`{"debounce":{"need":0}}`:               "debounce.need must be at least 1",
		`{"debounce":{"cool_down_seconds":-1}}`: "debounce.cool_down_seconds must be at least 0",
	} {
		d, err := lease.ParseDebounce([]byte(raw))
		switch {
		case want == "" && (err != nil || d.Need < 1):
			t.Errorf("%s: %+v, %v", raw, d, err)
		case want != "" && (!fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
}

func TestBadInput(t *testing.T) {
	w := newWorld(t, "")
	good := lease.In{Action: lease.ActionAcquire, Model: model, Machine: "retrain", Holder: "A", Trigger: "t", Source: "drift", Seconds: 1}
	for want, edit := range map[string]func(*lease.In){
		"source is required":      func(in *lease.In) { in.Source = "" },
		"seconds is required":     func(in *lease.In) { in.Seconds = 0 },
		"epoch does not belong":   func(in *lease.In) { in.Epoch = 1 },
		"outcome does not belong": func(in *lease.In) { in.Outcome = "failed" },
		"machine must be":         func(in *lease.In) { in.Machine = "../x" },
		"model must be":           func(in *lease.In) { in.Model = "X/" },
		"epoch is required":       func(in *lease.In) { in.Action, in.Source = lease.ActionRenew, "" },
		"outcome is required":     func(in *lease.In) { in.Action, in.Source, in.Seconds = lease.ActionRelease, "", 0 },
		"seen does not belong to release": func(in *lease.In) {
			*in = lease.In{Action: lease.ActionRelease, Model: model, Machine: "m", Holder: "A", Trigger: "t", Outcome: "failed", Seen: &lease.Seen{Holder: "B", Status: "FAILED"}}
		},
	} {
		in := good
		edit(&in)
		_, err := w.k.Run(t.Context(), in)
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(fmt.Sprint(fault.Public(err).Message, fault.Public(err).Violations), strings.SplitN(want, " ", 2)[1]) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	// Damage is an alarm, not a free lease.
	for _, body := range []string{"", "{", `{"v":2,"model":"flights"}`, `{"v":1,"model":"trains"}`, `{"v":1,"model":"flights","epoch":-1}`} {
		if _, err := w.store.Put(t.Context(), registry.LeaseKey(model), []byte(body), blob.Always()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.k.Run(t.Context(), good); !fault.Is(err, fault.Internal) {
			t.Errorf("lease.json = %q: %v", body, err)
		}
	}
}
