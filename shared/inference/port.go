// Package inference answers prediction requests of several models: it follows
// each model's state.json, keeps the versions it names loaded within a budget of
// bytes, picks the version that a key gets and runs it under the deadline.
//
// It knows no codec and no transport (see httpapi), and no ONNX Runtime: that is
// behind [Runtime], implemented by inference/onnx (cgo) and, for warm endpoints,
// by inference/remote.
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
