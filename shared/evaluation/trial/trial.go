// Package trial looks at a rollout and says what its evidence asks for: whether it
// may begin, whether its shadow phase is over, and at each poll whether to advance,
// promote, abort, wait or ask a person.
//
// It joins the hours of the rollout (outcome), counts the pairs of its two versions
// (evaluation), decides by the rules of docs/comparison.md (comparison) and stores
// the judgement as a blob of the registry, where promote's guards read it. It moves
// nothing: the rollout machine does, and the guards look again.
//
// What the bound needs to stay fixed over all looks is frozen at the first one: the
// versions, the policy that the rollout keeps, the latency above which a request is
// slow, and the segments. Counts are kept by hour under a name of their sources, so
// that a look that runs out of time goes on where it stopped.
//
// Pairs count from the moment of the rollout, or of the shadow phase before it if
// that had the same two versions. Labels count as they come, unless the quality
// policy sets label_delay_minutes: then those of younger predictions do not.
//
//	j := trial.Judge{Registry: reg, Data: store, Now: time.Now}
//	out, err := j.Run(ctx, trial.In{Model: "flights", Rollout: &trial.Step{ID: id, Step: 2, Elapsed: 3600, Bake: 3600}})
package trial

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/validate"
)

// In asks for one look: at a rollout, at the shadow phase before one, or at pinned rows.
type In struct {
	Model   string  `json:"model" validate:"required"`
	Rollout *Step   `json:"rollout,omitempty"`
	Shadow  *Shadow `json:"shadow,omitempty"`
	Start   *Start  `json:"start,omitempty"`
}

// Step is where the rollout stands, as promote's look says it.
type Step struct {
	ID      string `json:"id" validate:"required"`
	Step    int    `json:"step" validate:"gte=0"`
	Last    bool   `json:"last"`
	Elapsed int64  `json:"elapsed_s" validate:"gte=0"` // since the step began
	Bake    int64  `json:"bake_s" validate:"gt=0"`
}

// Shadow is the phase before a rollout of Version: it is over at the first bound that
// is reached, and without bounds at once.
type Shadow struct {
	Version int   `json:"version" validate:"gt=0"`
	Pairs   int64 `json:"pairs" validate:"gte=0"`
	Seconds int64 `json:"seconds" validate:"gte=0"`
}

// Stopped is the action when the version is not the shadow any more: a person's move.
const Stopped comparison.Action = "stopped"

// Out is the answer.
type Out struct {
	// Action is one of comparison's; of a shadow phase wait, start (it is over), abort or stopped.
	Action  comparison.Action `json:"action"`
	Reject  bool              `json:"reject"`
	Summary string            `json:"summary"`
	// Evidence is the digest of the judgement, and a list of it; none of a look that says wait.
	Evidence    string   `json:"evidence"`
	Digests     []string `json:"digests"`
	Pairs       uint64   `json:"pairs"` // with a label
	PairsBefore uint64   `json:"pairs_before"`
	// Left are parts of hours that have still to be joined: look again at once.
	Left int   `json:"left"`
	Poll int64 `json:"poll_s"` // of a shadow phase: until the next look
}

// Judge is the look. All fields but Budget are required.
type Judge struct {
	Registry *registry.Registry
	Data     blob.Store
	Now      func() time.Time
	Budget   int64 // bytes for the records of an hour; 0 = outcome.DefaultBudget
}

// Run looks once. Errors: InvalidArgument, in; NotFound, the model or a file;
// FailedPrecondition, the evidence proves nothing (a version with itself, rows from
// before the end of a training) or settings cannot be; PayloadTooLarge, an hour does
// not fit into Budget; Unavailable; Internal, a damaged object.
func (j *Judge) Run(ctx context.Context, in In) (Out, error) {
	if err := in.check(); err != nil {
		return Out{}, err
	}
	var out Out
	var err error
	switch {
	case in.Rollout != nil:
		out, err = j.step(ctx, in.Model, in.Rollout)
	case in.Shadow != nil:
		out, err = j.shadow(ctx, in.Model, in.Shadow)
	default:
		out, err = j.start(ctx, in.Model, in.Start)
	}
	out.Digests = []string{}
	if out.Evidence != "" {
		out.Digests = []string{out.Evidence}
	}
	return out, err
}

func (in *In) check() error {
	var bad []fault.Violation
	var f *fault.Error
	if err := validate.Struct(in); errors.As(err, &f) {
		bad = f.Violations
	}
	asked := 0
	for _, is := range []bool{in.Rollout != nil, in.Shadow != nil, in.Start != nil} {
		if is {
			asked++
		}
	}
	if asked != 1 {
		bad = append(bad, fault.Violation{Path: "rollout", Problem: "must be there, or else one of shadow and start, and only one"})
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return registry.CheckName(in.Model)
}

// waits is the answer where nothing can be said yet.
func waits(why string) Out { return Out{Action: comparison.Wait, Summary: "Wait: " + why + "."} }

// step is one look at a rollout that is under way.
func (j *Judge) step(ctx context.Context, model string, in *Step) (Out, error) {
	s, _, err := j.Registry.State(ctx, model)
	if err != nil {
		return Out{}, err
	}
	// The machine's look may be a moment old. It looks again, and sees what has happened.
	if r := s.Rollout; r == nil || r.ID != in.ID || r.Step != in.Step {
		return waits("the rollout has moved on since the look"), nil
	}
	c, err := j.course(ctx, model, &s)
	if err != nil {
		return Out{}, err
	}
	m, err := j.matter(ctx, model, c)
	if err != nil {
		return Out{}, err
	}
	pairs, before, left, err := m.count(ctx)
	if err != nil {
		return Out{}, err
	}
	if left > 0 {
		out := waits("not all hours are joined yet")
		out.Left = left
		return out, nil
	}
	if in.Step > 0 {
		if before, err = j.pairsAt(ctx, c.evidence); err != nil {
			return Out{}, err
		}
	}
	d, err := comparison.Decide(pairs, m.compare, comparison.Step{Last: in.Last, PairsBefore: min(before, pairs.Pairs()), Elapsed: in.Elapsed, Bake: in.Bake})
	if err != nil {
		return Out{}, err
	}
	out := Out{Action: d.Action, Reject: d.Reject, Summary: d.Summary, Pairs: pairs.Pairs(), PairsBefore: before}
	if d.Action == comparison.Wait {
		return out, nil
	}
	report, err := comparison.NewReport(pairs, m.compare, &d)
	if err != nil {
		return Out{}, err
	}
	out.Evidence, err = j.store(ctx, report, registry.Evidence{Model: model, Champion: c.champion, Challenger: c.challenger, Decision: string(d.Action), Reject: d.Reject,
		Summary: d.Summary, RolloutID: in.ID, Step: in.Step, Generation: s.Generation,
		Window: c.since.UTC().Format(time.RFC3339) + "/" + j.Now().UTC().Format(time.RFC3339)})
	return out, err
}

// store keeps a judgement with its report.
func (j *Judge) store(ctx context.Context, report *comparison.Report, e registry.Evidence) (string, error) {
	raw, err := json.Marshal(report)
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "the report of a comparison cannot be encoded")
	}
	e.At, e.Report = j.Now().UTC(), raw
	return j.Registry.PutEvidence(ctx, e)
}
