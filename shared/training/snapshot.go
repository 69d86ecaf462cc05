package training

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/dataset"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

// What is to be done.
const (
	ActionTrain = "train"
	ActionReuse = "reuse" // a version has the key: nothing needs to be trained
)

// Snapshot is the answer of the step: the pinned data, whether a training is needed
// and why, and what the trainer is asked.
type Snapshot struct {
	Step     string   `json:"step"`
	Model    string   `json:"model"`
	Run      string   `json:"run"`
	Repeated bool     `json:"repeated,omitempty"`
	Action   string   `json:"action"`
	Key      string   `json:"key"`
	Why      []string `json:"why"` // which digest differed from the nearest version, down to the object
	Version  int      `json:"version,omitempty"`
	Standing string   `json:"standing,omitempty"` // of Version: the slot that it holds, rejected, or none
	Dataset  Pinned   `json:"dataset"`
	Trainer  string   `json:"trainer"`
	// Source is where the trained files will lie: what register takes.
	Source    string `json:"source"`
	Lambda    any    `json:"lambda"`    // payload of the train function
	SageMaker any    `json:"sagemaker"` // CreateTrainingJob's input without the name
	// Jobs are the names of the job by attempt: whoever starts it again finds the one that runs.
	Jobs            []string `json:"jobs"`
	Then            string   `json:"then"`
	Approval        string   `json:"approval"`
	ApprovalSeconds int64    `json:"approval_seconds"`
	// Record goes with the trained files.
	Record Record `json:"record"`
}

// Pinned is the dataset as the answer tells of it.
type Pinned struct {
	Ref
	Rows    int64  `json:"rows"`
	Created bool   `json:"created"`
	URI     string `json:"uri"`
}

// none is an answer without fields: machines read a field of it, whatever trains.
type none struct{}

func (p *Planner) snapshot(ctx context.Context, in *In) (*Snapshot, error) {
	m, err := p.load(ctx, in.Model)
	if err != nil {
		return nil, err
	}
	if !m.policy.Set() {
		return nil, fault.New(fault.FailedPrecondition, `model %q is not retrained: set retrain.sources (such as [{"prefix": "training/%s/"}]) or retrain.outcomes (such as {"hours": 720}) in its settings`, in.Model, in.Model)
	}
	code := in.Code
	if t := m.policy.Trainer; t.Kind == SageMaker {
		_, code, _ = strings.Cut(t.Image, "@")
	} else if registry.CheckDigest(code) != nil {
		return nil, fault.Invalid(fault.Violation{Path: "code", Problem: `must be what the train function answers to {"describe": true}: a sha256 digest`})
	}
	described, err := p.trainingSchema(ctx, m)
	if err != nil {
		return nil, err
	}
	built, err := p.pin(ctx, in, m, described)
	if err != nil {
		return nil, err
	}
	terms := Terms{SchemaDigest: described.Digest(), Hyperparameters: m.policy.Hyperparameters, Code: code}
	record := Record{V: RecordVersion, Model: in.Model, Run: in.Run, Key: Key(built.Digest, terms), Terms: terms,
		Dataset: Ref{Name: built.Name, Number: built.Number, Digest: built.Digest}, Trainer: m.policy.Trainer.Kind, Image: m.policy.Trainer.Image,
		Reason: in.Reason, PlannedAt: p.Now().UTC()}
	out := &Snapshot{Step: StepSnapshot, Model: in.Model, Run: in.Run, Action: ActionTrain, Key: record.Key, Record: record,
		Dataset: Pinned{Ref: record.Dataset, Rows: built.Rows, Created: built.Created, URI: p.uri(registry.BlobKey(built.Digest))},
		Trainer: record.Trainer, Lambda: none{}, SageMaker: none{}, Jobs: []string{},
		Then: m.policy.Then, Approval: m.policy.Approval, ApprovalSeconds: m.policy.ApprovalSeconds}
	if err := p.cached(ctx, m, &built.Document, out); err != nil {
		return nil, err
	}
	if in.Force && out.Action == ActionReuse {
		out.Action, out.Version, out.Standing = ActionTrain, 0, ""
		out.Why = append(out.Why, "it is trained again all the same, since that was asked for")
	}
	return out, p.ask(ctx, m, described, built.Size, out)
}

// folders of the data bucket that sources may lie in, as the function's role has them.
var folders = []string{"training/", "batches/"}

// pin makes the dataset of the model's sources.
func (p *Planner) pin(ctx context.Context, in *In, m *model, described *dataset.Schema) (dataset.Built, error) {
	request := dataset.Request{Name: in.Model, Schema: described}
	for _, s := range m.policy.Sources {
		if s.Bucket == "" {
			s.Bucket = p.DataBucket
		}
		if s.Bucket == p.DataBucket && !slices.ContainsFunc(folders, func(f string) bool { return strings.HasPrefix(s.Prefix, f) }) {
			return dataset.Built{}, fault.New(fault.FailedPrecondition, "retrain.sources: %s is not read; rows in the data bucket lie under %s", s.URI(), strings.Join(folders, " or "))
		}
		request.Prefixes = append(request.Prefixes, s)
	}
	if w := m.policy.Outcomes; w.Hours > 0 {
		until := w.until(p.Now())
		var err error
		if request.Outcomes, err = p.outcomes(ctx, m, described, until.Add(-time.Hour*time.Duration(w.Hours)), until); err != nil {
			return dataset.Built{}, err
		}
	}
	if m.policy.Trainer.Kind == Lambda {
		request.Cells, request.Advice = p.bound()
	}
	return p.Builder.Build(ctx, request)
}

// What the train function needs of its memory, as training/service.py has it.
const (
	bytesPerCell = 80
	baseMemory   = 300 << 20
)

