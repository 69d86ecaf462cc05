package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/period"
)

// quick is a policy of one look.
const quick = `{"label_delay_minutes":0,` + wide + `}`

// undisturbed is the report of a day of 480 rows, and its bytes.
func undisturbed(t *testing.T) (Done, []byte) {
	t.Helper()
	w := newWorld(t, quick)
	w.day(date(0), 480, true, 1)
	done := w.tickAt(closed(0))
	if len(done) != 1 || done[0].Judged != 480 {
		t.Fatalf("%+v", done)
	}
	_, body := w.report(done[0])
	return done[0], body
}

// TestAnyOrder: however records and labels are divided over objects, and in whatever
// order they come, the report has the same bytes; delivered twice it says the same.
func TestAnyOrder(t *testing.T) {
	want, body := undisturbed(t)
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			w := newWorld(t, quick)
			again := seed%2 == 1
			for _, h := range rng.Perm(24) {
				w.now = w.now.Add(time.Second)
				hour := date(0).Add(time.Duration(h) * time.Hour)
				f := flow(7, hour, 20, true)
				own, parts := make([][]capture.Record, 1+rng.IntN(4)), make([][]label.Record, 1+rng.IntN(3))
				for _, i := range rng.Perm(20) {
					k := rng.IntN(len(own))
					own[k] = append(own[k], f.records[i])
					k = rng.IntN(len(parts))
					parts[k] = append(parts[k], f.labels[i])
				}
				for _, p := range rng.Perm(len(parts)) { // labels before predictions
					w.labelled(hour, parts[p])
				}
				for _, p := range rng.Perm(len(own)) {
					w.captures(hour, own[p])
					if again {
						w.captures(hour.Add(time.Hour*time.Duration(rng.IntN(2))), own[p])
						w.labelled(hour, parts[0])
					}
				}
			}
			done := w.tickAt(closed(0))
			if len(done) != 1 {
				t.Fatalf("%+v", done)
			}
			r, got := w.report(done[0])
			if !again && !bytes.Equal(got, body) {
				t.Error("the bytes of the report differ")
			}
			if done[0].Verdict != want.Verdict || done[0].Judged != want.Judged || r.Join.Predictions != 480 || r.Join.Labelled != 480 {
				t.Errorf("%+v", done[0])
			}
			// Delivered once more after the report: no news.
			w.captures(date(0), flow(7, date(0), 20, true).records)
			if done := w.tickAt(closed(0).Add(2 * time.Hour)); len(done) != 0 {
				t.Errorf("a second delivery is news: %+v", done)
			}
		})
	}
}

// dying is a store that ends the process at its n-th write: before it, or after.
type dying struct {
	blob.Store
	left   atomic.Int64
	before bool
	cancel context.CancelFunc
}

var errDead = errors.New("the process is gone")

func (d *dying) Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error) {
	n := d.left.Add(-1)
	if n < 0 || n == 0 && d.before {
		d.cancel()
		return blob.Info{}, errDead
	}
	info, err := d.Store.Put(ctx, key, body, cond)
	if n == 0 {
		d.cancel()
		return info, errDead
	}
	return info, err
}

// TestDiesAnywhere: a run that ends at any of its writes loses nothing: the next one
// makes the same report, tells of it, and counts no hour that was counted.
func TestDiesAnywhere(t *testing.T) {
	long(t)
	want, body := undisturbed(t)
	for n := int64(1); ; n++ {
		if n > 3 && n < 24 {
			n += 5 // hours are alike
		}
		w := newWorld(t, quick)
		w.day(date(0), 480, true, 1)
		w.now = closed(0)
		ctx, cancel := context.WithCancel(t.Context())
		d := &dying{Store: w.data, before: n%2 == 0, cancel: cancel}
		d.left.Store(n)
		broken := *w.Watcher
		broken.Data = d
		_, err := broken.Run(ctx, In{Tick: true})
		cancel()
		if err == nil {
			if n < 25+4 { // hours, page, report, an event, marks
				t.Fatalf("a run has %d writes only", n-1)
			}
			break
		}
		kept := len(w.keys("evaluations/", ".json"))
		w.tickAt(closed(0).Add(15 * time.Minute))
		if again := len(w.keys("evaluations/", ".json")); again != 25 || kept > again {
			t.Errorf("write %d: %d hours are kept, %d before", n, again, kept)
		}
		got, err := w.data.Get(t.Context(), strings.TrimPrefix(want.Report, "s3://data/"))
		if err != nil || !bytes.Equal(got.Body, body) {
			t.Fatalf("write %d: %v, or the bytes of the report differ", n, err)
		}
		if json := w.keys("reports/evaluation/flights/2026-11-23/", ".json"); len(json) != 1 {
			t.Errorf("write %d: reports %v", n, json)
		}
		if len(w.events) == 0 {
			t.Errorf("write %d: nothing was told", n)
		}
		if done := w.tickAt(closed(0).Add(3 * time.Hour)); len(done) != 0 {
			t.Errorf("write %d: %+v", n, done)
		}
	}
}

