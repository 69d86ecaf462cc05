// Command ingest is the Lambda function that files labels under the hour of the
// prediction they belong to.
//
// Trigger: EventBridge "Object Created" of the data bucket, keys labels/landed/.
// Input: ingestion.In. Output: ingestion.Out; filed labels and an ingest report (docs/formats/label.md).
// Environment: TIDEGATE_DATA_BUCKET, TIDEGATE_REGISTRY_BUCKET, TIDEGATE_METRICS_NAMESPACE.
// IAM: s3:ListBucket on both buckets; on the data bucket s3:GetObject on labels/landed/ and labels/reports/, s3:PutObject
// on labels/filed/ and labels/reports/; on the registry bucket s3:GetObject on models/*/model.json; sqs:SendMessage on its
// dead-letter queue.
// Errors: the kinds of fault, as error types. Any makes Lambda deliver the event again, twice, and then keep it in the
// dead-letter queue.
package main

import (
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/ingestion"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/telemetry"
	"github.com/tidegate/tidegate/shared/validate"
)

type config struct {
	Data      string `env:"TIDEGATE_DATA_BUCKET" validate:"required"`
	Registry  string `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
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
	told, err := telemetry.New(telemetry.Options{Out: os.Stdout, Namespace: cfg.Namespace, Now: time.Now})
	if err != nil {
		return nil, err
	}
	client := s3.NewClient(env)
	j := &ingestion.Job{
		Bucket: cfg.Data,
		Data:   s3.New(client, cfg.Data),
		Models: registry.New(s3.New(client, cfg.Registry), registry.Options{}),
		Meter:  told,
		Log:    log,
	}
	return lambdaapi.Step(log, j.Run), nil
}
