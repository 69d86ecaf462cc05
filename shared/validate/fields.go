package validate

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
)

// Fields are where the values of a JSON object go, by name: pointers, or Fields again.
type Fields map[string]any

// Object reads the JSON object raw into its fields and goes on after a fault, so
// that all of them are told at once: what is no field, and what has the wrong type.
// What raw does not set is left alone. of says what it is an object of, such as
// "drift policy"; path is where it stands, "" at the root. No value of raw gets into
// a violation.
func Object(of string, raw []byte, path string, into Fields) []fault.Violation {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		if path == "" {
			path, _, _ = strings.Cut(of, " ")
		}
		return []fault.Violation{{Path: path, Problem: "must be a JSON object"}}
	}
	var bad []fault.Violation
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := Cut(name)
		if path != "" {
			at = path + "." + at
		}
		switch target := into[name].(type) {
		case nil:
			bad = append(bad, fault.Violation{Path: at, Problem: "is not a field of a " + of})
		case Fields:
			bad = append(bad, Object(of, object[name], at, target)...)
		default:
			if err := json.Unmarshal(object[name], target); err != nil {
				bad = append(bad, fault.Violation{Path: at, Problem: "has the wrong type"})
			}
		}
	}
	return bad
}

// Violations are those of err, which is a fault or nil.
func Violations(err error) []fault.Violation {
	if err == nil {
		return nil
	}
	return fault.Public(err).Violations
}

// Cut keeps names of the input short in messages: at most 128 bytes of UTF-8.
func Cut(name string) string {
	const most = 128
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}
