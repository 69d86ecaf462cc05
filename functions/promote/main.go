// Command promote is the Lambda function that moves the pointer of a model: the
// only one that writes state.json.
//
// Trigger: a task of the rollout machine, or the command line.
// Input and output: rollout.PromoteIn and rollout.PromoteOut (docs/formats/registry.md, Transitions).
// Environment: TIDEGATE_REGISTRY_BUCKET, TIDEGATE_TRUSTED_KEYS.
// IAM, on the registry bucket: s3:ListBucket; s3:GetObject on models/ and blobs/; s3:PutObject on
// models/*/state.json, models/*/log/ and models/*/settings/.
// Errors: the kinds of fault, as error types; FailedPrecondition is a guard that said no.
package main

import (
	"log/slog"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
	"github.com/tidegate/tidegate/shared/validate"
)

type config struct {
	Bucket  string          `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
	Trusted signature.Trust `env:"TIDEGATE_TRUSTED_KEYS"`
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
	promoter := rollout.Promoter{Registry: registry.New(s3.New(s3.NewClient(env), cfg.Bucket), registry.Options{}), Trust: cfg.Trusted}
	return lambdaapi.Step(log, promoter.Run), nil
}
