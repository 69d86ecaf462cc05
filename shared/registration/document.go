package registration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// features is the part of features.json that becomes the contract.
type features struct {
	Features []struct {
		Name string `json:"name"`
		// Missing may say refuse. A trainer that describes its columns imputes them unless it says otherwise:
		// functions/train does, for every column, inside the graph.
		Missing    schema.Missing `json:"missing"`
		Categories []struct {
			Value string `json:"value"`
		} `json:"categories"`
	} `json:"features"`
}

// facts is the part of training_schema.json that says what the model is for.
type facts struct {
	Task   schema.Task `json:"task"`
	Target string      `json:"target"`
	Time   string      `json:"time"`
}

// decode reads a small file of the bundle; an absent one leaves into alone.
func (b *bundle) decode(name string, into any) error {
	data, ok := b.small[name]
	if !ok {
		return nil
	}
	// The error of json may repeat a value: it stays in the log.
	return fault.Wrap(json.Unmarshal(data, into), fault.InvalidArgument, "%s does not have the form that docs/formats/training.md describes", name)
}

// nameColumns gives the columns of a wide input the names of features.json, in its
// order: with them rows can be sent by name, and holdout.csv needs no made-up
// header. That is clear only for a model with one input of as many columns.
func nameColumns(f features, sig schema.Signature) {
	if len(sig.Inputs) != 1 || len(f.Features) < 2 {
		return
	}
	in := &sig.Inputs[0]
	if len(in.Shape) != 2 || in.Shape[1] >= 0 && in.Shape[1] != int64(len(f.Features)) {
		return
	}
	names := make([]string, len(f.Features))
	for i, column := range f.Features {
		if names[i] = column.Name; column.Name == "" || slices.Contains(names[:i], column.Name) {
			return // contract() says what is wrong
		}
	}
	in.Columns = names
}

// maxCategories bounds the categories kept as documentation: a column of tail
// numbers has thousands, and every environment reads schema.json.
const maxCategories = 200

// contract derives what requests may hold from what the trainer's graph takes.
//
// Missing values are accepted in the columns that the trainer describes, since its
// graph imputes them. Categories are
// documentation, and the ranges seen in training are not taken over at all (they
// stay in features.json): a value outside of them is drift, which is measured, not an
// error, which would hide it. The owner's settings can make rules of both.
func contract(f features, sig schema.Signature) (schema.Contract, error) {
	inputs := map[string]bool{}
	for _, in := range sig.Inputs {
		inputs[in.Name] = true
		for _, c := range in.Columns {
			inputs[c] = true
		}
	}
	var c schema.Contract
	seen := map[string]bool{}
	for _, column := range f.Features {
		twice := seen[column.Name]
		seen[column.Name] = true
		switch {
		case twice:
			return c, fault.New(fault.InvalidArgument, "%s describes column %s twice", featuresFile, quoted(column.Name))
		case !inputs[column.Name]:
			return c, fault.New(fault.InvalidArgument, "%s describes column %s, which is no input of the model", featuresFile, quoted(column.Name))
		case column.Missing != "" && column.Missing != schema.Accept && column.Missing != schema.Refuse:
			return c, fault.New(fault.InvalidArgument, "%s: missing of column %s must be accept or refuse", featuresFile, quoted(column.Name))
		}
		rule := schema.Column{Missing: cmp.Or(column.Missing, schema.Accept)}
		if len(column.Categories) <= maxCategories {
			for _, category := range column.Categories {
				rule.Categories = append(rule.Categories, category.Value)
			}
		}
		if c.Columns == nil {
			c.Columns = map[string]schema.Column{}
		}
		c.Columns[column.Name] = rule
	}
	return c, nil
}

// metrics flattens metrics.json: numbers but its version keep their name, those of an object get "object.name".
// Anything else in it stays in the file only.
func metrics(data []byte) (map[string]float64, error) {
	var raw map[string]any
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fault.Wrap(err, fault.InvalidArgument, "%s must be a JSON object of numbers", metricsFile)
	}
	flat := map[string]float64{}
	delete(raw, "v")
	for name, v := range raw {
		switch v := v.(type) {
		case float64:
			flat[name] = v
		case map[string]any:
			for inner, n := range v {
				if n, ok := n.(float64); ok && !math.IsNaN(n) {
					flat[name+"."+inner] = n
				}
			}
		}
	}
	return flat, nil
}

// numpyNames are the datatypes in an MLflow tensor signature.
var numpyNames = map[tensor.Datatype]string{
	tensor.Bool: "bool", tensor.Uint8: "uint8", tensor.Uint16: "uint16", tensor.Uint32: "uint32", tensor.Uint64: "uint64",
	tensor.Int8: "int8", tensor.Int16: "int16", tensor.Int32: "int32", tensor.Int64: "int64",
	tensor.FP16: "float16", tensor.FP32: "float32", tensor.FP64: "float64", tensor.Bytes: "str",
}

// mlModel writes the MLmodel file of the MLflow model format
// (https://mlflow.org/docs/latest/ml/model/), so that the folder of a version, with
// model.onnx beside it, is one that MLflow loads.
func mlModel(s *schema.Schema, at time.Time, digest string) ([]byte, error) {
	inputs, err := tensorSpecs(s.Signature.Inputs)
	if err != nil {
		return nil, err
	}
	outputs, err := tensorSpecs(s.Signature.Outputs)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "flavors:\n")
	fmt.Fprintf(&b, "  onnx:\n    data: %s\n    providers:\n    - CPUExecutionProvider\n    code: null\n", modelFile)
	fmt.Fprintf(&b, "  python_function:\n    data: %s\n    loader_module: mlflow.onnx\n", modelFile)
	fmt.Fprintf(&b, "model_uuid: %s\n", digest[:32])
	fmt.Fprintf(&b, "signature:\n  inputs: %s\n  outputs: %s\n  params: null\n", yamlString(inputs), yamlString(outputs))
	fmt.Fprintf(&b, "utc_time_created: '%s'\n", at.UTC().Format("2006-01-02 15:04:05.000000"))
	return []byte(b.String()), nil
}

// tensorSpecs encodes specs as MLflow does: a JSON list inside the YAML.
func tensorSpecs(specs []schema.Spec) ([]byte, error) {
	type tensorSpec struct {
		Dtype string  `json:"dtype"`
		Shape []int64 `json:"shape"`
	}
	type spec struct {
		Name   string     `json:"name"`
		Type   string     `json:"type"`
		Tensor tensorSpec `json:"tensor-spec"`
	}
	list := make([]spec, len(specs))
	for i, s := range specs {
		shape := s.Shape
		if shape == nil {
			shape = []int64{}
		}
		list[i] = spec{Name: s.Name, Type: "tensor", Tensor: tensorSpec{Dtype: numpyNames[s.Datatype], Shape: shape}}
	}
	data, err := json.Marshal(list)
	return data, fault.Wrap(err, fault.Internal, "the signature cannot be encoded")
}

// yamlString quotes text, in which nothing is a control character, as a YAML single-quoted scalar.
func yamlString(text []byte) string {
	return "'" + strings.ReplaceAll(string(text), "'", "''") + "'"
}
