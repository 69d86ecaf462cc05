// Package validate loads a function's configuration from its environment and
// checks structs against their `validate` tags (go-playground/validator).
//
// It is the only package that knows the validator, so that a fault reads the
// same wherever it is found: a path in the names the caller used (environment
// keys or JSON fields), and a problem that says what to do. All faults are
// reported at once, and none repeats a value.
//
//	type config struct {
//		Bucket  string        `env:"TIDEGATE_REGISTRY_BUCKET" validate:"required"`
//		Mode    string        `env:"TIDEGATE_CAPTURE_MODE" default:"after" validate:"oneof=after buffered strict"`
//		Preload []string      `env:"TIDEGATE_PRELOAD_MODELS"`
//	}
//	var cfg config
//	if err := validate.Config(os.Getenv, &cfg); err != nil { … }
package validate

import (
	"errors"
	"reflect"
	"strings"
	"sync"

	"github.com/go-playground/validator/v10"

	"github.com/tidegate/tidegate/shared/fault"
)

// The two dialects differ only in the tag that names a field.
var (
	byJSON = sync.OnceValue(func() *validator.Validate { return dialect("json") })
	byEnv  = sync.OnceValue(func() *validator.Validate { return dialect("env") })
)

func dialect(tag string) *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get(tag), ",")
		if name == "-" {
			return ""
		}
		return name
	})
	return v
}

// Struct checks v, a struct or a pointer to one, against its `validate` tags.
// The error is InvalidArgument with one violation per fault; its paths are made
// of JSON names, e.g. "capture.sampling" or "files[2].sha256". A value that is
// not a struct is a bug of the caller: Internal.
func Struct(v any) error { return check(byJSON(), v) }

func check(engine *validator.Validate, v any) error {
	err := engine.Struct(v)
	if err == nil {
		return nil
	}
	var faults validator.ValidationErrors
	if !errors.As(err, &faults) {
		return fault.Wrap(err, fault.Internal, "the value to validate is not a struct")
	}
	violations := make([]fault.Violation, len(faults))
	for i, f := range faults {
		_, path, ok := strings.Cut(f.Namespace(), ".") // the first part is the name of the Go type
		if !ok {
			path = f.Field()
		}
		violations[i] = fault.Violation{Path: path, Problem: problem(f)}
	}
	return fault.Invalid(violations...)
}

// problem puts a failed tag into words. Tags without an entry name themselves.
func problem(f validator.FieldError) string {
	param := f.Param()
	sized := f.Kind() == reflect.String || f.Kind() == reflect.Slice || f.Kind() == reflect.Map
	unit := ""
	if sized {
		unit = " entries"
		if f.Kind() == reflect.String {
			unit = " characters"
		}
	}
	switch f.Tag() {
	case "required", "required_with", "required_without", "required_if", "required_unless":
		return "is required"
	case "excluded_with", "excluded_without", "excluded_if", "excluded_unless", "isdefault":
		return "must not be set here"
	case "oneof":
		return "must be one of: " + strings.ReplaceAll(param, " ", ", ")
	case "gte", "min":
		return "must be at least " + param + unit
	case "lte", "max":
		return "must be at most " + param + unit
	case "gt":
		return "must be more than " + param + unit
	case "lt":
		return "must be less than " + param + unit
	case "eq", "len":
		return "must be exactly " + param + unit
	case "unique":
		return "must not name anything twice"
	case "startswith":
		return "must start with " + param
	case "endswith":
		return "must end with " + param
	case "sha256":
		return "must be a sha256 digest in lower-case hex"
	case "url", "uri", "http_url":
		return "must be a URL"
	}
	if param != "" {
		return "breaks the rule " + f.Tag() + "=" + param
	}
	return "breaks the rule " + f.Tag()
}
