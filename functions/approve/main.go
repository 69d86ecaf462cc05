// Command approve is the Lambda function that asks people for a decision and keeps
// what they decide.
//
// Trigger: a task of the retrain or rollout machine, which asks and polls; the command line, which decides.
// Input and output: approval.In and approval.Out (docs/formats/registry.md, Approvals).
// Environment: TIDEGATE_REGISTRY_BUCKET, TIDEGATE_APPROVAL_TOPIC (ARN of an SNS topic, may be empty).
// IAM, on the registry bucket: s3:ListBucket; s3:GetObject on models/; s3:PutObject on models/*/approvals/; sns:Publish on the topic.
// Errors: the kinds of fault, as error types; FailedPrecondition is a request that was decided otherwise or has expired.
package main

import (
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	awssns "github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/tidegate/tidegate/shared/approval"
	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/stream/sns"
	"github.com/tidegate/tidegate/shared/validate"
)

type config struct {
	Bucket string `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
	Topic  string `env:"TIDEGATE_APPROVAL_TOPIC" validate:"omitempty,startswith=arn:"`
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
	desk := approval.Desk{Registry: registry.New(s3.New(s3.NewClient(env), cfg.Bucket), registry.Options{}), Now: time.Now}
	if cfg.Topic != "" {
		desk.Topic = sns.New(awssns.NewFromConfig(env), cfg.Topic)
	}
	return lambdaapi.Step(log, desk.Run), nil
}
