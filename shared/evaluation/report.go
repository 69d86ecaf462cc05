package evaluation

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/registry"
)

// ReportVersion is the format of a report that this package writes.
const ReportVersion = 1

// Report is reports/evaluation/<m>/<window>/<id>.json (docs/formats/evaluation.md).
// Its bytes depend on the rows, the references, the policy and the history, not on
// how rows were split or in which order they came.
type Report struct {
	V        int             `json:"v"`
	ID       string          `json:"id"`       // digest of what was counted and how it was judged
	Revision int             `json:"revision"` // 1, and one more than the report that it supersedes
	Model    string          `json:"model,omitempty"`
	Window   period.Window   `json:"window"`
	Task     quality.Task    `json:"task"`
	Classes  []string        `json:"classes,omitempty"`
	Champion int             `json:"champion,omitempty"` // version that the verdict is of; 0 where none served
	Verdict  quality.Verdict `json:"verdict"`
	Summary  string          `json:"summary"` // the verdict as a sentence
	// Incomplete says that some labels were not yet due when the window was judged: a later report may follow.
	Incomplete bool `json:"incomplete,omitempty"`

	Versions []VersionReport `json:"versions"` // the champion first; served before paired
	// Comparison is that of champion and challenger, Better its answer for one look; where there is none, Uncompared says why.
	Comparison *comparison.Report `json:"comparison,omitempty"`
	Better     *gate.Result       `json:"better,omitempty"`
	Uncompared string             `json:"uncompared,omitempty"`

	Join     outcome.Counts `json:"join"`
	LeftOut  []LeftOut      `json:"left_out,omitempty"`
	Delay    LabelDelay     `json:"label_delay"`
	Warnings []string       `json:"warnings,omitempty"`

	Standing   StandingChange `json:"standing"`
	History    []Past         `json:"history"`          // the last windows, oldest first, this one among them
	Chunks     []Past         `json:"chunks,omitempty"` // what the rows of a table say by stretch of time, oldest first
	Supersedes *Superseded    `json:"supersedes,omitempty"`

	Policy quality.Policy `json:"policy"`
}

// VersionReport is how good a version was, over the rows that it served, or over
// those that it predicted beside another version (role paired: of a shadow, or of
// the slot that did not serve).
type VersionReport struct {
	Version int          `json:"version"`
	Name    string       `json:"name,omitempty"` // of a table of predictions
	Role    capture.Role `json:"role"`
	Slots   []Slot       `json:"slots"`

	Reference   *ReferenceRef `json:"reference,omitempty"`
	NoReference string        `json:"no_reference,omitempty"` // why there is none

	quality.Judgement
	Quality  *quality.Quality `json:"quality"`
	Segments []SegmentColumn  `json:"segments,omitempty"`

	// Estimate is what the quality is without labels (CBPE), of the rows that a reference has scores for.
	Estimate     *quality.Estimates `json:"estimate,omitempty"`
	EstimatedLow string             `json:"estimated_low,omitempty"` // a sentence; it is no verdict
	// Realised compares the estimate with what the labels said, where there is a verdict.
	Realised []quality.Realised `json:"realised,omitempty"`
}

// Slot is what a version did in one slot.
type Slot struct {
	Slot     registry.Slot   `json:"slot"`
	Requests uint64          `json:"requests,omitempty"`
	Errors   uint64          `json:"errors,omitempty"`         // of Requests
	P50      int64           `json:"p50_us,omitempty"`         // of the latency, within 6 %
	P95      int64           `json:"p95_us,omitempty"`         // likewise
	Counts   quality.Counts  `json:"counts"`                   // rows
	Coverage float64         `json:"coverage"`                 // labels over mature predictions
	Primary  *quality.Metric `json:"primary_metric,omitempty"` // where the version was in several slots
}

// ReferenceRef names what a version was compared with.
type ReferenceRef struct {
	SHA256      string           `json:"sha256,omitempty"` // of reference.json
	Rows        uint64           `json:"rows"`
	TrainingEnd time.Time        `json:"training_end,omitzero"`
	Metrics     []quality.Metric `json:"metrics"`
}

// SegmentColumn is a version's quality by the values of one column.
type SegmentColumn struct {
	Column string `json:"column"`
	Values uint64 `json:"values"`         // different ones in the window; 0: too many to be counted
	Note   string `json:"note,omitempty"` // why it is not cut, or what is missing
	// Segments are the largest, largest first.
	Segments []Segment `json:"segments,omitempty"`
	Other    *Segment  `json:"other,omitempty"` // all further values together
}

// Segment is the quality of the rows with one value.
type Segment struct {
	Value     string           `json:"value"`
	Missing   bool             `json:"missing,omitempty"` // the rows without a value
	Share     float64          `json:"share"`             // of the version's predictions
	Counts    quality.Counts   `json:"counts"`
	Coverage  float64          `json:"coverage"`
	BaseRates []float64        `json:"base_rates,omitempty"`
	Metrics   []quality.Metric `json:"metrics"`
}

// LabelDelay is the age from which on labels are expected, and what the window's own labels took.
type LabelDelay struct {
	Seconds  int64  `json:"seconds"`            // in force
	Source   string `json:"source"`             // "policy", "measured" (of earlier windows), "default", or "none": every prediction counts as mature
	Measured int64  `json:"measured,omitempty"` // 99 % of this window's labels came within it, in seconds
	Labels   uint64 `json:"labels"`             // labels with a time, of which that is measured
}

// StandingChange is the standing of the model without and with this report.
type StandingChange struct {
	Before  quality.Standing `json:"before"`
	After   quality.Standing `json:"after"`
	Changed bool             `json:"changed"` // worth an event
}

// Superseded is the earlier report of the same window, and what is different now.
type Superseded struct {
	Report   string   `json:"report"`
	Revision int      `json:"revision"`
	Changes  []string `json:"changes"` // sentences
}

// Encode is the stored form, which ends with a newline.
func (r *Report) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(r); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the evaluation report cannot be encoded")
	}
	return b.Bytes(), nil
}

// ParseReport reads a stored report of any version. The error is Internal: nobody
// but this program writes reports.
func ParseReport(raw []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a stored evaluation report is damaged")
	}
	if r.V < 1 || r.V > ReportVersion {
		return nil, fault.New(fault.Internal, "a stored evaluation report has format %d; this program reads up to %d", r.V, ReportVersion)
	}
	if r.ID == "" || r.Window.ID == "" {
		return nil, fault.New(fault.Internal, "a stored evaluation report has no id or window")
	}
	for i := range r.Versions {
		if r.Versions[i].Quality == nil {
			return nil, fault.New(fault.Internal, "a stored evaluation report has no quality of version %d", r.Versions[i].Version)
		}
	}
	return &r, nil
}

// Version is the report on what a version served; nil where it served nothing.
func (r *Report) Version(version int) *VersionReport {
	for i := range r.Versions {
		if v := &r.Versions[i]; v.Version == version && v.Role == capture.Served {
			return v
		}
	}
	return nil
}
