package inference_test

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/tensor"
)

// elsewhere is the backends of a test: what it is bound to answers x + 100 + version.
type elsewhere struct {
	mu    sync.Mutex
	bound []inference.Bound
	down  bool
	calls []inference.RemoteCall
}

func (e *elsewhere) Bind(_ inference.Backend, v inference.Bound) inference.Remote {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bound = append(e.bound, v)
	return &there{e, v.Version}
}

type there struct {
	e       *elsewhere
	version int
}

func (r *there) Run(ctx context.Context, c inference.RemoteCall) ([]tensor.Tensor, func(), inference.Ran, error) {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	r.e.calls = append(r.e.calls, c)
	switch {
	case r.e.down && c.Local == nil:
		return nil, nil, inference.Ran{ServedBy: "endpoint", Fallback: "server", Remote: 1}, fault.New(fault.Unavailable, "down")
	case r.e.down:
		out, release, err := c.Local(ctx, c.Inputs, c.Want)
		return out, release, inference.Ran{Fallback: "server", Remote: 1}, err
	}
	y := tensor.Tensor{Name: "y", Datatype: tensor.FP32, Shape: []int64{1, 1}, FP32s: []float32{c.Inputs[0].FP32s[0] + 100 + float32(r.version)}}
	return []tensor.Tensor{y}, func() {}, inference.Ran{ServedBy: "endpoint", Remote: 1}, nil
}

const (
	withFallback = `{"kind":"url","url":"http://localhost:1"}`
	endpointOnly = `{"kind":"url","url":"http://localhost:1","fallback":false}`
)

// remotely is a stage whose fleet has backends.
func remotely(t *testing.T, change func(*inference.Options)) (*stage, *elsewhere) {
	e := &elsewhere{}
	return newStage(t, func(o *inference.Options) {
		o.Backends = e
		if change != nil {
			change(o)
		}
	}), e
}

// on puts a backend into the settings in force and lets the fleet see it.
func (s *stage) on(model, backend string) {
	s.t.Helper()
	s.Configure(model, registry.Settings{Backend: json.RawMessage(backend)})
	s.clock.Pass(3 * time.Second)
	s.fleet.AfterRequest(s.t.Context())
}

// stir is a request, whatever comes of it, and what is due after it.
func (s *stage) stir(model string) {
	_, _, _ = s.sends(inference.Selection{Model: model})
	s.fleet.AfterRequest(s.t.Context())
}

// sends asks for one row, and says what came and from where.
func (s *stage) sends(sel inference.Selection) (float32, inference.Ran, error) {
	s.t.Helper()
	served, err := s.fleet.Pick(s.t.Context(), sel)
	if err != nil {
		return 0, inference.Ran{}, err
	}
	defer served.Done()
	out, release, err := served.Run(s.t.Context(), []tensor.Tensor{{Name: "x", Datatype: tensor.FP32, Shape: []int64{1, 1}, FP32s: []float32{1}}}, nil)
	if err != nil {
		return 0, served.Ran(), err
	}
	defer release()
	return out[0].FP32s[0], served.Ran(), nil
}

// TestSettingsSwitchTheBackend, there and back, without a restart and without a load that is not needed.
func TestSettingsSwitchTheBackend(t *testing.T) {
	s, e := remotely(t, nil)
	s.Serve("m", s.publish("m", 1))
	m := inference.Selection{Model: "m"}
	expect := func(want float32, by string, fallback bool, sessions, loads int) {
		t.Helper()
		y, ran, err := s.sends(m)
		s.fleet.AfterRequest(t.Context())
		if err != nil || y != want || ran.ServedBy != by || (ran.Fallback != "") != fallback || s.runtime.Open() != sessions || len(s.runtime.Loads()) != loads {
			t.Errorf("%v by %+v (%v) with %d sessions after %d loads; want %v by %s, %d, %d", y, ran, err, s.runtime.Open(), len(s.runtime.Loads()), want, by, sessions, loads)
		}
	}
	expect(7, "lambda", false, 1, 1)
	s.on("m", withFallback)
	expect(102, "endpoint", false, 1, 1)
	if v := e.bound[0]; v.Model != "m" || v.Version != 1 || v.Digest == "" || v.Signature.Inputs[0].Name != "x" {
		t.Errorf("bound %+v", v)
	}
	e.down = true
	expect(7, "lambda", true, 1, 1)
	e.down = false
	s.on("m", endpointOnly) // the session goes
	expect(102, "endpoint", false, 0, 1)
	s.on("m", `{"kind":"lambda"}`)
	expect(7, "lambda", false, 1, 2)
	s.on("m", endpointOnly)
	expect(102, "endpoint", false, 0, 2)
	s.on("m", withFallback)
	expect(102, "endpoint", false, 1, 3)
}

