// Package folder serves models from a directory, as SageMaker unpacks them into
// /opt/ml/model: it makes a registry of them, in memory, with one version each,
// so that everything else works as with a registry in a bucket.
//
//	model.onnx [+ schema.json]                 one model, called as the options say
//	<name>/model.onnx [+ <name>/schema.json]   several
//
// Without schema.json (docs/formats/version.md) the signature is that of the ONNX
// file, and the contract is empty. Folders that MLflow's ONNX flavour has written
// ("MLmodel" beside "model.onnx") are of the first form.
//
// A model file is not kept in memory: it is read again when it is loaded again.
package folder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/modelfile"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

const (
	modelFile  = "model.onnx"
	schemaFile = "schema.json"
	// runtime is what a manifest says of how its version was made.
	runtime = "onnx"
	// maxSchema bounds schema.json, in bytes.
	maxSchema = 16 << 20
)

// Open reads the models under dir. name is what a model in dir itself is called.
// Errors: NotFound, there is no model; InvalidArgument, one that cannot be served.
func Open(ctx context.Context, dir, name string) (reg *registry.Registry, models []string, err error) {
	found, err := find(dir, name)
	if err != nil {
		return nil, nil, err
	}
	s := &store{Memory: new(blob.Memory), files: map[string]string{}}
	reg = registry.New(s, registry.Options{})
	for _, m := range found {
		if err := publish(ctx, reg, s, m); err != nil {
			return nil, nil, fault.Wrap(err, fault.KindOf(err), "%s: %s", m.dir, whole(fault.Public(err)))
		}
		models = append(models, m.name)
	}
	return reg, models, nil
}

// whole is the message of f with all of its violations: it is read in a log.
func whole(f *fault.Error) string {
	if len(f.Violations) == 0 {
		return f.Message
	}
	var all []string
	for _, v := range f.Violations {
		all = append(all, v.Path+" "+v.Problem)
	}
	return strings.Join(all, "; ")
}

type found struct{ name, dir string }

// find lists the models of dir.
func find(dir, name string) ([]found, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "the model folder %s cannot be read", dir)
	}
	var all []found
	for _, e := range entries {
		path := filepath.Join(dir, e.Name(), modelFile)
		switch {
		case e.Name() == modelFile:
			return []found{{name, dir}}, nil
		case registry.CheckName(e.Name()) == nil && isFile(path):
			all = append(all, found{e.Name(), filepath.Join(dir, e.Name())})
		}
	}
	if len(all) == 0 {
		return nil, fault.New(fault.NotFound, "the folder %s has no %s, and no folder in it has: put the ONNX file there, beside its %s", dir, modelFile, schemaFile)
	}
	return all, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// publish makes a model with the one version 1, and puts it in force.
func publish(ctx context.Context, reg *registry.Registry, s *store, m found) error {
	path := filepath.Join(m.dir, modelFile)
	digest, size, err := hash(path)
	if err != nil {
		return err
	}
	document, err := schemaOf(m.dir)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(document)
	s.files[registry.BlobKey(digest)] = path
	files := []registry.File{{Path: modelFile, Size: size, SHA256: digest, Blob: true}, {Path: schemaFile, Size: int64(len(document)), SHA256: hex.EncodeToString(sum[:])}}
	if _, err := reg.PutVersionFile(ctx, m.name, 1, schemaFile, document); err != nil {
		return err
	}
	manifest := registry.Manifest{Model: m.name, Version: 1, Digest: registry.ContentDigest(files), Files: files, Runtime: runtime}
	if _, _, err := reg.PutManifest(ctx, manifest); err != nil {
		return err
	}
	_, err = reg.Apply(ctx, m.name, registry.Request{TransitionID: "folder", Actor: "folder"}, registry.Bootstrap(registry.Ref{Version: 1, Digest: manifest.Digest}))
	return err
}

func hash(path string) (digest string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, fault.Wrap(err, fault.InvalidArgument, "the model file cannot be read")
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, fault.Wrap(err, fault.InvalidArgument, "the model file cannot be read")
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// schemaOf is the folder's schema.json, or one made of the ONNX file's signature.
func schemaOf(dir string) ([]byte, error) {
	body, err := os.ReadFile(filepath.Join(dir, schemaFile))
	switch {
	case err == nil && len(body) > maxSchema:
		return nil, fault.New(fault.InvalidArgument, "%s has more than %d bytes", schemaFile, maxSchema)
	case err == nil:
		_, err = schema.Parse(body)
		return body, err
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s cannot be read", schemaFile)
	}
	file, err := os.ReadFile(filepath.Join(dir, modelFile))
	if err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "the model file cannot be read")
	}
	model, err := modelfile.Parse(file)
	if err != nil {
		return nil, err
	}
	s := schema.Schema{V: schema.Version, Task: schema.Unspecified}
	for _, v := range model.Inputs {
		s.Signature.Inputs = append(s.Signature.Inputs, spec(v))
	}
	for _, v := range model.Outputs {
		s.Signature.Outputs = append(s.Signature.Outputs, spec(v))
	}
	if missing := shapeless(s.Signature.Inputs); missing != "" {
		return nil, fault.New(fault.InvalidArgument, "the ONNX file does not tell the shape of input %q: say it in %s", missing, schemaFile)
	}
	s.Signature.Outputs = shaped(s.Signature.Outputs)
	return s.Encode()
}

func spec(v modelfile.Value) schema.Spec {
	return schema.Spec{Name: v.Name, Datatype: v.Datatype, Shape: v.Shape}
}

func shapeless(specs []schema.Spec) string {
	for _, s := range specs {
		if s.Shape == nil {
			return s.Name
		}
	}
	return ""
}

// shaped gives outputs of unknown shape a free one, as registration does for those
// that it has not run: rows of one value.
func shaped(specs []schema.Spec) []schema.Spec {
	for i := range specs {
		if specs[i].Shape == nil {
			specs[i].Shape = []int64{-1}
		}
	}
	return specs
}

// store is memory, with the model files left where they are.
type store struct {
	*blob.Memory
	files map[string]string // key -> path
}

// Get implements blob.Store.
func (s *store) Get(ctx context.Context, key string) (blob.Object, error) {
	path, ok := s.files[key]
	if !ok {
		return s.Memory.Get(ctx, key)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return blob.Object{}, fault.Wrap(err, fault.NotFound, "%s cannot be read", filepath.Base(path))
	}
	return blob.Object{Info: blob.Info{Key: key, Size: int64(len(body)), ETag: strings.TrimPrefix(key, "blobs/")}, Body: body}, nil
}
