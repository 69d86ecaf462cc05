package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestEveryKindHasAStatus(t *testing.T) {
	seen := map[Kind]bool{}
	for _, k := range Kinds() {
		if seen[k] {
			t.Errorf("%s is listed twice", k)
		}
		seen[k] = true
		if _, ok := statuses[k]; !ok {
			t.Errorf("%s has no HTTP status", k)
		}
	}
	if len(statuses) != len(seen) {
		t.Errorf("%d statuses for %d kinds", len(statuses), len(seen))
	}
	if got := Kind("Unheard").HTTPStatus(); got != http.StatusInternalServerError {
		t.Errorf("unknown kind is %d, want 500", got)
	}
}

func TestKindOf(t *testing.T) {
	wrapped := fmt.Errorf("registry: read flights: %w", New(NotFound, "no model"))
	tests := []struct {
		name string
		err  error
		want Kind
	}{
		{"nil", nil, ""},
		{"fault", New(Aborted, "lost"), Aborted},
		{"wrapped", wrapped, NotFound},
		{"outermost wins", Wrap(New(NotFound, "no blob"), Unavailable, "the model is not there yet"), Unavailable},
		{"deadline", fmt.Errorf("get: %w", context.DeadlineExceeded), DeadlineExceeded},
		{"cancelled", context.Canceled, Unavailable},
		{"stranger", errors.New("boom"), Internal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := KindOf(tt.err); got != tt.want {
				t.Errorf("KindOf(%v) = %q, want %q", tt.err, got, tt.want)
			}
		})
	}
}

func TestPublicHidesCauses(t *testing.T) {
	const secret = "s3cr3t-bucket"
	errs := []error{
		errors.New(secret),
		Wrap(errors.New(secret), Unavailable, "the registry cannot be read"),
		Wrap(errors.New(secret), Internal, "reading %s", secret),
		fmt.Errorf("%s: %w", secret, context.DeadlineExceeded),
		fmt.Errorf("%s: %w", secret, context.Canceled),
	}
	for _, err := range errs {
		public := Public(err)
		if text := public.Error() + public.Message; strings.Contains(text, secret) {
			t.Errorf("Public(%v) shows the cause: %s", err, text)
		}
		if public.Kind != KindOf(err) {
			t.Errorf("Public(%v).Kind = %s", err, public.Kind)
		}
	}
}

func TestPublicKeepsWhatTheCallerNeeds(t *testing.T) {
	err := New(ResourceExhausted, "too many").After(3 * time.Second)
	if got := Public(fmt.Errorf("predict: %w", err)); got.RetryAfter != 3*time.Second {
		t.Errorf("RetryAfter = %v, want 3s", got.RetryAfter)
	}
	bad := Invalid(Violation{"inputs[0].shape", "has 2 dimensions, want 1"}, Violation{"inputs[1]", "is not an input of the model"})
	if got := Public(bad); len(got.Violations) != 2 {
		t.Errorf("violations lost: %v", got.Violations)
	}
}

func TestWrapNil(t *testing.T) {
	if err := Wrap(nil, Internal, "x"); err != nil {
		t.Errorf("Wrap(nil) = %v, want nil", err)
	}
}

func TestInvalidMessage(t *testing.T) {
	one := Invalid(Violation{"rows", "is 0; send at least one row"})
	if one.Message != "rows is 0; send at least one row" {
		t.Errorf("message %q", one.Message)
	}
	if got := Invalid().Message; got == "" {
		t.Error("an empty list of violations gives no message")
	}
}
