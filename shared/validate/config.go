package validate

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// Config fills cfg, a pointer to a struct, from the environment and checks it.
//
// A field takes part when it has an `env` tag; an empty or absent variable takes
// the `default` tag, or leaves the field at its zero value. Fields are strings,
// booleans, integers, floats, time.Duration ("250ms") or lists of strings
// (comma-separated, blanks trimmed, empty entries dropped), and types made of
// these or that read themselves (encoding.TextUnmarshaler; the message of its fault
// is the problem). Structs without an `env` tag are walked into.
//
// The error is InvalidArgument with the environment keys as paths, all faults
// at once. A field of any other type is a bug: Internal.
func Config(getenv func(string) string, cfg any) error {
	v := reflect.ValueOf(cfg)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fault.New(fault.Internal, "the configuration must be a pointer to a struct")
	}
	var violations []fault.Violation
	if err := fill(getenv, v.Elem(), &violations); err != nil {
		return err
	}
	if len(violations) > 0 {
		return fault.Invalid(violations...)
	}
	return check(byEnv(), cfg)
}

func fill(getenv func(string) string, v reflect.Value, violations *[]fault.Violation) error {
	t := v.Type()
	for i := range t.NumField() {
		field := t.Field(i)
		if !field.IsExported() {
			continue
		}
		key := field.Tag.Get("env")
		if key == "" {
			if field.Type.Kind() == reflect.Struct {
				if err := fill(getenv, v.Field(i), violations); err != nil {
					return err
				}
			}
			continue
		}
		text := getenv(key)
		if text == "" {
			text = field.Tag.Get("default")
		}
		if text == "" {
			continue
		}
		if own, ok := v.Field(i).Addr().Interface().(encoding.TextUnmarshaler); ok {
			if err := own.UnmarshalText([]byte(text)); err != nil {
				*violations = append(*violations, fault.Violation{Path: key, Problem: fault.Public(err).Message})
			}
			continue
		}
		wanted, err := set(v.Field(i), text)
		if err != nil {
			return err
		}
		if wanted != "" {
			*violations = append(*violations, fault.Violation{Path: key, Problem: "must be " + wanted})
		}
	}
	return nil
}

// set parses text into field. It answers what was wanted when text is not that.
func set(field reflect.Value, text string) (wanted string, err error) {
	if field.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return "a duration such as 250ms or 5s", nil
		}
		field.SetInt(int64(d))
		return "", nil
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return "true or false", nil
		}
		field.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, field.Type().Bits())
		if err != nil {
			return "a whole number", nil
		}
		field.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, field.Type().Bits())
		if err != nil {
			return "a whole number that is not negative", nil
		}
		field.SetUint(n)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, field.Type().Bits())
		if err != nil {
			return "a number", nil
		}
		field.SetFloat(f)
	case reflect.Slice:
		if field.Type().Elem().Kind() != reflect.String {
			return "", unsupported(field)
		}
		list := reflect.MakeSlice(field.Type(), 0, 4)
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = reflect.Append(list, reflect.ValueOf(part).Convert(field.Type().Elem()))
			}
		}
		field.Set(list)
	default:
		return "", unsupported(field)
	}
	return "", nil
}

func unsupported(field reflect.Value) error {
	return fault.New(fault.Internal, "a configuration field has the type %s, which cannot be read from the environment", field.Type())
}
