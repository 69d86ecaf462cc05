package s3

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/aws/smithy-go"

	"github.com/tidegate/tidegate/shared/fault"
)

// classify is the whole table from what the SDK returns to the kinds that
// blob.Store promises. S3's codes are looked at first (API reference, "Error
// responses"), then the status, for answers without a body (HEAD) and for stores
// with codes of their own; without any answer the outcome is open.
func classify(ctx context.Context, err error, verb, key string) error {
	switch kindOf(ctx, err) {
	case fault.NotFound:
		return fault.Wrap(err, fault.NotFound, "there is no object %s", key)
	case fault.FailedPrecondition:
		return fault.Wrap(err, fault.FailedPrecondition, "%s exists already, or has changed since it was read", key)
	case fault.Aborted:
		return fault.Wrap(err, fault.Aborted, "another request for %s was under way", key)
	case fault.Unavailable:
		if ended := ctx.Err(); ended != nil {
			err = errors.Join(ended, err)
		}
		return fault.Wrap(err, fault.Unavailable, "the store did not answer the request to %s %s; try again", verb, key)
	}
	return fault.Wrap(err, fault.Internal, "the store refused to %s %s; check the function's role and the name of the bucket", verb, key)
}

func kindOf(ctx context.Context, err error) fault.Kind {
	if ctx.Err() != nil {
		return fault.Unavailable
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "NoSuchKey", "NoSuchVersion":
			return fault.NotFound
		case "PreconditionFailed":
			return fault.FailedPrecondition
		case "ConditionalRequestConflict", "OperationAborted":
			return fault.Aborted
		case "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException",
			"ServiceUnavailable", "InternalError", "RequestTimeout", "BandwidthLimitExceeded":
			return fault.Unavailable
		case "NoSuchBucket", "AccessDenied":
			return fault.Internal
		}
	}
	switch code := status(err); {
	case code == http.StatusNotFound:
		return fault.NotFound
	case code == http.StatusPreconditionFailed:
		return fault.FailedPrecondition
	case code == http.StatusConflict:
		return fault.Aborted
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return fault.Unavailable
	case code > 0:
		return fault.Internal
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || lost(err) {
		return fault.Unavailable
	}
	return fault.Internal
}

// lost says whether a request got no answer at all.
func lost(err error) bool {
	var send interface{ ConnectionError() bool }
	var cancelled *smithy.CanceledError
	return errors.As(err, &send) && send.ConnectionError() || errors.As(err, &cancelled)
}

// status returns the HTTP status of an answer that is an error, 0 without one.
func status(err error) int {
	var answer interface{ HTTPStatusCode() int }
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}
