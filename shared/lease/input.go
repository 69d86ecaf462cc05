package lease

import (
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/validate"
)

// What lease does.
const (
	ActionAcquire = "acquire"
	ActionRenew   = "renew"
	ActionRelease = "release"
)

// Status is the answer.
type Status string

// The statuses. After Acquired the caller goes on; after Held and Busy it looks at the
// holder and asks again with what it saw, or later; after the others it ends.
const (
	Acquired  Status = "acquired"
	Renewed   Status = "renewed"
	Released  Status = "released"
	Duplicate Status = "duplicate" // the trigger belongs to one that runs or has succeeded
	Refrained Status = "debounced" // not now: the gates say why
	Held      Status = "held"      // the trigger belongs to another, who may have ended: look at it
	Busy      Status = "busy"      // the lease belongs to another trigger's execution
	Overtaken Status = "overtaken" // release: another holds the lease by now, and keeps it
)

// In is one request. Trigger, Source, Seconds and Seen belong to acquire, Seconds to
// renew too, Epoch to renew and release, Outcome to release.
type In struct {
	Action  string `json:"action" validate:"required,oneof=acquire renew release"`
	Model   string `json:"model" validate:"required"`
	Machine string `json:"machine" validate:"required"`                     // e.g. retrain
	Holder  string `json:"holder" validate:"required,max=300"`              // the execution's ARN
	Trigger string `json:"trigger" validate:"required,max=500"`             // event id, window, or what a person chose
	Source  string `json:"source,omitempty" validate:"max=64"`              // drift, quality, schedule, person
	Seconds int64  `json:"seconds,omitempty" validate:"gte=0,lte=31536000"` // the machine's own time-out
	Epoch   int64  `json:"epoch,omitempty" validate:"gte=0"`                // as acquire gave it
	Seen    *Seen  `json:"seen,omitempty"`                                  // what the machine saw of the holder
	Outcome string `json:"outcome,omitempty" validate:"omitempty,oneof=succeeded failed"`
}

// Seen is the status of an execution: DescribeExecution's word, or NOT_FOUND.
type Seen struct {
	Holder string `json:"holder" validate:"required"`
	Status string `json:"status" validate:"required,oneof=RUNNING PENDING_REDRIVE SUCCEEDED FAILED TIMED_OUT ABORTED NOT_FOUND"`
}

// ended says whether what was seen is that holder, and that it will not go on.
func (s *Seen) ended(holder string) bool {
	return s != nil && s.Holder == holder && slices.Contains([]string{"FAILED", "TIMED_OUT", "ABORTED", "NOT_FOUND"}, s.Status)
}

// Out is the answer. Run is the trigger's digest: steps keep their results under it,
// so that the execution that takes over finds those of the one before.
type Out struct {
	Status    Status        `json:"status"`
	Run       string        `json:"run"`
	Epoch     int64         `json:"epoch,omitempty"`
	ExpiresAt *time.Time    `json:"expires_at,omitempty"`
	Holder    string        `json:"holder,omitempty"`     // held, busy, duplicate, overtaken: who has it
	TakenOver string        `json:"taken_over,omitempty"` // acquired: from whom
	Attempt   int           `json:"attempt,omitempty"`    // of the trigger, 1 for the first
	Gates     []gate.Result `json:"gates,omitempty"`      // debounced: why
	Reason    string        `json:"reason,omitempty"`     // debounced: the same in words
}

var machinePattern = validate.NewPattern(`^[a-z][a-z0-9-]{0,31}$`)

// check looks at what belongs to which action; the tags of In cover the rest.
func (in *In) check() error {
	var bad []fault.Violation
	field := func(path string, given, wanted, allowed bool) {
		if wanted && !given {
			bad = append(bad, fault.Violation{Path: path, Problem: "is required to " + in.Action})
		}
		if !wanted && !allowed && given {
			bad = append(bad, fault.Violation{Path: path, Problem: "does not belong to " + in.Action})
		}
	}
	acquire, renew, release := in.Action == ActionAcquire, in.Action == ActionRenew, in.Action == ActionRelease
	field("source", in.Source != "", acquire, false)
	field("seconds", in.Seconds != 0, acquire || renew, false)
	field("epoch", in.Epoch != 0, renew, release)
	field("seen", in.Seen != nil, false, acquire)
	field("outcome", in.Outcome != "", release, false)
	if !machinePattern.MatchString(in.Machine) {
		bad = append(bad, fault.Violation{Path: "machine", Problem: `must be 1 to 32 of a-z, 0-9 and "-", beginning with a letter`})
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return registry.CheckName(in.Model)
}
