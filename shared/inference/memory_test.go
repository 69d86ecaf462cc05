package inference_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
)

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestTheLongestUnusedModelMakesRoom(t *testing.T) {
	const file = 6 // "model." is 6 bytes, which count three times
	s := newStage(t, func(o *inference.Options) { o.CacheBytes = 2 * 3 * file })
	for _, name := range []string{"a", "b", "c"} {
		s.Serve(name, s.publish(name, 1))
	}
	s.answer("a", 1, 1)
	s.clock.Pass(time.Second)
	s.answer("b", 1, 1)
	s.clock.Pass(time.Second)
	s.answer("a", 1, 1)
	s.answer("c", 1, 1) // b goes
	if n := s.counts.Of(inference.Evictions); n != 1 {
		t.Errorf("%d evictions, want 1", n)
	}
	loads := len(s.runtime.Loads())
	s.answer("a", 1, 1)
	if n := len(s.runtime.Loads()); n != loads {
		t.Error("a was unloaded, though b was longer unused")
	}
	s.clock.Pass(time.Second)
	s.answer("b", 1, 1)
	if n := s.runtime.Open(); n != 2 {
		t.Errorf("%d sessions open, want 2", n)
	}
}

func TestAModelInUseIsNotEvicted(t *testing.T) {
	s := newStage(t, func(o *inference.Options) { o.CacheBytes = 20 })
	s.Serve("a", s.publish("a", 1))
	s.Serve("b", s.publish("b", 1))
	held, err := s.fleet.Pick(t.Context(), inference.Selection{Model: "a"})
	if err != nil {
		t.Fatal(err)
	}
	s.refused(inference.Selection{Model: "b"}, fault.Unavailable)
	held.Done()
	held.Done() // harmless
	s.clock.Pass(time.Minute)
	s.answer("b", 1, 1)
	if n := s.runtime.Open(); n != 1 {
		t.Errorf("%d sessions open, want 1", n)
	}
}

func TestAModelThatNeverFits(t *testing.T) {
	s := newStage(t, func(o *inference.Options) { o.CacheBytes = 17 })
	s.Serve("m", s.publish("m", 1)) // 6 bytes, three times
	s.refused(inference.Selection{Model: "m"}, fault.Unavailable)
}

// Versions of a stage take three times 5 bytes and their number: 18, 21, 24.

func TestLoadsInProgressCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(o *inference.Options) { o.CacheBytes = 2*18 - 1 })
		models := []string{"a", "b", "c"}
		for _, name := range models {
			s.Serve(name, s.publish(name, 1))
		}
		release := s.runtime.HoldLoads()
		loaded := make(chan error)
		go func() { loaded <- s.fleet.Preload(t.Context(), models) }()
		synctest.Wait()
		release()
		if err := <-loaded; !fault.Is(err, fault.Unavailable) {
			t.Errorf("preload: %v", err)
		}
		if n := s.runtime.Open(); n != 1 {
			t.Errorf("%d sessions open, want the one that there is room for", n)
		}
		for _, name := range models { // each in its turn
			s.clock.Pass(2 * time.Second)
			s.answer(name, 1, 1)
		}
	})
}

func TestALoadThatFailsGivesItsRoomBack(t *testing.T) {
	s := newStage(t, func(o *inference.Options) { o.CacheBytes = 18 })
	s.Serve("a", s.Publish("a", 1, []byte("no mod"), inferencetest.Schema()))
	s.Serve("b", s.publish("b", 1))
	s.refused(inference.Selection{Model: "a"}, fault.Unavailable)
	s.answer("b", 1, 1)
}

// TestFullMemoryHoldsUpNoPromotion: two models that fill it move at the same time, each
// with the new version beside the old one.
func TestFullMemoryHoldsUpNoPromotion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(o *inference.Options) { o.CacheBytes = 2 * 21 })
		models := []string{"a", "b"}
		for _, name := range models {
			s.Serve(name, s.publish(name, 1))
			s.answer(name, 1, 1)
		}
		for _, name := range models {
			s.Serve(name, s.publish(name, 2))
		}
		s.clock.Pass(6 * time.Second)
		release := s.runtime.HoldLoads()
		for _, name := range models {
			if v, err := s.ask(inference.Selection{Model: name}); err != nil || v.Number != 1 {
				t.Errorf("%s: answered by %d while version 2 is loaded (%v)", name, v.Number, err)
			}
			synctest.Wait()
		}
		release()
		s.fleet.AfterRequest(t.Context())
		for _, name := range models {
			s.answer(name, 2, 2)
		}
		if c := s.counts; c.Of(inference.LoadFailures) != 0 || c.Of(inference.Evictions) != 0 {
			t.Errorf("counts %v", c.All())
		}
	})
}

