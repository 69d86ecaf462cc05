// Command profile is the Lambda function that counts captured predictions and
// dropped batches on the frozen cells of a version's baseline.
//
// Trigger: EventBridge "Object Created" of the data bucket, keys captures/; a Map item of the drift machine.
// Input: job.In. Output: job.Out (docs/formats/profile.md).
// Environment: TIDEGATE_DATA_BUCKET, TIDEGATE_REGISTRY_BUCKET.
// IAM: s3:ListBucket on both buckets; on the data bucket s3:GetObject on captures/, batches/ and profiles/, s3:PutObject on
// profiles/; on the registry bucket s3:GetObject on models/; sqs:SendMessage on its dead-letter queue.
// Errors: the kinds of fault, as error types. For an event any makes Lambda deliver it again, twice, and then keep it in
// the dead-letter queue.
package main

import (
	"log/slog"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/profile/job"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/validate"
)

type config struct {
	Data     string `env:"TIDEGATE_DATA_BUCKET" validate:"required"`
	Registry string `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
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
	client := s3.NewClient(env)
	j := &job.Job{
		Bucket:   cfg.Data,
		Data:     s3.New(client, cfg.Data),
		Registry: registry.New(s3.New(client, cfg.Registry), registry.Options{}),
		Log:      log,
	}
	return lambdaapi.Step(log, j.Run), nil
}
