// Command drift is the Lambda function that judges windows of captured predictions
// and batches, and plans batches.
//
// Trigger: a schedule, with the input {"tick":true}; a task of the drift machine; the command line.
// Input and output: watch.In and watch.Out (docs/formats/drift.md).
// Environment: TIDEGATE_REGISTRY_BUCKET, TIDEGATE_DATA_BUCKET, TIDEGATE_EVENT_BUS (default "default"),
// TIDEGATE_DRIFT_TOPIC (ARN of an SNS topic, may be empty), TIDEGATE_METRICS_NAMESPACE.
// IAM: s3:ListBucket on both buckets; on the registry s3:GetObject on models/; on the data bucket s3:GetObject on captures/,
// batches/, profiles/ and reports/, s3:PutObject on profiles/*/batches/ and reports/drift/; events:PutEvents on the bus;
// sns:Publish on the topic; sqs:SendMessage on its dead-letter queue.
// Errors: the kinds of fault, as error types.
package main

import (
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	awseventbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	awssns "github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/drift/watch"
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
	Topic     string `env:"TIDEGATE_DRIFT_TOPIC" validate:"omitempty,startswith=arn:"`
	Namespace string `env:"TIDEGATE_METRICS_NAMESPACE"`
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
	return lambdaapi.Step(log, w.Run), nil
}
