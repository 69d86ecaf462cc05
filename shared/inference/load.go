package inference

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// memoryFactor estimates the memory of a session from the size of its file: the
// graph, its weights unpacked, and what a run needs beside them.
const memoryFactor = 3

// warmTimeout bounds the first run, on zeros.
const warmTimeout = 20 * time.Second

// load fetches, verifies, loads and warms up a version, or reads its description
// alone. A version that failed is not tried again before its pause is over. The
// result has one holder: the caller.
func (m *model) load(ctx context.Context, w want) (*loaded, error) {
	ref := w.ref
	m.mu.Lock()
	f := m.failed[w]
	now := m.fleet.opt.Now()
	m.mu.Unlock()
	if f != nil && now.Before(f.until) {
		return nil, f.err
	}
	l, err := m.fetch(ctx, w)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		delete(m.failed, w)
		if w.local {
			m.fleet.opt.Count(Loads, 1)
		}
		return l, nil
	}
	m.fleet.opt.Count(LoadFailures, 1)
	if m.failed == nil {
		m.failed = map[want]*failure{}
	}
	if f == nil {
		if len(m.failed) > 16 { // of versions that no state names any more
			clear(m.failed)
		}
		f = &failure{}
		m.failed[w] = f
	}
	f.failed(m.fleet.opt.Now(), lastPause)
	f.err = unavailable(err, f.next, "version %d of model %q cannot be loaded now; try again later", ref.Version, m.name)
	return nil, f.err
}

func (m *model) fetch(ctx context.Context, w want) (*loaded, error) {
	reg, ref, started := m.fleet.opt.Registry, w.ref, time.Now()
	manifest, err := reg.Manifest(ctx, m.name, ref.Version)
	if err != nil {
		return nil, err
	}
	if registry.Hex(manifest.Digest) != registry.Hex(ref.Digest) {
		return nil, fault.New(fault.Internal, "the manifest of %s@%d has another digest than the state", m.name, ref.Version)
	}
	if !w.local {
		return m.describe(ctx, &manifest, ref)
	}
	file, _ := manifest.File(modelFile)
	need := Footprint(file.Size)
	if err := m.fleet.makeRoom(m, need); err != nil {
		return nil, err
	}
	model, s, err := ReadVersion(ctx, reg, &manifest)
	if err != nil {
		return nil, err
	}
	fetched := time.Now()
	session, err := m.fleet.opt.Runtime.Load(ctx, model, s.Signature)
	if err != nil {
		return nil, fmt.Errorf("inference: load %s@%d: %w", m.name, ref.Version, err)
	}
	opened := time.Now()
	l := &loaded{ref: ref, schema: s, session: session, bytes: need, at: m.fleet.opt.Now()}
	l.holders.Store(1)
	if err := warmUp(ctx, l); err != nil {
		// Zeros may be no sensible input: registration has run the model on sensible ones.
		m.fleet.opt.Log.Info("model not warmed up", "model", m.name, "version", ref.Version, "error", err.Error())
	}
	m.fleet.opt.Log.Info("model loaded", "model", m.name, "version", ref.Version, "bytes", file.Size, "fetch_us", fetched.Sub(started).Microseconds(),
		"session_us", opened.Sub(fetched).Microseconds(), "first_run_us", time.Since(opened).Microseconds())
	return l, nil
}

// describe reads what is known of a version that runs elsewhere.
func (m *model) describe(ctx context.Context, manifest *registry.Manifest, ref registry.Ref) (*loaded, error) {
	s, err := readSchema(ctx, m.fleet.opt.Registry, manifest)
	if err != nil {
		return nil, err
	}
	l := &loaded{ref: ref, schema: s, at: m.fleet.opt.Now()}
	l.holders.Store(1)
	return l, nil
}

func readSchema(ctx context.Context, reg *registry.Registry, manifest *registry.Manifest) (*schema.Schema, error) {
	body, err := reg.ReadFile(ctx, manifest, "schema.json")
	if err != nil {
		return nil, err
	}
	return schema.Parse(body)
}

const modelFile = "model.onnx"

// Footprint estimates the memory of a session, in bytes, from the size of its model file.
func Footprint(fileSize int64) int64 { return memoryFactor * fileSize }

// ReadVersion reads and verifies the model file and the schema of a version.
// Errors: NotFound, Internal (other content than the manifest says), Unavailable.
func ReadVersion(ctx context.Context, reg *registry.Registry, manifest *registry.Manifest) (model []byte, s *schema.Schema, err error) {
	type read struct {
		schema *schema.Schema
		err    error
	}
	documents := make(chan read, 1)
	go func() {
		var r read
		r.schema, r.err = readSchema(ctx, reg, manifest)
		documents <- r
	}()
	model, err = reg.ReadFile(ctx, manifest, modelFile)
	if d := <-documents; err == nil {
		s, err = d.schema, d.err
	}
	return model, s, err
}

// warmUp runs the version once on one row of zeros, so that the first request
// does not pay for what ONNX Runtime puts off to the first run.
func warmUp(ctx context.Context, l *loaded) error {
	ctx, cancel := context.WithTimeout(ctx, warmTimeout)
	defer cancel()
	inputs := make([]tensor.Tensor, len(l.schema.Signature.Inputs))
	for i, spec := range l.schema.Signature.Inputs {
		t := tensor.Tensor{Name: spec.Name, Datatype: spec.Datatype, Shape: make([]int64, len(spec.Shape))}
		for d, n := range spec.Shape {
			t.Shape[d] = max(n, 1)
		}
		n, err := tensor.Elements(t.Shape, 1<<24)
		if err != nil {
			return err
		}
		t.Resize(int(n))
		inputs[i] = t
	}
	_, release, err := l.session.Run(ctx, inputs, nil)
	if err == nil {
		release()
	}
	return err
}
