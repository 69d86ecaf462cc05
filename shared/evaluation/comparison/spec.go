package comparison

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
)

// Task is what the versions predict.
type Task string

// The tasks.
const (
	Binary     Task = "binary"
	Multiclass Task = "multiclass"
	Regression Task = "regression"
)

// Block is the unit of time whose rows may depend on each other.
type Block string

// The blocks, in UTC. Rows without a time have one block.
const (
	Hour   Block = "hour"
	Day    Block = "day"
	NoTime Block = "none"
)

func (b Block) seconds() int64 {
	switch b {
	case Hour:
		return 3600
	case Day:
		return 24 * 3600
	}
	return 0
}

// Side is one of the two versions.
type Side int

// The sides, in the order of every pair of values.
const (
	Champion Side = iota
	Challenger
)

// String is the slot's name.
func (s Side) String() string { return [...]string{"champion", "challenger"}[s] }

// MaxSegments is the number of segments that are looked at apart.
const MaxSegments = 20

// Version is one side of a comparison.
type Version struct {
	Name   string `json:"name"`   // "iris@7", or the file of predictions
	Digest string `json:"digest"` // of the version, or of the file
	// Dataset is the digest of the rows that the answers are for: equal on both sides.
	Dataset string `json:"dataset"`
	// TrainedUntil is the end of the training period, exclusive; zero where it is not known.
	TrainedUntil time.Time `json:"trained_until,omitzero"`
	// Bins are those of the version's reference scores; nil outside of binary tasks, and
	// where only classes are compared.
	Bins *score.Bins `json:"bins,omitempty"`
}

// Spec is what is fixed before the first pair is counted. States of equal specs merge.
type Spec struct {
	Task       Task    `json:"task"`
	Champion   Version `json:"champion"`
	Challenger Version `json:"challenger"`
	// Pinned says that both versions were scored on a fixed set of rows: a row that only
	// one of them answered is then "other rows". In a rollout pairs may be lost.
	Pinned bool  `json:"pinned,omitempty"`
	Block  Block `json:"block"`
	// Probabilities says that the answers of a multiclass task hold that of the true class.
	Probabilities bool `json:"probabilities,omitempty"`
	// Segments are the values looked at apart, at most MaxSegments; "" is the missing value. See ChooseSegments.
	Segments []string `json:"segments,omitempty"`
	// SlowMicros is the latency above which a request is slow; 0 where there is no latency.
	// See Latencies.
	SlowMicros int64 `json:"slow_us,omitempty"`
}

// Check refuses comparisons that mean nothing. InvalidArgument: a field cannot be
// (all faults at once). FailedPrecondition: a version against itself, the same
// digest twice, or other data on the two sides.
func (s *Spec) Check() error {
	var bad []fault.Violation
	say := func(path, problem string) { bad = append(bad, fault.Violation{Path: path, Problem: problem}) }
	if s.Task != Binary && s.Task != Multiclass && s.Task != Regression {
		say("task", "must be one of: binary, multiclass, regression")
	}
	if s.Block != Hour && s.Block != Day && s.Block != NoTime {
		say("block", "must be one of: hour, day, none")
	}
	if (s.Champion.Bins == nil) != (s.Challenger.Bins == nil) {
		say("challenger.bins", "must be there on both sides or on neither")
	}
	if s.Champion.Bins != nil && s.Task != Binary {
		say("champion.bins", "are for binary tasks only")
	}
	if s.Probabilities && s.Task != Multiclass {
		say("probabilities", "is for multiclass tasks only")
	}
	if s.SlowMicros < 0 {
		say("slow_us", "must be at least 0")
	}
	for i, v := range []*Version{&s.Champion, &s.Challenger} {
		if v.Name == "" {
			say(Side(i).String()+".name", "is required")
		}
		if v.Digest == "" {
			say(Side(i).String()+".digest", "is required")
		}
	}
	if len(s.Segments) > MaxSegments {
		say("segments", fmt.Sprintf("must be at most %d values", MaxSegments))
	}
	for i, name := range s.Segments {
		if slices.Contains(s.Segments[:i], name) {
			say(fmt.Sprintf("segments[%d]", i), "is there twice")
		}
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return s.sensible()
}

func (s *Spec) sensible() error {
	switch a, b := &s.Champion, &s.Challenger; {
	case a.Name == b.Name:
		return fault.New(fault.FailedPrecondition, "the challenger is the champion: compare two versions")
	case a.Digest == b.Digest:
		return fault.New(fault.FailedPrecondition, "champion and challenger have the same digest: they are one model under two names")
	case a.Dataset != b.Dataset:
		return fault.New(fault.FailedPrecondition, "champion and challenger were scored on other data: score both on the same rows")
	}
	return nil
}

// losses are the metrics whose row values are kept as exact sums.
func (s *Spec) losses() []string {
	switch {
	case s.Task == Binary && s.Champion.Bins != nil:
		return []string{LogLoss, BrierScore}
	case s.Task == Multiclass && s.Probabilities:
		return []string{LogLoss}
	case s.Task == Regression:
		return []string{MAE, MSE}
	}
	return nil
}

// Metrics are the metrics that the pairs show, the default primary one first.
func (s *Spec) Metrics() []string {
	var out []string
	if s.Task == Binary && s.Champion.Bins != nil {
		out = append(out, ROCAUC)
	}
	out = append(out, s.losses()...)
	if s.Task != Regression {
		out = append(out, Accuracy)
	}
	return out
}

// text is one text for one spec.
func (s *Spec) text() (string, error) {
	c := *s
	c.Champion.TrainedUntil, c.Challenger.TrainedUntil = c.Champion.TrainedUntil.UTC(), c.Challenger.TrainedUntil.UTC()
	raw, err := json.Marshal(&c)
	return string(raw), err
}
