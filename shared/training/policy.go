package training

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/dataset"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/lease"
	"github.com/tidegate/tidegate/shared/validate"
)

// what a policy is, in messages.
const what = "retrain policy"

// What comes after a version is registered.
const (
	ThenRegister = "register"
	ThenRollout  = "rollout"
)

// Approvals that a policy can ask for.
const (
	ApproveNothing = "none"
	ApproveRollout = "rollout"
)

// Policy is the field "retrain" of a model's settings (docs/formats/dataset.md,
// Policy): what a new version learns from and what becomes of it. A model without
// sources is not retrained.
type Policy struct {
	Debounce lease.Debounce   `json:"debounce"` // how often a run may begin
	Sources  []dataset.Prefix `json:"sources"`  // tables of rows
	Outcomes Window           `json:"outcomes"` // predictions whose label is known by now; zero hours: none
	// Schema is the training schema; nil: that of the champion.
	Schema          *dataset.Schema   `json:"-"`
	Hyperparameters map[string]string `json:"hyperparameters"`
	Trainer         Trainer           `json:"trainer"`
	Then            string            `json:"then" validate:"oneof=register rollout"`
	Approval        string            `json:"approval" validate:"oneof=none rollout"`
	ApprovalSeconds int64             `json:"approval_seconds" validate:"gte=1,lte=31536000"`
	// RecentHours is how far back labelled outcomes are that the new version is compared on, beside its holdout; 0: none.
	RecentHours int64     `json:"recent_hours" validate:"gte=0,lte=8784"`
	Key         string    `json:"key"`    // an input column: rows of one value belong together when versions are compared
	Replay      Tolerance `json:"replay"` // what a repeated training may differ by
}

// Window says which hours of predictions become rows.
type Window struct {
	Hours      int64 `json:"hours" validate:"gte=0,lte=8784"`
	DelayHours int64 `json:"delay_hours" validate:"gte=0,lte=8784"` // how long labels take: younger predictions are left out
}

// until is the end of the window at a moment: captures of an hour may arrive in the next one.
func (w Window) until(now time.Time) time.Time {
	return now.UTC().Truncate(time.Hour).Add(-time.Hour * time.Duration(max(1, w.DelayHours)))
}

// Tolerance bounds the differences of two trainings.
type Tolerance struct {
	Metric     float64 `json:"metric" validate:"gte=0,lte=1e9"`     // absolute
	Prediction float64 `json:"prediction" validate:"gte=0,lte=1e9"` // absolute, of each number
}

// Kinds of trainers.
const (
	Lambda    = "lambda"
	SageMaker = "sagemaker"
)

// Trainer says what trains. All fields but Kind are a SageMaker job's.
type Trainer struct {
	Kind              string `json:"kind" validate:"oneof=lambda sagemaker"`
	Image             string `json:"image"`
	Role              string `json:"role"`
	InstanceType      string `json:"instance_type"`
	VolumeGB          int    `json:"volume_gb" validate:"gte=1,lte=16384"`
	MaxRuntimeSeconds int    `json:"max_runtime_seconds" validate:"gte=60,lte=2592000"`
	NetworkIsolation  bool   `json:"network_isolation"`
}

// DefaultPolicy holds where nothing is set.
func DefaultPolicy() Policy {
	return Policy{Debounce: lease.DefaultDebounce(), Outcomes: Window{DelayHours: 24},
		Trainer: Trainer{Kind: Lambda, InstanceType: "ml.m5.xlarge", VolumeGB: 30, MaxRuntimeSeconds: 3600, NetworkIsolation: true},
		Then:    ThenRollout, Approval: ApproveNothing, ApprovalSeconds: 7 * 24 * 3600, Replay: Tolerance{Metric: 1e-6, Prediction: 1e-5}}
}

// Set says whether the policy has rows to train on.
func (p *Policy) Set() bool { return len(p.Sources) > 0 || p.Outcomes.Hours > 0 }

const (
	maxSources         = 20
	maxHyperparameters = 100
)

