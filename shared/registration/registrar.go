package registration

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"slices"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/modelfile"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/provenance"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// Run registers what lies under in.Source, and creates the model when there is none of that name.
//
// It may be repeated at any time and by several callers: a crash leaves blobs, or
// a number without a manifest, which the next call with the same content takes
// up. Everything is checked before anything is written.
//
// Errors: InvalidArgument (the files are not what they should be), NotFound (no
// source), PayloadTooLarge, FailedPrecondition (other answers than the trainer's,
// another task or target than the model's), DeadlineExceeded, Unavailable, Internal.
//
// With a signature it attaches that to a version and registers nothing.
func (r *Registrar) Run(ctx context.Context, in In) (Out, error) {
	if err := in.check(); err != nil {
		return Out{}, err
	}
	if in.Signature != "" {
		return r.attach(ctx, in)
	}
	bounded := *r
	bounded.Limits = r.Limits.withDefaults()
	return bounded.run(ctx, in)
}

func (r *Registrar) run(ctx context.Context, in In) (Out, error) {
	existing, err := r.Registry.Model(ctx, in.Model)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Out{}, err
	}
	known := err == nil
	model := registry.Model{Name: in.Model, Task: in.Task, Target: in.Target, CreatedBy: in.Actor}
	if in.Source == "" {
		return r.create(ctx, model, existing, known)
	}
	at, err := locate(in.Source, r.Bucket)
	if err != nil {
		return Out{}, err
	}
	if in.Carried {
		return r.carry(ctx, at, in, model, existing, known)
	}
	b, err := r.fetch(ctx, at)
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
	by, err := r.splits(ctx, in)
	if err != nil {
		return Out{}, err
	}
	candidate, err := r.examine(ctx, b, purpose{task: model.Task, target: model.Target, time: trained.Time, by: by}, cmp.Or(in.Tolerance, DefaultTolerance))
	if err != nil {
		return Out{}, err
	}
	candidate.model = model
	out, err := r.create(ctx, model, existing, known)
	if err != nil {
		return Out{}, err
	}
	return r.publish(ctx, b, candidate, in, out)
}

// create makes the model if it is not known.
func (r *Registrar) create(ctx context.Context, m, existing registry.Model, known bool) (Out, error) {
	m, err := identify(m, facts{}, existing, known)
	if err != nil || known {
		return Out{Model: m.Name}, err
	}
	stored, created, err := r.Registry.CreateModel(ctx, m)
	if fault.Is(err, fault.AlreadyExists) { // created by another caller in between
		_, err = identify(m, facts{}, stored, true)
	}
	return Out{Model: m.Name, Created: created}, err
}

// identify settles task and target from what the caller says, what the trainer
// wrote and what the model is. Whatever is said twice must agree.
func identify(m registry.Model, trained facts, existing registry.Model, known bool) (registry.Model, error) {
	if trained.Task != "" && !trained.Task.Valid() {
		return m, fault.New(fault.InvalidArgument, "%s names a task that does not exist", trainingFile)
	}
	if m.Task != "" && trained.Task != "" && m.Task != trained.Task {
		return m, fault.New(fault.FailedPrecondition, "the request says task %s, %s says %s; leave task out, or register the other file", m.Task, trainingFile, trained.Task)
	}
	if m.Target != "" && trained.Target != "" && m.Target != trained.Target {
		return m, fault.New(fault.FailedPrecondition, "the request names another target than %s; leave target out, or register the other file", trainingFile)
	}
	m.Task, m.Target = cmp.Or(m.Task, trained.Task), cmp.Or(m.Target, trained.Target)
	if !known {
		m.Task = cmp.Or(m.Task, schema.Unspecified)
		return m, nil
	}
	if m.Task != "" && m.Task != existing.Task || m.Target != "" && m.Target != existing.Target {
		return m, fault.New(fault.FailedPrecondition, "model %q has task %s and target %s, which never change, and this has task %s and target %s; register it under another name",
			m.Name, existing.Task, quoted(existing.Target), cmp.Or(m.Task, existing.Task), quoted(cmp.Or(m.Target, existing.Target)))
	}
	return existing, nil
}

