package lambdaapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/validate"
)

// stepMargin is what a step leaves of its time for the answer: without it the
// platform kills the process and the caller learns "Sandbox.Timedout" instead of
// the kind of error.
const stepMargin = 200 * time.Millisecond

// Step adapts a step body to aws-lambda-go:
//
//	lambda.Start(lambdaapi.Step(log, promote.Run))
//
// The payload is decoded strictly (unknown fields, trailing data and a null are
// refused) and checked against the `validate` tags of In. The context ends
// shortly before the function's deadline. A panic of run is an Internal error.
//
// An error leaves as messages.InvokeResponse_Error by value and unwrapped, with
// the [fault.Kind] as its type: aws-lambda-go takes the name of the outermost Go
// type for everything else (lambda/errors.go), and a state machine could not
// catch it. Its message is the public one with every violation; the cause is
// logged here, once.
func Step[In, Out any](log *slog.Logger, run func(context.Context, In) (Out, error)) lambda.Handler {
	return stepHandler(func(ctx context.Context, payload []byte) ([]byte, error) {
		return guard(ctx, log, func(ctx context.Context) (any, error) {
			in, err := decodeStep[In](payload, true)
			if err != nil {
				return nil, err
			}
			return run(ctx, in)
		})
	})
}

// Event adapts the consumer of an event that AWS makes (S3, EventBridge) the same
// way, but tolerates fields that In does not know, since AWS adds some at will.
// An error makes the platform deliver the event again and in the end send it to
// the dead-letter queue.
func Event[In any](log *slog.Logger, run func(context.Context, In) error) lambda.Handler {
	return stepHandler(func(ctx context.Context, payload []byte) ([]byte, error) {
		return guard(ctx, log, func(ctx context.Context) (any, error) {
			in, err := decodeStep[In](payload, false)
			if err != nil {
				return nil, err
			}
			return nil, run(ctx, in)
		})
	})
}

// stepHandler is a lambda.Handler, which aws-lambda-go calls without reflection
// and whose errors it passes on as they are.
type stepHandler func(ctx context.Context, payload []byte) ([]byte, error)

func (h stepHandler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return h(ctx, payload)
}

// guard runs body under the margin, recovers its panics and converts its error.
func guard(ctx context.Context, log *slog.Logger, body func(context.Context) (any, error)) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = stepError(ctx, log, fault.Wrap(fmt.Errorf("panic: %v\n%s", p, debug.Stack()), fault.Internal, "the step panicked"))
			answer = nil
		}
	}()
	if deadline, ok := ctx.Deadline(); ok {
		short, cancel := context.WithDeadline(ctx, deadline.Add(-stepMargin))
		defer cancel()
		ctx = short
	}
	out, err := body(ctx)
	if err != nil {
		return nil, stepError(ctx, log, err)
	}
	answer, err = json.Marshal(out)
	if err != nil {
		return nil, stepError(ctx, log, fault.Wrap(err, fault.Internal, "the answer of the step cannot be encoded"))
	}
	return answer, nil
}

// stepError is the one place where a fault becomes the error that Step Functions
// and invoking clients see.
func stepError(ctx context.Context, log *slog.Logger, err error) messages.InvokeResponse_Error {
	public := fault.Public(err)
	message := public.Message
	if len(public.Violations) > 1 {
		all := make([]string, len(public.Violations))
		for i, v := range public.Violations {
			all[i] = v.Path + " " + v.Problem
		}
		message = strings.Join(all, "; ")
	}
	requestID := ""
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		requestID = lc.AwsRequestID
	}
	level := slog.LevelWarn // a refusal is news for the caller, not an alarm
	if public.Kind == fault.Internal || public.Kind == fault.Unavailable {
		level = slog.LevelError
	}
	log.LogAttrs(ctx, level, "step failed", slog.String("kind", string(public.Kind)),
		slog.String("request_id", requestID), slog.String("error", err.Error()))
	if public.Kind == fault.Internal && requestID != "" {
		message += " (request id " + requestID + ")"
	}
	return messages.InvokeResponse_Error{Type: string(public.Kind), Message: message}
}

// decodeStep reads payload as one JSON object into In and checks its tags. No
// value of the payload gets into an error.
func decodeStep[In any](payload []byte, strict bool) (In, error) {
	var in In
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 || payload[0] != '{' {
		return in, fault.New(fault.InvalidArgument, "the input must be one JSON object")
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	if strict {
		dec.DisallowUnknownFields()
	}
	if err := dec.Decode(&in); err != nil {
		return in, decodeFault(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return in, fault.New(fault.InvalidArgument, "the input must be one JSON object, but more follows it (byte %d)", dec.InputOffset())
	}
	if reflect.TypeFor[In]().Kind() != reflect.Struct {
		return in, nil
	}
	return in, validate.Struct(&in)
}

// decodeFault says what is wrong with a payload. encoding/json has no type for
// unknown fields: their name is cut out of its text, which is fixed by Go's
// compatibility tests; the text of other errors may hold values and is dropped.
func decodeFault(err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fault.New(fault.InvalidArgument, "the input is not valid JSON at byte %d", syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.New(fault.InvalidArgument, "the input is not valid JSON: it ends too early")
	case errors.As(err, &mismatch):
		return fault.Invalid(fault.Violation{Path: mismatch.Field, Problem: "must be " + jsonType(mismatch.Type) + ", not " + strings.Fields(mismatch.Value)[0]})
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fault.Invalid(fault.Violation{Path: strings.Trim(field, `"`), Problem: "is not a field of the input"})
	}
	return fault.New(fault.InvalidArgument, "the input cannot be decoded; check the form of its dates and numbers")
}

// jsonType names the JSON type that a Go type is decoded from.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Pointer:
		return jsonType(t.Elem())
	}
	return "a whole number"
}
