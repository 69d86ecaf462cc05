package lambdaapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/tidegate/tidegate/shared/fault"
)

type stepIn struct {
	Model   string         `json:"model" validate:"required"`
	Version int            `json:"version,omitempty"`
	At      time.Time      `json:"at"`
	Nested  map[string]int `json:"nested"`
	Flag    *bool          `json:"flag"`
}

type stepOut struct {
	Answer string `json:"answer"`
}

func invoke(t *testing.T, h lambda.Handler, payload string) (string, error) {
	t.Helper()
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "req-1"})
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// NewHandler is what lambda.Start wraps around our handler: it must keep errors as they are.
	b, err := lambda.NewHandler(h).Invoke(ctx, []byte(payload))
	return string(b), err
}

func step(log *bytes.Buffer, run func(context.Context, stepIn) (stepOut, error)) lambda.Handler {
	return Step(slog.New(slog.NewJSONHandler(log, nil)), run)
}

func TestStepAnswers(t *testing.T) {
	var log bytes.Buffer
	h := step(&log, func(ctx context.Context, in stepIn) (stepOut, error) {
		deadline, _ := ctx.Deadline()
		if left := time.Until(deadline); left > time.Minute-stepMargin {
			t.Errorf("the body has %v of 1m, want the margin taken off", left)
		}
		return stepOut{Answer: in.Model}, nil
	})
	got, err := invoke(t, h, ` {"model":"flights"} `)
	if err != nil || got != `{"answer":"flights"}` {
		t.Errorf("got %s, %v", got, err)
	}
	if log.Len() > 0 {
		t.Errorf("a success is logged: %s", &log)
	}
}

func TestStepErrorsKeepTheirName(t *testing.T) {
	for _, kind := range fault.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			var log bytes.Buffer
			cause := errors.New("s3cret cause")
			h := step(&log, func(context.Context, stepIn) (stepOut, error) {
				return stepOut{}, fmt.Errorf("promote: %w", fault.Wrap(cause, kind, "said to the caller"))
			})
			_, err := invoke(t, h, `{"model":"m"}`)
			got, ok := err.(messages.InvokeResponse_Error) // by value: a pointer or a wrapper loses the name
			if !ok {
				t.Fatalf("error is a %T, want messages.InvokeResponse_Error", err)
			}
			if got.Type != string(kind) {
				t.Errorf("type %q, want %q", got.Type, kind)
			}
			if strings.Contains(got.Message, "s3cret") {
				t.Errorf("the cause leaves the function: %s", got.Message)
			}
			if kind == fault.Internal && !strings.Contains(got.Message, "req-1") {
				t.Errorf("an internal error without a request id to quote: %s", got.Message)
			}
			if !strings.Contains(log.String(), "s3cret cause") || !strings.Contains(log.String(), "req-1") || strings.Count(log.String(), "\n") != 1 {
				t.Errorf("want one log line with cause and request id, got %s", &log)
			}
		})
	}
}

func TestStepRefusesBadInput(t *testing.T) {
	tests := []struct{ name, payload, want string }{
		{"empty", ``, "must be one JSON object"},
		{"null", `null`, "must be one JSON object"},
		{"list", `[]`, "must be one JSON object"},
		{"not JSON", `{"model":s3cret}`, "not valid JSON at byte"},
		{"truncated", `{"model":"s3cret`, "not valid JSON"},
		{"trailing", `{"model":"m"}{}`, "more follows"},
		{"unknown field", `{"model":"m","colour":"s3cret"}`, "colour is not a field"},
		{"wrong type", `{"model":"m","version":"s3cret"}`, "version must be a whole number, not string"},
		{"wrong number", `{"model":"m","version":77331.5}`, "version must be a whole number, not number"},
		{"wrong nested type", `{"model":"m","nested":{"a":[]}}`, "must be a whole number, not array"},
		{"wrong bool", `{"model":"m","flag":1}`, "flag must be true or false, not number"},
		{"bad date", `{"model":"m","at":"s3cret"}`, "cannot be decoded"},
		{"required", `{}`, "model is required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			h := step(&log, func(context.Context, stepIn) (stepOut, error) {
				t.Error("the body ran")
				return stepOut{}, nil
			})
			_, err := invoke(t, h, tt.payload)
			var got messages.InvokeResponse_Error
			if !errors.As(err, &got) || got.Type != string(fault.InvalidArgument) || !strings.Contains(got.Message, tt.want) {
				t.Errorf("got %+v, want InvalidArgument with %q", err, tt.want)
			}
			if all := got.Message + log.String(); strings.Contains(all, "s3cret") || strings.Contains(all, "77331") {
				t.Errorf("a value of the input is repeated: %s", all)
			}
		})
	}
}

func TestStepNamesEveryViolation(t *testing.T) {
	var log bytes.Buffer
	h := step(&log, func(context.Context, stepIn) (stepOut, error) {
		return stepOut{}, fault.Invalid(fault.Violation{Path: "a", Problem: "is wrong"}, fault.Violation{Path: "b", Problem: "is late"})
	})
	_, err := invoke(t, h, `{"model":"m"}`)
	if got := err.(messages.InvokeResponse_Error).Message; got != "a is wrong; b is late" {
		t.Errorf("message %q", got)
	}
}

func TestStepRecoversPanics(t *testing.T) {
	var log bytes.Buffer
	h := step(&log, func(context.Context, stepIn) (stepOut, error) { panic("boom") })
	_, err := invoke(t, h, `{"model":"m"}`)
	got, ok := err.(messages.InvokeResponse_Error)
	if !ok || got.Type != string(fault.Internal) || strings.Contains(got.Message, "boom") {
		t.Errorf("got %#v, want Internal without the panic's text", err)
	}
	if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "step_test.go") {
		t.Errorf("the log lacks the panic or its stack: %s", &log)
	}
}

func TestEventToleratesNewFields(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	h := Event(log, func(_ context.Context, in stepIn) error {
		if in.Model == "bad" {
			return fault.New(fault.Unavailable, "later")
		}
		return nil
	})
	if _, err := invoke(t, h, `{"model":"m","added-by-aws":1}`); err != nil {
		t.Error(err)
	}
	_, err := invoke(t, h, `{"model":"bad"}`)
	if got, ok := err.(messages.InvokeResponse_Error); !ok || got.Type != "Unavailable" {
		t.Errorf("got %v, want Unavailable", err)
	}
}

func FuzzDecodeStep(f *testing.F) {
	for _, seed := range []string{`{"model":"m"}`, `{"model":"m","version":1,"at":"2026-01-02T03:04:05Z","nested":{"a":1},"flag":null}`, `{"x":1}`, `{`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		in, err := decodeStep[stepIn](payload, true)
		if err != nil {
			if k := fault.KindOf(err); k != fault.InvalidArgument {
				t.Errorf("kind %s", k)
			}
			return
		}
		if _, err := json.Marshal(in); err != nil {
			t.Errorf("accepted what cannot be written: %v", err)
		}
	})
}
