// Command lease is the Lambda function that lets one execution at a time work on a
// model: it claims triggers and grants, renews and takes back leases.
//
// Trigger: a task of the retrain machine.
// Input and output: lease.In and lease.Out (docs/formats/registry.md, Leases).
// Environment: TIDEGATE_REGISTRY_BUCKET.
// IAM, on the registry bucket: s3:ListBucket; s3:GetObject on models/ and triggers/; s3:PutObject on
// models/*/lease.json and triggers/.
// Errors: the kinds of fault, as error types; FailedPrecondition is a renewal by one who was overtaken.
package main

import (
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/lease"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/validate"
)

type config struct {
	Bucket string `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
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
	keeper := lease.Keeper{Registry: registry.New(s3.New(s3.NewClient(env), cfg.Bucket), registry.Options{}), Now: time.Now, NewID: rand.Text}
	return lambdaapi.Step(log, keeper.Run), nil
}
