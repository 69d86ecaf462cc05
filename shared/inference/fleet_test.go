package inference_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/tensor"
)

// stage is a fleet over a world that can be broken.
type stage struct {
	*inferencetest.World
	t       *testing.T
	runtime *inferencetest.Runtime
	counts  *inferencetest.Counts
	clock   *inferencetest.Clock
	gate    *gate
	fleet   *inference.Fleet
}

// gate is a store that can be shut, as S3 when it is down, or made to hang.
type gate struct {
	blob.Store
	mu   sync.Mutex
	down bool
	hang chan struct{}
	file chan struct{} // hang of all but states
	gets int
}

func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	down, hang := g.down, g.hang
	g.gets++
	g.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
		}
	}
	if down {
		return fault.New(fault.Unavailable, "the store is down")
	}
	return nil
}

func (g *gate) set(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

func (g *gate) reads() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.gets
}

func (g *gate) Get(ctx context.Context, key string) (blob.Object, error) {
	g.mu.Lock()
	file := g.file
	g.mu.Unlock()
	if file != nil {
		<-file
	}
	if err := g.pass(ctx); err != nil {
		return blob.Object{}, err
	}
	return g.Store.Get(ctx, key)
}

func (g *gate) GetIfChanged(ctx context.Context, key, etag string) (blob.Object, bool, error) {
	if err := g.pass(ctx); err != nil {
		return blob.Object{}, false, err
	}
	return g.Store.GetIfChanged(ctx, key, etag)
}

func newStage(t *testing.T, change func(*inference.Options)) *stage {
	w := inferencetest.New(t)
	s := &stage{World: w, t: t, runtime: new(inferencetest.Runtime), counts: new(inferencetest.Counts), clock: inferencetest.NewClock(), gate: &gate{Store: w.Store}}
	o := inference.Options{Registry: registry.New(s.gate, registry.Options{}), Runtime: s.runtime, Now: s.clock.Now, Count: s.counts.Add}
	if change != nil {
		change(&o)
	}
	s.fleet = inference.NewFleet(o)
	t.Cleanup(s.fleet.Close)
	return s
}

// publish registers version v of a model; its answers are x + 5 + v.
func (s *stage) publish(model string, v int) registry.Ref {
	s.t.Helper()
	return s.Publish(model, v, []byte("model"+strings.Repeat(".", v)), inferencetest.Schema())
}

// ask runs one request as the handler would and says which version answered.
func (s *stage) ask(sel inference.Selection) (inference.Version, error) {
	s.t.Helper()
	served, err := s.fleet.Pick(s.t.Context(), sel)
	if err != nil {
		return inference.Version{}, err
	}
	defer served.Done()
	v := served.Version()
	out, release, err := served.Run(s.t.Context(), []tensor.Tensor{{Name: "x", Datatype: tensor.FP32, Shape: []int64{1, 1}, FP32s: []float32{1}}}, nil)
	if err != nil {
		return v, err
	}
	defer release()
	if want := float32(1 + 5 + v.Number); out[0].FP32s[0] != want {
		s.t.Errorf("version %d answered %v, want %v", v.Number, out[0].FP32s[0], want)
	}
	return v, nil
}

// answer asks model and checks who answers, then does what is due after an answer.
func (s *stage) answer(model string, number int, generation int64) {
	s.t.Helper()
	v, err := s.ask(inference.Selection{Model: model})
	if err != nil || v.Number != number || v.Generation != generation {
		s.t.Errorf("answered by %d of generation %d (%v), want %d of %d", v.Number, v.Generation, err, number, generation)
	}
	s.fleet.AfterRequest(s.t.Context())
}

// settle asks model, whoever answers, until what was published is in force.
func (s *stage) settle(model string) {
	s.t.Helper()
	if _, err := s.ask(inference.Selection{Model: model}); err != nil {
		s.t.Error(err)
	}
	s.fleet.AfterRequest(s.t.Context())
}

