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
	// Ran is how the last Run went; before any, who is to run.
	Ran() Ran
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
	ServedBy   string // "lambda" or "endpoint": this process, which runs it unless Served.Ran says otherwise
	Schema     *schema.Schema
	Columns    *schema.Checker // compiled contract with the settings' overrides
	Capture    registry.CaptureSettings
}

// Ran is how a run went.
type Ran struct {
	ServedBy string        // who computed the outputs, or failed to
	Backend  bool          // the version has a backend: what is below speaks of it
	Remote   time.Duration // until the backend had answered or failed; 0: it was not asked
	Fallback string        // why its answer was not taken; "" = it was
	Open     bool          // its breaker was not closed when the run began
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
