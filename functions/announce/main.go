// Command announce is the Lambda function that turns entries of a model's log
// into "Model State Change" and "Rollout Step Change" events.
//
// Trigger: EventBridge "Object Created" of the registry bucket, keys models/<m>/log/.
// Input: rollout.ObjectCreated. Output: none; the event is rollout.StateChange.
// Environment: TIDEGATE_REGISTRY_BUCKET, TIDEGATE_EVENT_BUS (default "default").
// IAM: s3:ListBucket on the registry bucket and s3:GetObject on models/*/log/; events:PutEvents on the bus;
// sqs:SendMessage on its dead-letter queue.
// Errors: any makes Lambda deliver the event again, twice, and then keep it in the dead-letter queue.
package main

import (
	"log/slog"

	"github.com/aws/aws-lambda-go/lambda"
	awseventbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
	"github.com/tidegate/tidegate/shared/stream/eventbridge"
	"github.com/tidegate/tidegate/shared/validate"
)

type config struct {
	Bucket string `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
	Bus    string `env:"TIDEGATE_EVENT_BUS" default:"default"`
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
	announcer := rollout.Announcer{
		Registry: registry.New(s3.New(s3.NewClient(env), cfg.Bucket), registry.Options{}),
		Bus:      eventbridge.New(awseventbridge.NewFromConfig(env), cfg.Bus),
	}
	return lambdaapi.Event(log, announcer.Run), nil
}
