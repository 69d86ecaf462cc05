package lambdaapi

import (
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

// Main is the main of a function on aws-lambda-go: it builds the handler from the
// environment and serves until the process ends. A function that cannot be built
// says why in one line of its log and ends; the platform starts another.
func Main(build func(log *slog.Logger, getenv func(string) string) (lambda.Handler, error)) {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	handler, err := build(log, os.Getenv)
	if err != nil {
		log.Error("start failed", "error", err.Error())
		os.Exit(1)
	}
	lambda.Start(handler)
}
