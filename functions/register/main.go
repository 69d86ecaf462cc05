// Command register is the Lambda function that checks an ONNX model and writes it
// as an immutable version.
//
// Trigger: a task of the retrain machine, or the command line.
// Input and output: registration.In and registration.Out (docs/formats/version.md).
// Environment: TIDEGATE_REGISTRY_BUCKET, TIDEGATE_ONNXRUNTIME_LIB; from Lambda AWS_LAMBDA_FUNCTION_MEMORY_SIZE.
// IAM, on the registry bucket: s3:ListBucket; s3:GetObject on uploads/, models/, blobs/ and datasets/; s3:PutObject on
// models/*/model.json, models/*/versions/, models/*/digests/ and blobs/.
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
	"github.com/tidegate/tidegate/shared/registration"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/validate"
)

type config struct {
	Bucket  string `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
	Library string `env:"TIDEGATE_ONNXRUNTIME_LIB" default:"/opt/lib/libonnxruntime.so"`
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
	memoryMB, _ := strconv.Atoi(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")) // 0 outside Lambda: the defaults
	rt, err := onnx.Open(onnx.Options{Library: cfg.Library, Threads: onnx.Threads(memoryMB, runtime.NumCPU()), Log: log})
	if err != nil {
		return nil, err
	}
	store := s3.New(s3.NewClient(env), cfg.Bucket)
	registrar := &registration.Registrar{
		Bucket:   cfg.Bucket,
		Uploads:  store,
		Registry: registry.New(store, registry.Options{}),
		Runtime:  rt,
		Now:      time.Now,
		Dir:      os.TempDir(),
		Limits:   registration.LimitsFor(memoryMB),
	}
	return lambdaapi.Step(log, registrar.Run), nil
}
