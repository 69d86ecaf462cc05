package comparison

import (
	"fmt"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/gate"
)

// Action is what the evidence says to do.
type Action string

// The actions.
const (
	Start    Action = "start"    // the rollout may begin
	NoStart  Action = "no_start" // it may not; a person may waive it
	Advance  Action = "advance"  // to the next step
	Promote  Action = "promote"  // the challenger is better, and nothing else is worse
	Abort    Action = "abort"    // harm is shown
	Futility Action = "futility" // abort: the challenger is not better
	Wait     Action = "wait"     // for more data
	Pause    Action = "pause"    // for a person: the data did not decide in max_wait
)

// Decision is an action with the gates that led to it. It is a result: the errors of
// [Decide] are for evidence that proves nothing.
type Decision struct {
	Action  Action        `json:"action"`
	Reject  bool          `json:"reject,omitempty"` // the version is to be remembered as worse: shown harm, or shown not to be better
	Summary string        `json:"summary"`          // the action as a sentence
	Reasons []gate.Result `json:"reasons"`
}

// Step is what the pairs do not show of the rollout: where it stands at this look.
type Step struct {
	Last        bool   `json:"last"`         // no step follows: promotion or futility
	PairsBefore uint64 `json:"pairs_before"` // pairs of the rollout when the step began
	Elapsed     int64  `json:"elapsed_s"`    // since the step began
	Bake        int64  `json:"bake_s"`       // of the step, > 0
}

