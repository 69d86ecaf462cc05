package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// Reason is why a backend's answer is not taken.
type Reason string

// The reasons. All of them let the version be run in this process instead.
const (
	Throttled    Reason = "throttle"   // 429
	NoCapacity   Reason = "capacity"   // 503, 413, a SageMaker endpoint that is not ready
	Failed       Reason = "server"     // 5xx, by OriginalStatusCode through SageMaker
	Unreachable  Reason = "connection" // no connection, or one that broke
	TooLate      Reason = "deadline"   // the backend's share of the time is used up, 504
	Garbage      Reason = "garbage"    // no answer of the protocol, or not of the signature; a redirect
	OtherVersion Reason = "version"    // 404, or an answer by another version or digest, or that names none
	Denied       Reason = "denied"     // 401, 403, a call that SageMaker itself refuses
	BreakerOpen  Reason = "open"       // it failed too often just now and was not asked
)

// Failure is a backend that did not answer as it should.
type Failure struct {
	Reason     Reason
	Status     int           // of the backend's answer; 0 = none
	RetryAfter time.Duration // as the backend asks; 0 = it does not
	Again      bool          // nothing can have run: it may be asked again at once
	cause      error
}

// Error is for logs.
func (f *Failure) Error() string {
	text := "remote: " + string(f.Reason)
	if f.Status != 0 {
		text += fmt.Sprintf(" (status %d)", f.Status)
	}
	if f.cause != nil {
		text += ": " + f.cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.cause }

// count is the name under which failures of a reason are counted.
func (r Reason) count() string { return BackendLost + strings.ToUpper(string(r[:1])) + string(r[1:]) }

// failed is the failure that an answer's status stands for.
func failed(status int, after time.Duration, cause error) *Failure {
	f := &Failure{Reason: Garbage, Status: status, RetryAfter: after, cause: cause}
	switch status {
	case http.StatusTooManyRequests:
		f.Reason, f.Again = Throttled, true
	case http.StatusServiceUnavailable:
		f.Reason, f.Again = NoCapacity, true
	case http.StatusRequestEntityTooLarge:
		f.Reason = NoCapacity
	case http.StatusUnauthorized, http.StatusForbidden:
		f.Reason = Denied
	case http.StatusNotFound:
		f.Reason = OtherVersion
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		f.Reason = TooLate
	case http.StatusNotImplemented:
	default:
		if status >= 500 {
			f.Reason = Failed
		}
	}
	return f
}

// broken is the failure of a call without a whole answer, whose context is ctx.
func broken(ctx context.Context, err error, again bool) *Failure {
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return &Failure{Reason: TooLate, cause: err}
	}
	return &Failure{Reason: Unreachable, Again: again, cause: err}
}

// refusal is the error for rows that the backend calls wrong. What is wrong is told
// where the backend is our own program, which repeats no value of the input.
func refusal(status int, violations []fault.Violation) error {
	if len(violations) > 0 {
		return fault.Invalid(violations...)
	}
	return fault.New(fault.InvalidArgument, "the model's backend refuses this request (status %d); compare it with the signature that GET /v2/models/… tells", status)
}

// refuses says whether a status is the caller's own fault.
func refuses(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusUnprocessableEntity
}

// connecting says that err is of a connection that was never made.
func connecting(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, errLinkLocal)
}