// candidate is a version that has passed every check.
type candidate struct {
	model      registry.Model
	schema     schema.Schema
	schemaJSON []byte
	baseline   []byte // nil when there is none
	reference  []byte // likewise
	parity     registry.Parity
	metrics    map[string]float64
	origin     *registry.Origin // of a carried version
	warnings   []string
}

// examine checks everything that can be wrong with a bundle.
func (r *Registrar) examine(ctx context.Context, b *bundle, p purpose, tolerance float64) (candidate, error) {
	c := candidate{schema: schema.Schema{V: schema.Version, Task: p.task}}
	file, err := modelfile.Parse(b.model)
	if err != nil {
		return c, err
	}
	if c.schema.Signature, err = signatureOf(file); err != nil {
		return c, err
	}
	var f features
	if err := b.decode(featuresFile, &f); err != nil {
		return c, err
	}
	nameColumns(f, c.schema.Signature)
	if c.schema.Signature, c.warnings, err = r.probe(ctx, b, c.schema.Signature, p.spare()); err != nil {
		return c, err
	}
	if c.schema.Contract, err = contract(f, c.schema.Signature); err != nil {
		return c, err
	}
	if data, ok := b.small[metricsFile]; ok {
		if c.metrics, err = metrics(data); err != nil {
			return c, err
		}
	}
	if c.schemaJSON, err = json.MarshalIndent(c.schema, "", " "); err != nil {
		return c, fault.Wrap(err, fault.Internal, "the schema cannot be encoded")
	}
	c.schemaJSON = append(c.schemaJSON, '\n')
	if len(b.ignored) > 0 {
		c.warnings = append(c.warnings, ignoredText(b.ignored))
	}
	if c.parity, err = r.checkParity(ctx, b, c.schema.Signature, p.spare(), tolerance); err != nil {
		return c, err
	}
	var warned []string
	if c.baseline, warned, err = r.baseline(ctx, b, c.schema.Signature, p); err != nil {
		return c, err
	}
	c.warnings = append(c.warnings, warned...)
	p.rows = c.parity.Rows
	c.reference, warned, err = r.reference(ctx, b, c.schema.Signature, p)
	c.warnings = append(c.warnings, warned...)
	return c, err
}

// checkParity loads the model as it will be served and compares its answers.
func (r *Registrar) checkParity(ctx context.Context, b *bundle, sig schema.Signature, spare []string, tolerance float64) (registry.Parity, error) {
	session, err := r.Runtime.Load(ctx, b.model, sig)
	if err != nil {
		return registry.Parity{}, err
	}
	defer session.Close()
	return r.parity(ctx, b, session, sig, spare, tolerance)
}

func ignoredText(names []string) string {
	const most = 5
	text := "not used: "
	for i, name := range names {
		if i == most {
			return text + ", …"
		}
		if i > 0 {
			text += ", "
		}
		text += quoted(name)
	}
	return text
}

// publish stores a candidate: blobs first, then a number, the small files, and the manifest last.
func (r *Registrar) publish(ctx context.Context, b *bundle, c candidate, in In, out Out) (Out, error) {
	out.Warnings = c.warnings
	files := []registry.File{fileOf(modelFile, b.model, true), fileOf("schema.json", c.schemaJSON, false)}
	if c.baseline != nil {
		files = append(files, fileOf(profile.BaselineFile, c.baseline, false))
	}
	out.Digest = registry.ContentDigest(files)
	version, ok, err := r.Registry.Lookup(ctx, in.Model, out.Digest)
	if err != nil {
		return Out{}, err
	}
	if ok {
		ready, err := r.Registry.Manifest(ctx, in.Model, version)
		if err == nil {
			return out.with(ready, true), nil
		}
		if !fault.Is(err, fault.NotFound) {
			return Out{}, err
		}
	}
	tables, err := r.putBlobs(ctx, b, files[0])
	if err != nil {
		return Out{}, err
	}
	if version, err = r.Registry.Claim(ctx, in.Model, out.Digest, in.Actor); err != nil {
		return Out{}, err
	}
	m := registry.Manifest{Model: in.Model, Version: version, Digest: out.Digest, Files: append(files[:1:1], tables...),
		Runtime: r.Runtime.String(), Parity: c.parity, Metrics: c.metrics, CreatedAt: r.Now().UTC(), CreatedBy: in.Actor, Origin: c.origin}
	reference, err := r.putFiles(ctx, b, c, &m)
	if err != nil {
		return Out{}, err
	}
	if _, brought := m.File(provenance.StatementFile); !brought { // a carried version brings its own along
		if err := r.putProvenance(ctx, origin{model: c.model, schema: &c.schema, source: in.Source, reference: reference}, &m); err != nil {
			return Out{}, err
		}
	}
	stored, existing, err := r.Registry.PutManifest(ctx, m)
	if err != nil {
		return Out{}, err
	}
	return out.with(stored, existing), nil
}