func TestASwappedVersionGoesWhenItsLastRequestIsDone(t *testing.T) {
	s := newStage(t, nil)
	one := s.publish("m", 1)
	s.Serve("m", one)
	held, err := s.fleet.Pick(t.Context(), inference.Selection{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	for v := 2; v <= 3; v++ { // after two promotions version 1 is not even previous
		s.Serve("m", s.publish("m", v))
		s.clock.Pass(3 * time.Second)
		s.settle("m")
	}
	if n := s.runtime.Open(); n != 3 {
		t.Errorf("%d sessions open, want 3: one is in use", n)
	}
	held.Done()
	if n := s.runtime.Open(); n != 2 {
		t.Errorf("%d sessions open, want 2", n)
	}
}

// TestTraffic lets requests, promotions and evictions run into each other.
func TestTraffic(t *testing.T) {
	s := newStage(t, func(o *inference.Options) { o.CacheBytes, o.SwapsPerMinute = 200, 1000 })
	models := []string{"a", "b", "c", "d"}
	for _, name := range models {
		s.Serve(name, s.publish(name, 1))
	}
	var all sync.WaitGroup
	var answers atomic.Int64
	stop := make(chan struct{})
	for g := range 6 {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				_, err := s.ask(inference.Selection{Model: models[(g+i)%len(models)], Key: fmt.Sprint(i)})
				if err != nil && !fault.Is(err, fault.Unavailable) {
					t.Error(err)
				}
				if err == nil {
					answers.Add(1)
				}
				s.fleet.AfterRequest(t.Context())
			}
		})
	}
	for v := 2; v <= 12; v++ {
		for _, name := range models {
			s.Serve(name, s.publish(name, v))
		}
		s.clock.Pass(6 * time.Second)
		time.Sleep(2 * time.Millisecond)
	}
	close(stop)
	all.Wait()
	if answers.Load() == 0 {
		t.Error("nothing was answered")
	}
	s.fleet.Close()
	if n := s.runtime.Open(); n != 0 {
		t.Errorf("%d sessions were leaked", n)
	}
}

func TestMemoryAboveTheLimitIsGivenBack(t *testing.T) {
	var rss atomic.Int64
	var trims atomic.Int64
	s := newStage(t, func(o *inference.Options) {
		o.RSS, o.RSSLimit, o.Trim = rss.Load, 100, func() { trims.Add(1) }
	})
	rss.Store(50)
	s.Serve("a", s.publish("a", 1))
	s.Serve("b", s.publish("b", 1))
	s.answer("a", 1, 1)
	s.clock.Pass(2 * time.Minute)
	s.answer("b", 1, 1)
	if trims.Load() != 0 || s.runtime.Open() != 2 {
		t.Errorf("below the limit: %d trims, %d sessions", trims.Load(), s.runtime.Open())
	}
	rss.Store(150)
	for range 3 {
		if s.fleet.Exhausted() {
			t.Error("exhausted too soon")
		}
		s.clock.Pass(11 * time.Second)
		s.answer("b", 1, 1)
	}
	if trims.Load() != 3 || s.runtime.Open() != 1 || !s.fleet.Exhausted() {
		t.Errorf("above: %d trims, %d sessions, exhausted %v", trims.Load(), s.runtime.Open(), s.fleet.Exhausted())
	}
}

func TestRSSIsThatOfThisProcess(t *testing.T) {
	if n := inference.RSS(); n < 1<<20 || n > 1<<40 {
		t.Errorf("RSS %d", n)
	}
}

func BenchmarkPick(b *testing.B) {
	w := inferencetest.New(b)
	w.Serve("m", w.Publish("m", 1, []byte("model."), inferencetest.Schema()))
	fleet := inference.NewFleet(inference.Options{Registry: w.Registry, Runtime: new(inferencetest.Runtime)})
	b.Cleanup(fleet.Close)
	b.ReportAllocs()
	for b.Loop() {
		served, err := fleet.Pick(b.Context(), inference.Selection{Model: "m"})
		if err != nil {
			b.Fatal(err)
		}
		served.Done()
		fleet.AfterRequest(b.Context())
	}
}