func (st *Step) check(s *State) error {
	var bad []fault.Violation
	if st.Bake <= 0 {
		bad = append(bad, fault.Violation{Path: "bake_s", Problem: "must be more than 0"})
	}
	if st.Elapsed < 0 {
		bad = append(bad, fault.Violation{Path: "elapsed_s", Problem: "must be at least 0"})
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	if st.PairsBefore > s.pairs {
		return fault.New(fault.FailedPrecondition, "the evidence holds %d pairs, fewer than the %d when the step began: give all pairs of the rollout", s.pairs, st.PairsBefore)
	}
	return nil
}

// Decide is one look in a step of a rollout, at all its pairs so far, the shadow
// phase included when the versions are the same (docs/comparison.md). It is a
// function of its arguments. InvalidArgument: policy or step cannot be.
// FailedPrecondition: evidence from before the end of a training, of other rows, or
// with fewer pairs than before.
func Decide(s *State, p Policy, st Step) (Decision, error) {
	l, err := examine(s, &p)
	if err != nil {
		return Decision{}, err
	}
	if err := st.check(s); err != nil {
		return Decision{}, err
	}
	harms := l.harms()
	if harm := first(harms, gate.Yes); harm != nil {
		return Decision{Action: Abort, Reject: true, Reasons: harms, Summary: fmt.Sprintf("Abort: %s is worse by more than its margin.", strings.TrimPrefix(harm.Name, "harm."))}, nil
	}
	if l.same() {
		return Decision{Action: Futility, Reasons: []gate.Result{l.sameAnswers()}, Summary: "No, same answers: the challenger answers every row as the champion does."}, nil
	}
	if st.Last {
		return l.last(harms, &st), nil
	}
	gates := append(l.step(&st), l.kept(false)...)
	if all(gates) == gate.Yes {
		return Decision{Action: Advance, Reasons: append(harms, gates...), Summary: "Advance: no harm is shown" + p.Guardrails.within() + "."}, nil
	}
	return wait(append(harms, gates...), gates, &st, p.MaxWait), nil
}

// within names the guards of requests that an advance has passed.
func (g *Guardrails) within() string {
	switch {
	case g.ErrorRatio.Off && g.Latency.Off:
		return ""
	case g.ErrorRatio.Off:
		return ", and latency is within its margin"
	case g.Latency.Off:
		return ", and errors are within their margin"
	}
	return ", and errors and latency are within their margins"
}

// examine checks what must hold before any look.
func examine(s *State, p *Policy) (*look, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if err := s.Admissible(); err != nil {
		return nil, err
	}
	return p.look(s)
}

// last decides in the last step: promotion, futility, or neither yet.
func (l *look) last(harms []gate.Result, st *Step) Decision {
	better := gate.Result{Name: "better." + l.primary.Metric, Value: l.primary.Lower, Bound: l.p.Delta, N: int64(l.primary.N), Answer: gate.Unknown,
		Reason: "too few data to show that the challenger is better"}
	looked := l.p.FirstLook.enough(&l.s.spec, l.all.Counts) && l.primary.Unknown == ""
	switch {
	case !looked:
		better.Value = 0
		better.Reason = "the first look is not reached"
	case l.primary.Lower > l.p.Delta:
		better.Answer, better.Reason = gate.Yes, ""
	case l.primary.Upper < l.p.Delta:
		better.Answer, better.Reason = gate.No, "the challenger is not better"
	}
	blocks := gate.Result{Name: "time_blocks", Value: float64(l.s.Blocks()), Bound: float64(l.p.MinBlocks), N: int64(l.s.pairs), Answer: gate.Yes}
	if blocks.Value < blocks.Bound {
		blocks.Answer, blocks.Reason = gate.Unknown, "too few time blocks have pairs: an hour or two may not be like the others"
	}
	gates := append(l.step(st), l.p.FirstLook.need(&l.s.spec, "first_look", l.all.Counts), blocks, better)
	gates = append(gates, l.kept(true)...)
	reasons := append(harms, gates...)
	switch {
	case all(gates) == gate.Yes:
		return Decision{Action: Promote, Reasons: reasons, Summary: fmt.Sprintf("Promote: %s is better, and nothing else is worse by more than its margin.", l.primary.Metric)}
	case better.Answer == gate.No:
		return Decision{Action: Futility, Reject: true, Reasons: reasons, Summary: fmt.Sprintf("Abort: %s is not better by what is asked.", l.primary.Metric)}
	}
	return wait(reasons, gates, st, l.p.MaxWait)
}

// step are the gates on the step itself. That no harm is shown counts only where harm
// was looked for: with rare positives many pairs have too few of a class for it.
func (l *look) step(st *Step) []gate.Result {
	bake := gate.Result{Name: "bake", Value: float64(st.Elapsed), Bound: float64(st.Bake), Answer: gate.Yes}
	if st.Elapsed < st.Bake {
		bake.Answer, bake.Reason = gate.Unknown, fmt.Sprintf("%d of %d seconds of the step have passed", st.Elapsed, st.Bake)
	}
	now := l.s.pairs - st.PairsBefore
	pairs := gate.Result{Name: "step_pairs", Value: float64(now), Bound: float64(l.p.StepPairs), N: int64(now), Answer: gate.Yes}
	if now < uint64(l.p.StepPairs) {
		pairs.Answer, pairs.Reason = gate.Unknown, fmt.Sprintf("%d of %d new pairs", now, l.p.StepPairs)
	}
	return []gate.Result{bake, pairs, l.p.HarmLook.need(&l.s.spec, "abort_first_look", l.all.Counts)}
}

func wait(reasons, gates []gate.Result, st *Step, most float64) Decision {
	var open []string
	for _, g := range gates {
		if g.Answer != gate.Yes {
			open = append(open, g.Name)
		}
	}
	d := Decision{Action: Wait, Reasons: reasons, Summary: "Wait: not yet shown: " + strings.Join(open, ", ") + "."}
	if float64(st.Elapsed) >= most*float64(st.Bake) {
		d.Action, d.Summary = Pause, "Pause for a person: after the longest wait not shown: "+strings.Join(open, ", ")+"."
	}
	return d
}

func first(gates []gate.Result, a gate.Answer) *gate.Result {
	for i := range gates {
		if gates[i].Answer == a {
			return &gates[i]
		}
	}
	return nil
}

func all(gates []gate.Result) gate.Answer {
	answers := make([]gate.Answer, len(gates))
	for i, g := range gates {
		answers[i] = g.Answer
	}
	return gate.All(answers...)
}
