// Package fault is the closed list of error kinds of Tidegate.
//
// An error that crosses a boundary of the system (an HTTP answer, a state
// machine, a command's exit) has exactly one [Kind], a message that is safe to
// show to the caller, and optionally a list of [Violation]s and a time after
// which to try again. The cause stays inside: it is logged at the edge and
// never sent out.
//
//	return fault.New(fault.NotFound, "model %q has no version %d; see GET /v2/models/%s", m, v, m)
//	return fault.Wrap(err, fault.Unavailable, "the registry cannot be read; try again")
//
// The package is a leaf: it knows neither HTTP servers nor the AWS SDK. It only
// owns the one table from kind to HTTP status and to the error name that Step
// Functions matches.
package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind classifies an error. The names cross Step Functions, so they never change.
type Kind string

// The kinds. What each stands for is in docs/formats.md, "Errors".
const (
	InvalidArgument    Kind = "InvalidArgument"    // decode, schema, shape: the caller must change the request
	PermissionDenied   Kind = "PermissionDenied"   // the caller may not; a denial of our own role is Internal
	NotFound           Kind = "NotFound"           // model, version, object
	AlreadyExists      Kind = "AlreadyExists"      // a write-once key holds something else
	Aborted            Kind = "Aborted"            // lost a compare-and-swap; safe to retry
	FailedPrecondition Kind = "FailedPrecondition" // a guard said no; retrying alone does not help
	PayloadTooLarge    Kind = "PayloadTooLarge"    // body or answer over a limit
	ResourceExhausted  Kind = "ResourceExhausted"  // throttled, queue full
	DeadlineExceeded   Kind = "DeadlineExceeded"   // our margin before the deadline is used up
	Unavailable        Kind = "Unavailable"        // a dependency is down or a model is loading
	Unimplemented      Kind = "Unimplemented"      // known to the protocol, not offered here
	Internal           Kind = "Internal"           // a bug, a damaged object, a missing permission of ours
)

// Kinds lists every kind once, for tests that must be exhaustive.
func Kinds() []Kind {
	return []Kind{InvalidArgument, PermissionDenied, NotFound, AlreadyExists, Aborted, FailedPrecondition,
		PayloadTooLarge, ResourceExhausted, DeadlineExceeded, Unavailable, Unimplemented, Internal}
}

var statuses = map[Kind]int{
	InvalidArgument:    http.StatusBadRequest,
	PermissionDenied:   http.StatusForbidden,
	NotFound:           http.StatusNotFound,
	AlreadyExists:      http.StatusConflict,
	Aborted:            http.StatusConflict,
	FailedPrecondition: http.StatusConflict,
	PayloadTooLarge:    http.StatusRequestEntityTooLarge,
	ResourceExhausted:  http.StatusTooManyRequests,
	DeadlineExceeded:   http.StatusGatewayTimeout,
	Unavailable:        http.StatusServiceUnavailable,
	Unimplemented:      http.StatusNotImplemented,
	Internal:           http.StatusInternalServerError,
}

// HTTPStatus returns the status code of kind k; an unknown kind is 500.
func (k Kind) HTTPStatus() int {
	if s, ok := statuses[k]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// Retryable says whether the same call may succeed later without a change.
func (k Kind) Retryable() bool {
	switch k {
	case Aborted, ResourceExhausted, DeadlineExceeded, Unavailable:
		return true
	}
	return false
}

// Violation is one fault of a request: where it is and what is wrong with it.
// Neither field ever holds a value of the input.
type Violation struct {
	Path    string `json:"path"`    // e.g. `inputs["dep_delay"].data[3]`
	Problem string `json:"problem"` // e.g. "is not a number"
}

// Error is an error with a kind and a message that is safe to show.
type Error struct {
	Kind       Kind
	Message    string      // names the field and what to do; no internals, no input values
	Violations []Violation // all faults of a request, in the order found
	RetryAfter time.Duration
	cause      error
}

// New returns an error of kind k with a formatted, safe message.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of kind k whose cause is err. The message is what the
// caller sees; err is only for the log. Wrap(nil, …) is nil.
func Wrap(err error, k Kind, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...), cause: err}
}

// Invalid returns an InvalidArgument error that carries every violation found.
func Invalid(violations ...Violation) *Error {
	e := &Error{Kind: InvalidArgument, Violations: violations}
	switch n := len(violations); n {
	case 0:
		e.Message = "the request is not valid"
	case 1:
		e.Message = violations[0].Path + " " + violations[0].Problem
	default:
		e.Message = fmt.Sprintf("%d faults: %s %s; …", n, violations[0].Path, violations[0].Problem)
	}
	return e
}

// After sets the time after which the caller should try again and returns e.
func (e *Error) After(d time.Duration) *Error {
	e.RetryAfter = d
	return e
}

// Error is for logs: kind, message and the whole chain of causes.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Kind))
	b.WriteString(": ")
	b.WriteString(e.Message)
	if e.cause != nil {
		b.WriteString(": ")
		b.WriteString(e.cause.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// KindOf returns the kind of the outermost *Error in err's chain. A context's
// deadline is DeadlineExceeded, its cancellation Unavailable; any other error
// is Internal. KindOf(nil) is "".
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return Unavailable
	}
	return Internal
}

// Is reports whether err is of kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// Public returns what a client may see of err: the outermost *Error without its
// cause, or a message that only carries the kind. Internal errors never show
// their text: the caller quotes the request id instead.
func Public(err error) *Error {
	k := KindOf(err)
	var e *Error
	if errors.As(err, &e) && k != Internal {
		public := *e
		public.cause = nil
		return &public
	}
	switch k {
	case DeadlineExceeded:
		return New(k, "the deadline of the request has passed")
	case Unavailable:
		return New(k, "the request was given up; try again").After(time.Second)
	}
	return New(Internal, "internal error; quote the request id when you report it")
}
