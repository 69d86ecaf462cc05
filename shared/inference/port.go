// Package inference answers prediction requests of several models: it follows
// each model's state.json, keeps the versions it names loaded within a budget of
// bytes, picks the version that a key gets and runs it under the deadline.
//
// It knows no codec and no transport (see httpapi), and no ONNX Runtime: that is
// behind [Runtime], implemented by inference/onnx (cgo). Where a model's settings
// name a backend, its versions run there: behind [Backends], implemented by
// inference/remote.
package inference

import (
	"context"

	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Runtime loads model files.
type Runtime interface {
	// Load makes a session of the ONNX file's bytes. sig fixes the names and order of the tensors.
	// Errors: InvalidArgument (the runtime does not accept the file), Internal.
	Load(ctx context.Context, model []byte, sig schema.Signature) (Session, error)
	// Name and version, e.g. "onnxruntime 1.27.0".
	String() string
}

// Session is one loaded model. Run may be called concurrently.
type Session interface {
	// Run computes the outputs named in want (all of the signature when nil) from inputs in the
	// signature's order. It returns DeadlineExceeded soon after ctx ends, also in the middle of a
	// run. Release gives the outputs' memory back; they must not be read afterwards.
	Run(ctx context.Context, inputs []tensor.Tensor, want []string) (outputs []tensor.Tensor, release func(), err error)
	// Close destroys the session once running calls have ended.
	Close() error
}

// Backends runs versions outside of this process.
type Backends interface {
	// Bind returns what runs a version on a backend. It connects to nothing yet; equal arguments share
	// connections and what is known of the backend's health.
	Bind(b Backend, v Bound) Remote
}

// Bound is a version as its backend is asked for it.
type Bound struct {
	Model     string
	Version   int
	Digest    string
	Signature *schema.Signature
}

// Remote runs one version on its backend. Run may be called concurrently.
type Remote interface {
	// Run is Session.Run, and says who computed the outputs. When the backend does not answer, or not as
	// it should, Local computes them. Errors: InvalidArgument, the backend refused the rows;
	// DeadlineExceeded, ctx has ended; Unavailable, the backend did not answer and there is no Local; those of Local.
	Run(ctx context.Context, c RemoteCall) (outputs []tensor.Tensor, release func(), ran Ran, err error)
}

// RemoteCall is one run.
type RemoteCall struct {
	Inputs []tensor.Tensor // in the signature's order
	Want   []string        // outputs; nil = all of the signature
	Low    bool            // nobody waits for it: it gives way to other calls
	// Local runs the version in this process; nil when it is not loaded here.
	Local func(ctx context.Context, inputs []tensor.Tensor, want []string) ([]tensor.Tensor, func(), error)
}