// bound is how many values of input columns the train function takes, and what to do about more.
func (p *Planner) bound() (cells int64, advice string) {
	cells = max(1, (int64(p.TrainMemoryMB)<<20-baseMemory)/bytesPerCell)
	return cells, fmt.Sprintf("which is what train takes with its %d MB; give it more memory (TrainMemory), take fewer rows or columns, or train as a SageMaker job (retrain.trainer)", p.TrainMemoryMB)
}

// outcomes says which predictions become rows.
func (p *Planner) outcomes(ctx context.Context, m *model, described *dataset.Schema, from, to time.Time) (*dataset.Outcomes, error) {
	for _, name := range described.Used() {
		if c := m.settings.Capture; c != nil && c.Redact[name] != "" {
			return nil, fault.New(fault.FailedPrecondition, "column %q is redacted in captures (capture.redact), so outcomes cannot be trained on; use retrain.sources, or leave the column out of retrain.schema", name)
		}
	}
	raw, err := p.Registry.ReadFile(ctx, &m.champion, "schema.json")
	if err != nil {
		return nil, err
	}
	serving, err := schema.Parse(raw)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "schema.json of version %d is damaged", m.champion.Version)
	}
	var classes []string
	reference, _, err := quality.LoadReference(ctx, p.Registry, m.identity.Name, m.champion.Version)
	switch {
	case err == nil && described.Task != schema.Regression:
		classes = reference.Layout.Classes
	case err != nil && !fault.Is(err, fault.NotFound):
		return nil, err
	}
	spec, err := outcome.SpecOf(described.Task, serving.Signature, classes, nil)
	if err != nil {
		return nil, fault.Wrap(err, fault.FailedPrecondition, "the answers of version %d cannot be joined with labels: %s", m.champion.Version, fault.Public(err).Message)
	}
	return &dataset.Outcomes{Bucket: p.DataBucket, Model: m.identity.Name, Spec: spec, From: from, To: to}, nil
}

// maxVersions is how many versions, from the newest, are looked at for the key.
const maxVersions = 200

// cached looks for a version with the key, and says in what the newest trained one differs.
func (p *Planner) cached(ctx context.Context, m *model, pinned *dataset.Document, out *Snapshot) error {
	var numbers []int
	for entry, err := range p.Registry.Versions(ctx, m.identity.Name, 0) {
		if err != nil {
			return err
		}
		if entry.Ready {
			numbers = append(numbers, entry.Version)
		}
	}
	var nearest *Record
	var version int
	for i := len(numbers) - 1; i >= 0 && i >= len(numbers)-maxVersions; i-- {
		manifest, err := p.Registry.Manifest(ctx, m.identity.Name, numbers[i])
		if err != nil {
			return err
		}
		r, ok, err := ParseRecord(manifest.Training)
		if err != nil {
			return fmt.Errorf("training: version %d: %w", numbers[i], err)
		}
		if !ok {
			continue
		}
		if r.Key == out.Key {
			out.Action, out.Version, out.Standing = ActionReuse, numbers[i], standing(&m.state, numbers[i])
			out.Why = []string{fmt.Sprintf("version %d was made of the same rows, schema, hyperparameters and code (%s)", numbers[i], short(out.Key))}
			return nil
		}
		if nearest == nil {
			nearest, version = &r, numbers[i]
		}
	}
	if nearest == nil {
		out.Why = []string{fmt.Sprintf("no version of %q says which pinned data it was trained on: it is the first training that does", m.identity.Name)}
		return nil
	}
	var before *dataset.Document
	d, err := dataset.Read(ctx, p.Registry, nearest.Dataset.Name, nearest.Dataset.Number)
	switch {
	case err == nil:
		before = &d
	case !fault.Is(err, fault.NotFound):
		return err
	}
	out.Why = append([]string{fmt.Sprintf("in these it differs from version %d, the newest trained one:", version)}, explain(nearest, &out.Record, before, pinned)...)
	return nil
}

// standing is what a version is at present.
func standing(s *registry.State, version int) string {
	for _, slot := range []struct {
		name string
		ref  *registry.Ref
	}{{"champion", s.Slots.Champion}, {"challenger", s.Slots.Challenger}, {"shadow", s.Slots.Shadow}, {"previous", s.Slots.Previous}} {
		if slot.ref != nil && slot.ref.Version == version {
			return slot.name
		}
	}
	if _, ok := s.Rejected[fmt.Sprint(version)]; ok {
		return "rejected"
	}
	return "none"
}

// ask writes down what the trainer is asked. The schema becomes a blob beside the rows.
func (p *Planner) ask(ctx context.Context, m *model, described *dataset.Schema, size int64, out *Snapshot) error {
	if err := p.Registry.PutBlob(ctx, described.Digest(), bytes.NewReader(described.Bytes()), int64(len(described.Bytes()))); err != nil {
		return err
	}
	j := jobOf(out.Model, out.Run, out.Key)
	out.Source = p.uri(j.trained())
	if out.Action == ActionReuse {
		return nil
	}
	if m.policy.Trainer.Kind == Lambda {
		out.Lambda = LambdaPayload{Model: out.Model, Task: described.Task, SchemaURI: p.uri(registry.BlobKey(described.Digest())),
			DataURI: out.Dataset.URI, OutputURI: out.Source, Hyperparameters: maps.Clone(m.policy.Hyperparameters)}
		return nil
	}
	out.Jobs = j.names()
	out.SageMaker = p.request(&m.policy.Trainer, m.policy.Hyperparameters, described.Task, out.Model, j)
	return p.layChannel(ctx, j, described, out.Dataset.Digest, size)
}

func (p *Planner) uri(key string) string { return "s3://" + p.RegistryBucket + "/" + key }
