package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// The buckets and the stream that PredictEnv names.
const (
	RegistryBucket = "registry"
	CaptureStream  = "captures"
)

// created is the time in every document, so that the registry's bytes are the same in every run.
var created = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// Store is the part of the S3 stand-in that a registry is written to.
type Store interface {
	Put(bucket, key string, body []byte)
}

// PredictEnv is predict's configuration for the benchmark's registry.
func PredictEnv(library string) []string {
	return []string{
		"TIDEGATE_REGISTRY_BUCKET=" + RegistryBucket,
		"TIDEGATE_CAPTURE_STREAM=" + CaptureStream,
		"TIDEGATE_ONNXRUNTIME_LIB=" + library,
	}
}

// Register writes version 1 of m, and a state in which it is the champion.
func Register(to Store, m *Model) error {
	return errors.Join(
		put(to, registry.ModelKey(m.Name), registry.Model{V: registry.ModelVersion, Name: m.Name, Task: schema.Binary, CreatedAt: created}),
		AddVersion(to, m, 1),
		Point(to, m, 1, 1),
	)
}

// Point writes m's state at a generation, with a version as the champion.
func Point(to Store, m *Model, generation int64, version int) error {
	files, err := m.files(version)
	if err != nil {
		return err
	}
	kind := "bootstrap"
	if generation > 1 {
		kind = "promote"
	}
	return put(to, registry.StateKey(m.Name), registry.State{
		V: registry.StateVersion, Model: m.Name, Generation: generation,
		Slots: registry.Slots{Champion: &registry.Ref{Version: version, Digest: digest(files)}},
		Last:  registry.Transition{ID: fmt.Sprintf("bench-%d", generation), At: created, Kind: kind, Actor: "bench"},
	})
}

// AddVersion writes the files of a version and its manifest. Versions of a model differ in the document
// string of the ONNX file, so that each is a blob and a session of its own and they all answer alike.
func AddVersion(to Store, m *Model, version int) error {
	files, err := m.files(version)
	if err != nil {
		return err
	}
	to.Put(RegistryBucket, registry.BlobKey(files[0].SHA256), files[0].content)
	to.Put(RegistryBucket, registry.VersionFileKey(m.Name, version, files[1].Path), files[1].content)
	return put(to, registry.ManifestKey(m.Name, version), registry.Manifest{
		V: registry.ManifestVersion, Model: m.Name, Version: version, Digest: digest(files),
		Files: listed(files), Runtime: "onnxruntime 1.27.0", CreatedAt: created,
	})
}

type file struct {
	registry.File
	content []byte
}

// files are the model and the schema of a version.
func (m *Model) files(version int) ([]file, error) {
	description := m.schema()
	text, err := description.Encode()
	if err != nil {
		return nil, fmt.Errorf("bench registry: %w", err)
	}
	onnx := m.onnx(version)
	return []file{
		{registry.File{Path: "model.onnx", Size: int64(len(onnx)), SHA256: sum(onnx), Blob: true}, onnx},
		{registry.File{Path: "schema.json", Size: int64(len(text)), SHA256: sum(text)}, text},
	}, nil
}

// schema has a rule for every column, so that the contract check has all its work.
func (m *Model) schema() schema.Schema {
	least, most := -1e9, 1e9
	s := schema.Schema{V: schema.Version, Task: schema.Binary, Contract: schema.Contract{Columns: map[string]schema.Column{}}}
	s.Signature.Outputs = []schema.Spec{
		{Name: "label", Datatype: tensor.Int64, Shape: []int64{-1}},
		{Name: "probabilities", Datatype: tensor.FP32, Shape: []int64{-1, 2}},
	}
	for _, c := range m.Columns {
		spec := schema.Spec{Name: c.Name, Datatype: tensor.Datatype(c.datatype()), Shape: []int64{-1, int64(c.Width)}}
		s.Signature.Inputs = append(s.Signature.Inputs, spec)
		rule := schema.Column{Missing: schema.Accept, Min: &least, Max: &most}
		if c.Strings != nil {
			rule = schema.Column{Missing: schema.Accept, Categories: append([]string{"AA", "UA"}, c.Strings...)}
		}
		s.Contract.Columns[c.Name] = rule
	}
	return s
}

// onnx is the model file of a version: field 6 of ModelProto is its doc_string, and of a field that occurs
// twice the last one counts.
func (m *Model) onnx(version int) []byte {
	const docString = 6<<3 | 2 // field number and wire type "length-delimited"
	text := fmt.Sprintf("version %d", version)
	return append(append(slices.Clone(m.ONNX), docString, byte(len(text))), text...)
}

func listed(files []file) []registry.File {
	var out []registry.File
	for _, f := range files {
		out = append(out, f.File)
	}
	return out
}

func digest(files []file) string { return registry.ContentDigest(listed(files)) }

func put(to Store, key string, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("bench registry: %s: %w", key, err)
	}
	to.Put(RegistryBucket, key, text)
	return nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
