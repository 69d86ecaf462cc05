package training

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/dataset"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/validate"
)

// The steps.
const (
	StepSnapshot = "snapshot" // pins the data, and says whether a training is needed
	StepAdopt    = "adopt"    // takes what a trainer left, or says that there is nothing yet
	StepHoldout  = "holdout"  // says on which rows a new version stands beside the champion
)

// In is the payload of a step. Code, Force and Reason belong to snapshot, Artifact to
// adopt, Version to holdout.
type In struct {
	Step  string `json:"step" validate:"required,oneof=snapshot adopt holdout"`
	Model string `json:"model" validate:"required"`
	Run   string `json:"run" validate:"required,max=128"` // lease's: the digest of the trigger
	// Code is what the train function says of itself ({"describe": true}). An image says it by its digest.
	Code     string `json:"code,omitempty" validate:"max=200"`
	Force    bool   `json:"force,omitempty"` // train although a version has the same key
	Reason   string `json:"reason,omitempty" validate:"max=1024"`
	Artifact string `json:"artifact,omitempty" validate:"max=2048"` // s3://…/model.tar.gz of a SageMaker job
	Version  int    `json:"version,omitempty" validate:"gte=0,lte=99999999"`
}

// check finds what does not belong to the step.
func (in *In) check() error {
	bad := validate.Violations(validate.Struct(in))
	field := func(path string, given bool, steps string) {
		if given && in.Step != steps {
			bad = append(bad, fault.Violation{Path: path, Problem: "belongs to step " + steps})
		}
	}
	field("code", in.Code != "", StepSnapshot)
	field("force", in.Force, StepSnapshot)
	field("reason", in.Reason != "", StepSnapshot)
	field("artifact", in.Artifact != "", StepAdopt)
	field("version", in.Version != 0, StepHoldout)
	if in.Step == StepHoldout && in.Version == 0 {
		bad = append(bad, fault.Violation{Path: "version", Problem: "is required: the version that was registered"})
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return cmp.Or(registry.CheckName(in.Model), registry.CheckRun(in.Run, in.Step))
}

// Out is the answer of the step that was asked for; the others are nil. As JSON it is
// that one's fields.
type Out struct {
	*Snapshot
	*Adopted
	*Holdout
}

// MarshalJSON implements json.Marshaler.
func (o Out) MarshalJSON() ([]byte, error) {
	switch {
	case o.Adopted != nil:
		return json.Marshal(o.Adopted)
	case o.Holdout != nil:
		return json.Marshal(o.Holdout)
	}
	return json.Marshal(o.Snapshot)
}

// Uploads is the part of the registry bucket's store in which trainers leave files.
type Uploads interface {
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Info, error)
	Head(ctx context.Context, key string) (blob.Info, error)
	Put(ctx context.Context, key string, body []byte, cond blob.Condition) (blob.Info, error)
	PutStream(ctx context.Context, key string, r io.ReadSeeker, size int64, cond blob.Condition) (blob.Info, error)
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[blob.Info, error]
}

// Planner does the steps. All fields are required.
type Planner struct {
	RegistryBucket string
	DataBucket     string // sources without a bucket are there, and captures and labels
	Registry       *registry.Registry
	Uploads        Uploads
	Builder        *dataset.Builder
	TrainMemoryMB  int // of the train function: what it takes is bounded by it
	Now            func() time.Time
	Log            *slog.Logger
	Dir            string
}