var (
	imagePattern    = validate.NewPattern(`^[a-z0-9][A-Za-z0-9._/:-]{0,400}@sha256:[0-9a-f]{64}$`)
	rolePattern     = validate.NewPattern(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$`)
	instancePattern = validate.NewPattern(`^ml\.[a-z0-9-]{1,30}\.[a-z0-9]{1,20}$`)
	bucketPattern   = validate.NewPattern(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	namePattern     = validate.NewPattern(`^[A-Za-z][A-Za-z0-9_.-]{0,99}$`)
)

// ParsePolicy reads a policy as a person wrote it; empty or null is the default one,
// by which nothing is trained. The error is InvalidArgument and names every fault at once.
func ParsePolicy(raw []byte) (Policy, error) {
	p := DefaultPolicy()
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return p, nil
	}
	var sources []json.RawMessage
	var outcomes, schema, trainer, replay, debounce json.RawMessage
	var hyper map[string]json.RawMessage
	bad := validate.Object(what, raw, "", validate.Fields{
		"debounce": &debounce, "sources": &sources, "outcomes": &outcomes, "schema": &schema, "hyperparameters": &hyper, "trainer": &trainer,
		"then": &p.Then, "approval": &p.Approval, "approval_seconds": &p.ApprovalSeconds, "recent_hours": &p.RecentHours, "key": &p.Key, "replay": &replay,
	})
	object := func(raw json.RawMessage, path string, fields validate.Fields) {
		if raw != nil && !bytes.Equal(raw, []byte("null")) {
			bad = append(bad, validate.Object(what, raw, path, fields)...)
		}
	}
	for i, s := range sources {
		var source dataset.Prefix
		object(s, fmt.Sprintf("sources[%d]", i), validate.Fields{"bucket": &source.Bucket, "prefix": &source.Prefix, "suffix": &source.Suffix})
		p.Sources = append(p.Sources, source)
	}
	object(outcomes, "outcomes", validate.Fields{"hours": &p.Outcomes.Hours, "delay_hours": &p.Outcomes.DelayHours})
	object(trainer, "trainer", validate.Fields{"kind": &p.Trainer.Kind, "image": &p.Trainer.Image, "role": &p.Trainer.Role, "instance_type": &p.Trainer.InstanceType,
		"volume_gb": &p.Trainer.VolumeGB, "max_runtime_seconds": &p.Trainer.MaxRuntimeSeconds, "network_isolation": &p.Trainer.NetworkIsolation})
	object(replay, "replay", validate.Fields{"metric": &p.Replay.Metric, "prediction": &p.Replay.Prediction})
	if d, err := lease.ParseDebounce(raw); err == nil {
		p.Debounce = d
	} else if debounce != nil { // where the policy is no object at all, that was told above
		bad = append(bad, validate.Violations(err)...)
	}
	bad = append(bad, p.readSchema(schema)...)
	bad = append(bad, p.readHyperparameters(hyper)...)
	bad = append(bad, p.check()...)
	if len(bad) > 0 {
		return Policy{}, fault.Invalid(bad...)
	}
	return p, nil
}

func (p *Policy) readSchema(raw json.RawMessage) []fault.Violation {
	if raw == nil || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	var err error
	if p.Schema, err = dataset.ParseSchema(raw); err == nil {
		return nil
	}
	bad := validate.Violations(err)
	for i := range bad {
		bad[i].Path = "schema." + bad[i].Path
	}
	return bad
}

// readHyperparameters takes numbers and truth values too, as the text that they are: that is how trainers get them.
func (p *Policy) readHyperparameters(given map[string]json.RawMessage) (bad []fault.Violation) {
	if len(given) > maxHyperparameters {
		return []fault.Violation{{Path: "hyperparameters", Problem: fmt.Sprintf("has more than %d entries", maxHyperparameters)}}
	}
	p.Hyperparameters = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		path := "hyperparameters." + validate.Cut(name)
		var text string
		switch value := given[name]; {
		case !namePattern.MatchString(name):
			bad = append(bad, fault.Violation{Path: path, Problem: "must be named by letters, digits, dots, hyphens and underscores"})
		case name == "model" || name == "task" || strings.HasPrefix(name, "sagemaker_"):
			bad = append(bad, fault.Violation{Path: path, Problem: "is set by the retraining itself; leave it out"})
		case json.Unmarshal(value, &text) == nil && !bytes.Equal(value, []byte("null")):
			p.Hyperparameters[name] = text
		case bytes.ContainsAny(value[:1], "0123456789-tf"):
			p.Hyperparameters[name] = string(value)
		default:
			bad = append(bad, fault.Violation{Path: path, Problem: "must be a string"})
		}
		if len(p.Hyperparameters[name]) > 2500 {
			bad = append(bad, fault.Violation{Path: path, Problem: "has more than 2,500 bytes"})
		}
	}
	return bad
}

func (p *Policy) check() []fault.Violation {
	bad := validate.Violations(validate.Struct(p))
	add := func(path, problem string) { bad = append(bad, fault.Violation{Path: path, Problem: problem}) }
	if len(p.Sources) > maxSources {
		add("sources", fmt.Sprintf("has more than %d entries", maxSources))
	}
	for i, s := range p.Sources {
		path := fmt.Sprintf("sources[%d]", i)
		if s.Bucket != "" && !bucketPattern.MatchString(s.Bucket) {
			add(path+".bucket", "must be the name of a bucket")
		}
		if s.Prefix == "" || len(s.Prefix) > 1024 || strings.HasPrefix(s.Prefix, "/") || strings.Contains(s.Prefix, "://") {
			add(path+".prefix", "must be the beginning of the keys of the files, such as training/flights/")
		}
		if len(s.Suffix) > 100 {
			add(path+".suffix", "has more than 100 bytes")
		}
	}
	if p.Key != "" && p.Schema != nil && !slices.ContainsFunc(p.Schema.Columns, func(c dataset.Column) bool { return c.Name == p.Key }) {
		add("key", "must be one of the input columns of the schema")
	}
	if p.Trainer.Kind == SageMaker {
		bad = append(bad, p.Trainer.check()...)
	}
	return bad
}

func (t *Trainer) check() (bad []fault.Violation) {
	add := func(path, problem string) {
		bad = append(bad, fault.Violation{Path: "trainer." + path, Problem: problem})
	}
	if !imagePattern.MatchString(t.Image) {
		add("image", "must name an image by its digest, registry/name@sha256:…: a tag may be another program tomorrow")
	}
	if !rolePattern.MatchString(t.Role) {
		add("role", "must be the ARN of the role that the job runs as")
	}
	if !instancePattern.MatchString(t.InstanceType) {
		add("instance_type", "must be an instance type of SageMaker, such as ml.m5.xlarge")
	}
	return bad
}
