// Package mlflow reads the bodies of MLflow's scoring protocol and makes of them
// what the row handlers read: {"instances": …} or {"inputs": …}.
//
//	{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], …]}}
//	{"dataframe_records": [{"a": 1, "b": 2}, …]}
//	{"instances": […]}, {"inputs": …}
//	a,b\n1,2\n …                                     text/csv, with or without a header
//
// Values are moved as text, never parsed: what a number is, and whether it is
// accepted, is decided by package rows and the contract. "params" is ignored, as
// ONNX models have none. Memory is in proportion to the body and the number of
// columns of the model, and bounded by a limit.
//
// Written after MLflow 2's and 3's scoring server (mlflow/pyfunc/scoring_server).
package mlflow

import (
	"fmt"
	"slices"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/oip/wire"
)

// Column is a column of the model, in the order of its signature.
type Column struct {
	Name  string
	Width int // values in a row; > 1 for an input without named columns
	Kind  Kind
}

// Kind is what a CSV field of a column is written as in JSON.
type Kind int

// The kinds.
const (
	Number Kind = iota
	Integer
	Text
	Bool
)

// Form is what a JSON body is.
type Form int

// The forms. OIP is an Open Inference Protocol request, which this package does not read.
const (
	Rows Form = iota // {"instances"|"inputs": …}, ready for the row handlers
	OIP
	Split   // needs the model's columns: see [FromSplit]
	Unknown // none of the keys
)

// Body is a JSON body that was looked at.
type Body struct {
	Form     Form
	Columnar bool   // the row handlers will answer "outputs"; MLflow's clients want "predictions"
	Rows     []byte // of Rows: the body for the row handlers
	split    []byte // of Split: its text
}

const depth = 0 // of the value behind a top-level key, for wire.Skip

// Look finds out what a JSON body is. scratch is memory for a new body and may be
// nil. Errors: InvalidArgument, no JSON or more than one form at once.
func Look(body, scratch []byte) (Body, error) {
	type found struct {
		key      string
		from, to int
	}
	var forms []found
	at, code := wire.Members(body, wire.Space(body, 0), func(key string, i int) (int, wire.Code) {
		next, code := wire.Skip(body, i, depth)
		if code == wire.OK && slices.Contains([]string{"dataframe_split", "dataframe_records", "instances", "inputs"}, key) {
			forms = append(forms, found{key, i, next})
		}
		return next, code
	})
	switch code {
	case wire.OK:
	case wire.WrongKind:
		return Body{Form: Unknown}, nil
	default:
		return Body{}, oip.Broken(code, at)
	}
	if rest := wire.Space(body, at); rest != len(body) {
		return Body{}, oip.Broken(wire.Syntax, rest)
	}
	if len(forms) == 0 {
		return Body{Form: Unknown}, nil
	}
	if len(forms) > 1 {
		return Body{}, fault.New(fault.InvalidArgument, "the body has %q and %q; send one of dataframe_split, dataframe_records, instances, inputs", forms[0].key, forms[1].key)
	}
	one := forms[0]
	value := body[one.from:one.to]
	switch one.key {
	case "dataframe_split":
		return Body{Form: Split, split: value}, nil
	case "dataframe_records":
		return Body{Form: Rows, Rows: append(append(append(scratch[:0], `{"instances":`...), value...), '}')}, nil
	case "inputs":
		if isTensors(value) {
			return Body{Form: OIP}, nil
		}
		return Body{Form: Rows, Rows: body, Columnar: true}, nil
	}
	return Body{Form: Rows, Rows: body}, nil
}

// isTensors says whether the value of "inputs" is that of the Open Inference
// Protocol: a list of objects that have a datatype.
func isTensors(value []byte) bool {
	tensors := false
	_, _ = wire.Elements(value, wire.Space(value, 0), func(n, i int) (int, wire.Code) {
		_, _ = wire.Members(value, i, func(key string, k int) (int, wire.Code) {
			tensors = tensors || key == "datatype"
			return wire.Skip(value, k, depth)
		})
		return i, wire.Stop // the first one tells
	})
	return tensors
}

// arranger puts the fields of rows into the order of the model's columns.
type arranger struct {
	columns []Column
	from    []int // by column: its first field in a row; -1 = absent
	fields  int   // of a row
	limit   int
	out     []byte
}

// arrange finds the columns of the model among names, all of which must be columns.
func arrange(path string, names []string, columns []Column, limit int, dst []byte) (*arranger, error) {
	a := &arranger{columns: columns, from: make([]int, len(columns)), fields: len(names), limit: limit, out: append(dst[:0], `{"instances":[`...)}
	var bad []fault.Violation
	for i := range a.from {
		a.from[i] = -1
	}
	for i, name := range names {
		k := slices.IndexFunc(columns, func(c Column) bool { return c.Name == name })
		switch {
		case len(bad) >= oip.MaxViolations:
		case k < 0:
			bad = append(bad, fault.Violation{Path: fmt.Sprintf("%s[%d]", path, i), Problem: "is not a column of the model"})
		case a.from[k] >= 0:
			bad = append(bad, fault.Violation{Path: fmt.Sprintf("%s[%d]", path, i), Problem: "is there twice"})
		default:
			a.from[k] = i
		}
	}
	if len(bad) > 0 {
		return nil, fault.Invalid(bad...)
	}
	return a, nil
}

// row appends a row; field is the JSON of its n-th field.
func (a *arranger) row(n int, field func(dst []byte, column, n int) []byte) error {
	if n > 0 {
		a.out = append(a.out, ',')
	}
	if len(a.columns) == 1 && a.columns[0].Width > 1 && a.from[0] >= 0 { // a row of a model with one input is its value
		a.out = field(a.out, 0, a.from[0])
		return a.bounded()
	}
	a.out = append(a.out, '[')
	for k := range a.columns {
		if k > 0 {
			a.out = append(a.out, ',')
		}
		if a.from[k] < 0 {
			a.out = append(a.out, "null"...)
			continue
		}
		a.out = field(a.out, k, a.from[k])
	}
	a.out = append(a.out, ']')
	return a.bounded()
}

func (a *arranger) bounded() error {
	if len(a.out) > a.limit {
		return fault.New(fault.PayloadTooLarge, "the rows with all columns of the model have more than %d bytes; send fewer rows a request", a.limit)
	}
	return nil
}

func (a *arranger) body() []byte { return append(a.out, "]}"...) }
