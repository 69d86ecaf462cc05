// Package schema describes what a model takes and gives, and what of it is
// accepted: the signature (names, datatypes and shapes, read from the ONNX file
// at registration) and the contract (ranges, categories, missing values, which
// the owner may tighten or relax by settings).
//
// It is stored as versions/<n>/schema.json. The check of a request against it
// reports all faults at once and never repeats a value of the input.
package schema

import "github.com/tidegate/tidegate/shared/tensor"

// Version is the format of schema.json that this package writes.
const Version = 1

// Task is what a model predicts.
type Task string

// The tasks. Unspecified is a model that was registered without one: it is
// served and captured, but not evaluated.
const (
	Binary      Task = "binary_classification"
	Multiclass  Task = "multiclass_classification"
	Regression  Task = "regression"
	Unspecified Task = "unspecified"
)

// Valid says whether t is one of the tasks.
func (t Task) Valid() bool {
	switch t {
	case Binary, Multiclass, Regression, Unspecified:
		return true
	}
	return false
}

// Schema is the stored document.
type Schema struct {
	V         int       `json:"v"`
	Task      Task      `json:"task"`
	Signature Signature `json:"signature"`
	Contract  Contract  `json:"contract"`
}

// Signature names the tensors of a model, in the order of its graph.
type Signature struct {
	Inputs  []Spec `json:"inputs"`
	Outputs []Spec `json:"outputs"`
}

// Spec is one tensor of a signature. A dimension of -1 is free; the first one,
// when free, is the batch dimension.
type Spec struct {
	Name     string          `json:"name"`
	Datatype tensor.Datatype `json:"datatype"`
	Shape    []int64         `json:"shape"`
	// Columns names the entries of the last dimension of a rank-2 input, in order, when they are
	// known; a single-column input of shape [-1,1] or [-1] is a column of its own name.
	Columns []string `json:"columns,omitempty"`
}

// Batched says whether the first dimension is free.
func (s Spec) Batched() bool { return len(s.Shape) > 0 && s.Shape[0] < 0 }

// Missing is what happens to a missing value (JSON null, NaN, absent column).
type Missing string

// The missing policies. Accept hands NaN or "" to the model's own imputing;
// Refuse answers 400. The zero value is Refuse.
const (
	Refuse Missing = "refuse"
	Accept Missing = "accept"
)

// Contract holds the rules by input column. A column without an entry is only
// checked by the signature, refuses missing values and accepts every finite value.
type Contract struct {
	Columns map[string]Column `json:"columns,omitempty"`
}

// Column is what is accepted in one input column.
type Column struct {
	Missing Missing `json:"missing,omitempty"`
	// Min and Max bound numbers, inclusively, when set.
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
	// Categories, with RefuseUnknown, are the only strings accepted. Without it they are documentation:
	// an unknown category is drift, not an error.
	Categories    []string `json:"categories,omitempty"`
	RefuseUnknown bool     `json:"refuse_unknown,omitempty"`
}