// Run does one step, or returns what it answered before (docs/formats/dataset.md, The
// function). The errors are faults.
func (p *Planner) Run(ctx context.Context, in In) (Out, error) {
	if err := in.check(); err != nil {
		return Out{}, err
	}
	name := registry.StepName{Model: in.Model, Run: in.Run, Step: in.Step}
	switch in.Step {
	case StepSnapshot:
		out, repeated, err := registry.Step(ctx, p.Registry, name, in.Force, func() (*Snapshot, error) { return p.snapshot(ctx, &in) }, nil)
		if err != nil {
			return Out{}, err
		}
		out.Repeated = repeated
		p.Log.InfoContext(ctx, "snapshot", "model", in.Model, "run", in.Run, "action", out.Action, "why", out.Why, "rows", out.Dataset.Rows, "repeated", repeated)
		return Out{Snapshot: out}, nil
	case StepAdopt:
		out, repeated, err := registry.Step(ctx, p.Registry, name, nil, func() (*Adopted, error) { return p.adopt(ctx, &in) }, func(a *Adopted) bool { return a.Ready })
		if err != nil {
			return Out{}, err
		}
		out.Repeated = repeated
		return Out{Adopted: out}, nil
	}
	out, repeated, err := registry.Step(ctx, p.Registry, name, in.Version, func() (*Holdout, error) { return p.holdout(ctx, &in) }, nil)
	if err != nil {
		return Out{}, err
	}
	out.Repeated = repeated
	return Out{Holdout: out}, nil
}

// taken is the snapshot of a run, which the later steps rest on.
func (p *Planner) taken(ctx context.Context, in *In) (*Snapshot, error) {
	out, err := registry.StepResult[*Snapshot](ctx, p.Registry, registry.StepName{Model: in.Model, Run: in.Run, Step: StepSnapshot})
	if fault.Is(err, fault.NotFound) {
		return nil, fault.Wrap(err, fault.FailedPrecondition, "run %q on model %q has no snapshot; take it first", in.Run, in.Model)
	}
	return out, err
}

// model is what the steps know of a model.
type model struct {
	identity registry.Model
	state    registry.State
	settings registry.Settings
	policy   Policy
	champion registry.Manifest
}

// load reads the model, its champion and its policy in force.
func (p *Planner) load(ctx context.Context, name string) (*model, error) {
	m := &model{}
	var err error
	if m.identity, err = p.Registry.Model(ctx, name); err != nil {
		return nil, err
	}
	if m.state, _, err = p.Registry.State(ctx, name); fault.Is(err, fault.NotFound) {
		return nil, fault.Wrap(err, fault.FailedPrecondition, "model %q has no champion yet; bootstrap its first version", name)
	}
	if err != nil {
		return nil, err
	}
	if d := m.state.SettingsDigest; d != "" {
		if m.settings, err = p.Registry.Settings(ctx, name, d); err != nil {
			return nil, err
		}
	}
	if m.policy, err = ParsePolicy(m.settings.Retrain); err != nil { // stored before the policy had its form
		return nil, fault.Wrap(err, fault.FailedPrecondition, "the retrain policy in force is not valid (%s); configure the model again", fault.Public(err).Message)
	}
	m.champion, err = p.Registry.Manifest(ctx, name, m.state.Slots.Champion.Version)
	return m, err
}

// trainingSchema is that of the policy, else the champion's own.
func (p *Planner) trainingSchema(ctx context.Context, m *model) (*dataset.Schema, error) {
	s := m.policy.Schema
	if s == nil {
		raw, err := p.Registry.ReadFile(ctx, &m.champion, "training_schema.json")
		if fault.Is(err, fault.NotFound) {
			return nil, fault.Wrap(err, fault.FailedPrecondition, "version %d was registered without training_schema.json; set retrain.schema in the settings (docs/formats/training.md)", m.champion.Version)
		}
		if err != nil {
			return nil, err
		}
		if s, err = dataset.ParseSchema(raw); err != nil {
			return nil, fault.Wrap(err, fault.FailedPrecondition, "training_schema.json of version %d cannot be used (%s); set retrain.schema in the settings", m.champion.Version, fault.Public(err).Message)
		}
	}
	if t := m.identity.Task; t != schema.Unspecified && s.Task != t || m.identity.Target != "" && s.Target != m.identity.Target {
		return nil, fault.New(fault.FailedPrecondition, "the training schema is for %s of %q, the model for %s of %q; change retrain.schema in the settings", s.Task, s.Target, t, m.identity.Target)
	}
	return s, nil
}
