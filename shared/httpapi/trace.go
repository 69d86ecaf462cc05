package httpapi

import "context"

// traceKey is where aws-xray-sdk-go looks for the trace header (xray.LambdaTraceHeaderKey).
const traceKey = "x-amzn-trace-id"

// WithTrace returns ctx with the trace header of a request, as it came or as a bare
// trace id. Whoever carries requests puts it there, telemetry and calls to other
// servers read it.
func WithTrace(ctx context.Context, header string) context.Context {
	//lint:ignore SA1029 the X-Ray SDK looks it up by this string
	return context.WithValue(ctx, traceKey, header)
}

// Trace is the trace header of the request that ctx belongs to, "" if it has none.
func Trace(ctx context.Context) string {
	header, _ := ctx.Value(traceKey).(string)
	return header
}
