package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/tidegate/tidegate/shared/fault"
)

// Invoker is the part of Lambda that steps need.
type Invoker interface {
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

// stepTries bounds how often a step that answered "try again" is tried.
const stepTries = 4

// Invoke calls a step function and waits for its answer. in and out are the
// payload contract of the function, in JSON.
//
// A function's error arrives as a fault of the kind that its name says. Aborted,
// ResourceExhausted and Unavailable are tried again: steps are idempotent (the
// caller chooses transition ids, the same bytes are the same version). Lambda's
// own throttling too; a time-out is not, because training again costs minutes.
func (s *Stack) Invoke(ctx context.Context, function string, in, out any) error {
	payload, err := json.Marshal(in)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the input of %s cannot be encoded", function)
	}
	wait := s.pause
	for try := 1; ; try++ {
		err = invoke(ctx, s.Lambda, function, payload, out)
		again := slices.Contains([]fault.Kind{fault.Aborted, fault.ResourceExhausted, fault.Unavailable}, fault.KindOf(err))
		if !again || try == stepTries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
		wait *= 2
	}
}

func invoke(ctx context.Context, api Invoker, function string, payload []byte, out any) error {
	answer, err := api.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Payload: payload})
	if err != nil {
		return awsFault(err, "function "+function+" cannot be invoked")
	}
	if answer.FunctionError != nil {
		return functionFault(function, answer.Payload)
	}
	dec := json.NewDecoder(bytes.NewReader(answer.Payload))
	if err := dec.Decode(out); err != nil {
		return fault.Wrap(err, fault.Internal, "the answer of %s is not what this version of the command line expects; deploy the same version", function)
	}
	return nil
}

// functionFault turns Lambda's error document into the fault whose kind it names.
// Names that are not ours are the runtime's: a crash, a time-out, an import error.
func functionFault(function string, payload []byte) error {
	var doc struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(payload, &doc); err != nil {
		return fault.Wrap(err, fault.Internal, "function %s failed without saying why; look at its log", function)
	}
	if kind := fault.Kind(doc.Type); slices.Contains(fault.Kinds(), kind) {
		// The message is public by construction (lambdaapi.Step). For Internal it quotes the request
		// id, which is what the reader needs to find the log line.
		return fault.New(kind, "%s", doc.Message)
	}
	if strings.Contains(doc.Type, "Timedout") || strings.Contains(doc.Message, "Task timed out") {
		return fault.New(fault.DeadlineExceeded, "function %s ran out of time; raise its time-out parameter", function)
	}
	return fault.New(fault.Internal, "function %s crashed (%s); look at its log", function, doc.Type)
}
