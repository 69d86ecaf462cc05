package capture

import (
	"time"

	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Prediction is everything that is known of one answered prediction request.
// Tensors are only valid until Record returns.
type Prediction struct {
	ID        string // inference id, UUIDv7
	RequestID string // the client's own id, when sent
	Key       string // sticky key, when sent
	At        time.Time
	Version   inference.Version
	Role      Role
	Rows      int
	Inputs    []tensor.Tensor // empty for a failed request
	Outputs   []tensor.Tensor
	Status    int
	ErrorKind string
	Latency   time.Duration
}
