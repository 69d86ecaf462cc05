// Package serving is the life of a prediction server: it listens, loads its models,
// says when it is ready, follows their states, and when it is told to end it stops
// accepting, answers what is in progress and gives up what takes too long.
//
// The protocols are in packages beside it: rest, sagemaker (with mlflow), grpc;
// metrics are in exposition, models from a directory in folder. It knows none of them.
//
//	gate := serving.NewGate(predictor)
//	err := (&serving.Server{Log: log, HTTP: listener, Handler: mux, Load: …, Gate: gate}).Run(ctx)
package serving

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/pause"
)

// The times of a connection. A client that sends its header or body more slowly is
// cut off; so is one that does not take its answer. Load balancers keep idle
// connections for 60 s: ours must last longer, or they meet one that just closed.
const (
	headerTime = 10 * time.Second
	readTime   = 60 * time.Second // beyond the deadline of a request: net/http gives a request up when its time to read is over, also when the model runs
	writeTime  = 60 * time.Second // the same
	idleTime   = 120 * time.Second
	// maxHeader bounds the header of a request, in bytes: the attributes are 1 KiB.
	maxHeader = 32 << 10
)

// GRPC is what the life of a gRPC server needs: *grpc.Server.
type GRPC interface {
	Serve(net.Listener) error
	GracefulStop()
	Stop()
}

// Server is the configuration of a server's life.
type Server struct {
	Log     *slog.Logger
	HTTP    net.Listener
	Handler http.Handler
	GRPC    GRPC
	RPC     net.Listener // of GRPC; nil: none
	Gate    *Gate
	// Load loads what must be there before the server is ready. It is tried again, with pauses, until it succeeds.
	Load func(ctx context.Context) error
	// Follow is called every FollowEvery while the server runs: states move also when nobody asks.
	Follow      func(ctx context.Context)
	FollowEvery time.Duration
	// Deadline is the longest of a request; Drain is the time from being told to end to the end.
	Deadline, Drain time.Duration
	// Finish is done once no request is in progress, each with what time is left.
	Finish []func(ctx context.Context) error
}

// Run serves until ctx ends, then drains. The error says why the server could not
// serve, or what was still in progress when the time was up.
func (s *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler: s.Handler, ReadHeaderTimeout: headerTime, ReadTimeout: s.Deadline + readTime, WriteTimeout: s.Deadline + writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(s.HTTP) }()
	if s.RPC != nil {
		go func() { failed <- s.GRPC.Serve(s.RPC) }()
	}
	s.Log.Info("listening", "http", s.HTTP.Addr().String(), "grpc", address(s.RPC))
	work, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { s.load(work) })
	background.Go(func() { s.follow(work) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		s.Log.Error("server failed", "error", err.Error())
	}
	stop()
	return errors.Join(err, s.drain(server, background.Wait))
}

func address(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// load loads the models and opens the gate.
func (s *Server) load(ctx context.Context) {
	const longest = 30 * time.Second
	for wait := time.Second; ; wait = min(2*wait, longest) {
		err := s.Load(ctx)
		if err == nil {
			s.Gate.open()
			s.Log.Info("ready")
			return
		}
		if ctx.Err() != nil {
			return
		}
		s.Log.Error("models not loaded", "error", err.Error(), "again_in_s", wait.Seconds())
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

func (s *Server) follow(ctx context.Context) {
	for s.Follow != nil && pause.For(ctx, s.FollowEvery) == nil {
		s.Follow(ctx)
	}
}

// drain ends the server: it is not ready any more, accepts nothing new, answers
// what is in progress, and then does what is due at the end.
func (s *Server) drain(server *http.Server, wait func()) error {
	started := time.Now()
	s.Gate.close()
	ctx, cancel := context.WithTimeout(context.Background(), s.Drain)
	defer cancel()
	var both sync.WaitGroup
	var err error
	both.Go(func() {
		if err = server.Shutdown(ctx); err != nil {
			_ = server.Close()
		}
	})
	if s.RPC != nil {
		both.Go(func() { stopGRPC(ctx, s.GRPC) })
	}
	both.Wait()
	wait()
	for _, finish := range s.Finish {
		err = errors.Join(err, finish(ctx))
	}
	s.Log.Info("drained", "drain_ms", time.Since(started).Milliseconds(), "whole", err == nil)
	return err
}

// stopGRPC waits for the calls in progress, and ends them when ctx does.
func stopGRPC(ctx context.Context, g GRPC) {
	done := make(chan struct{})
	go func() { g.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		g.Stop()
		<-done
	}
}