// TestEndpointOnlyModels are never loaded: their file is not even read, and any size will do.
func TestEndpointOnlyModels(t *testing.T) {
	s, e := remotely(t, func(o *inference.Options) { o.CacheBytes = 12 })
	s.Serve("m", s.publish("m", 1))
	s.Configure("m", registry.Settings{Backend: json.RawMessage(endpointOnly)})
	s.Store.Delete(registry.BlobKey(sha([]byte("model."))))
	if err := s.fleet.Preload(t.Context(), []string{"m"}); err != nil {
		t.Fatal(err)
	}
	if y, ran, err := s.sends(inference.Selection{Model: "m"}); err != nil || y != 102 || ran.ServedBy != "endpoint" || !ran.Backend {
		t.Errorf("%v, %+v, %v", y, ran, err)
	}
	two := s.publish("m", 2)
	s.Challenge("m", two, 100)
	s.clock.Pass(3 * time.Second)
	s.fleet.AfterRequest(t.Context())
	if y, _, err := s.sends(inference.Selection{Model: "m", Version: 2}); err != nil || y != 103 {
		t.Errorf("%v, %v", y, err)
	}
	e.down = true
	if _, ran, err := s.sends(inference.Selection{Model: "m"}); !fault.Is(err, fault.Unavailable) || ran.ServedBy != "endpoint" {
		t.Errorf("%+v, %v", ran, err)
	}
	status, err := s.fleet.Status(t.Context(), "m")
	if err != nil || !status.Versions[0].Ready || len(s.runtime.Loads()) != 0 || s.counts.Of(inference.Loads) != 0 {
		t.Errorf("%+v, %v; loaded %v", status, err, s.runtime.Loads())
	}
}

// TestAModelThatDoesNotFitServesFromItsBackend, and gets its fallback as soon as it can be loaded.
func TestAModelThatDoesNotFitServesFromItsBackend(t *testing.T) {
	s, e := remotely(t, nil)
	file := []byte("model.")
	s.Serve("m", s.publish("m", 1))
	s.Configure("m", registry.Settings{Backend: json.RawMessage(withFallback)})
	s.Store.Delete(registry.BlobKey(sha(file)))
	m := inference.Selection{Model: "m"}
	for range 3 {
		if y, ran, err := s.sends(m); err != nil || y != 102 || ran.ServedBy != "endpoint" {
			t.Fatalf("%v, %+v, %v", y, ran, err)
		}
		s.fleet.AfterRequest(t.Context())
	}
	if n := s.counts.Of(inference.LoadFailures); n != 1 {
		t.Errorf("%d failures: each request tries again", n)
	}
	e.down = true
	if _, _, err := s.sends(m); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	s.Overwrite(registry.BlobKey(sha(file)), file)
	s.clock.Pass(2 * time.Minute)
	s.stir("m")
	s.stir("m")
	if y, ran, err := s.sends(m); err != nil || y != 7 || ran.Fallback == "" || ran.ServedBy != "lambda" {
		t.Errorf("%v, %+v, %v", y, ran, err)
	}
}

