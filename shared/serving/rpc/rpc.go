// Package rpc is the gRPC service of the Open Inference Protocol,
// inference.GRPCInferenceService, over the handlers of httpapi.
//
// A call becomes the HTTP request of the same meaning, with binary tensors, and the
// answer goes back the same way: contract, capture, metrics, batches and errors are
// those of the HTTP API, and so is every limit. Tensors travel raw or typed; answers
// are raw, as Triton's are.
//
// Metadata of a call: "tidegate-key" and "tidegate-priority" as in HTTP. Its
// deadline is the request's. An answer's headers tell version, slot and inference id.
// A fault's kind is the status code; all its violations are in the message.
package rpc

import (
	"context"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // requests may be compressed
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tidegate/tidegate/shared/batching"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/serving/background"
	"github.com/tidegate/tidegate/shared/serving/rpc/inferencepb"
)

// Options of a service.
type Options struct {
	MaxMessage int                             // bytes of a message, either way; 0 = httpapi.DefaultMaxBody
	Deadline   time.Duration                   // of calls without one, and the most that counts; 0 = 1 minute
	After      time.Duration                   // of what is due after an answer; 0 = 30 s
	Ready      func(ctx context.Context) error // for health checks (grpc.health.v1) and ServerReady; nil = always
	// Log is told of panics, without values. Nil tells nobody.
	Log func(msg string, args ...any)
}

// Service is the gRPC server's side. Register it with [New].
type Service struct {
	inferencepb.UnimplementedGRPCInferenceServiceServer
	grpc_health_v1.UnimplementedHealthServer
	api   httpapi.Handler
	opt   Options
	after *background.Runner
}

const (
	// maxHeader bounds a call's metadata, in bytes.
	maxHeader = 32 << 10
	// streams bounds the calls of one connection at a time.
	streams = 1024
)

// New returns a server with the service and health checks over api, and the
// service for its Wait.
func New(api httpapi.Handler, o Options) (*grpc.Server, *Service) {
	if o.MaxMessage <= 0 {
		o.MaxMessage = httpapi.DefaultMaxBody
	}
	if o.Deadline <= 0 {
		o.Deadline = time.Minute
	}
	if o.After <= 0 {
		o.After = 30 * time.Second
	}
	if o.Ready == nil {
		o.Ready = func(context.Context) error { return nil }
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	s := &Service{api: api, opt: o, after: background.New(0, o.After)}
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(o.MaxMessage), grpc.MaxSendMsgSize(o.MaxMessage), grpc.MaxHeaderListSize(maxHeader), grpc.MaxConcurrentStreams(streams),
		grpc.ConnectionTimeout(10*time.Second), grpc.UnaryInterceptor(s.intercept),
		// Clients that ping more often than every ten seconds are sent away; idle connections are looked after, so that dead ones go.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
	)
	inferencepb.RegisterGRPCInferenceServiceServer(server, s)
	grpc_health_v1.RegisterHealthServer(server, s)
	return server, s
}

// Wait returns when all that is due after answers is done, or with ctx's error.
func (s *Service) Wait(ctx context.Context) error { return s.after.Wait(ctx) }

// intercept gives a call its deadline and priority, and turns a panic into an error.
func (s *Service) intercept(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.opt.Log("gRPC call panicked", "stack", string(debug.Stack()))
			resp, err = nil, status.Error(codes.Internal, "internal error")
		}
	}()
	priority, err := batching.ParsePriority(first(ctx, "tidegate-priority"))
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "tidegate-priority must be one of: normal, low")
	}
	ctx, cancel := context.WithTimeout(batching.WithPriority(ctx, priority), s.opt.Deadline)
	defer cancel()
	return handler(ctx, req)
}

// first is a value of the call's metadata.
func first(ctx context.Context, key string) string {
	if values := metadata.ValueFromIncomingContext(ctx, key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Check implements grpc.health.v1.Health.
func (s *Service) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	answer := &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}
	if s.opt.Ready(ctx) != nil {
		answer.Status = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	return answer, nil
}
