package provenance

import (
	"encoding/json"
	"time"
)

// The URIs of the statement lead to the pages that define them.
const (
	page            = "https://github.com/tidegate/tidegate/blob/main/docs/formats/provenance.md"
	TrainingBuild   = page + "#training-v1" // a run that its record describes
	ImportBuild     = page + "#import-v1"   // a file that came without one
	Trainer         = "https://github.com/tidegate/tidegate/tree/main/functions/train"
	AnotherTrainer  = page + "#another-trainer"
	UnknownBuilder  = page + "#unknown-builder"
	statementType   = "https://in-toto.io/Statement/v1"
	slsaProvenance  = "https://slsa.dev/provenance/v1"
	evidenceRecord  = "run.json of the upload, as the trainer wrote it; its digest of model.onnx is that of the file"
	evidenceNothing = "none: the upload has no run record that describes this model.onnx"
)

// descriptor is in-toto's ResourceDescriptor.
type descriptor struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type statement struct {
	Type          string       `json:"_type"`
	Subject       []descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     predicate    `json:"predicate"`
}

type predicate struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string             `json:"buildType"`
	ExternalParameters   externalParameters `json:"externalParameters"`
	InternalParameters   internalParameters `json:"internalParameters"`
	ResolvedDependencies []descriptor       `json:"resolvedDependencies,omitempty"`
}

type externalParameters struct {
	Model           string                     `json:"model"`
	Task            string                     `json:"task,omitempty"`
	Target          string                     `json:"target,omitempty"`
	Schema          *descriptor                `json:"schema,omitempty"` // what the trainer was told of the data
	Hyperparameters map[string]json.RawMessage `json:"hyperparameters,omitempty"`
}

// internalParameters say what the statement rests on.
type internalParameters struct {
	Evidence string `json:"evidence"`
	Source   string `json:"source"`
	Runtime  string `json:"runtime"` // that loaded and checked the model
}

type runDetails struct {
	Builder  builder  `json:"builder"`
	Metadata metadata `json:"metadata"`
}

type builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

type metadata struct {
	InvocationID string     `json:"invocationId,omitempty"`
	StartedOn    *time.Time `json:"startedOn,omitempty"`
	FinishedOn   *time.Time `json:"finishedOn,omitempty"`
}

// Statement is provenance.json: a SLSA v1 provenance in an in-toto statement about
// the files of the manifest. The error is Internal.
func (v *Version) Statement() ([]byte, error) {
	s := statement{Type: statementType, PredicateType: slsaProvenance}
	for _, f := range v.Manifest.Files {
		s.Subject = append(s.Subject, descriptor{Name: f.Path, Digest: digests(f.SHA256)})
	}
	b := &s.Predicate.BuildDefinition
	b.BuildType, b.InternalParameters = ImportBuild, internalParameters{Evidence: evidenceNothing, Source: v.Source, Runtime: v.Manifest.Runtime}
	b.ExternalParameters = externalParameters{Model: v.Model.Name, Task: string(v.Model.Task), Target: v.Model.Target}
	if f, ok := v.Manifest.File("training_schema.json"); ok {
		b.ExternalParameters.Schema = &descriptor{Name: f.Path, Digest: digests(f.SHA256)}
	}
	for _, d := range v.dependencies() {
		b.ResolvedDependencies = append(b.ResolvedDependencies, descriptor{Name: d.name, URI: d.uri, Digest: digests(d.sha256), Annotations: d.notes})
	}
	run := &s.Predicate.RunDetails
	run.Builder.ID = v.builder()
	if v.described() {
		b.BuildType, b.InternalParameters.Evidence = TrainingBuild, evidenceRecord
		b.ExternalParameters.Hyperparameters = v.Record.Hyperparameters
		run.Metadata = metadata{InvocationID: v.Record.Run, StartedOn: moment(v.Record.Started), FinishedOn: moment(v.Record.Ended)}
		if v.Record.Code != "" {
			run.Builder.Version = map[string]string{"code": "sha256:" + v.Record.Code}
		}
	}
	return encode(s)
}

// builder names who trained. Ours is told by the packages that it lists: its
// record has no name, and whoever can upload could write one.
func (v *Version) builder() string {
	switch {
	case !v.described():
		return UnknownBuilder
	case v.Record.Versions["scikit-learn"] != "" && v.Record.Versions["skl2onnx"] != "" && v.Record.Hyperparameters != nil:
		return Trainer
	}
	return AnotherTrainer
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
