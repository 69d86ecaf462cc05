package rollout

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/approval"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// What a person can stand for instead of evidence; it takes a reason, and the log
// keeps both.
const (
	WaiveEvidence = "evidence" // rollout.start: the start rule; abort: that the version is rejected
	WaiveParity   = "parity"   // rollout.start: that parity with the trainer was checked
)

// PromoteIn asks for one transition. The fields from Version on belong to the kinds
// named beside them and are refused with any other. Where a kind needs evidence, the
// first digest is that of the judgement; others are kept in the log.
type PromoteIn struct {
	Model          string   `json:"model" validate:"required"`
	Kind           string   `json:"kind" validate:"required,oneof=look bootstrap configure rollback freeze unfreeze readmit shadow.start shadow.stop rollout.start rollout.advance rollout.pause rollout.resume promote abort"`
	TransitionID   string   `json:"transition_id"` // required, as is the actor, by all but a look
	SeenGeneration int64    `json:"seen_generation" validate:"gte=0"`
	Actor          string   `json:"actor"`
	Reason         string   `json:"reason,omitempty"`
	Evidence       []string `json:"evidence,omitempty"` // sha256 of blobs

	Version   int             `json:"version,omitempty"`    // bootstrap, readmit, shadow.start, shadow.stop, rollout.start; rollback: the version to remove
	Settings  json.RawMessage `json:"settings,omitempty"`   // configure
	Until     *time.Time      `json:"until,omitempty"`      // freeze
	RolloutID string          `json:"rollout_id,omitempty"` // rollout.advance, pause and resume, promote, abort, look; of a start it is the transition id
	FromStep  *int            `json:"from_step,omitempty"`  // rollout.advance
	Reject    bool            `json:"reject,omitempty"`     // abort: the version must not serve again
	Waive     []string        `json:"waive,omitempty"`      // rollout.start, abort: "evidence", "parity"
	Approval  string          `json:"approval,omitempty"`   // rollout.start, promote: id of the approval
	Dataset   string          `json:"dataset,omitempty"`    // rollout.start: what the evidence must have been measured on
}

// waives says whether a person stands for a guard.
func (in *PromoteIn) waives(guard string) bool { return slices.Contains(in.Waive, guard) }

// judgement is the digest that a guard reads, "" for none.
func (in *PromoteIn) judgement() string {
	if len(in.Evidence) == 0 {
		return ""
	}
	return in.Evidence[0]
}

// check looks at what belongs to which kind; the tags of PromoteIn cover the rest.
func (in *PromoteIn) check() error {
	var bad []fault.Violation
	add := func(path, problem string) { bad = append(bad, fault.Violation{Path: path, Problem: problem}) }
	field := func(path string, given bool, required, allowed []string) {
		switch {
		case slices.Contains(required, in.Kind) && !given:
			add(path, "is required by "+in.Kind)
		case given && !slices.Contains(required, in.Kind) && !slices.Contains(allowed, in.Kind):
			add(path, "does not belong to "+in.Kind)
		}
	}
	start, abort, promote := registry.KindStart, registry.KindAbort, registry.KindPromote
	if in.Kind != KindLook && in.TransitionID == "" {
		add("transition_id", "is required")
	}
	if in.Kind != KindLook && in.Actor == "" {
		add("actor", "is required")
	}
	field("version", in.Version != 0, []string{registry.KindBootstrap, registry.KindRollback, registry.KindReadmit, registry.KindShadowStart, registry.KindShadowStop, start}, nil)
	field("settings", len(in.Settings) > 0 && string(in.Settings) != "null", []string{registry.KindConfigure}, nil)
	field("until", in.Until != nil, []string{registry.KindFreeze}, nil)
	field("rollout_id", in.RolloutID != "", []string{registry.KindAdvance, registry.KindPause, registry.KindResume, promote, abort}, []string{KindLook})
	field("from_step", in.FromStep != nil, []string{registry.KindAdvance}, nil)
	field("reject", in.Reject, nil, []string{abort})
	field("waive", len(in.Waive) > 0, nil, []string{start, abort})
	field("approval", in.Approval != "", nil, []string{start, promote})
	field("dataset", in.Dataset != "", nil, []string{start})
	if in.Version != 0 && registry.CheckVersion(in.Version) != nil {
		add("version", "must be a number from 1 on")
	}
	if in.FromStep != nil && *in.FromStep < 0 {
		add("from_step", "must be at least 0")
	}
	for _, w := range in.Waive {
		if w != WaiveEvidence && (w != WaiveParity || in.Kind != start) {
			add("waive", "cannot be waived by "+in.Kind+": evidence, and for a rollout.start parity, can")
		}
	}
	if len(in.Waive) > 0 && in.Reason == "" {
		add("reason", "is required to waive a guard")
	}
	if in.Kind == abort && in.waives(WaiveEvidence) && !in.Reject {
		add("waive", "is for an abort that rejects: any other needs no evidence")
	}
	if in.waives(WaiveEvidence) && in.Dataset != "" {
		add("dataset", "does not go with waived evidence")
	}
	if in.Approval != "" && approval.CheckID(in.Approval) != nil {
		add("approval", "must be the id of an approval")
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return registry.CheckName(in.Model)
}