func (s *stage) refused(sel inference.Selection, kind fault.Kind) error {
	s.t.Helper()
	v, err := s.ask(sel)
	if !fault.Is(err, kind) {
		s.t.Errorf("%+v: answered by %d, %v; want %s", sel, v.Number, err, kind)
	}
	return err
}

func TestFirstRequestLoadsOnce(t *testing.T) {
	s := newStage(t, nil)
	s.Serve("m", s.publish("m", 1))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := s.ask(inference.Selection{Model: "m"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if loads := s.runtime.Loads(); len(loads) != 1 {
		t.Errorf("loads: %v", loads)
	}
	reads := s.gate.reads()
	s.answer("m", 1, 1)
	if n := s.gate.reads(); n != reads {
		t.Errorf("a fresh state was read again, %d times", n-reads)
	}
}

func TestAnAgedStateIsReadAfterTheAnswer(t *testing.T) {
	s := newStage(t, nil)
	s.Serve("m", s.publish("m", 1))
	s.answer("m", 1, 1)
	s.Serve("m", s.publish("m", 2))
	s.answer("m", 1, 1) // fresh: nothing is read
	s.clock.Pass(3 * time.Second)
	s.answer("m", 1, 1) // aged: read after this answer
	s.answer("m", 2, 2)
	if n := s.counts.Of(inference.Swaps); n != 1 {
		t.Errorf("%d swaps, want 1", n)
	}
	if open := s.runtime.Open(); open != 2 { // champion and previous
		t.Errorf("%d sessions open, want 2", open)
	}
	s.Serve("m", s.publish("m", 3))
	s.clock.Pass(3 * time.Second)
	s.answer("m", 2, 2)
	s.answer("m", 3, 3)
	if open := s.runtime.Open(); open != 2 { // version 1 is in no slot any more
		t.Errorf("%d sessions open, want 2", open)
	}
}

func TestAnIdleProcessLooksBeforeItAnswers(t *testing.T) {
	s := newStage(t, nil)
	one, two := s.publish("m", 1), s.publish("m", 2)
	s.Serve("m", one)
	s.answer("m", 1, 1)
	s.Serve("m", two)
	s.clock.Pass(3 * time.Second)
	s.answer("m", 1, 1) // both are loaded now: champion 2, previous 1
	s.Apply("m", registry.Rollback(2, "test", "bad"))
	s.clock.Pass(time.Hour)
	s.answer("m", 1, 3) // what is loaded is in force at once
	if n := s.counts.Of(inference.StateStale); n != 0 {
		t.Errorf("%d stale answers", n)
	}
}

func TestNoRequestWaitsForTheLoadOfANewerVersion(t *testing.T) {
	s := newStage(t, nil)
	s.Serve("m", s.publish("m", 1))
	s.answer("m", 1, 1)
	s.Serve("m", s.publish("m", 2))
	s.clock.Pass(time.Minute)
	release := s.runtime.HoldLoads()
	if v, err := s.ask(inference.Selection{Model: "m"}); err != nil || v.Number != 1 { // would hang if it waited
		t.Errorf("answered by %d, %v", v.Number, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.fleet.AfterRequest(ctx) // gives up waiting; the load goes on
	release()
	s.fleet.AfterRequest(t.Context())
	s.answer("m", 2, 2)
}

func TestAStoreThatHangsCostsOneWaitOf200ms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(o *inference.Options) { o.Now = time.Now })
		s.Serve("m", s.publish("m", 1))
		s.answer("m", 1, 1)
		time.Sleep(10 * time.Second)
		s.gate.mu.Lock()
		s.gate.hang = make(chan struct{})
		s.gate.mu.Unlock()
		before := time.Now()
		if v, err := s.ask(inference.Selection{Model: "m"}); err != nil || v.Number != 1 {
			t.Errorf("answered by %d, %v", v.Number, err)
		}
		if waited := time.Since(before); waited != 200*time.Millisecond {
			t.Errorf("waited %v, want 200ms", waited)
		}
		if n := s.counts.Of(inference.StateStale); n != 1 {
			t.Errorf("%d stale answers, want 1", n)
		}
		close(s.gate.hang)
	})
}

