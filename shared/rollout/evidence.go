package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/registry"
)

// skew is by how much the clocks of two functions may differ.
const skew = 5 * time.Minute

// claim is what evidence must say for a move.
type claim struct {
	kind       string
	decisions  []comparison.Action // any of them
	model      string
	challenger registry.Ref // of a start; else that of the state
	dataset    string       // of a start, where the caller names it
	maxAge     time.Duration
	reject     bool
}

// gates holds evidence against a move of before, the state that is going to be
// replaced. All must say yes.
func (c *claim) gates(e *registry.Evidence, before *registry.State, now time.Time) []gate.Result {
	var all []gate.Result
	is := func(name string, ok bool, format string, args ...any) {
		r := gate.Result{Name: "evidence." + name, Answer: gate.Yes}
		if !ok {
			r.Answer, r.Reason = gate.No, fmt.Sprintf(format, args...)
		}
		all = append(all, r)
	}
	challenger := c.challenger
	if c.kind != registry.KindStart && before.Slots.Challenger != nil {
		challenger = *before.Slots.Challenger
	}
	champion := *before.Slots.Champion
	is("model", e.Model == c.model, "it is of another model")
	is("versions", e.Champion != e.Challenger && e.Champion.Version != e.Challenger.Version, "it compares a version with itself")
	is("champion", same(e.Champion, champion), "it measures against version %d, and version %d is the champion", e.Champion.Version, champion.Version)
	is("challenger", same(e.Challenger, challenger), "it is about version %d, and the move about version %d", e.Challenger.Version, challenger.Version)
	is("decision", slices.Contains(c.decisions, comparison.Action(e.Decision)), "it says %q, and this takes %s", cut(e.Decision), c.takes())
	if c.reject {
		is("reject", e.Reject, "it does not say that the version must not serve again")
	}
	age := now.Sub(e.At)
	all = append(all, c.age(age))
	is("clock", age >= -skew, "it comes from %s in the future; look at the clocks", (-age).Round(time.Second))
	if c.kind == registry.KindStart {
		is("dataset", e.Dataset != "" && (c.dataset == "" || registry.Hex(e.Dataset) == registry.Hex(c.dataset)), "it is of other rows (%s) than those asked for", cut(e.Dataset))
		return all
	}
	r := before.Rollout
	is("rollout", r != nil && e.RolloutID == r.ID, "it is of another rollout (%s)", cut(e.RolloutID))
	if r != nil {
		is("step", e.Step == r.Step, "it looked at step %d, and the rollout is at step %d", e.Step, r.Step)
		is("step_time", !e.At.Before(r.StepStartedAt.Add(-skew)), "it is older than the step, which began at %s", r.StepStartedAt.Format(time.RFC3339))
	}
	return all
}

func (c *claim) age(age time.Duration) gate.Result {
	r := gate.Result{Name: "evidence.age", Value: age.Seconds(), Bound: c.maxAge.Seconds(), Answer: gate.Yes}
	if age > c.maxAge {
		r.Answer, r.Reason = gate.No, fmt.Sprintf("it is %s old, and %s is the limit (evidence_max_age_seconds)", age.Round(time.Second), c.maxAge)
	}
	return r
}

// refusal is nil if every gate says yes, else what the others say.
func refusal(kind, digest string, gates []gate.Result) error {
	var why []string
	for _, g := range gates {
		if g.Answer != gate.Yes {
			why = append(why, g.Reason)
		}
	}
	if len(why) == 0 {
		return nil
	}
	return fault.New(fault.FailedPrecondition, "evidence %s does not allow this %s: %s", digest, kind, strings.Join(why, "; "))
}

func same(a, b registry.Ref) bool {
	return a.Version == b.Version && registry.Hex(a.Digest) == registry.Hex(b.Digest)
}

// takes lists the decisions that would do.
func (c *claim) takes() string {
	all := make([]string, len(c.decisions))
	for i, d := range c.decisions {
		all[i] = string(d)
	}
	return strings.Join(all, " or ")
}

// cut keeps what a document says short enough for a message.
func cut(s string) string {
	if s == "" {
		return "none"
	}
	return s[:min(len(s), 64)]
}
