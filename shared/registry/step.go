package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/validate"
)

// StepVersion is the format of a stored step.
const StepVersion = 1

// StepName says which step of which run a result belongs to.
type StepName struct {
	Model string
	Run   string // the trigger's digest, or an id of a person's choice
	Step  string
}

// stored is runs/<m>/<run>/<step>.json.
type stored struct {
	V      int             `json:"v"`
	Model  string          `json:"model"`
	Run    string          `json:"run"`
	Step   string          `json:"step"`
	Input  string          `json:"input"` // digest of what the step was asked
	At     time.Time       `json:"at"`
	Result json.RawMessage `json:"result"`
}

// ids of runs and steps go into keys.
var stepPattern = validate.NewPattern(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// CheckRun says whether run and step can name a stored result. The error is InvalidArgument.
func CheckRun(run, step string) error {
	var bad []fault.Violation
	for _, part := range [][2]string{{"run", run}, {"step", step}} {
		if !stepPattern.MatchString(part[1]) {
			bad = append(bad, fault.Violation{Path: part[0], Problem: "must be 1 to 128 letters, digits, dots, hyphens and underscores"})
		}
	}
	if len(bad) > 0 {
		return fault.Invalid(bad...)
	}
	return nil
}

// Step returns the stored result of a step of a run, or does the step and stores what
// it answers: a machine that is started again after a crash calls everything again,
// and what is finished stays as it was. Only results are stored, never errors, and
// only those that keep says (nil: all). Of two callers at once one's result counts.
//
// input is what the step was asked, as far as it decides the result: asked something
// else under the same run and step is AlreadyExists.
func Step[T any](ctx context.Context, r *Registry, name StepName, input any, do func() (T, error), keep func(T) bool) (result T, repeated bool, err error) {
	if err := cmp.Or(CheckName(name.Model), CheckRun(name.Run, name.Step)); err != nil {
		return result, false, err
	}
	asked, err := json.Marshal(input)
	if err != nil {
		return result, false, fault.Wrap(err, fault.Internal, "the input of step %s cannot be encoded", name.Step)
	}
	sum := sha256.Sum256(asked)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	key := RunKey(name.Model, name.Run, name.Step)
	body, err := r.ReadRecord(ctx, key)
	if err == nil {
		err = name.read(key, body, digest, &result)
		return result, true, err
	}
	if !fault.Is(err, fault.NotFound) {
		return result, false, err
	}
	if result, err = do(); err != nil || keep != nil && !keep(result) {
		return result, false, err
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return result, false, fault.Wrap(err, fault.Internal, "the result of step %s cannot be encoded", name.Step)
	}
	body, created, err := r.PutRecord(ctx, key, stored{V: StepVersion, Model: name.Model, Run: name.Run, Step: name.Step, Input: digest, At: r.now(), Result: raw})
	if err != nil || created {
		return result, false, err
	}
	var other T
	err = name.read(key, body, digest, &other)
	return other, true, err
}

// StepResult reads what a step of a run answered; NotFound when it has no result yet.
func StepResult[T any](ctx context.Context, r *Registry, name StepName) (result T, err error) {
	if err := cmp.Or(CheckName(name.Model), CheckRun(name.Run, name.Step)); err != nil {
		return result, err
	}
	key := RunKey(name.Model, name.Run, name.Step)
	body, err := r.ReadRecord(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return result, fault.Wrap(err, fault.NotFound, "step %q of run %q on model %q has no result yet", name.Step, name.Run, name.Model)
	}
	if err != nil {
		return result, err
	}
	return result, name.read(key, body, "", &result)
}

// read takes the result of a stored step; digest is that of the input, "" for any.
func (n StepName) read(key string, body []byte, digest string, result any) error {
	var s stored
	if err := decode(key, body, &s); err != nil {
		return err
	}
	if s.V > StepVersion {
		return tooNew(key, s.V, StepVersion)
	}
	if digest != "" && s.Input != digest {
		return fault.New(fault.AlreadyExists, "step %q of run %q on model %q was asked something else before; use another run, or the same input", n.Step, n.Run, n.Model)
	}
	return decode(key, s.Result, result)
}
