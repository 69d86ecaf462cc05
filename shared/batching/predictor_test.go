package batching_test

import (
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/batching"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/inferencetest"
	"github.com/tidegate/tidegate/shared/tensor"
)

var _ httpapi.Predictor = (*batching.Predictor)(nil)

// TestVersionsChangeUnderLoad has the fleet swap versions while callers run, wait
// and leave: each gets the answer of the version it was given, and every version
// that nobody serves any more is unloaded.
func TestVersionsChangeUnderLoad(t *testing.T) {
	world, rt, clock := inferencetest.New(t), new(inferencetest.Runtime), inferencetest.NewClock()
	fleet := inference.NewFleet(inference.Options{Registry: world.Registry, Runtime: rt, Now: clock.Now, SwapsPerMinute: 1000, ServedBy: "endpoint"})
	files := []string{"model", "model-2", "model-three", "model-4444"}
	world.Serve("m", world.Publish("m", 1, []byte(files[0]), inferencetest.Schema()))
	p := batching.New(fleet, batching.Options{})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for caller := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				served, err := p.Pick(t.Context(), inference.Selection{Model: "m", Key: "k"})
				if err != nil {
					t.Error(err)
					return
				}
				x := float32(1000*caller + n%100)
				outputs, release, err := served.Run(t.Context(), []tensor.Tensor{{Name: "x", Datatype: tensor.FP32, Shape: []int64{1, 1}, FP32s: []float32{x}}}, nil)
				if err != nil {
					t.Error(err)
				} else {
					if want := x + float32(len(files[served.Version().Number-1])); outputs[0].FP32s[0] != want {
						t.Errorf("version %d gave %v for %v, want %v", served.Version().Number, outputs[0].FP32s[0], x, want)
					}
					release()
				}
				served.Done()
				p.AfterRequest(t.Context())
			}
		})
	}
	busy := func(v int) bool {
		for _, s := range p.Stats() {
			if s.Version == v {
				return s.Requests > 100
			}
		}
		return false
	}
	for v := 2; v <= len(files)+1; v++ {
		for !busy(v - 1) {
			time.Sleep(time.Millisecond)
		}
		if v > len(files) {
			break
		}
		world.Serve("m", world.Publish("m", v, []byte(files[v-1]), inferencetest.Schema()))
		clock.Pass(6 * time.Second)
		for served := 0; served != v; {
			one, err := p.Pick(t.Context(), inference.Selection{Model: "m", Key: "k"})
			if err != nil {
				t.Fatal(err)
			}
			served = one.Version().Number
			one.Done()
		}
	}
	close(stop)
	wg.Wait()
	if err := p.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("ready after the drain: %v", err)
	}
	stats := p.Stats()
	if len(stats) != len(files) || stats[0].Model != "m" || stats[3].Version != 4 || stats[3].ServedBy != "endpoint" {
		t.Errorf("stats of %d versions: %+v", len(stats), stats)
	}
	fleet.Close()
	if n := rt.Open(); n != 0 {
		t.Errorf("%d sessions are left open", n)
	}
}
