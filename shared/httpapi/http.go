// Package httpapi holds the prediction protocols as transport-neutral handlers:
// Open Inference Protocol v2 and TensorFlow-Serving rows. The Lambda's HTTP API
// event and the container's net/http server both turn into a [Request] and take
// back a [Response]; nothing here knows which.
package httpapi

import (
	"context"
	"time"
)

// Request is one HTTP request, decoded from whatever carried it.
type Request struct {
	Method string
	Path   string // raw path, percent-encoding as sent, without the stage
	Query  string // raw query string
	Header Header // lower-case names
	Body   []byte // decoded from base64 and not yet from Content-Encoding; valid until After has run
	ID     string // the platform's request id, for logs and error answers
}

// Header maps lower-case names to values; several values are joined by ",".
type Header map[string]string

// Response is the answer to one request.
type Response struct {
	Status int
	Header Header // canonical spelling as to be sent; reused after After, like Body
	Body   []byte // owned by the handler until After has run
	Binary bool   // the body is not text: an HTTP API event must carry it as base64
	// After, when not nil, is the work to do once the answer has left: capture, the other version,
	// state refresh. It recovers its own panics and respects ctx. It must be called exactly once, also
	// when the answer could not be sent, because it gives the model version back.
	After func(ctx context.Context)
}

// Handler answers requests. It never returns an error: faults are answers.
type Handler interface {
	Serve(ctx context.Context, req *Request) Response
}

// Clock is the source of time of the handlers.
type Clock func() time.Time
