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
	kind := "bootstrap"
	if generation > 1 {
		kind = "promote"
	}
	return put(to, registry.StateKey(m.Name), registry.State{
		V: registry.StateVersion, Model: m.Name, Generation: generation,
		Slots: registry.Slots{Champion: &registry.Ref{Version: version, Digest: m.digest(version)}},
		Last:  registry.Transition{ID: fmt.Sprintf("bench-%d", generation), At: created, Kind: kind, Actor: "bench"},
	})
}

// AddVersion writes the files of a version and its manifest. Versions of a model differ in the document
// string of the ONNX file, so that each is a blob and a session of its own and they all answer alike.
func AddVersion(to Store, m *Model, version int) error {
	onnx := m.onnx(version)
	signature := schema.Signature{Outputs: []schema.Spec{
		{Name: "label", Datatype: tensor.Int64, Shape: []int64{-1}},
		{Name: "probabilities", Datatype: tensor.FP32, Shape: []int64{-1, 2}},
	}}
	for _, c := range m.Columns {
		signature.Inputs = append(signature.Inputs, schema.Spec{Name: c.Name, Datatype: tensor.Datatype(c.datatype()), Shape: []int64{-1, int64(c.Width)}})
	}
	description, err := json.Marshal(schema.Schema{V: schema.Version, Task: schema.Binary, Signature: signature})
	if err != nil {
		return fmt.Errorf("bench registry: %w", err)
	}
	model := registry.File{Path: "model.onnx", Size: int64(len(onnx)), SHA256: sum(onnx), Blob: true}
	to.Put(RegistryBucket, registry.BlobKey(model.SHA256), onnx)
	to.Put(RegistryBucket, registry.VersionFileKey(m.Name, version, "schema.json"), description)
	return put(to, registry.ManifestKey(m.Name, version), registry.Manifest{
		V: registry.ManifestVersion, Model: m.Name, Version: version, Digest: m.digest(version),
		Files:   []registry.File{model, {Path: "schema.json", Size: int64(len(description)), SHA256: sum(description)}},
		Runtime: "onnxruntime 1.27.0", CreatedAt: created,
	})
}

// onnx is the model file of a version: field 6 of ModelProto is its doc_string, and of a field that occurs
// twice the last one counts.
func (m *Model) onnx(version int) []byte {
	const docString = 6<<3 | 2 // field number and wire type "length-delimited"
	text := fmt.Sprintf("version %d", version)
	return append(append(slices.Clone(m.ONNX), docString, byte(len(text))), text...)
}

func (m *Model) digest(version int) string { return "sha256:" + sum(m.onnx(version)) }

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
