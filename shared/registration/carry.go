package registration

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/modelfile"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

const (
	manifestFile = "manifest.json"
	schemaFile   = "schema.json"
)

// Limits of a carried version, in bytes. The small files of a version that
// registered somewhere are far below: the largest is a baseline of wide rows.
const (
	maxManifest = 4 << 20
	maxCarried  = 64 << 20 // of all small files together: they are in memory
)

// carry registers a version of another registry. It takes over schema, baseline and
// reference as they are, since they belong to the version's digest and what they were made
// of did not come along, but not on trust: the model must have that signature, run,
// and answer the holdout as the trainer did, with the runtime that serves here.
func (r *Registrar) carry(ctx context.Context, at location, in In, model, existing registry.Model, known bool) (Out, error) {
	if !at.folder() {
		return Out{}, fault.Invalid(fault.Violation{Path: "source", Problem: "must be a folder, with a slash at its end, for a version that is carried here"})
	}
	m, err := r.carriedManifest(ctx, at)
	if err != nil {
		return Out{}, err
	}
	b, err := r.fetchCarried(ctx, at, &m)
	if err != nil {
		return Out{}, err
	}
	defer b.close()
	var trained facts
	if err := b.decode(trainingFile, &trained); err != nil {
		return Out{}, err
	}
	if model, err = identify(model, trained, existing, known); err != nil {
		return Out{}, err
	}
	if t := m.Parity.Tolerance; !(t >= 0 && t <= 1) { // nothing in it need be true
		return Out{}, fault.New(fault.InvalidArgument, "manifest.json names a parity tolerance outside of 0 to 1; export the version again")
	}
	p := purpose{task: model.Task, target: model.Target, time: trained.Time}
	candidate, err := r.examineCarried(ctx, b, p, cmp.Or(in.Tolerance, m.Parity.Tolerance, DefaultTolerance))
	if err != nil {
		return Out{}, err
	}
	candidate.model, candidate.origin = model, m.From()
	out, err := r.create(ctx, model, existing, known)
	if err != nil {
		return Out{}, err
	}
	return r.publish(ctx, b, candidate, in, out)
}

// carriedManifest reads the manifest and checks that the folder holds what it lists and nothing else.
func (r *Registrar) carriedManifest(ctx context.Context, at location) (registry.Manifest, error) {
	body, err := r.read(ctx, at.key+manifestFile, manifestFile, maxManifest, "it is no manifest of a version")
	if err != nil {
		return registry.Manifest{}, err
	}
	m, err := registry.ReadManifest(body)
	if err != nil {
		return m, err
	}
	names, err := r.names(ctx, at)
	if err != nil {
		return m, err
	}
	for _, name := range names {
		if _, listed := m.File(name); !listed && name != manifestFile {
			return m, fault.New(fault.InvalidArgument, "the source holds %s, which %s does not list", quoted(name), manifestFile)
		}
	}
	for _, f := range m.Files {
		if !slices.Contains(names, f.Path) {
			return m, fault.New(fault.InvalidArgument, "%s lists %s, which the source does not hold; upload it again", manifestFile, quoted(f.Path))
		}
	}
	return m, nil
}