func TestTheStoreIsDown(t *testing.T) {
	s := newStage(t, nil)
	s.Serve("m", s.publish("m", 1))
	s.gate.set(true)
	err := s.refused(inference.Selection{Model: "m"}, fault.Unavailable) // cold: nothing to answer with
	if public := fault.Public(err); public.RetryAfter < time.Second {
		t.Errorf("no time to come back: %+v", public)
	}
	reads := s.gate.reads()
	s.refused(inference.Selection{Model: "m"}, fault.Unavailable)
	if s.gate.reads() != reads {
		t.Error("the store is asked with every request")
	}
	s.gate.set(false)
	s.clock.Pass(2 * time.Second)
	s.answer("m", 1, 1)
	s.gate.set(true)
	for range 20 { // warm: serves on
		s.clock.Pass(time.Minute)
		s.answer("m", 1, 1)
	}
	if n := s.counts.Of(inference.StateStale); n != 20 {
		t.Errorf("%d stale answers, want 20", n)
	}
	s.Serve("m", s.publish("m", 2))
	s.gate.set(false)
	s.clock.Pass(5 * time.Second)
	s.settle("m") // reads, loads
	s.answer("m", 2, 2)
}

func TestACorruptState(t *testing.T) {
	for name, body := range map[string]string{
		"no JSON": "{", "empty": "", "another model": `{"schema":1,"model":"other"}`, "no champion": `{"schema":1,"model":"m","generation":2,"last":{"transition_id":"x","kind":"y"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, nil)
			s.Serve("m", s.publish("m", 1))
			good, err := s.Store.Get(t.Context(), registry.StateKey("m"))
			if err != nil {
				t.Fatal(err)
			}
			s.Overwrite(registry.StateKey("m"), []byte(body))
			s.refused(inference.Selection{Model: "m"}, fault.Unavailable)
			s.Overwrite(registry.StateKey("m"), good.Body)
			s.clock.Pass(10 * time.Second)
			s.answer("m", 1, 1)
			s.Overwrite(registry.StateKey("m"), []byte(body))
			s.clock.Pass(10 * time.Second)
			s.answer("m", 1, 1) // keeps the last good one
			if s.counts.Of(inference.StateErrors) < 2 {
				t.Errorf("counts %v", s.counts.All())
			}
		})
	}
}

func TestAVersionThatCannotBeLoaded(t *testing.T) {
	damage := map[string]func(s *stage, ref registry.Ref, file []byte){
		"blob missing": func(s *stage, _ registry.Ref, file []byte) { s.Store.Delete(registry.BlobKey(sha(file))) },
		"blob differs": func(s *stage, _ registry.Ref, file []byte) {
			s.Overwrite(registry.BlobKey(sha(file)), []byte("model!"))
		},
		"manifest missing": func(s *stage, ref registry.Ref, _ []byte) { s.Store.Delete(registry.ManifestKey("m", ref.Version)) },
		"schema differs": func(s *stage, ref registry.Ref, _ []byte) {
			s.Overwrite(registry.VersionFileKey("m", ref.Version, "schema.json"), []byte("{}"))
		},
		"runtime refuses it":  nil, // published as something that is no model
		"state names another": nil, // digest of the state is not that of the manifest
	}
	for name, harm := range damage {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, nil)
			good := s.publish("m", 1)
			file := []byte("model..")
			if name == "runtime refuses it" {
				file = []byte("no model")
			}
			bad := s.Publish("m", 2, file, inferencetest.Schema())
			if name == "state names another" {
				bad.Digest = good.Digest
			}
			if harm != nil {
				harm(s, bad, file)
			}
			s.Serve("m", good)
			s.answer("m", 1, 1)
			s.Serve("m", bad)
			for range 5 {
				s.clock.Pass(3 * time.Second)
				s.answer("m", 1, 1) // the old version keeps serving
			}
			failures := s.counts.Of(inference.LoadFailures)
			if failures < 1 || failures > 4 { // a pause grows between the tries
				t.Errorf("%d load failures", failures)
			}
			s.Apply("m", registry.Rollback(2, "test", "cannot be loaded"))
			s.clock.Pass(3 * time.Second)
			s.answer("m", 1, 1)
			s.answer("m", 1, 3)
			if open := s.runtime.Open(); open != 1 {
				t.Errorf("%d sessions open, want 1", open)
			}
		})
		t.Run(name+", cold", func(t *testing.T) {
			s := newStage(t, nil)
			file := []byte("model..")
			if name == "runtime refuses it" {
				file = []byte("no model")
			}
			bad := s.Publish("m", 2, file, inferencetest.Schema())
			if name == "state names another" {
				bad.Digest = s.publish("m", 1).Digest
			}
			if harm != nil {
				harm(s, bad, file)
			}
			s.Serve("m", bad)
			for range 3 {
				err := s.refused(inference.Selection{Model: "m"}, fault.Unavailable)
				if public := fault.Public(err); public.RetryAfter == 0 || !strings.Contains(public.Message, "version 2") {
					t.Errorf("answer %+v", public)
				}
			}
			if n := s.counts.Of(inference.LoadFailures); n != 1 {
				t.Errorf("%d load failures, want 1: the others fall into the pause", n)
			}
		})
	}
}

func TestWhatIsNotRoutedToDoesNotHoldUpServing(t *testing.T) {
	s := newStage(t, nil)
	one, two := s.publish("m", 1), s.publish("m", 2)
	s.Serve("m", one)
	s.Serve("m", two)
	s.Store.Delete(registry.BlobKey(sha([]byte("model.")))) // of the previous champion
	s.answer("m", 2, 2)
	if n := s.counts.Of(inference.LoadFailures); n != 1 {
		t.Errorf("%d load failures, want 1 after the answer", n)
	}
	s.refused(inference.Selection{Model: "m", Version: 1}, fault.Unavailable)
	st, err := s.fleet.Status(t.Context(), "m")
	if err != nil || len(st.Versions) != 2 || !st.Versions[0].Ready || st.Versions[1].Ready {
		t.Errorf("status %+v, %v", st, err)
	}
}

func TestChoosing(t *testing.T) {
	s := newStage(t, nil)
	one, two, three := s.publish("m", 1), s.publish("m", 2), s.publish("m", 3)
	s.publish("m", 4)
	s.Serve("m", one)
	s.Serve("m", two)
	s.Challenge("m", three, 5000)
	for _, c := range []struct {
		sel    inference.Selection
		number int
		slot   registry.Slot
		kind   fault.Kind
	}{
		{inference.Selection{Model: "m", Version: 1}, 1, registry.Pinned, ""},
		{inference.Selection{Model: "m", Version: 2}, 2, registry.Pinned, ""},
		{inference.Selection{Model: "m", Version: 4}, 0, "", fault.NotFound}, // READY, but in no slot
		{inference.Selection{Model: "m", Version: 9}, 0, "", fault.NotFound},
		{inference.Selection{Model: "m", Slot: registry.Champion}, 2, registry.Champion, ""},
		{inference.Selection{Model: "m", Slot: registry.Challenger}, 3, registry.Challenger, ""},
		{inference.Selection{Model: "m", Slot: registry.Previous}, 1, registry.Previous, ""},
		{inference.Selection{Model: "m", Slot: registry.Shadow}, 0, "", fault.NotFound},
		{inference.Selection{Model: "m", Slot: "latest"}, 0, "", fault.NotFound},
		{inference.Selection{Model: "other"}, 0, "", fault.NotFound},
		{inference.Selection{Model: "../m"}, 0, "", fault.NotFound},
	} {
		v, err := s.ask(c.sel)
		if fault.KindOf(err) != c.kind || v.Number != c.number || v.Slot != c.slot {
			t.Errorf("%+v: version %d as %s, %v", c.sel, v.Number, v.Slot, err)
		}
	}
	got := map[registry.Slot]int{}
	for i := range 1000 {
		key := fmt.Sprintf("customer-%d", i)
		first, err := s.ask(inference.Selection{Model: "m", Key: key})
		if err != nil {
			t.Fatal(err)
		}
		again, _ := s.ask(inference.Selection{Model: "m", Key: key})
		if first.Number != again.Number || first.RolloutID == "" {
			t.Fatalf("key %s: %d, then %d", key, first.Number, again.Number)
		}
		got[first.Slot]++
	}
	if n := got[registry.Challenger]; n < 450 || n > 550 { // 50 %, 3 sigma of 1,000 draws are 47
		t.Errorf("shares %v", got)
	}
}

func TestUnknownModelsAreNotAskedForAgainAtOnce(t *testing.T) {
	s := newStage(t, nil)
	for range 10 {
		s.refused(inference.Selection{Model: "nothing"}, fault.NotFound)
	}
	if n := s.gate.reads(); n != 1 {
		t.Errorf("%d reads for one unknown name, want 1", n)
	}
	for i := range 5000 {
		s.refused(inference.Selection{Model: fmt.Sprintf("m%d", i)}, fault.NotFound)
	}
	s.Serve("nothing", s.publish("nothing", 1))
	s.clock.Pass(3 * time.Second)
	s.answer("nothing", 1, 1)
}

// TestNamesThatCannotBeReadLeaveNothing: a flood of names while the store is down,
// or forbids what is not there, is refused without memory of all of them.
func TestNamesThatCannotBeReadLeaveNothing(t *testing.T) {
	s := newStage(t, nil)
	s.Serve("known", s.publish("known", 1))
	s.Serve("later", s.publish("later", 1))
	s.answer("known", 1, 1)
	s.gate.set(true)
	if err := s.fleet.Preload(t.Context(), []string{"wanted"}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("preload: %v", err)
	}
	for i := range 3 * inference.UnknownKept {
		err := s.refused(inference.Selection{Model: fmt.Sprintf("m%d", i)}, fault.Unavailable)
		if public := fault.Public(err); public.RetryAfter < time.Second {
			t.Fatalf("no time to come back: %+v", public)
		}
	}
	if entries, unknown := s.fleet.Remembered(); entries != 2 || unknown > inference.UnknownKept {
		t.Errorf("%d entries, want the known and the preloaded model; %d names that have none", entries, unknown)
	}
	reads := s.gate.reads()
	s.refused(inference.Selection{Model: "later"}, fault.Unavailable)
	for _, seconds := range []int{1, 2, 4, 4, 4} { // the pause grows although nothing is kept
		err := s.refused(inference.Selection{Model: "later"}, fault.Unavailable)
		if wait := fault.Public(err).RetryAfter; wait != time.Duration(seconds)*time.Second {
			t.Errorf("told to come back in %v, want %d s", wait, seconds)
		}
		s.clock.Pass(time.Duration(seconds) * time.Second)
		s.refused(inference.Selection{Model: "later"}, fault.Unavailable)
	}
	if n := s.gate.reads() - reads; n != 6 {
		t.Errorf("%d reads, want one a pause", n)
	}
	s.gate.set(false)
	s.clock.Pass(5 * time.Second)
	s.answer("later", 1, 1)
	s.refused(inference.Selection{Model: "m0"}, fault.NotFound)
	s.refused(inference.Selection{Model: "wanted"}, fault.NotFound)
}

// TestAnEntryThatIsDroppedStartsNothing: a request that found a name's entry before it
// was dropped does not load the model into it, where nobody would ever unload it.
func TestAnEntryThatIsDroppedStartsNothing(t *testing.T) {
	for _, kind := range []fault.Kind{fault.NotFound, fault.Unavailable} {
		s := newStage(t, nil)
		goOn, err := s.fleet.Found("m")
		if err != nil {
			t.Fatal(err)
		}
		s.gate.set(kind == fault.Unavailable)
		s.refused(inference.Selection{Model: "m"}, kind)
		s.gate.set(false)
		s.Serve("m", s.publish("m", 1))
		s.clock.Pass(time.Minute)
		if err := goOn(t.Context()); !fault.Is(err, kind) {
			t.Errorf("%v, want %s", err, kind)
		}
		s.answer("m", 1, 1)
		s.fleet.Close()
		if n := s.runtime.Open(); n != 0 {
			t.Errorf("%d sessions were leaked", n)
		}
	}
}

func TestSettingsReachTheRequest(t *testing.T) {
	p := 0.25
	s := newStage(t, func(o *inference.Options) {
		o.Capture = registry.CaptureSettings{Mode: registry.CaptureBuffered, MaxBytes: 4096}
	})
	s.Serve("m", s.publish("m", 1))
	v, err := s.ask(inference.Selection{Model: "m"})
	if err != nil || v.Capture.Mode != registry.CaptureBuffered || v.ServedBy != "lambda" || v.Schema == nil || v.Columns == nil {
		t.Errorf("%+v, %v", v, err)
	}
	s.Configure("m", registry.Settings{Capture: &registry.CaptureSettings{Mode: registry.CaptureStrict, Sampling: &p, Redact: map[string]string{"x": "hash"}}})
	s.clock.Pass(time.Minute)
	s.settle("m")
	v, err = s.ask(inference.Selection{Model: "m"})
	if c := v.Capture; err != nil || c.Mode != registry.CaptureStrict || *c.Sampling != p || c.Redact["x"] != "hash" || c.MaxBytes != 4096 || v.Generation != 2 {
		t.Errorf("%+v, %v", v, err)
	}
	if n := s.counts.Of(inference.Swaps) + int64(len(s.runtime.Loads())); n != 1 {
		t.Errorf("settings alone loaded or swapped something: %v", s.counts.All())
	}
}

func TestSwapsAreCapped(t *testing.T) {
	s := newStage(t, func(o *inference.Options) { o.SwapsPerMinute = 2 })
	s.Serve("m", s.publish("m", 1))
	s.answer("m", 1, 1)
	for v := 2; v <= 4; v++ {
		s.Serve("m", s.publish("m", v))
		s.clock.Pass(3 * time.Second)
		s.settle("m")
	}
	s.answer("m", 3, 3)
	if n := s.counts.Of(inference.SwapsDelayed); n < 1 {
		t.Errorf("counts %v", s.counts.All())
	}
	s.clock.Pass(time.Minute)
	s.settle("m")
	s.answer("m", 4, 4)
}

func TestPreload(t *testing.T) {
	s := newStage(t, nil)
	s.Serve("a", s.publish("a", 1))
	s.Serve("b", s.publish("b", 2))
	if err := s.fleet.Preload(t.Context(), []string{"a", "nothing", "b"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("preload: %v", err)
	}
	if n := len(s.runtime.Loads()); n != 2 {
		t.Errorf("%d loads, want 2", n)
	}
	if err := s.fleet.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTheDeadlineEndsWaitingForALoad(t *testing.T) {
	s := newStage(t, nil)
	s.Serve("m", s.publish("m", 1))
	release := s.runtime.HoldLoads()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.fleet.Pick(ctx, inference.Selection{Model: "m"}); !fault.Is(err, fault.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	release()
	s.answer("m", 1, 1) // the load went on
}
