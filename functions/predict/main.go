// Command predict is the Lambda function that answers predictions and captures
// them.
//
// Trigger: HTTP API, payload format 2.0, GET, HEAD and POST of /v2/… and /v1/….
// Input and output: docs/formats/http.md; records of docs/formats/capture.md go to the capture stream, one line of
// docs/formats/telemetry.md per request to standard output.
// Environment: the TIDEGATE_ variables of config; from Lambda AWS_LAMBDA_FUNCTION_MEMORY_SIZE and AWS_LAMBDA_RUNTIME_API.
// IAM: s3:ListBucket on the registry bucket and s3:GetObject on its models/ and blobs/; firehose:PutRecordBatch on the
// capture stream; xray:PutTraceSegments and xray:PutTelemetryRecords; sagemaker:InvokeEndpoint on the stack's endpoint, if it has one.
// Errors: faults are answers; only an event that is not one of an HTTP API fails the invocation.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	awsfirehose "github.com/aws/aws-sdk-go-v2/service/firehose"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/onnx"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/stream/firehose"
	"github.com/tidegate/tidegate/shared/telemetry"
	"github.com/tidegate/tidegate/shared/validate"
)

type config struct {
	Bucket        string               `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
	Stream        string               `env:"TIDEGATE_CAPTURE_STREAM" validate:"required"`
	Mode          registry.CaptureMode `env:"TIDEGATE_CAPTURE_MODE" default:"after" validate:"oneof=after buffered strict"`
	FlushRequests int                  `env:"TIDEGATE_CAPTURE_FLUSH_REQUESTS" default:"200" validate:"min=1"`
	FlushAfter    time.Duration        `env:"TIDEGATE_CAPTURE_FLUSH_AFTER" default:"10s"`
	Library       string               `env:"TIDEGATE_ONNXRUNTIME_LIB" default:"/opt/lib/libonnxruntime.so"`
	Preload       []string             `env:"TIDEGATE_PRELOAD_MODELS"`
	CacheBytes    int64                `env:"TIDEGATE_MODEL_CACHE_BYTES" default:"512000000" validate:"min=1"`
	Swaps         int                  `env:"TIDEGATE_SWAPS_PER_MINUTE" default:"6" validate:"min=1"`
	Namespace     string               `env:"TIDEGATE_METRICS_NAMESPACE" default:"Tidegate"`
	MemoryMB      int                  `env:"AWS_LAMBDA_FUNCTION_MEMORY_SIZE"` // 0 outside Lambda
	Trusted       signature.Trust      `env:"TIDEGATE_TRUSTED_KEYS"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	loop, err := build(ctx, log, os.Getenv)
	if err == nil {
		err = loop.Run(ctx)
	} else if reported := lambdaapi.ReportInit(os.Getenv("AWS_LAMBDA_RUNTIME_API"), err); reported != nil {
		log.Error("start could not be reported", "error", reported.Error())
	}
	if err != nil {
		log.Error("predict ended", "error", err.Error())
		os.Exit(1)
	}
}

func build(ctx context.Context, log *slog.Logger, getenv func(string) string) (*lambdaapi.Loop, error) {
	var cfg config
	if err := validate.Config(getenv, &cfg); err != nil {
		return nil, err
	}
	env, err := awsenv.Config(getenv)
	if err != nil {
		return nil, err
	}
	rt := onnx.Start(onnx.Options{Library: cfg.Library, Threads: onnx.Threads(cfg.MemoryMB, runtime.NumCPU()), Log: log})
	told, err := telemetry.New(telemetry.Options{Out: os.Stdout, Namespace: cfg.Namespace, Now: time.Now, Getenv: getenv})
	if err != nil {
		return nil, err
	}
	recorder := capture.NewRecorder(capture.Options{Stream: firehose.New(awsfirehose.NewFromConfig(env), cfg.Stream), Count: told.Count,
		FlushRequests: cfg.FlushRequests, FlushAfter: cfg.FlushAfter})
	fleet := inference.NewFleet(inference.Options{
		Registry: registry.New(s3.New(s3.NewClient(env), cfg.Bucket), registry.Options{}), Runtime: rt, Trust: cfg.Trusted, Backends: backends(env, log, told.Count),
		Count: told.Count, Log: log, CacheBytes: cfg.CacheBytes, SwapsPerMinute: cfg.Swaps, Capture: registry.CaptureSettings{Mode: cfg.Mode},
		RSS: inference.RSS, Trim: onnx.Trim, RSSLimit: int64(cfg.MemoryMB) << 20 / 10 * 8,
	})
	preload, cancel := context.WithTimeout(ctx, 8*time.Second) // what Lambda's INIT phase (10 s) leaves for models
	defer cancel()
	if err := fleet.Preload(preload, cfg.Preload); err != nil { // asked for again by the first request
		log.Warn("model not preloaded", "error", err.Error())
	}
	if err := rt.Wait(); err != nil {
		return nil, err
	}
	return &lambdaapi.Loop{
		API: getenv("AWS_LAMBDA_RUNTIME_API"), Log: log, Exhausted: fleet.Exhausted,
		Handler: httpapi.New(fleet, recorder, told, httpapi.Options{Enveloped: true, Count: told.Count}),
		Flush: func(ctx context.Context) {
			if err := recorder.Flush(ctx); err != nil {
				log.Error("captures lost at the end of the process", "error", err.Error())
			}
			told.Flush()
		},
	}, nil
}
