package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	awsfirehose "github.com/aws/aws-sdk-go-v2/service/firehose"

	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference/onnx"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/serving/folder"
	"github.com/tidegate/tidegate/shared/stream/firehose"
)

type config struct {
	Host     string `env:"TIDEGATE_HOST" default:"0.0.0.0"`
	Port     int    `env:"TIDEGATE_PORT" default:"8080" validate:"min=0,max=65535"`
	BindTo   int    `env:"SAGEMAKER_BIND_TO_PORT" validate:"min=0,max=65535"` // goes before Port
	GRPCPort int    `env:"TIDEGATE_GRPC_PORT" default:"8081" validate:"min=-1,max=65535"`

	Bucket string   `env:"TIDEGATE_REGISTRY_BUCKET"`
	Models []string `env:"TIDEGATE_PRELOAD_MODELS"`
	Dir    string   `env:"TIDEGATE_MODEL_DIR" default:"/opt/ml/model"`
	Name   string   `env:"TIDEGATE_MODEL_NAME" default:"model"`

	Trusted signature.Trust `env:"TIDEGATE_TRUSTED_KEYS"`

	Stream        string               `env:"TIDEGATE_CAPTURE_STREAM"`
	Mode          registry.CaptureMode `env:"TIDEGATE_CAPTURE_MODE" default:"buffered" validate:"oneof=after buffered strict off"`
	FlushRequests int                  `env:"TIDEGATE_CAPTURE_FLUSH_REQUESTS" default:"200" validate:"min=1"`
	FlushAfter    time.Duration        `env:"TIDEGATE_CAPTURE_FLUSH_AFTER" default:"10s"`

	Library  string        `env:"TIDEGATE_ONNXRUNTIME_LIB" default:"/opt/lib/libonnxruntime.so"`
	Threads  int           `env:"TIDEGATE_THREADS" validate:"min=0,max=1024"` // 0 = one for each processor
	Provider onnx.Provider `env:"TIDEGATE_PROVIDER" default:"cpu" validate:"oneof=cpu cuda"`
	Device   int           `env:"TIDEGATE_CUDA_DEVICE" validate:"min=0,max=1023"`
	Memory   int64         `env:"TIDEGATE_CUDA_MEMORY_BYTES" validate:"min=0"` // 0 = all of the device's
	TF32     bool          `env:"TIDEGATE_CUDA_TF32"`

	CacheBytes int64 `env:"TIDEGATE_MODEL_CACHE_BYTES" validate:"min=0"` // 0 = no bound
	Swaps      int   `env:"TIDEGATE_SWAPS_PER_MINUTE" default:"60" validate:"min=1"`

	Batching  string        `env:"TIDEGATE_BATCHING"`
	MaxBody   int           `env:"TIDEGATE_MAX_BODY" default:"33554432" validate:"min=1024"`
	MaxAnswer int           `env:"TIDEGATE_MAX_ANSWER" default:"33554432" validate:"min=1024"`
	Deadline  time.Duration `env:"TIDEGATE_DEADLINE" default:"60s" validate:"min=1000000"`
	Drain     time.Duration `env:"TIDEGATE_DRAIN" default:"25s" validate:"min=1000000"`
	Namespace string        `env:"TIDEGATE_METRICS_NAMESPACE" default:"Tidegate"`
	Lines     bool          `env:"TIDEGATE_REQUEST_LINES" default:"true"`
}

func (c *config) port() int {
	if c.BindTo != 0 {
		return c.BindTo
	}
	return c.Port
}

// listen opens the two ports; -1 as the gRPC port is none, 0 any free one.
func (c *config) listen() (http, rpc net.Listener, err error) {
	http, err = net.Listen("tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.port())))
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Unavailable, "port %d cannot be bound; see TIDEGATE_PORT and SAGEMAKER_BIND_TO_PORT", c.port())
	}
	if c.GRPCPort < 0 {
		return http, nil, nil
	}
	rpc, err = net.Listen("tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.GRPCPort)))
	if err != nil {
		return nil, nil, errors.Join(fault.Wrap(err, fault.Unavailable, "port %d cannot be bound; see TIDEGATE_GRPC_PORT (-1 = no gRPC)", c.GRPCPort), http.Close())
	}
	return http, rpc, nil
}

// runtime opens ONNX Runtime, where it is asked to or on the CPU. servedBy is what
// answers say of it.
func (c *config) runtime(log *slog.Logger, processors int) (rt *onnx.Runtime, servedBy string, err error) {
	rt, err = onnx.Open(onnx.Options{
		Library: c.Library, Threads: cmp.Or(c.Threads, processors), Log: log,
		Provider: c.Provider, Device: onnx.Device{ID: c.Device, MemoryBytes: c.Memory, TF32: c.TF32},
	})
	if err != nil {
		return nil, "", err
	}
	if reason := rt.Fallback(); reason != nil {
		log.Warn("models run on the CPU", "asked", string(c.Provider), "error", reason.Error())
	}
	if rt.Provider() == onnx.CPU {
		return rt, "endpoint", nil
	}
	return rt, "endpoint-" + string(rt.Provider()), nil
}

// registry is the bucket's, or one of the models in a folder. preload are the
// models that must be there.
func (c *config) registry(ctx context.Context, env func() (aws.Config, error)) (reg *registry.Registry, preload []string, err error) {
	if c.Bucket == "" && c.Trusted.Required() {
		return nil, nil, fault.Invalid(fault.Violation{Path: "TIDEGATE_TRUSTED_KEYS", Problem: "needs TIDEGATE_REGISTRY_BUCKET: signatures are looked for in a registry, and a folder would be served without"})
	}
	if c.Bucket == "" {
		return folder.Open(ctx, c.Dir, c.Name)
	}
	if len(c.Models) == 0 {
		return nil, nil, fault.Invalid(fault.Violation{Path: "TIDEGATE_PRELOAD_MODELS", Problem: "is required with TIDEGATE_REGISTRY_BUCKET: the models that must be loaded before the server is ready"})
	}
	cfg, err := env()
	if err != nil {
		return nil, nil, err
	}
	return registry.New(s3.New(s3.NewClient(cfg), c.Bucket), registry.Options{}), c.Models, nil
}

// recorder captures into the stream. Without one there is none, and nothing to flush.
func (c *config) recorder(env func() (aws.Config, error), count func(string, int64)) (r httpapi.Recorder, flush func(context.Context) error, err error) {
	if c.Stream == "" {
		return nil, func(context.Context) error { return nil }, nil
	}
	cfg, err := env()
	if err != nil {
		return nil, nil, err
	}
	recorder := capture.NewRecorder(capture.Options{
		Stream: firehose.New(awsfirehose.NewFromConfig(cfg), c.Stream), Count: count, FlushRequests: c.FlushRequests, FlushAfter: c.FlushAfter,
	})
	return recorder, recorder.Flush, nil
}

// account is the AWS configuration of a container: environment, role of the task or of the instance.
func account(ctx context.Context) func() (aws.Config, error) {
	return func() (aws.Config, error) {
		cfg, err := awsconfig.LoadDefaultConfig(ctx)
		return cfg, fault.Wrap(err, fault.Internal, "there is no AWS configuration: set AWS_REGION and give the container a role")
	}
}

func logger() *slog.Logger { return slog.New(slog.NewJSONHandler(os.Stdout, nil)) }
