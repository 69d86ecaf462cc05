// Command evaluate is the Lambda function that says how good models were: it joins
// captured predictions with their labels, window by window.
//
// Trigger: a schedule, with the input {"tick":true}; a task and the map items of the evaluate machine; the command line.
// Input and output: watch.In and watch.Out (docs/formats/evaluation.md), or {"decide"} with trial.In and trial.Out, from
// the rollout machine.
// Environment: TIDEGATE_REGISTRY_BUCKET, TIDEGATE_DATA_BUCKET, TIDEGATE_EVENT_BUS (default "default"),
// TIDEGATE_QUALITY_TOPIC (ARN of an SNS topic, may be empty), TIDEGATE_METRICS_NAMESPACE.
// IAM: s3:ListBucket on both buckets; on the registry s3:GetObject on models/ and blobs/, s3:PutObject on blobs/; on the data
// bucket s3:GetObject on captures/, labels/filed/, predictions/, evaluations/ and reports/evaluation/, s3:PutObject on
// evaluations/ and reports/evaluation/;
// events:PutEvents on the bus; sns:Publish on the topic; sqs:SendMessage on its dead-letter queue.
// Errors: the kinds of fault, as error types.
package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	awseventbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	awssns "github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/evaluation/trial"
	"github.com/tidegate/tidegate/shared/evaluation/watch"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/stream/eventbridge"
	"github.com/tidegate/tidegate/shared/stream/sns"
	"github.com/tidegate/tidegate/shared/telemetry"
	"github.com/tidegate/tidegate/shared/validate"
)

type config struct {
	Registry  string `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
	Data      string `env:"TIDEGATE_DATA_BUCKET" validate:"required"`
	Bus       string `env:"TIDEGATE_EVENT_BUS" default:"default"`
	Topic     string `env:"TIDEGATE_QUALITY_TOPIC" validate:"omitempty,startswith=arn:"`
	Namespace string `env:"TIDEGATE_METRICS_NAMESPACE"`
}

// in asks for windows to be evaluated, or for one look at a rollout.
type in struct {
	watch.In
	Decide *trial.In `json:"decide,omitempty"`
}

type out struct {
	watch.Out
	Decide *trial.Out `json:"decide,omitempty"`
}

func main() { lambdaapi.Main(build) }

func build(log *slog.Logger, getenv func(string) string) (lambda.Handler, error) {
	var cfg config
	if err := validate.Config(getenv, &cfg); err != nil {
		return nil, err
	}
	env, err := awsenv.Config(getenv)
	if err != nil {
		return nil, err
	}
	tell, err := telemetry.New(telemetry.Options{Out: os.Stdout, Namespace: cfg.Namespace, Now: time.Now})
	if err != nil {
		return nil, err
	}
	client := s3.NewClient(env)
	w := &watch.Watcher{
		Registry: registry.New(s3.New(client, cfg.Registry), registry.Options{}),
		Data:     s3.New(client, cfg.Data),
		Bucket:   cfg.Data,
		Bus:      eventbridge.New(awseventbridge.NewFromConfig(env), cfg.Bus),
		Meter:    tell,
		Now:      time.Now,
		Log:      log,
	}
	if cfg.Topic != "" {
		w.Topic = sns.New(awssns.NewFromConfig(env), cfg.Topic)
	}
	j := &trial.Judge{Registry: w.Registry, Data: w.Data, Now: w.Now}
	return lambdaapi.Step(log, func(ctx context.Context, in in) (o out, err error) {
		switch {
		case in.Decide == nil:
			o.Out, err = w.Run(ctx, in.In)
		case in.In != watch.In{}:
			err = fault.New(fault.InvalidArgument, "decide goes with no other field")
		default:
			o.Decide = new(trial.Out)
			*o.Decide, err = j.Run(ctx, *in.Decide)
		}
		return o, err
	}), nil
}
