package registry

import (
	"encoding/json"
	"time"

	"github.com/tidegate/tidegate/shared/schema"
)

// Format versions written by this package; older ones must load for ever.
const (
	ModelVersion    = 1
	ManifestVersion = 1
	StateVersion    = 1
	SettingsVersion = 1
	ClaimVersion    = 1
)

// Model is models/<m>/model.json: the identity of a registered model, written once.
type Model struct {
	V         int         `json:"v"`
	Name      string      `json:"name"`
	Task      schema.Task `json:"task"`
	Target    string      `json:"target,omitempty"` // the column that labels fill
	CreatedAt time.Time   `json:"created_at"`
	CreatedBy string      `json:"created_by,omitempty"`
}

// File is one file of a version. Model files live under blobs/, small ones in the version's folder.
type File struct {
	Path   string `json:"path"` // e.g. "model.onnx", "schema.json"
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // lower-case hex
	Blob   bool   `json:"blob,omitempty"`
}

// Parity is what scoring the holdout again with the serving runtime found.
type Parity struct {
	Checked    bool    `json:"checked"`
	Rows       int     `json:"rows,omitempty"`
	MaxAbsDiff float64 `json:"max_abs_diff"`
	Where      string  `json:"where,omitempty"` // output and row of the largest difference
	Tolerance  float64 `json:"tolerance,omitempty"`
	Reason     string  `json:"reason,omitempty"` // why it was not checked
}

// Manifest is versions/<n>/manifest.json. A version is READY if and only if it exists: it is written last.
type Manifest struct {
	V       int             `json:"v"`
	Model   string          `json:"model"`
	Version int             `json:"version"`
	Digest  string          `json:"digest"` // "sha256:<hex>" of the canonical list of files (model, schema, baseline)
	Files   []File          `json:"files"`
	Run     json.RawMessage `json:"run,omitempty"` // the trainer's run record, as written
	// Training says what a retraining learned from, as training.json (docs/formats/training.md); Dataset is its dataset, "<name>/<number>".
	Training  json.RawMessage    `json:"training,omitempty"`
	Dataset   string             `json:"dataset,omitempty"`
	Runtime   string             `json:"runtime"` // e.g. "onnxruntime 1.27.0"
	Parity    Parity             `json:"parity"`
	Metrics   map[string]float64 `json:"metrics,omitempty"`
	CreatedAt time.Time          `json:"created_at"`
	CreatedBy string             `json:"created_by,omitempty"`
	Origin    *Origin            `json:"origin,omitempty"` // of a version that was carried here from another registry
}

// Origin is what the registry that a version was first registered in says of it.
type Origin struct {
	Model     string    `json:"model"`
	Version   int       `json:"version"`
	Dataset   string    `json:"dataset,omitempty"` // of that registry
	Runtime   string    `json:"runtime"`
	Parity    Parity    `json:"parity"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by,omitempty"`
}

// From is the origin of a copy of m: m's own, or m itself.
func (m *Manifest) From() *Origin {
	if m.Origin != nil {
		return m.Origin
	}
	return &Origin{Model: m.Model, Version: m.Version, Dataset: m.Dataset, Runtime: m.Runtime, Parity: m.Parity, CreatedAt: m.CreatedAt, CreatedBy: m.CreatedBy}
}

// File returns the file under path.
func (m *Manifest) File(path string) (File, bool) {
	for _, f := range m.Files {
		if f.Path == path {
			return f, true
		}
	}
	return File{}, false
}

// Claim is versions/<n>/claim.json, which allocates the number n, and, without its
// ID, digests/<digest>.json, which says which number a content got. A number whose
// claim lost the race for its digest stays unused.
type Claim struct {
	V         int       `json:"v"`
	Version   int       `json:"version"`
	Digest    string    `json:"digest"`
	ClaimedAt time.Time `json:"claimed_at"`
	ClaimedBy string    `json:"claimed_by,omitempty"`
	ID        string    `json:"id,omitempty"` // random: tells a claim whose answer was lost from another's
}

// Slot is a role that a version can hold.
type Slot string

// The slots. Pinned is the slot of a request that asked for a version by number.
const (
	Champion   Slot = "champion"
	Challenger Slot = "challenger"
	Shadow     Slot = "shadow"
	Previous   Slot = "previous"
	Pinned     Slot = "pinned"
)

// Ref names a version and fixes its content.
type Ref struct {
	Version int    `json:"version"`
	Digest  string `json:"digest"`
}

