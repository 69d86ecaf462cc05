package comparison

import (
	"fmt"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/stat"
)

// DecideStart says whether a rollout may begin, from both versions' answers to
// pinned rows: [Start] where the primary metric is not worse by more than its
// margin, else [NoStart]. It is one look, so an ordinary one-sided bound holds.
// FailedPrecondition: the rows are not pinned, not the same, or from before the end
// of a training.
func DecideStart(s *State, p Policy) (Decision, error) {
	if !s.spec.Pinned {
		return Decision{}, fault.New(fault.FailedPrecondition, "a rollout begins on pinned rows: score both versions on one fixed set of rows")
	}
	l, err := examine(s, &p)
	if err != nil {
		return Decision{}, err
	}
	need := p.HarmLook.need(&s.spec, "start_look", l.all.Counts)
	switch {
	case s.pairs > 0 && s.Identical() == s.pairs:
		return Decision{Action: NoStart, Reasons: []gate.Result{l.sameAnswers()}, Summary: "No, same answers: the challenger answers every row as the champion does."}, nil
	case need.Answer != gate.Yes:
		return Decision{Action: NoStart, Reasons: []gate.Result{need}, Summary: "No: the pinned rows are too few to say."}, nil
	case l.all.Unknown != "":
		r := gate.Result{Name: "not_inferior." + l.all.Metric, Answer: gate.Unknown, N: int64(s.pairs), Reason: l.all.Unknown}
		return Decision{Action: NoStart, Reasons: []gate.Result{need, r}, Summary: fmt.Sprintf("No: %s is not known.", l.all.Metric)}, nil
	}
	lower, upper := l.once()
	r := gate.Result{Name: "not_inferior." + l.all.Metric, Value: lower, Bound: -l.primary.Margin, Answer: gate.Unknown, N: int64(s.pairs),
		Reason: "the pinned rows do not rule out that the challenger is worse by more than the margin"}
	d := Decision{Action: NoStart, Summary: fmt.Sprintf("No: %s may be worse by more than its margin.", l.all.Metric)}
	switch {
	case lower > r.Bound:
		r.Answer, r.Reason = gate.Yes, ""
		d.Action, d.Summary = Start, fmt.Sprintf("Start: %s is not worse by more than its margin.", l.all.Metric)
	case upper < r.Bound:
		r.Answer, r.Reason = gate.No, "the challenger is worse by more than the margin"
		d.Summary = fmt.Sprintf("No: %s is worse by more than its margin.", l.all.Metric)
	}
	d.Reasons = []gate.Result{need, r}
	return d, nil
}

// once are the bounds of the primary metric for one look, each at alpha.
func (l *look) once() (lower, upper float64) {
	half := stat.Z(1-l.p.Alpha)*l.all.SE.Largest() + l.all.Resolution
	return l.all.Delta - half, l.all.Delta + half
}

// Better asks once, of rows that do not grow, whether the challenger is better by
// more than the policy's delta: yes, no (so are same answers), or unknown. It is for
// files compared by a person; a rollout asks [Decide], whose bounds hold at every
// look. The errors are those of [Decide].
func Better(s *State, p Policy) (gate.Result, error) {
	l, err := examine(s, &p)
	if err != nil {
		return gate.Result{}, err
	}
	need := p.HarmLook.need(&s.spec, "better."+l.all.Metric, l.all.Counts)
	switch {
	case s.pairs > 0 && s.Identical() == s.pairs:
		r := l.sameAnswers()
		r.Name, r.Value, r.Bound, r.Answer = need.Name, 0, p.Delta, gate.No
		return r, nil
	case need.Answer != gate.Yes:
		return need, nil
	case l.all.Unknown != "":
		return gate.Result{Name: need.Name, Answer: gate.Unknown, Bound: p.Delta, N: need.N, Reason: l.all.Unknown}, nil
	}
	lower, upper := l.once()
	r := gate.Result{Name: need.Name, Value: lower, Bound: p.Delta, N: need.N}
	switch {
	case lower > p.Delta:
		r.Answer = gate.Yes
	case upper < p.Delta:
		r.Value, r.Answer, r.Reason = upper, gate.No, "the challenger is not better"
	default:
		r.Answer, r.Reason = gate.Unknown, fmt.Sprintf("the difference is between %.4f and %.4f: too few rows to say", lower, upper)
	}
	return r, nil
}
