package trial

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// sides are the two versions as they are compared, and what their rows consist of.
type sides struct {
	model   string
	task    schema.Task
	spec    outcome.Spec
	compare comparison.Policy
	delay   time.Duration // of labels, where the settings name one
	key     string        // input column whose rows depend on each other, where they name one
	pairs   comparison.Spec
}

// sides reads both versions and the policies. FailedPrecondition: they cannot be compared.
func (j *Judge) sides(ctx context.Context, model string, champion, challenger registry.Ref, settings string) (*sides, error) {
	identity, err := j.Registry.Model(ctx, model)
	if err != nil {
		return nil, err
	}
	s := &sides{model: model, task: identity.Task, compare: comparison.DefaultPolicy()}
	task := evaluation.TaskOf(identity.Task)
	if task == "" {
		return nil, fault.New(fault.FailedPrecondition, "model %q was registered without a task, so nobody knows what its labels mean", model)
	}
	if settings != "" {
		if err := j.policies(ctx, s, settings); err != nil {
			return nil, err
		}
	}
	s.pairs = comparison.Spec{Task: comparison.Task(task), Block: s.compare.Block}
	var references [2]*quality.Reference
	for i, ref := range []registry.Ref{champion, challenger} {
		if references[i], err = j.reference(ctx, model, ref.Version); err != nil {
			return nil, err
		}
		v := comparison.Version{Name: model + "@" + strconv.Itoa(ref.Version), Digest: ref.Digest}
		if r := references[i]; r != nil {
			v.TrainedUntil = r.TrainingEnd.UTC()
		}
		*[]*comparison.Version{&s.pairs.Champion, &s.pairs.Challenger}[i] = v
	}
	if err := j.outputs(ctx, s, champion.Version, references); err != nil {
		return nil, err
	}
	if column := s.compare.Segments.Column; column != "" {
		s.spec.Segments = []string{column}
	}
	if task == quality.Binary && s.spec.Score != "" {
		s.pairs.Champion.Bins, s.pairs.Challenger.Bins = bins(references[0]), bins(references[1])
	}
	s.pairs.Probabilities = task == quality.Multiclass && s.spec.Score != ""
	return s, s.pairs.Check()
}

func (j *Judge) policies(ctx context.Context, s *sides, digest string) error {
	settings, err := j.Registry.Settings(ctx, s.model, digest)
	if err != nil {
		return err
	}
	if s.compare, err = comparison.ParsePolicy(settings.Comparison); err != nil {
		return fault.Wrap(err, fault.FailedPrecondition, "the comparison policy in the settings of %q is not valid: %s", s.model, fault.Public(err).Message)
	}
	q, err := quality.ParsePolicy(settings.Quality)
	if err != nil {
		return fault.Wrap(err, fault.FailedPrecondition, "the quality policy in the settings of %q is not valid: %s", s.model, fault.Public(err).Message)
	}
	s.key = q.Key
	if q.LabelDelayMinutes != nil {
		s.delay = q.LabelDelay(0)
	}
	return nil
}

// reference is that of a version, nil if it has none.
func (j *Judge) reference(ctx context.Context, model string, version int) (*quality.Reference, error) {
	r, _, err := quality.LoadReference(ctx, j.Registry, model, version)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return r, err
}

// outputs finds scores and classes among what the champion answers; the challenger
// answers the same, or promote had not let it in.
func (j *Judge) outputs(ctx context.Context, s *sides, champion int, references [2]*quality.Reference) error {
	m, err := j.Registry.Manifest(ctx, s.model, champion)
	if err != nil {
		return err
	}
	raw, err := j.Registry.ReadFile(ctx, &m, "schema.json")
	if err != nil {
		return err
	}
	described, err := schema.Parse(raw)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the schema of version %d of model %q is damaged", champion, s.model)
	}
	var classes []string
	for _, r := range references {
		if r != nil && classes == nil && s.task != schema.Regression {
			classes = r.Layout.Classes
		}
	}
	if s.task == schema.Multiclass && classes == nil {
		for i := range width(&described.Signature) {
			classes = append(classes, strconv.Itoa(i))
		}
	}
	s.spec, err = outcome.SpecOf(s.task, described.Signature, classes, nil)
	if err != nil {
		return fault.Wrap(err, fault.FailedPrecondition, "the answers of version %d of model %q cannot be compared: %s", champion, s.model, fault.Public(err).Message)
	}
	s.spec.Key = s.key
	return nil
}

func width(sig *schema.Signature) (n int) {
	for _, out := range sig.Outputs {
		n = max(n, out.Width())
	}
	return n
}

// bins are those of the reference scores, or ones of equal width.
func bins(r *quality.Reference) *score.Bins {
	if r != nil && r.Layout.Task == quality.Binary && len(r.Layout.Bins) > 0 {
		return r.Layout.Bins[0]
	}
	return score.Uniform(score.MaxBins)
}

// matter is a rollout as it is counted.
type matter struct {
	*sides
	*course
	judge *Judge
	setup *evaluation.Setup
	terms string // names the setup
}

// matter fixes what all looks at a rollout have in common.
func (j *Judge) matter(ctx context.Context, model string, c *course) (*matter, error) {
	s, err := j.sides(ctx, model, c.champion, c.challenger, c.settings)
	if err != nil {
		return nil, err
	}
	m := &matter{sides: s, course: c, judge: j}
	m.pairs.Champion.Dataset = "rollout " + c.id
	m.pairs.Challenger.Dataset = m.pairs.Champion.Dataset
	f, err := m.frame(ctx)
	if err != nil {
		return nil, err
	}
	f.Apply(&m.pairs)
	m.setup = &evaluation.Setup{Task: evaluation.TaskOf(s.task), Classes: s.spec.Classes, Policy: quality.DefaultPolicy(),
		Pairing: &evaluation.Pairing{Champion: c.champion.Version, Challenger: c.challenger.Version, Spec: m.pairs, Column: s.compare.Segments.Column}}
	m.spec.Segments = m.setup.SegmentColumns()
	raw, err := json.Marshal(map[string]any{"v": hourVersion, "spec": m.spec, "pairs": m.pairs})
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the terms of a rollout cannot be encoded")
	}
	m.terms = fmt.Sprintf("%x", sha256.Sum256(raw))
	return m, nil
}