// Slots says which version holds which slot; nil is empty.
type Slots struct {
	Champion   *Ref `json:"champion,omitempty"`
	Challenger *Ref `json:"challenger,omitempty"`
	Shadow     *Ref `json:"shadow,omitempty"`
	Previous   *Ref `json:"previous,omitempty"`
}

// Weights are shares of traffic in hundredths of a percent, 0..10000.
type Weights struct {
	Challenger int `json:"challenger"`
}

// Rollout is a challenger on its way.
type Rollout struct {
	ID             string    `json:"id"`
	Owner          string    `json:"owner"`
	SettingsDigest string    `json:"settings_digest"`
	Step           int       `json:"step"`
	StepStartedAt  time.Time `json:"step_started_at"`
	Status         string    `json:"status"` // progressing | paused
	// PausedAt is when a paused rollout was paused: the bake of its step stands still from then on.
	PausedAt time.Time `json:"paused_at,omitzero"`
}

// Baked is how long the step of a rollout has lasted at now, without the time that it is
// paused; 0 when now is of a clock that is behind.
func (r *Rollout) Baked(now time.Time) time.Duration {
	if !r.PausedAt.IsZero() {
		now = r.PausedAt
	}
	return max(0, now.Sub(r.StepStartedAt))
}

// Freeze blocks start, advance and promote until a time; never abort or rollback.
type Freeze struct {
	Until  time.Time `json:"until"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Transition describes the write that made a generation.
type Transition struct {
	ID       string    `json:"transition_id"`
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"`
	Actor    string    `json:"actor"`
	Reason   string    `json:"reason,omitempty"`
	Evidence []string  `json:"evidence,omitempty"` // sha256 of blobs
	Waived   []string  `json:"waived,omitempty"`   // guards that a person stood for instead
}

// State is models/<m>/state.json: the pointer that every function follows. It
// moves only by compare-and-swap, one generation at a time, and stays under 32 KB.
type State struct {
	V              int               `json:"schema"`
	Model          string            `json:"model"`
	Generation     int64             `json:"generation"`
	SettingsDigest string            `json:"settings_digest,omitempty"`
	Slots          Slots             `json:"slots"`
	Weights        Weights           `json:"weights"`
	Rollout        *Rollout          `json:"rollout,omitempty"`
	Frozen         *Freeze           `json:"frozen,omitempty"`
	Rejected       map[string]string `json:"rejected,omitempty"` // version → reason, the newest 50
	Last           Transition        `json:"last"`
}

// CaptureMode says when captures leave.
type CaptureMode string

// The capture modes of DESIGN decision 5.
const (
	CaptureAfter    CaptureMode = "after"
	CaptureBuffered CaptureMode = "buffered"
	CaptureStrict   CaptureMode = "strict"
	CaptureOff      CaptureMode = "off"
)

// Settings is models/<m>/settings/<sha256>.json: what the owner may change without a new version.
// Parts owned by later packages (drift, evaluation, rollout policies, backend) stay raw here and are
// validated by their own packages.
type Settings struct {
	V        int                      `json:"v"`
	Contract map[string]schema.Column `json:"contract,omitempty"` // overrides by column
	Capture  *CaptureSettings         `json:"capture,omitempty"`
	// PairRatio is the share of captured requests that the other version scores too, while there is one; nil = all.
	PairRatio  *float64        `json:"pair_ratio,omitempty" validate:"omitempty,gte=0,lte=1"`
	Drift      json.RawMessage `json:"drift,omitempty"`
	Quality    json.RawMessage `json:"quality,omitempty"`
	Comparison json.RawMessage `json:"comparison,omitempty"`
	Rollout    json.RawMessage `json:"rollout,omitempty"`
	Retrain    json.RawMessage `json:"retrain,omitempty"`
	Backend    json.RawMessage `json:"backend,omitempty"`
}

// CaptureSettings govern what is captured.
type CaptureSettings struct {
	Mode     CaptureMode       `json:"mode,omitempty" validate:"omitempty,oneof=after buffered strict off"`
	Sampling *float64          `json:"sampling,omitempty" validate:"omitempty,gte=0,lte=1"`
	Redact   map[string]string `json:"redact,omitempty" validate:"omitempty,dive,oneof=hash drop"` // column → hash | drop
	MaxBytes int               `json:"max_bytes,omitempty" validate:"omitempty,gte=1024"`
}