// with answers by what is stored, which may be another caller's registration of the same content.
func (o Out) with(m registry.Manifest, existing bool) Out {
	o.Version, o.Digest, o.Existing, o.Parity = m.Version, m.Digest, existing, &m.Parity
	return o
}

// putBlobs stores model and tables by digest and returns the tables as files of the version.
func (r *Registrar) putBlobs(ctx context.Context, b *bundle, model registry.File) ([]registry.File, error) {
	if err := r.Registry.PutBlob(ctx, model.SHA256, bytes.NewReader(b.model), model.Size); err != nil {
		return nil, err
	}
	var files []registry.File
	for _, t := range b.tables() {
		if err := r.putTable(ctx, t); err != nil {
			return nil, err
		}
		files = append(files, registry.File{Path: t.name, Size: t.size, SHA256: t.sha256, Blob: true})
	}
	return files, nil
}

func (r *Registrar) putTable(ctx context.Context, t *table) error {
	f, err := os.Open(t.path)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the copy of %s is gone", t.name)
	}
	defer f.Close()
	return r.Registry.PutBlob(ctx, t.sha256, f, t.size)
}

// putFiles stores the small files and lists in m what is stored. Under a number
// that an earlier registration of the same content left without a manifest there
// may be its files: they are kept, and the manifest describes them. reference is
// what is stored as such.
func (r *Registrar) putFiles(ctx context.Context, b *bundle, c candidate, m *registry.Manifest) (reference []byte, err error) {
	small := map[string][]byte{"schema.json": c.schemaJSON}
	if c.baseline != nil {
		small[profile.BaselineFile] = c.baseline
	}
	if c.reference != nil {
		small[quality.ReferenceFile] = c.reference
	}
	if small["MLmodel"], err = mlModel(&c.schema, m.CreatedAt, registry.Hex(m.Digest)); err != nil {
		return nil, err
	}
	maps.Copy(small, b.small) // a carried version brings all of these along, and they are the same
	names := make([]string, 0, len(small))
	for name := range small {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		stored, err := r.Registry.PutVersionFile(ctx, m.Model, m.Version, name, small[name])
		if err != nil {
			return nil, err
		}
		switch {
		case (name == "schema.json" || name == profile.BaselineFile) && !bytes.Equal(stored, small[name]):
			return nil, fault.New(fault.Internal, "version %d of model %q holds another %s than its digest says", m.Version, m.Model, name)
		case name == runFile:
			m.Run = stored
		case name == recordFile:
			if m.Training = stored; m.Origin == nil { // else the name is one of another registry
				m.Dataset = datasetOf(stored)
			}
		case name == metricsFile:
			if m.Metrics, err = metrics(stored); err != nil {
				return nil, err
			}
		case name == quality.ReferenceFile:
			reference = stored
		}
		m.Files = append(m.Files, fileOf(name, stored, false))
	}
	return reference, nil
}

func fileOf(path string, data []byte, isBlob bool) registry.File {
	sum := sha256.Sum256(data)
	return registry.File{Path: path, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), Blob: isBlob}
}
