package trial

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// ledger is a rollout of some hours, with a shadow phase before it.
func ledger(t *testing.T) (*world, Step) {
	w := newWorld(t, "")
	w.apply(registry.StartShadow(w.refs[2]), "")
	w.serve(noon, noon.Add(30*time.Minute), traffic{requests: 400, champion: 0.75, challenger: 0.85, paired: true, shadow: true})
	w.clock = noon.Add(30 * time.Minute)
	id := w.begin()
	for hour := range 4 {
		at := noon.Add(time.Duration(hour) * time.Hour)
		w.serve(later(at, w.clock), at.Add(time.Hour), traffic{requests: 800, champion: 0.75, challenger: 0.85, paired: true, weight: 0.4})
	}
	w.clock = noon.Add(4*time.Hour + 10*time.Minute)
	return w, Step{ID: id, Elapsed: 12600, Bake: 3600}
}

// TestLookUnderFaults: with lost answers, conflicts and 503s in every storage call, a
// look fails by a kind that is tried again, or says what it says without them.
func TestLookUnderFaults(t *testing.T) {
	w, step := ledger(t)
	want := w.look(step)
	w.says(want, comparison.Advance)
	seeds, answered := 30, 0
	if testing.Short() {
		seeds = 8
	}
	for seed := range uint64(seeds) {
		w, step := ledger(t)
		faults := blobtest.Faults{DropAnswers: 0.005, Conflict409: 0.05, Precondition412: 0.05, Unavailable503: 0.005}
		w.judge.Data = blobtest.Faulty(w.data, seed, faults)
		w.judge.Registry = registry.New(blobtest.Faulty(w.store, seed+1000, faults), registry.Options{Now: w.judge.Now, Rand: func() float64 { return 0 }})
		for range 50 {
			out, err := w.judge.Run(t.Context(), In{Model: model, Rollout: &step})
			if err != nil {
				if !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Aborted) {
					t.Fatalf("seed %d: %v", seed, err)
				}
				continue
			}
			answered++
			if out.Action != want.Action || out.Pairs != want.Pairs || out.PairsBefore != want.PairsBefore || out.Summary != want.Summary {
				t.Fatalf("seed %d: %+v, want %+v", seed, out, want)
			}
			break
		}
	}
	if answered < seeds*5/6 {
		t.Errorf("%d of %d looks were answered", answered, seeds)
	}
}

// TestLooksAtOnce freeze one frame and say the same.
func TestLooksAtOnce(t *testing.T) {
	w, step := ledger(t)
	outs := make([]Out, 4)
	var wg sync.WaitGroup
	for i := range outs {
		wg.Go(func() {
			var err error
			if outs[i], err = w.judge.Run(t.Context(), In{Model: model, Rollout: &step}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	reports := map[string]bool{}
	for _, out := range outs {
		e, err := w.reg.Evidence(t.Context(), out.Evidence)
		w.must(err)
		reports[string(e.Report)] = true
	}
	if len(reports) != 1 {
		t.Errorf("%d different reports", len(reports))
	}
}

// TestReportsDoNotDependOnLooks: the judgement is the same whether its hours were
// counted at one look or by many, some of which had no time.
func TestReportsDoNotDependOnLooks(t *testing.T) {
	report := func(w *world, out Out) string {
		t.Helper()
		e, _ := w.evidence(out)
		return string(e.Report)
	}
	w, step := ledger(t)
	want := report(w, w.look(step))
	w, step = ledger(t)
	w.look(step) // freezes the frame
	w.clock = w.clock.Add(6 * time.Hour)
	for info, err := range w.data.List(t.Context(), "evaluations/", "") {
		w.must(err)
		if !strings.HasSuffix(info.Key, "frame.json") {
			w.put(info.Key, nil)
		}
	}
	looks, ctx := 0, hurried{t.Context(), w.clock.Add(reserve)}
	for out := (Out{}); out.Evidence == ""; looks++ {
		var err error
		if out, err = w.judge.Run(ctx, In{Model: model, Rollout: &step}); err != nil || looks > 20 {
			t.Fatal(looks, err)
		}
		if out.Evidence != "" {
			if got := report(w, out); got != want {
				t.Errorf("by many looks: %s\nby one: %s", got, want)
			}
		}
	}
	if looks < 4 {
		t.Errorf("%d looks without time were enough", looks)
	}
	if again := report(w, w.look(step)); again != want {
		t.Errorf("from what is kept: %s\nby one look: %s", again, want)
	}
}
