// Command snapshot is the Lambda function of the retrain machine that pins training
// data, says whether a training is needed, takes what a trainer left, and finds the
// rows on which a new version stands beside the champion.
//
// Trigger: tasks of the retrain machine.
// Input and output: training.In and training.Out (docs/formats/dataset.md).
// Environment: TIDEGATE_REGISTRY_BUCKET, TIDEGATE_DATA_BUCKET, TIDEGATE_DATASET_BUCKET (a bucket of the user's with training data,
// may be empty), TIDEGATE_TRAIN_MEMORY_MB (of the train function: it bounds the rows).
// IAM: s3:ListBucket on the buckets; on the registry bucket s3:GetObject on models/, blobs/, datasets/, runs/ and uploads/,
// s3:PutObject on blobs/, datasets/, runs/ and uploads/; on the data bucket s3:GetObject and s3:GetObjectVersion on training/, batches/,
// captures/ and labels/filed/; the same on all of the user's bucket.
// Errors: the kinds of fault, as error types.
package main

import (
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/dataset"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/training"
	"github.com/tidegate/tidegate/shared/validate"
)

type config struct {
	Registry      string `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
	Data          string `env:"TIDEGATE_DATA_BUCKET" validate:"required"`
	Dataset       string `env:"TIDEGATE_DATASET_BUCKET"`
	TrainMemoryMB int    `env:"TIDEGATE_TRAIN_MEMORY_MB" validate:"gte=512,lte=10240"`
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
	store := s3.New(client, cfg.Registry)
	reg := registry.New(store, registry.Options{})
	buckets := map[string]dataset.Bucket{cfg.Data: s3.New(client, cfg.Data)}
	if cfg.Dataset != "" {
		buckets[cfg.Dataset] = s3.New(client, cfg.Dataset)
	}
	p := &training.Planner{
		RegistryBucket: cfg.Registry,
		DataBucket:     cfg.Data,
		Registry:       reg,
		Uploads:        store,
		Builder:        &dataset.Builder{Buckets: buckets, Registry: reg, Now: time.Now, Dir: os.TempDir()},
		TrainMemoryMB:  cfg.TrainMemoryMB,
		Now:            time.Now,
		Log:            log,
		Dir:            os.TempDir(),
	}
	return lambdaapi.Step(log, p.Run), nil
}
