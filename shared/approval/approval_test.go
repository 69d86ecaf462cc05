package approval_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/approval"
	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/registry/registrytest"
)

const model = "flights"

// topic is a list of what people are told.
type topic struct {
	told []string
	fail error
}

func (p *topic) Publish(_ context.Context, subject, text string) error {
	if p.fail != nil {
		return p.fail
	}
	p.told = append(p.told, subject+"\n"+text)
	return nil
}

type world struct {
	t     *testing.T
	store *blob.Memory
	topic *topic
	desk  approval.Desk
	clock time.Time
}

func instant(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: new(blob.Memory), topic: new(topic), clock: time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC)}
	reg := registry.New(w.store, registry.Options{Sleep: instant})
	if _, err := registrytest.Register(t.Context(), reg, model, []byte("model")); err != nil {
		t.Fatal(err)
	}
	w.desk = approval.Desk{Registry: reg, Topic: w.topic, Now: func() time.Time { return w.clock }}
	return w
}

func (w *world) run(in approval.In) (approval.Out, error) {
	in.Model = model
	return w.desk.Run(w.t.Context(), in)
}

func ask(id string) approval.In {
	return approval.In{Action: approval.ActionAsk, ID: id, For: "rollout.start", Version: 1, Evidence: "sha256:" + strings.Repeat("e", 64), Actor: "machine", ExpiresSeconds: 3600, Note: "The page is under s3://…"}
}

func answer(action, id, by string) approval.In {
	return approval.In{Action: action, ID: id, Actor: by, Reason: "looked at it"}
}

