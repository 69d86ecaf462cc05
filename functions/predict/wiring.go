package main

import (
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sagemakerruntime"

	"github.com/tidegate/tidegate/shared/httpapi"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/inference/remote"
)

// backends run what a model's settings name a backend for. The SageMaker runtime is
// set up when the first of them asks for it: most functions never do.
func backends(env aws.Config, log *slog.Logger, count func(string, int64)) inference.Backends {
	return remote.New(remote.Options{
		SageMaker: func() remote.Invoker { return sagemakerruntime.NewFromConfig(env) }, Count: count, Log: log, Trace: httpapi.Trace,
	})
}
