// Command endpoint is the prediction server of a container: SageMaker real-time
// endpoints, ECS, EKS, any host. It answers what predict answers, in batches, with
// models that stay loaded.
//
// Started as: endpoint [serve], or endpoint health for the container's health check.
// Input and output: docs/endpoint.md; the prediction API of docs/formats/http.md, SageMaker's /ping and /invocations, gRPC, /metrics.
// Environment: the TIDEGATE_ and SAGEMAKER_ variables of config; of AWS region and credentials, only with a bucket or a stream.
// IAM: with a bucket s3:ListBucket on it and s3:GetObject on its models/ and blobs/; with a stream firehose:PutRecordBatch on it.
// Errors: faults are answers; a server that cannot start says why in one line and exits with 1, one told to end exits with 0.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tidegate/tidegate/shared/batching"
	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/onnx"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/serving"
	"github.com/tidegate/tidegate/shared/serving/exposition"
	"github.com/tidegate/tidegate/shared/serving/rest"
	"github.com/tidegate/tidegate/shared/serving/rpc"
	"github.com/tidegate/tidegate/shared/serving/sagemaker"
	"github.com/tidegate/tidegate/shared/validate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := logger()
	err := fmt.Errorf("the argument %q is neither serve nor health", os.Args[1:])
	switch {
	case len(os.Args) == 1, len(os.Args) == 2 && os.Args[1] == "serve":
		processors := tune(os.Getenv)
		var server *serving.Server
		if server, err = build(ctx, log, os.Getenv, processors); err == nil {
			err = server.Run(ctx)
		}
	case len(os.Args) == 2 && os.Args[1] == "health":
		err = health(ctx, os.Getenv)
	}
	if err != nil {
		log.Error("endpoint ended", "error", err.Error())
		os.Exit(1)
	}
}

func build(ctx context.Context, log *slog.Logger, getenv func(string) string, processors int) (*serving.Server, error) {
	var cfg config
	if err := validate.Config(getenv, &cfg); err != nil {
		return nil, err
	}
	settings, err := batching.ParseSettings(cfg.Batching)
	if err != nil {
		return nil, err
	}
	reg, models, err := cfg.registry(ctx, account(ctx))
	if err != nil {
		return nil, err
	}
	rt, servedBy, err := cfg.runtime(log, processors)
	if err != nil {
		return nil, err
	}
	metrics := exposition.New(exposition.Options{Runtime: rt.String(), Provider: string(rt.Provider()), Asked: string(cfg.Provider), RSS: inference.RSS, Started: time.Now()})
	told, err := cfg.telemetry(getenv, metrics)
	if err != nil {
		return nil, err
	}
	recorder, flush, err := cfg.recorder(account(ctx), told.count)
	if err != nil {
		return nil, err
	}
	fleet := inference.NewFleet(inference.Options{
		Registry: reg, Runtime: rt, Trust: cfg.Trusted, Count: told.count, Log: log, CacheBytes: cfg.CacheBytes, SwapsPerMinute: cfg.Swaps,
		ServedBy: servedBy, Capture: registry.CaptureSettings{Mode: cfg.Mode}, Trim: onnx.Trim,
	})
	predictor := batching.New(fleet, batching.Options{Settings: settings})
	gate := serving.NewGate(predictor)
	metrics.Watch(predictor.Stats, gate.Ready)
	api := httpapi.New(gate, recorder, told.observer, httpapi.Options{MaxBody: cfg.MaxBody, MaxAnswer: cfg.MaxAnswer, Count: told.count})
	front := rest.New(sagemaker.New(api, sagemaker.Options{Model: only(models), MaxBody: cfg.MaxBody, Ready: gate.Ready, Columns: sagemaker.ColumnsOf(gate), Observer: told.observer}),
		rest.Options{MaxBody: int64(cfg.MaxBody), Deadline: cfg.Deadline, Observer: told.observer})
	calls, service := rpc.New(api, rpc.Options{MaxMessage: cfg.MaxBody, Deadline: cfg.Deadline, Ready: gate.Ready, Log: log.Error})
	web, wire, err := cfg.listen()
	if err != nil {
		return nil, err
	}
	return &serving.Server{
		Log: log, HTTP: web, GRPC: calls, RPC: wire, Handler: serving.Routes(metrics, front), Gate: gate, Deadline: cfg.Deadline, Drain: cfg.Drain,
		Load: load(fleet, models), FollowEvery: followEvery, Follow: follow(gate, models, flush, cfg.Drain/2, log),
		Finish: []func(context.Context) error{front.Wait, service.Wait, predictor.Drain, flush, told.flush},
	}, nil
}
