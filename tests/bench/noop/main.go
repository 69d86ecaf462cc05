// Command noop is the floor of the benchmark: a Lambda handler on AWS's own Go
// runtime that answers every HTTP API event with a constant.
//
// Trigger: an API Gateway HTTP API event. Environment, IAM: none.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		return events.APIGatewayV2HTTPResponse{
			StatusCode: 200, Headers: map[string]string{"Content-Type": "application/json"}, Body: `{"ok":true}`,
		}, nil
	})
}
