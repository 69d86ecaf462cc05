package quality

import (
	"encoding/json"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
)

const (
	// ReferenceVersion is the format of reference.json that this package writes.
	ReferenceVersion = 1
	// MaxReference is the most bytes that a reference may have.
	MaxReference = 1 << 20
	// classBins is the number of score bins of all classes together, so that a reference stays below MaxReference.
	classBins = 8000
)

// Reference is versions/<n>/reference.json: how good a version was on labelled rows
// that it was not trained on, and the score bins that its windows are counted on.
type Reference struct {
	V       int    `json:"v"`
	Rows    uint64 `json:"rows"`              // judged
	Dataset string `json:"dataset,omitempty"` // digest of the labelled rows
	// TrainingEnd is the time of the last row of training: evidence from before it says nothing.
	TrainingEnd time.Time `json:"training_end,omitzero"`
	Layout      *Layout   `json:"layout"`
	Metrics     []Metric  `json:"metrics"`
	Coverage    float64   `json:"coverage"`
	// Counts are the encoded state of the rows without its groups by key and time.
	Counts []byte `json:"counts"`

	state *State
}

// BinsPerClass is how many score bins each class of a multiclass task should have
// at most (score.FreezeTo), so that its reference is not too large to be stored.
func BinsPerClass(classes int) int { return min(score.MaxBins, classBins/max(1, classes)) }

// NewReference measures s, the state of the labelled rows of a holdout, at sampling
// probability 1. A reference without a judged row is FailedPrecondition, one that is
// too large to be stored is PayloadTooLarge.
func NewReference(s *State, dataset string, trainingEnd time.Time) (*Reference, error) {
	if s.Counts.Judged == 0 {
		return nil, fault.New(fault.FailedPrecondition, "the reference has no row with a prediction and a label")
	}
	q, err := Measure("reference", Stratum{State: s, Sampled: 1})
	if err != nil {
		return nil, err
	}
	flat := &State{Counts: s.Counts, layout: s.layout, hist: s.hist, lossSquares: s.lossSquares}
	r := &Reference{V: ReferenceVersion, Rows: s.Counts.Judged, Dataset: dataset, TrainingEnd: trainingEnd, Layout: s.layout,
		Metrics: q.Metrics, Coverage: q.Coverage, Counts: flat.Encode(), state: flat}
	_, err = r.Encode()
	return r, err
}

// Metric is the metric of that name; nil where the reference does not have it.
func (r *Reference) Metric(name string) *Metric {
	q := Quality{Metrics: r.Metrics}
	return q.Metric(name)
}

// Encode is the stored form.
func (r *Reference) Encode() ([]byte, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the reference cannot be encoded")
	}
	if len(raw) >= MaxReference {
		return nil, fault.New(fault.PayloadTooLarge, "the reference has %d bytes, more than the %d that can be stored; use fewer score bins for each class", len(raw), MaxReference-1)
	}
	return append(raw, '\n'), nil
}

// ParseReference reads a stored reference of any version. What cannot have been
// written by Encode is Internal.
func ParseReference(raw []byte) (*Reference, error) {
	var r Reference
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the stored reference is not of its format")
	}
	if r.V != ReferenceVersion {
		return nil, fault.New(fault.Internal, "the reference has format %d; this program reads %d", r.V, ReferenceVersion)
	}
	if r.Layout == nil {
		return nil, fault.New(fault.Internal, "the stored reference has no layout")
	}
	s, err := DecodeState(r.Layout, r.Counts)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the counts of the stored reference are damaged")
	}
	if s.Counts.Judged != r.Rows || r.Rows == 0 {
		return nil, fault.New(fault.Internal, "the stored reference is of %d rows and its counts of %d", r.Rows, s.Counts.Judged)
	}
	r.state = s
	return &r, nil
}
