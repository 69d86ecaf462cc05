package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// watched is a model with what is in force.
type watched struct {
	name    string
	task    quality.Task
	declare schema.Task // the same task, as the registry calls it
	policy  quality.Policy
	compare comparison.Policy

	states   []registry.State // newest first, as far back as they were asked for
	versions map[int]*version
}

// version is what a version is judged by.
type version struct {
	number    int
	digest    string
	signature schema.Signature
	reference evaluation.Reference
}

// model reads a model. NotFound: there is none, or nothing serves yet;
// FailedPrecondition: it cannot be evaluated.
func (w *Watcher) model(ctx context.Context, name string) (*watched, error) {
	identity, err := w.Registry.Model(ctx, name)
	if err != nil {
		return nil, err
	}
	m := &watched{name: name, declare: identity.Task, policy: quality.DefaultPolicy(), compare: comparison.DefaultPolicy(), versions: map[int]*version{}}
	if m.task = evaluation.TaskOf(identity.Task); m.task == "" {
		return nil, fault.New(fault.FailedPrecondition, "model %q was registered without a task, so nobody knows what its labels mean", name)
	}
	state, _, err := w.Registry.State(ctx, name)
	if err != nil {
		return nil, err
	}
	m.states = []registry.State{state}
	if state.SettingsDigest == "" {
		return m, nil
	}
	settings, err := w.Registry.Settings(ctx, name, state.SettingsDigest)
	if err != nil {
		return nil, err
	}
	if m.policy, err = quality.ParsePolicy(settings.Quality); err == nil {
		err = m.policy.CheckTask(m.task)
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.FailedPrecondition, "the quality policy in the settings of %q is not valid: %s", name, fault.Public(err).Message)
	}
	if m.compare, err = comparison.ParsePolicy(settings.Comparison); err != nil {
		return nil, fault.Wrap(err, fault.FailedPrecondition, "the comparison policy in the settings of %q is not valid: %s", name, fault.Public(err).Message)
	}
	return m, nil
}

// spread is how long functions may go on answering by the state before.
const spread = time.Minute

// inForce are the states that were in force between two times, newest first. Of a
// time before the first state there is none: then it is the newest, by which
// predictions of the past were made anew.
func (w *Watcher) inForce(ctx context.Context, m *watched, from, to time.Time) ([]registry.State, error) {
	from = from.Add(-spread)
	for oldest := &m.states[len(m.states)-1]; oldest.Generation > 1 && oldest.Last.At.After(from); oldest = &m.states[len(m.states)-1] {
		s, err := w.Registry.LogEntry(ctx, m.name, oldest.Generation-1)
		if err != nil {
			return nil, err
		}
		m.states = append(m.states, s)
	}
	var out []registry.State
	for i := range m.states {
		if m.states[i].Last.At.Before(to) && (i == 0 || m.states[i-1].Last.At.After(from)) {
			out = append(out, m.states[i])
		}
	}
	if len(out) == 0 {
		out = m.states[:1]
	}
	return out, nil
}

// version reads a version, once.
func (w *Watcher) version(ctx context.Context, m *watched, ref registry.Ref) (*version, error) {
	if v, ok := m.versions[ref.Version]; ok {
		return v, nil
	}
	v := &version{number: ref.Version, digest: ref.Digest}
	manifest, err := w.Registry.Manifest(ctx, m.name, ref.Version)
	if err != nil {
		return nil, err
	}
	raw, err := w.Registry.ReadFile(ctx, &manifest, "schema.json")
	if err != nil {
		return nil, fmt.Errorf("watch: schema of %s@%d: %w", m.name, ref.Version, err)
	}
	described, err := schema.Parse(raw)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the schema of version %d of model %q is damaged", ref.Version, m.name)
	}
	v.signature = described.Signature
	r, sum, err := quality.LoadReference(ctx, w.Registry, m.name, ref.Version)
	switch {
	case fault.Is(err, fault.NotFound):
		v.reference.Why = fault.Public(err).Message
	case err != nil:
		return nil, fmt.Errorf("watch: reference of %s@%d: %w", m.name, ref.Version, err)
	case r.Layout.Task != m.task:
		v.reference.Why = fmt.Sprintf("the reference of version %d is of a %s task", ref.Version, r.Layout.Task)
	default:
		v.reference.Reference, v.reference.SHA256 = r, sum
	}
	m.versions[ref.Version] = v
	return v, nil
}
