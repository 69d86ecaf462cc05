package registry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/validate"
)

// ParseSettings reads settings as a person wrote them: unknown fields are
// refused, all faults of values are reported at once. The error is InvalidArgument.
func ParseSettings(body []byte) (Settings, error) {
	var s Settings
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		var mismatch *json.UnmarshalTypeError
		if errors.As(err, &mismatch) {
			return Settings{}, fault.Invalid(fault.Violation{Path: mismatch.Field, Problem: "has the wrong type"})
		}
		if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return Settings{}, fault.Invalid(fault.Violation{Path: strings.Trim(field, `"`), Problem: "is not a setting"})
		}
		return Settings{}, fault.New(fault.InvalidArgument, "settings are not valid JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Settings{}, fault.New(fault.InvalidArgument, "settings must be one JSON object")
	}
	return s, s.Check()
}

// Check reports every fault of s. Parts that later packages own are only JSON here.
func (s *Settings) Check() error {
	var bad []fault.Violation
	if s.V < 0 || s.V > SettingsVersion {
		bad = append(bad, fault.Violation{Path: "v", Problem: fmt.Sprintf("must be %d", SettingsVersion)})
	}
	var f *fault.Error
	if err := validate.Struct(s); errors.As(err, &f) {
		bad = append(bad, f.Violations...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Contract)) {
		path, column := "contract["+name+"]", s.Contract[name]
		switch column.Missing {
		case "", schema.Refuse, schema.Accept:
		default:
			bad = append(bad, fault.Violation{Path: path + ".missing", Problem: "must be one of: refuse, accept"})
		}
		if column.Min != nil && column.Max != nil && *column.Min > *column.Max {
			bad = append(bad, fault.Violation{Path: path, Problem: "has a min above its max"})
		}
		if column.RefuseUnknown && len(column.Categories) == 0 {
			bad = append(bad, fault.Violation{Path: path + ".categories", Problem: "is required with refuse_unknown"})
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fault.Invalid(bad...)
}

// PutSettings stores settings of model and returns their digest, "sha256:<hex>"
// of the stored bytes. They are in force once a configure transition names it.
func (r *Registry) PutSettings(ctx context.Context, model string, s Settings) (digest string, err error) {
	s.V = SettingsVersion
	if err := cmp.Or(CheckName(model), s.Check()); err != nil {
		return "", err
	}
	body, err := encode(s)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	digest = "sha256:" + hex.EncodeToString(sum[:])
	if _, _, err := r.putOnce(ctx, SettingsKey(model, digest), body); err != nil {
		return "", fmt.Errorf("registry: put settings of %s: %w", model, err)
	}
	return digest, nil
}

// Settings reads the settings of model with the given digest. NotFound when there
// are none, Internal when their content has another digest. Unknown fields are
// tolerated: a newer release may have written them.
func (r *Registry) Settings(ctx context.Context, model, digest string) (Settings, error) {
	if err := cmp.Or(CheckName(model), CheckDigest(digest)); err != nil {
		return Settings{}, err
	}
	key := SettingsKey(model, digest)
	body, err := r.readChecked(ctx, key, digest)
	if err != nil {
		return Settings{}, err
	}
	var s Settings
	if err := decode(key, body, &s); err != nil {
		return Settings{}, err
	}
	if s.V > SettingsVersion {
		return Settings{}, tooNew(key, s.V, SettingsVersion)
	}
	if err := s.Check(); err != nil {
		return Settings{}, damaged(key, err)
	}
	return s, nil
}
