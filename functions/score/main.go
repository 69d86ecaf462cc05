// Command score is the Lambda function that predicts the rows of a stored table by
// one version and writes the predictions once.
//
// Trigger: a task of a machine, or an item of its Map.
// Input and output: scoring.In and scoring.Out (docs/formats/score.md).
// Environment: TIDEGATE_DATA_BUCKET, TIDEGATE_REGISTRY_BUCKET, TIDEGATE_ONNXRUNTIME_LIB, TIDEGATE_TRUSTED_KEYS; from Lambda AWS_LAMBDA_FUNCTION_MEMORY_SIZE.
// IAM: s3:ListBucket on both buckets; on the data bucket s3:GetObject on batches/ and predictions/, s3:PutObject on predictions/;
// on the registry bucket s3:GetObject on models/, blobs/ and uploads/.
// Errors: the kinds of fault, as error types.
package main

import (
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/tidegate/tidegate/shared/awsenv"
	"github.com/tidegate/tidegate/shared/blob/s3"
	"github.com/tidegate/tidegate/shared/inference/onnx"
	"github.com/tidegate/tidegate/shared/lambdaapi"
	"github.com/tidegate/tidegate/shared/provenance/signature"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/scoring"
	"github.com/tidegate/tidegate/shared/validate"
)

type config struct {
	Data     string          `env:"TIDEGATE_DATA_BUCKET" validate:"required"`
	Registry string          `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
	Library  string          `env:"TIDEGATE_ONNXRUNTIME_LIB" default:"/opt/lib/libonnxruntime.so"`
	Trusted  signature.Trust `env:"TIDEGATE_TRUSTED_KEYS"`
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
	memoryMB, _ := strconv.Atoi(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")) // 0 outside Lambda: no limit
	rt, err := onnx.Open(onnx.Options{Library: cfg.Library, Threads: onnx.Threads(memoryMB, runtime.NumCPU()), Log: log})
	if err != nil {
		return nil, err
	}
	client := s3.NewClient(env)
	models := s3.New(client, cfg.Registry)
	s := &scoring.Scorer{
		DataBucket:     cfg.Data,
		RegistryBucket: cfg.Registry,
		Data:           s3.New(client, cfg.Data),
		Models:         models,
		Registry:       registry.New(models, registry.Options{}),
		Runtime:        rt,
		Trust:          cfg.Trusted,
		Now:            time.Now,
		Log:            log,
		Dir:            os.TempDir(),
		Limits:         scoring.LimitsFor(memoryMB),
	}
	return lambdaapi.Step(log, s.Run), nil
}
