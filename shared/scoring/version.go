package scoring

import (
	"context"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rows"
	"github.com/tidegate/tidegate/shared/schema"
)

// version is a version in memory, under the settings of its model.
type version struct {
	model   string
	number  int
	digest  string
	schema  *schema.Schema
	session inference.Session

	settings registry.Settings
	inForce  string // digest of settings
	checker  *schema.Checker
	specs    []rows.Spec // of the inputs
	fixed    int         // rows that the model takes at a time; 0 = any number
	width    int         // values in a row of all inputs and outputs
}

// version returns the version of an item: the last one used, or it is loaded. The
// contract is that of the settings in force, as predict has it.
func (s *Scorer) version(ctx context.Context, in *In) (*version, error) {
	if s.last == nil || s.last.model != in.Model || s.last.number != in.Version {
		if s.last != nil {
			_ = s.last.session.Close()
			s.last = nil
		}
		v, err := s.load(ctx, in)
		if err != nil {
			return nil, err
		}
		s.last = v
	}
	v := s.last
	if err := s.configure(ctx, v); err != nil {
		return nil, err
	}
	for _, name := range append([]string{in.IDColumn}, in.Keep...) {
		if c := v.settings.Capture; c != nil && c.Redact[name] != "" {
			return nil, fault.Invalid(fault.Violation{Path: "keep", Problem: "names a column that the model's settings redact; leave it out"})
		}
	}
	return v, nil
}

func (s *Scorer) load(ctx context.Context, in *In) (*version, error) {
	manifest, err := s.Registry.Manifest(ctx, in.Model, in.Version)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.Wrap(err, fault.NotFound, "version %d of model %q is not there, or not ready", in.Version, in.Model)
	}
	if err != nil {
		return nil, err
	}
	if err := s.Trust.Check(ctx, s.Registry, &manifest); err != nil {
		return nil, err
	}
	if file, ok := manifest.File("model.onnx"); ok && s.Limits.MemoryBytes > 0 && inference.Footprint(file.Size) > s.Limits.MemoryBytes {
		return nil, fault.New(fault.ResourceExhausted, "the model needs about %d bytes and %d are there: give the function more memory", inference.Footprint(file.Size), s.Limits.MemoryBytes)
	}
	model, described, err := inference.ReadVersion(ctx, s.Registry, &manifest)
	if err != nil {
		return nil, err
	}
	v := &version{model: in.Model, number: in.Version, digest: manifest.Digest, schema: described}
	if err := v.fit(); err != nil {
		return nil, err
	}
	if v.session, err = s.Runtime.Load(ctx, model, described.Signature); err != nil {
		return nil, err
	}
	return v, nil
}

// fit says what of the signature a table can fill.
func (v *version) fit() error {
	for i, in := range v.schema.Signature.Inputs {
		if len(in.Shape) == 0 {
			return fault.New(fault.Unimplemented, "input %q takes one value for all rows; a table cannot fill it", in.Name)
		}
		spec := rows.Spec{Name: in.Name, Datatype: in.Datatype, Shape: in.Shape, Columns: in.Columns}
		width, err := spec.Width()
		if err != nil {
			return err
		}
		v.width += width
		v.specs = append(v.specs, spec)
		takes := 0
		if !in.Batched() {
			takes = int(in.Shape[0])
		}
		if i > 0 && takes != v.fixed {
			return fault.New(fault.Unimplemented, "inputs %q and %q take other numbers of rows; a table cannot fill them", v.specs[0].Name, in.Name)
		}
		v.fixed = takes
	}
	for _, out := range v.schema.Signature.Outputs {
		v.width += max(1, out.Width())
	}
	return nil
}

// configure compiles the contract with the settings in force, if they are others than before.
func (s *Scorer) configure(ctx context.Context, v *version) error {
	state, _, err := s.Registry.State(ctx, v.model)
	if err != nil && !fault.Is(err, fault.NotFound) { // a model without a champion has no settings yet
		return err
	}
	if v.checker != nil && v.inForce == state.SettingsDigest {
		return nil
	}
	settings := registry.Settings{}
	if state.SettingsDigest != "" {
		if settings, err = s.Registry.Settings(ctx, v.model, state.SettingsDigest); err != nil {
			return err
		}
	}
	checker, err := schema.Compile(v.schema, settings.Contract)
	if err != nil {
		return fault.Wrap(err, fault.FailedPrecondition, "the contract of version %d of model %q cannot be used with the settings in force: %s", v.number, v.model, fault.Public(err).Message)
	}
	v.checker, v.settings, v.inForce = checker, settings, state.SettingsDigest
	return nil
}
