// Package modelfile reads the container of an ONNX model, a protobuf message
// ModelProto, without running it: versions, opsets, metadata, and the names,
// datatypes and shapes of the graph's inputs and outputs. It refuses what cannot
// be served from one file: external data anywhere, inputs or outputs that are
// not dense tensors, datatypes without a wire form, names that are missing or
// used twice.
//
// It does not check operators or opsets, and does not infer shapes: that is the
// runtime's work when the model is loaded. It never copies weights: it walks the
// bytes it is given, and what it keeps is bounded by the limits below.
//
//	m, err := modelfile.Parse(data)
//	if err != nil {
//		return err // InvalidArgument: says what to change when the model is exported
//	}
//	fmt.Println(m.Inputs[0].Name, m.Inputs[0].Datatype, m.Inputs[0].Shape)
//
// Field numbers are those of onnx.proto of ONNX 1.23 (IR version 13); they never
// change, and unknown fields are skipped as protobuf asks.
package modelfile

import (
	"unicode"
	"unicode/utf8"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// Limits on what a file may hold. The model itself is not kept, so they bound what Parse allocates.
const (
	// MaxBytes is the size that a protobuf message can have: writers of larger models must use
	// external data. https://protobuf.dev/programming-guides/proto-limits/
	MaxBytes = 2<<30 - 1
	// maxDepth bounds nested subgraphs. Protobuf's own parsers stop at 100 nested messages, which is 33 graphs.
	maxDepth = 33
	// maxValues bounds the inputs, and the outputs, of the graph: one per column of a wide table.
	maxValues = 10_000
	// maxName bounds a name, in bytes.
	maxName = 1024
	// maxRank bounds the dimensions of an input or output.
	maxRank = 32
	// maxMetadata bounds the metadata kept, in bytes.
	maxMetadata = 1 << 20
)

// Model is what an ONNX file says about itself.
type Model struct {
	IRVersion       int64
	Opsets          []Opset
	ProducerName    string
	ProducerVersion string
	ModelVersion    int64
	GraphName       string
	Inputs          []Value // of the graph, in its order, without those that initializers fill
	Outputs         []Value
	Metadata        map[string]string // metadata_props; the last one of a key wins
	Nodes           int               // of the main graph
}

// Opset is an operator set that the model imports. The empty domain is ai.onnx.
type Opset struct {
	Domain  string
	Version int64
}

// Value is an input or an output of the graph. A dimension of -1 is free: it has
// a name or no value in the file. A nil Shape is one that the file does not tell.
type Value struct {
	Name     string
	Datatype tensor.Datatype
	Shape    []int64
}

// Parse reads an ONNX file. Data is only read, and nothing of the result refers to it.
//
// Errors: InvalidArgument with advice on how to export the model; PayloadTooLarge above [MaxBytes].
func Parse(data []byte) (*Model, error) {
	if len(data) == 0 {
		return nil, fault.New(fault.InvalidArgument, "the model file is empty")
	}
	if len(data) > MaxBytes {
		return nil, fault.New(fault.PayloadTooLarge, "the model file has %d bytes, an ONNX file at most %d", len(data), MaxBytes)
	}
	p := &parser{model: &Model{}}
	err := p.parse(data)
	if err == nil && p.graphs == 0 {
		err = fault.New(fault.InvalidArgument, "the model file has no graph (%s)", looksLike(data))
	}
	if err == nil {
		err = p.finish()
	}
	if err != nil {
		if fault.KindOf(err) == fault.Internal { // a broken encoding: say what the file looks like instead
			return nil, fault.Wrap(err, fault.InvalidArgument, "the model file is not an ONNX model (%s)", looksLike(data))
		}
		return nil, err
	}
	return p.model, nil
}

// looksLike names what people upload by mistake.
func looksLike(data []byte) string {
	known := []struct{ magic, name string }{
		{"\x80\x02", "it looks like a Python pickle; export the model to ONNX"},
		{"\x80\x03", "it looks like a Python pickle; export the model to ONNX"},
		{"\x80\x04", "it looks like a Python pickle; export the model to ONNX"},
		{"\x80\x05", "it looks like a Python pickle; export the model to ONNX"},
		{"PK\x03\x04", "it looks like a zip archive; upload the .onnx file in it"},
		{"\x1f\x8b", "it looks like gzip; upload the unpacked .onnx file"},
		{"\x89HDF", "it looks like HDF5; convert the model to ONNX"},
		{"version https://git-lfs", "it is a Git LFS pointer; fetch the file itself with git lfs pull"},
		{"ORTM", "it looks like an ORT format model; upload the ONNX file it was made from"},
		{"{", "it looks like JSON"},
		{"<", "it looks like HTML or XML"},
	}
	for _, k := range known {
		if len(data) >= len(k.magic) && string(data[:len(k.magic)]) == k.magic {
			return k.name
		}
	}
	if len(data) >= 8 && string(data[4:8]) == "ORTM" {
		return "it looks like an ORT format model; upload the ONNX file it was made from"
	}
	return "it is damaged or of another format"
}

// checkName refuses names that could not travel in JSON, a CSV header or a log line.
func checkName(what string, index int, name []byte) error {
	switch {
	case len(name) == 0:
		return fault.New(fault.InvalidArgument, "%s %d of the model has no name", what, index)
	case len(name) > maxName:
		return fault.New(fault.InvalidArgument, "%s %d of the model has a name of %d bytes, limit %d", what, index, len(name), maxName)
	case !utf8.Valid(name):
		return fault.New(fault.InvalidArgument, "the name of %s %d of the model is not UTF-8", what, index)
	}
	for _, r := range string(name) {
		if unicode.IsControl(r) {
			return fault.New(fault.InvalidArgument, "the name of %s %d of the model has a control character", what, index)
		}
	}
	return nil
}

// elementTypes maps TensorProto.DataType to the datatypes that have a wire form.
var elementTypes = map[uint64]tensor.Datatype{
	1: tensor.FP32, 2: tensor.Uint8, 3: tensor.Int8, 4: tensor.Uint16, 5: tensor.Int16, 6: tensor.Int32, 7: tensor.Int64,
	8: tensor.Bytes, 9: tensor.Bool, 10: tensor.FP16, 11: tensor.FP64, 12: tensor.Uint32, 13: tensor.Uint64,
}

// elementName names the others for messages.
func elementName(t uint64) string {
	names := map[uint64]string{0: "undefined", 14: "complex64", 15: "complex128", 16: "bfloat16", 17: "float8e4m3fn", 18: "float8e4m3fnuz",
		19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1", 24: "float8e8m0", 25: "uint2", 26: "int2"}
	if n, ok := names[t]; ok {
		return n
	}
	return "unknown"
}