// TestFaults: a store that fails now and then, and loses answers, ends in the same report.
func TestFaults(t *testing.T) {
	want, body := undisturbed(t)
	w := newWorld(t, quick)
	w.day(date(0), 480, true, 1)
	w.now = closed(0)
	store := blobtest.Faulty(w.data, 5, blobtest.Faults{DropAnswers: 0.01, Precondition412: 0.02, Conflict409: 0.02, Unavailable503: 0.01})
	broken := *w.Watcher
	broken.Data = store
	failed := 0
	for {
		out, err := broken.Run(t.Context(), In{Model: model, Window: "2026-11-23"})
		if err == nil {
			if out.Reports[0].ID != want.ID {
				t.Errorf("%+v", out)
			}
			break
		}
		if k := fault.KindOf(err); k != fault.Unavailable && k != fault.Aborted {
			t.Fatal(err)
		}
		if failed++; failed > 2000 {
			t.Fatal("no run succeeds")
		}
	}
	if failed == 0 {
		t.Error("no fault struck")
	}
	t.Logf("%d runs failed; %v", failed, store.Injected())
	if _, got := w.report(want); !bytes.Equal(got, body) {
		t.Error("the bytes of the report differ")
	}
}

// TestConcurrentRuns: however many run at once, a window has one report.
func TestConcurrentRuns(t *testing.T) {
	want, _ := undisturbed(t)
	w := newWorld(t, quick)
	w.day(date(0), 480, true, 1)
	w.now = closed(0)
	err := period.Each(t.Context(), 6, func(ctx context.Context, i int) error {
		out, err := w.Run(ctx, In{Model: model, Window: "2026-11-23"})
		if err == nil && out.Reports[0].ID != want.ID {
			return fmt.Errorf("run %d: %+v", i, out.Reports[0])
		}
		return err
	})
	w.check(err)
	if n := len(w.keys("reports/evaluation/flights/", ".json")); n != 1 {
		t.Errorf("%d reports", n)
	}
	if n := len(w.keys("evaluations/", ".json")); n != 24 { // of the window itself
		t.Errorf("%d hours are kept", n)
	}
}

// TestDamage: counts that are damaged are made again, captures that are damaged are
// counted up to the damage, and damaged labels stop their window alone.
func TestDamage(t *testing.T) {
	want, body := undisturbed(t)
	w := newWorld(t, quick)
	w.day(date(0), 480, true, 1)
	w.now = closed(0)
	out, err := w.Run(t.Context(), In{Plan: &PlanIn{Model: model, Window: "2026-11-23"}})
	w.check(err)
	out, err = w.Run(t.Context(), In{Model: model, Hour: "2026-11-23T05:00:00Z"})
	w.check(err)
	_, err = w.data.Put(t.Context(), out.Hours[0].Key, []byte(`{"v":1}`), blob.Always())
	w.check(err)
	if done := w.tickAt(closed(0)); len(done) != 1 || done[0].ID != want.ID {
		t.Fatalf("%+v", done)
	}
	if _, got := w.report(want); !bytes.Equal(got, body) {
		t.Error("the bytes of the report differ")
	}
	w.day(date(1), 480, true, 1)
	w.object("captures/2026-11-24/03/zzz.gz", []byte("\x1f\x8b no gzip"))
	w.day(date(2), 480, true, 1)
	w.object("labels/filed/flights/2026-11-25/04/zzz.ndjson", []byte("{\n"))
	w.now = closed(2)
	out, err = w.Run(t.Context(), In{Tick: true})
	if !fault.Is(err, fault.Internal) {
		t.Errorf("damaged labels: %v", err)
	}
	if len(out.Reports) != 1 || out.Reports[0].Window != "2026-11-24" || out.Reports[0].Judged != 480 {
		t.Fatalf("%+v", out)
	}
	if r, _ := w.report(out.Reports[0]); r.Join.Unreadable != 2 { // the hour of the object, and the one before, look into it
		t.Errorf("%+v", r.Join)
	}
}

// TestCapturesGone: when captures have expired, the report that was made of them stays.
func TestCapturesGone(t *testing.T) {
	w := newWorld(t, quick)
	w.day(date(0), 480, true, 0.97)
	if done := w.tickAt(closed(0)); len(done) != 1 {
		t.Fatalf("%+v", done)
	}
	for _, key := range w.keys("captures/2026-11-23/1", "") {
		w.data.Delete(key)
	}
	w.rest(date(0), 480, true, 0.97)
	if done := w.tickAt(closed(1)); len(done) != 0 {
		t.Errorf("%+v", done)
	}
}

// arriving is a store to which something comes right before a folder is listed.
type arriving struct {
	blob.Store
	prefix string
	once   sync.Once
	come   func()
}

func (a *arriving) List(ctx context.Context, prefix, after string) iter.Seq2[blob.Info, error] {
	if prefix == a.prefix {
		a.once.Do(a.come)
	}
	return a.Store.List(ctx, prefix, after)
}

// TestLabelsThatComeMeanwhile: counts are kept under the name of what was read, also
// when it is more than was listed before.
func TestLabelsThatComeMeanwhile(t *testing.T) {
	w := newWorld(t, quick)
	hour := date(0).Add(5 * time.Hour)
	f := flow(7, hour, 40, true)
	w.captures(hour, f.records)
	w.labelled(hour, f.labels[:20])
	w.now = closed(0)
	watcher := *w.Watcher
	watcher.Data = &arriving{Store: w.data, prefix: label.Prefix(model, hour), come: func() { w.labelled(hour, f.labels[20:]) }}
	out, err := watcher.Run(t.Context(), In{Tick: true})
	w.check(err)
	if len(out.Reports) != 1 || out.Reports[0].Judged != 40 {
		t.Fatalf("%+v", out)
	}
	kept := w.keys("evaluations/", ".json")
	if done := w.tickAt(closed(0).Add(time.Hour)); len(done) != 0 {
		t.Errorf("%+v", done)
	}
	if again := w.keys("evaluations/", ".json"); len(again) != len(kept) {
		t.Errorf("counted again: %v, before %v", again, kept)
	}
}