func TestTheFirstDecisionCounts(t *testing.T) {
	w := newWorld(t)
	out, err := w.run(ask("a"))
	if err != nil || out.Status != approval.Pending || out.PollSeconds != 72 || out.Request.Evidence != strings.Repeat("e", 64) || !out.Request.ExpiresAt.Equal(w.clock.Add(time.Hour)) {
		t.Fatalf("%+v, %v", out, err)
	}
	if len(w.topic.told) != 1 || !strings.Contains(w.topic.told[0], "tidegate approve flights/a --reason") || !strings.Contains(w.topic.told[0], strings.Repeat("e", 64)) {
		t.Errorf("%v", w.topic.told)
	}
	w.clock = w.clock.Add(time.Minute)
	if out, err := w.run(ask("a")); err != nil || !out.Repeated || !out.Request.AskedAt.Before(w.clock) {
		t.Errorf("asked again: %+v, %v", out, err)
	}
	out, err = w.run(answer(approval.ActionApprove, "a", "ana"))
	if err != nil || out.Status != approval.Approved || out.Decision.By != "ana" || out.PollSeconds != 0 || out.Repeated {
		t.Fatalf("%+v, %v", out, err)
	}
	if out, err := w.run(answer(approval.ActionApprove, "a", "bob")); err != nil || !out.Repeated || out.Decision.By != "ana" {
		t.Errorf("approved again: %+v, %v", out, err)
	}
	if _, err := w.run(answer(approval.ActionReject, "a", "bob")); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "was decided by ana") {
		t.Errorf("rejected afterwards: %v", err)
	}
	w.clock = w.clock.Add(24 * time.Hour)
	if out, err := w.run(approval.In{Action: approval.ActionStatus, ID: "a"}); err != nil || out.Status != approval.Approved {
		t.Errorf("what is decided does not expire: %+v, %v", out, err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	w := newWorld(t)
	if _, err := w.run(ask("a")); err != nil {
		t.Fatal(err)
	}
	polls, waited := 0, time.Duration(0)
	for {
		out, err := w.run(approval.In{Action: approval.ActionStatus, ID: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if out.Status == approval.Expired {
			break
		}
		if out.PollSeconds < 1 {
			t.Fatalf("%+v", out)
		}
		step := time.Duration(out.PollSeconds) * time.Second
		w.clock, waited, polls = w.clock.Add(step), waited+step, polls+1
	}
	if waited > time.Hour+15*time.Second || polls > 2000 {
		t.Errorf("%d polls in %s", polls, waited)
	}
	for _, action := range []string{approval.ActionApprove, approval.ActionReject} {
		if _, err := w.run(answer(action, "a", "ana")); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "expired at 2026-10-05T10:00:00Z") {
			t.Errorf("%s: %v", action, err)
		}
	}
	told := len(w.topic.told)
	if out, err := w.run(ask("a")); err != nil || out.Status != approval.Expired || len(w.topic.told) != told {
		t.Errorf("asked again: %+v, %v", out, err)
	}
}

// TestPeopleAreToldAtLeastOnce: a request is not lost because the topic failed.
func TestPeopleAreToldAtLeastOnce(t *testing.T) {
	w := newWorld(t)
	w.topic.fail = fault.New(fault.Unavailable, "down")
	if _, err := w.run(ask("a")); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	w.topic.fail = nil
	if _, err := w.run(ask("a")); err != nil || len(w.topic.told) != 1 {
		t.Errorf("%v, %v", err, w.topic.told)
	}
	w.desk.Topic = nil
	if _, err := w.run(ask("b")); err != nil {
		t.Error(err)
	}
	all, err := approval.List(t.Context(), w.desk.Registry, model)
	if err != nil || len(all) != 2 || all[0].Request.ID != "a" || all[1].Request.ID != "b" {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestBadRequests(t *testing.T) {
	w := newWorld(t)
	if _, err := w.run(ask("a")); err != nil {
		t.Fatal(err)
	}
	other, absent, unready := ask("a"), answer(approval.ActionApprove, "nobody", "ana"), ask("x")
	other.Evidence, unready.Version = strings.Repeat("f", 64), 2
	for want, in := range map[fault.Kind]approval.In{fault.AlreadyExists: other, fault.NotFound: absent} {
		if _, err := w.run(in); !fault.Is(err, want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := w.run(unready); !fault.Is(err, fault.NotFound) {
		t.Errorf("a version that is not READY: %v", err)
	}
	for want, edit := range map[string]func(*approval.In){
		"id must be":                    func(in *approval.In) { in.ID = "../state" },
		"for is required to ask":        func(in *approval.In) { in.For = "" },
		"version is required to ask":    func(in *approval.In) { in.Version = 0 },
		"actor is required to ask":      func(in *approval.In) { in.Actor = "" },
		"reason does not belong to ask": func(in *approval.In) { in.Reason = "x" },
		"evidence must be a sha256":     func(in *approval.In) { in.Evidence = "x" },
		"reason is required to approve": func(in *approval.In) { *in = answer(approval.ActionApprove, "a", "ana"); in.Reason = "" },
		"note does not belong":          func(in *approval.In) { *in = answer(approval.ActionReject, "a", "ana"); in.Note = "x" },
	} {
		in := ask("a")
		edit(&in)
		_, err := w.run(in)
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for part, body := range map[string]string{"request": "{", "decision": `{"v":1,"id":"b","model":"flights","approved":true}`} {
		key := registry.ApprovalKey(model, "a", part)
		old, err := w.store.Get(t.Context(), key)
		if _, err := w.store.Put(t.Context(), key, []byte(body), blob.Always()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.run(approval.In{Action: approval.ActionStatus, ID: "a"}); !fault.Is(err, fault.Internal) {
			t.Errorf("a damaged %s: %v", part, err)
		}
		if err == nil {
			if _, err := w.store.Put(t.Context(), key, old.Body, blob.Always()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestOneDecisionUnderFaults: of twelve people who decide at once, with answers lost, all hear the same.
func TestOneDecisionUnderFaults(t *testing.T) {
	for seed := range 40 {
		w := newWorld(t)
		if _, err := w.run(ask("a")); err != nil {
			t.Fatal(err)
		}
		faulty := blobtest.Faulty(w.store, uint64(seed), blobtest.Faults{DropAnswers: 0.25, Precondition412: 0.1, Conflict409: 0.1, Unavailable503: 0.05})
		desk := approval.Desk{Registry: registry.New(faulty, registry.Options{Sleep: instant}), Now: func() time.Time { return w.clock }}
		actions := []string{approval.ActionApprove, approval.ActionReject}
		errs := make([]error, 12)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				in := answer(actions[(i+seed)%2], "a", fmt.Sprint("person-", i))
				in.Model = model
				for {
					_, errs[i] = desk.Run(t.Context(), in)
					if !fault.Is(errs[i], fault.Unavailable) && !fault.Is(errs[i], fault.Aborted) {
						return
					}
				}
			})
		}
		wg.Wait()
		out, err := w.run(approval.In{Action: approval.ActionStatus, ID: "a"})
		if err != nil || out.Decision == nil {
			t.Fatalf("%+v, %v", out, err)
		}
		for i, err := range errs {
			agreed := out.Decision.Approved == (actions[(i+seed)%2] == approval.ActionApprove)
			if agreed != (err == nil) || !agreed && !fault.Is(err, fault.FailedPrecondition) {
				t.Errorf("seed %d: person %d was told %v, the decision is %+v", seed, i, err, out.Decision)
			}
		}
		if n := len(w.store.Versions(registry.ApprovalKey(model, "a", "decision"))); n != 1 {
			t.Errorf("seed %d: the decision was written %d times", seed, n)
		}
	}
}
