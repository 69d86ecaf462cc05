package inference

import (
	"context"
	"time"

	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Selection asks for a version of a model.
type Selection struct {
	Model   string
	Version int           // > 0: by number, only if some slot holds it
	Slot    registry.Slot // by label; "" = routed
	Key     string        // the sticky key; the inference id when the caller gave none
}

// Served is a version picked for one request. It stays loaded until Done is called.
type Served interface {
	Version() Version
	// Run runs the model; see Session.Run.
	Run(ctx context.Context, inputs []tensor.Tensor, want []string) (outputs []tensor.Tensor, release func(), err error)
	// Partners are the versions that are to score the same rows once the answer has left; nil when none
	// is. key, the sticky key or the inference id, decides by the model's pair_ratio whether any does. It
	// may be called before Done only.
	Partners(key string) []Partner
	Done()
}

// Version is what answers and captures say about who served.
type Version struct {
	Model      string
	Number     int
	Digest     string
	Slot       registry.Slot
	Generation int64
	RolloutID  string
	ServedBy   string // "lambda" or "endpoint"
	Schema     *schema.Schema
	Columns    *schema.Checker // compiled contract with the settings' overrides
	Capture    registry.CaptureSettings
}

// ModelStatus is what the metadata and readiness routes show.
type ModelStatus struct {
	Model      string
	Generation int64
	Versions   []VersionStatus
}

// VersionStatus is one version held in a slot.
type VersionStatus struct {
	Number int
	Slots  []registry.Slot
	Ready  bool
	Loaded time.Time
}