// fetchCarried reads the files of a manifest, each of which must have its digest.
func (r *Registrar) fetchCarried(ctx context.Context, at location, m *registry.Manifest) (_ *bundle, err error) {
	b := &bundle{small: map[string][]byte{}}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	var model registry.File
	left := int64(maxCarried)
	for _, f := range m.Files {
		switch {
		case f.Path == modelFile:
			model = f
		case f.Blob || f.Path == holdoutFile || f.Path == predictionsFile:
			err = r.spoolCarried(ctx, at, f, b)
		default:
			if b.small[f.Path], err = r.read(ctx, at.key+f.Path, f.Path, left, "the small files of a version are too large together"); err == nil {
				left -= int64(len(b.small[f.Path]))
				err = whole(f, b.small[f.Path])
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if (b.holdout == nil) != (b.predictions == nil) {
		return nil, fault.New(fault.InvalidArgument, "%s lists only one of %s and %s", manifestFile, holdoutFile, predictionsFile)
	}
	if b.model, err = r.read(ctx, at.key+modelFile, modelFile, r.Limits.ModelBytes, "give the function more memory"); err != nil {
		return nil, err
	}
	return b, whole(model, b.model)
}

func (r *Registrar) spoolCarried(ctx context.Context, at location, f registry.File, b *bundle) error {
	t, err := r.spool(ctx, at.key, f.Path)
	if err != nil {
		return err
	}
	switch f.Path {
	case holdoutFile:
		b.holdout = t
	case predictionsFile:
		b.predictions = t
	default:
		b.others = append(b.others, t)
	}
	if t.size != f.Size || t.sha256 != registry.Hex(f.SHA256) {
		return differs(f)
	}
	return nil
}

// whole says whether data is the file that a manifest lists.
func whole(f registry.File, data []byte) error {
	if sum := sha256.Sum256(data); int64(len(data)) != f.Size || hex.EncodeToString(sum[:]) != registry.Hex(f.SHA256) {
		return differs(f)
	}
	return nil
}

func differs(f registry.File) error {
	return fault.New(fault.InvalidArgument, "%s is not the file that %s lists (its size or sha256 differ); upload it again", quoted(f.Path), manifestFile)
}

// examineCarried checks everything that can be wrong with a carried version beyond its digests.
func (r *Registrar) examineCarried(ctx context.Context, b *bundle, p purpose, tolerance float64) (candidate, error) {
	c := candidate{schemaJSON: b.small[schemaFile], baseline: b.small[profile.BaselineFile], reference: b.small[quality.ReferenceFile]}
	if c.schemaJSON == nil {
		return c, fault.New(fault.InvalidArgument, "%s lists no %s", manifestFile, schemaFile)
	}
	s, err := schema.Parse(c.schemaJSON)
	if err != nil {
		return c, err
	}
	if c.schema = *s; s.Task != p.task {
		return c, fault.New(fault.FailedPrecondition, "%s is of the task %s, the model of %s; import it under another name", schemaFile, s.Task, p.task)
	}
	if c.warnings, err = r.probeCarried(ctx, b, s, p); err != nil {
		return c, err
	}
	if c.baseline != nil {
		_, err = profile.ParseBaseline(c.baseline)
		err = fault.Wrap(err, fault.InvalidArgument, "%s is no baseline that this program reads", profile.BaselineFile)
	}
	if c.reference != nil && err == nil {
		_, err = quality.ParseReference(c.reference)
		err = fault.Wrap(err, fault.InvalidArgument, "%s is no reference that this program reads", quality.ReferenceFile)
	}
	if data, ok := b.small[metricsFile]; ok && err == nil {
		c.metrics, err = metrics(data)
	}
	if err != nil {
		return c, err
	}
	c.parity, err = r.checkParity(ctx, b, s.Signature, p.spare(), tolerance)
	return c, err
}

// probeCarried runs the model and says whether it is one of the schema's signature:
// the file declares the same tensors, and no shape needs a correction.
func (r *Registrar) probeCarried(ctx context.Context, b *bundle, s *schema.Schema, p purpose) (warnings []string, err error) {
	file, err := modelfile.Parse(b.model)
	if err != nil {
		return nil, err
	}
	declared, err := signatureOf(file)
	if err != nil {
		return nil, err
	}
	same := func(a, b schema.Spec) bool { return a.Name == b.Name && a.Datatype == b.Datatype }
	shaped := func(a, b schema.Spec) bool { return slices.Equal(a.Shape, b.Shape) }
	other := errors.New("the signatures differ")
	if slices.EqualFunc(declared.Inputs, s.Signature.Inputs, same) && slices.EqualFunc(declared.Inputs, s.Signature.Inputs, shaped) &&
		slices.EqualFunc(declared.Outputs, s.Signature.Outputs, same) {
		var probed schema.Signature
		if probed, warnings, err = r.probe(ctx, b, s.Signature, p.spare()); err != nil {
			return nil, err
		}
		if slices.EqualFunc(probed.Outputs, s.Signature.Outputs, shaped) {
			other = nil
		}
	}
	return warnings, fault.Wrap(other, fault.FailedPrecondition, "%s has another signature than the model has here; register the model's training folder instead", schemaFile)
}
