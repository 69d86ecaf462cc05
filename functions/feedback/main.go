// Command feedback is the Lambda function that takes labels of earlier predictions.
//
// Trigger: HTTP API, payload format 2.0, POST /v1/feedback/{model}.
// Input and output: docs/formats/label.md; lines of it go to the label stream, one line of docs/formats/telemetry.md per
// request to standard output.
// Environment: the TIDEGATE_ variables of config; from Lambda AWS_LAMBDA_RUNTIME_API.
// IAM: s3:ListBucket on the registry bucket and s3:GetObject on its models/*/model.json; firehose:PutRecordBatch on the
// label stream; xray:PutTraceSegments and xray:PutTelemetryRecords.
// Errors: faults are answers; only an event that is not one of an HTTP API fails the invocation.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	awsfirehose "github.com/aws/aws-sdk-go-v2/service/firehose"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/httpapi/feedback"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/stream/firehose"
	"github.com/tidegate/tidegate/shared/telemetry"
	"github.com/tidegate/tidegate/shared/validate"
)

type config struct {
	Bucket    string `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
	Stream    string `env:"TIDEGATE_LABEL_STREAM" validate:"required"`
	Namespace string `env:"TIDEGATE_METRICS_NAMESPACE" default:"Tidegate"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	loop, err := build(log, os.Getenv)
	if err == nil {
		err = loop.Run(ctx)
	} else if reported := lambdaapi.ReportInit(os.Getenv("AWS_LAMBDA_RUNTIME_API"), err); reported != nil {
		log.Error("start could not be reported", "error", reported.Error())
	}
	if err != nil {
		log.Error("feedback ended", "error", err.Error())
		os.Exit(1)
	}
}

func build(log *slog.Logger, getenv func(string) string) (*lambdaapi.Loop, error) {
	var cfg config
	if err := validate.Config(getenv, &cfg); err != nil {
		return nil, err
	}
	env, err := awsenv.Config(getenv)
	if err != nil {
		return nil, err
	}
	told, err := telemetry.New(telemetry.Options{Out: os.Stdout, Namespace: cfg.Namespace, Now: time.Now, Getenv: getenv})
	if err != nil {
		return nil, err
	}
	return &lambdaapi.Loop{
		API: getenv("AWS_LAMBDA_RUNTIME_API"), Log: log,
		Handler: feedback.New(feedback.Options{
			Stream: firehose.New(awsfirehose.NewFromConfig(env), cfg.Stream),
			Models: registry.New(s3.New(s3.NewClient(env), cfg.Bucket), registry.Options{}),
			Count:  told.Count, Observer: told,
		}),
		Flush: func(context.Context) { told.Flush() },
	}, nil
}
