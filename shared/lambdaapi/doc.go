// Package lambdaapi is the edge to AWS Lambda: how an event becomes a request,
// and an answer a result.
//
// [Loop] is the Runtime API loop of predict. aws-lambda-go decodes every event
// with encoding/json before a handler sees it (2 ms for 1,000 rows of 30 columns)
// and cannot run work after the answer for raw payloads; Loop hands over the raw
// bytes and runs Response.After between posting the answer and polling for the
// next event. [Step] and [Event] adapt all other functions to aws-lambda-go.
//
// It knows no protocol of predictions (httpapi) and no model. Its invariant: every
// event that was taken is answered exactly once, whatever the handler does, and
// After has run before the next is taken.
//
//	loop := lambdaapi.Loop{API: os.Getenv("AWS_LAMBDA_RUNTIME_API"), Handler: handler, Log: log}
//	err := loop.Run(ctx)
package lambdaapi
