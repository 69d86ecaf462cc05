package registry

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
)

// CreateModel registers the identity of a model and returns what is stored.
// created is false when the model existed with the same task and target. Another
// task or target is AlreadyExists: an identity never changes. V and CreatedAt are
// set here; an empty task is [schema.Unspecified].
func (r *Registry) CreateModel(ctx context.Context, m Model) (stored Model, created bool, err error) {
	if err := CheckName(m.Name); err != nil {
		return Model{}, false, err
	}
	if m.Task == "" {
		m.Task = schema.Unspecified
	}
	if !m.Task.Valid() {
		return Model{}, false, fault.Invalid(fault.Violation{Path: "task", Problem: "must be one of: binary_classification, multiclass_classification, regression, unspecified"})
	}
	m.V, m.CreatedAt = ModelVersion, r.now()
	body, err := encode(m)
	if err != nil {
		return Model{}, false, err
	}
	key := ModelKey(m.Name)
	body, created, err = r.putOnce(ctx, key, body)
	if err != nil {
		return Model{}, false, fmt.Errorf("registry: create model %s: %w", m.Name, err)
	}
	if stored, err = parseModel(m.Name, body); err != nil {
		return Model{}, false, err
	}
	if stored.Task != m.Task || stored.Target != m.Target {
		return stored, false, fault.New(fault.AlreadyExists,
			"model %q exists with task %s and target %q, which never change; choose another name", m.Name, stored.Task, stored.Target)
	}
	return stored, created, nil
}

// Model reads the identity of model m; NotFound when it was never created.
func (r *Registry) Model(ctx context.Context, m string) (Model, error) {
	if err := CheckName(m); err != nil {
		return Model{}, err
	}
	obj, err := r.store.Get(ctx, ModelKey(m))
	if fault.Is(err, fault.NotFound) {
		return Model{}, fault.Wrap(err, fault.NotFound, "there is no model %q", m)
	}
	if err != nil {
		return Model{}, fmt.Errorf("registry: read model %s: %w", m, err)
	}
	return parseModel(m, obj.Body)
}

func parseModel(name string, body []byte) (Model, error) {
	var m Model
	key := ModelKey(name)
	if err := decode(key, body, &m); err != nil {
		return Model{}, err
	}
	if m.V > ModelVersion {
		return Model{}, tooNew(key, m.V, ModelVersion)
	}
	if m.Name != name || !m.Task.Valid() {
		return Model{}, damaged(key, fmt.Errorf("name or task is wrong"))
	}
	return m, nil
}

// Models yields the models of the registry. The order is that of the keys, which
// is by name except around "-" and "_".
//
// A store lists objects, not folders: after skipAfter objects of one model the
// listing starts again behind its folder, so that a model with a long log costs
// one page and not all of them.
func (r *Registry) Models(ctx context.Context) iter.Seq2[Model, error] {
	const root, skipAfter = "models/", 900
	return func(yield func(Model, error) bool) {
		for after, more := "", true; more; {
			more = false
			current, seen := "", 0
			for info, err := range r.store.List(ctx, root, after) {
				if err != nil {
					yield(Model{}, fmt.Errorf("registry: list models: %w", err))
					return
				}
				name, _, _ := strings.Cut(strings.TrimPrefix(info.Key, root), "/")
				if name == current {
					if seen++; seen > skipAfter {
						after, more = root+name+"0", true // "0" is the character after "/"
						break
					}
					continue
				}
				current, seen = name, 1
				if !r.yieldModel(ctx, name, yield) {
					return
				}
			}
		}
	}
}

// yieldModel reads and yields one model; folders without an identity are passed over.
func (r *Registry) yieldModel(ctx context.Context, name string, yield func(Model, error) bool) bool {
	m, err := r.Model(ctx, name)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.InvalidArgument) {
		return true
	}
	if err != nil {
		yield(Model{}, err)
		return false
	}
	return yield(m, nil)
}
