package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/validate"
)

// Types of input columns.
const (
	Number   = "number"
	Category = "category"
)

// Bounds of a schema, as functions/train has them.
const (
	maxSchema  = 1 << 20
	maxColumns = 2000
	maxName    = 256
)

// reserved are the names of the graph's outputs: no input can have one.
var reserved = []string{"label", "probabilities", "prediction"}

// Schema is the training schema (docs/formats/training.md): which columns of a table
// are inputs, of which type, and what to predict. The trainer reads its bytes.
type Schema struct {
	Task    schema.Task
	Target  string
	Time    string // "": rows have no order in time
	Columns []Column
	raw     []byte
}

// form is the document in one form, whoever wrote it: blanks and the order of fields make no other schema.
type form struct {
	V       int         `json:"v"`
	Task    schema.Task `json:"task"`
	Target  string      `json:"target"`
	Time    string      `json:"time,omitempty"`
	Columns []Column    `json:"columns"`
	Drop    []string    `json:"drop,omitempty"`
}

// Column is one input.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Bytes is the document in its one form: equal schemas have equal bytes.
func (s *Schema) Bytes() []byte { return s.raw }

// Digest is "sha256:<hex>" of Bytes.
func (s *Schema) Digest() string {
	sum := sha256.Sum256(s.raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Used are the columns of the training channel in their order: the inputs, the time
// if it is no input, the target last, as in the trainer's own tables.
func (s *Schema) Used() []string {
	names := make([]string, 0, len(s.Columns)+2)
	for _, c := range s.Columns {
		names = append(names, c.Name)
	}
	if s.Time != "" && !slices.Contains(names, s.Time) {
		names = append(names, s.Time)
	}
	return append(names, s.Target)
}

// ParseSchema reads a training schema and checks it as the trainer will. The error is
// InvalidArgument and names every fault at once.
func ParseSchema(raw []byte) (*Schema, error) {
	if len(raw) > maxSchema {
		return nil, fault.Invalid(fault.Violation{Path: "schema", Problem: "has more than a megabyte"})
	}
	s := &Schema{}
	var version int
	var columns, drop []json.RawMessage
	var named, dropped []string
	bad := validate.Object("training schema", raw, "", validate.Fields{"v": &version, "task": &s.Task, "target": &s.Target, "time": &s.Time, "columns": &columns, "drop": &drop})
	add := func(path, problem string) { bad = append(bad, fault.Violation{Path: path, Problem: problem}) }
	if len(bad) == 0 && version != 0 && version != 1 {
		add("v", "must be 1")
	}
	switch s.Task {
	case schema.Binary, schema.Multiclass, schema.Regression:
	default:
		add("task", "must be one of: binary_classification, multiclass_classification, regression")
	}
	name := func(path, n string) bool {
		if n == "" || utf8.RuneCountInString(n) > maxName || !utf8.ValidString(n) || strings.ContainsFunc(n, func(r rune) bool { return !unicode.IsPrint(r) }) {
			add(path, fmt.Sprintf("must be a column name of 1 to %d printable characters", maxName))
			return false
		}
		return true
	}
	name("target", s.Target)
	if s.Time != "" {
		name("time", s.Time)
	}
	if len(columns) == 0 || len(columns) > maxColumns {
		add("columns", fmt.Sprintf(`must be a list of 1 to %d objects {"name", "type"}`, maxColumns))
		columns = nil
	}
	for i, c := range columns {
		path := fmt.Sprintf("columns[%d]", i)
		var column Column
		if wrong := validate.Object("training schema", c, path, validate.Fields{"name": &column.Name, "type": &column.Type}); len(wrong) > 0 {
			bad = append(bad, wrong...)
			continue
		}
		if column.Type != Number && column.Type != Category {
			add(path+".type", "must be number or category")
		}
		switch {
		case !name(path+".name", column.Name):
		case slices.Contains(reserved, column.Name) || strings.HasPrefix(column.Name, "tidegate/"):
			add(path+".name", "is the name of an output of the model; rename the column")
		case slices.Contains(named, column.Name):
			add(path+".name", "is there twice; names must be unique")
		case column.Name == s.Target:
			add(path+".name", "is the target, so the model would read the answer; remove it here")
		}
		named = append(named, column.Name)
		s.Columns = append(s.Columns, column)
	}
	if s.Time != "" && s.Time == s.Target {
		add("time", "is the target; name another column")
	}
	for i, d := range drop {
		var n string
		if json.Unmarshal(d, &n) != nil || bytes.Equal(d, []byte("null")) {
			add(fmt.Sprintf("drop[%d]", i), "must be a column name")
		} else if n == s.Target || n == s.Time && n != "" || slices.Contains(named, n) {
			add(fmt.Sprintf("drop[%d]", i), "names a column that is used")
		}
		dropped = append(dropped, n)
	}
	if len(bad) > 0 {
		return nil, fault.Invalid(bad...)
	}
	var err error
	s.raw, err = json.Marshal(form{V: 1, Task: s.Task, Target: s.Target, Time: s.Time, Columns: s.Columns, Drop: dropped})
	return s, fault.Wrap(err, fault.Internal, "the training schema cannot be encoded")
}