// TestPairsRunOnTheBackend with a low priority, and fall back like any other run.
func TestPairsRunOnTheBackend(t *testing.T) {
	s, e := remotely(t, nil)
	s.Serve("m", s.publish("m", 1))
	s.shadow("m", s.publish("m", 2))
	s.on("m", withFallback)
	s.stir("m")
	s.stir("m")
	for _, down := range []bool{false, true} {
		e.down = down
		served, err := s.fleet.Pick(t.Context(), inference.Selection{Model: "m"})
		if err != nil {
			t.Fatal(err)
		}
		e.calls = nil
		x := []tensor.Tensor{{Name: "x", Datatype: tensor.FP32, Shape: []int64{1, 1}, FP32s: []float32{1}}}
		if _, release, err := served.Run(t.Context(), x, nil); err != nil {
			t.Fatal(err)
		} else {
			release()
		}
		partners := served.Partners("k")
		if len(partners) != 1 || partners[0].Served == nil {
			t.Fatalf("%+v", partners)
		}
		p := partners[0].Served
		out, release, err := p.Run(t.Context(), x, nil)
		want, by := float32(103), "endpoint"
		if down {
			want, by = 8, "lambda"
		}
		if err != nil || out[0].FP32s[0] != want || p.Ran().ServedBy != by {
			t.Errorf("%v, %+v", err, p.Ran())
		}
		release()
		p.Done()
		served.Done()
		if got := []bool{e.calls[0].Low, e.calls[1].Low}; !slices.Equal(got, []bool{false, true}) {
			t.Errorf("low: %v", got)
		}
	}
}

// TestBackendsThatCannotTellVersionsApart are asked for the champion only.
func TestBackendsThatCannotTellVersionsApart(t *testing.T) {
	for _, fallback := range []bool{true, false} {
		s, e := remotely(t, nil)
		s.Serve("m", s.publish("m", 1))
		s.Challenge("m", s.publish("m", 2), 5000)
		backend := `{"kind":"url","url":"http://localhost:1","identity":"none"}`
		if !fallback {
			backend = `{"kind":"url","url":"http://localhost:1","identity":"none","fallback":false}`
		}
		s.Configure("m", registry.Settings{Backend: json.RawMessage(backend)})
		if y, _, err := s.sends(inference.Selection{Model: "m", Slot: registry.Champion}); err != nil || y != 102 {
			t.Errorf("%v, %v", y, err)
		}
		y, ran, err := s.sends(inference.Selection{Model: "m", Slot: registry.Challenger})
		if fallback && (err != nil || y != 8 || ran.Backend) || !fallback && !fault.Is(err, fault.Unavailable) {
			t.Errorf("fallback %v: %v, %+v, %v", fallback, y, ran, err)
		}
		if len(e.bound) != 1 {
			t.Errorf("bound %+v", e.bound)
		}
	}
}

// TestAFleetWithoutBackendsRunsAllItself: the endpoint follows the same settings, and must not send rows to itself.
func TestAFleetWithoutBackendsRunsAllItself(t *testing.T) {
	s := newStage(t, nil)
	s.Serve("m", s.publish("m", 1))
	s.Configure("m", registry.Settings{Backend: json.RawMessage(endpointOnly)})
	if y, ran, err := s.sends(inference.Selection{Model: "m"}); err != nil || y != 7 || ran.Backend {
		t.Errorf("%v, %+v, %v", y, ran, err)
	}
}

// TestABackendThatMakesNoSense keeps what serves; a process that starts says so.
func TestABackendThatMakesNoSense(t *testing.T) {
	s, _ := remotely(t, nil)
	s.Serve("m", s.publish("m", 1))
	if y, _, err := s.sends(inference.Selection{Model: "m"}); err != nil || y != 7 {
		t.Fatalf("%v, %v", y, err)
	}
	s.on("m", `{"kind":"fax"}`)
	if y, _, err := s.sends(inference.Selection{Model: "m"}); err != nil || y != 7 || s.counts.Of(inference.StateErrors) == 0 {
		t.Errorf("%v, %v, %v", y, err, s.counts.All())
	}
	s.on("m", withFallback)
	s.stir("m")
	if y, _, err := s.sends(inference.Selection{Model: "m"}); err != nil || y != 102 {
		t.Errorf("%v, %v", y, err)
	}
}
