package serving_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/serving"
)

// idle is a predictor that is always ready.
type idle struct{ httpapi.Predictor }

func (idle) Ready(context.Context) error { return nil }

func (idle) Pick(context.Context, inference.Selection) (inference.Served, error) {
	return nil, fault.New(fault.NotFound, "none")
}

// rpc is a gRPC server in name.
type rpc struct {
	stopped  chan struct{}
	graceful atomic.Bool
	hangs    bool
}

func (r *rpc) Serve(l net.Listener) error { <-r.stopped; return l.Close() }
func (r *rpc) GracefulStop() {
	r.graceful.Store(true)
	if r.hangs {
		<-r.stopped
		return
	}
	close(r.stopped)
}
func (r *rpc) Stop() { close(r.stopped) }

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLife(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		web, g := listener(t), &rpc{stopped: make(chan struct{}), hangs: hangs}
		gate := serving.NewGate(idle{})
		inside, proceed := make(chan struct{}), make(chan struct{})
		var loads, followed, finished atomic.Int64
		s := &serving.Server{
			Log: slog.New(slog.DiscardHandler), HTTP: web, GRPC: g, RPC: listener(t), Gate: gate, Deadline: time.Minute, Drain: 2 * time.Second,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(inside)
				<-proceed
				_, _ = io.WriteString(w, "answered")
			}),
			Load: func(context.Context) error {
				if loads.Add(1) == 1 {
					return errors.New("the registry is away for a moment")
				}
				return nil
			},
			FollowEvery: time.Millisecond, Follow: func(context.Context) { followed.Add(1) },
			Finish: []func(context.Context) error{func(context.Context) error { finished.Add(1); return nil }},
		}
		if err := gate.Ready(t.Context()); !fault.Is(err, fault.Unavailable) {
			t.Errorf("ready before anything is loaded: %v", err)
		}
		ctx, end := context.WithCancel(t.Context())
		var run sync.WaitGroup
		var ended error
		run.Go(func() { ended = s.Run(ctx) })
		for gate.Ready(t.Context()) != nil {
			time.Sleep(time.Millisecond)
		}
		run.Go(func() { // in progress when the server is told to end
			resp, err := http.Get("http://" + web.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "answered" {
				t.Errorf("%q, %v", body, err)
			}
		})
		<-inside
		end()
		for gate.Ready(t.Context()) == nil {
			time.Sleep(time.Millisecond)
		}
		close(proceed)
		run.Wait()
		if ended != nil || loads.Load() != 2 || followed.Load() == 0 || finished.Load() != 1 || !g.graceful.Load() {
			t.Errorf("ended with %v after %d loads, followed %d times, finished %d", ended, loads.Load(), followed.Load(), finished.Load())
		}
		if _, err := net.Dial("tcp", web.Addr().String()); err == nil {
			t.Error("still listening")
		}
	}
}

func TestWhatTakesTooLongIsCutOff(t *testing.T) {
	web := listener(t)
	inside := make(chan struct{})
	s := &serving.Server{
		Log: slog.New(slog.DiscardHandler), HTTP: web, Gate: serving.NewGate(idle{}), Deadline: time.Minute, Drain: 20 * time.Millisecond,
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { close(inside); <-r.Context().Done() }),
		Load:    func(context.Context) error { return nil },
	}
	ctx, end := context.WithCancel(t.Context())
	go func() { <-inside; end() }()
	go func() {
		if resp, err := http.Get("http://" + web.Addr().String()); err == nil {
			resp.Body.Close()
		}
	}()
	if err := s.Run(ctx); err == nil {
		t.Error("a request that never ends was drained")
	}
}
