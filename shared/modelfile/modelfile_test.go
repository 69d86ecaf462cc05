package modelfile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// reference is what the onnx package reads from a file (testdata/make_models.py).
type reference struct {
	IRVersion       int64 `json:"ir_version"`
	Opsets          []Opset
	ProducerName    string `json:"producer_name"`
	ProducerVersion string `json:"producer_version"`
	ModelVersion    int64  `json:"model_version"`
	GraphName       string `json:"graph_name"`
	Nodes           int
	Metadata        map[string]string
	Inputs, Outputs []struct {
		Name, Type string
		Shape      []int64
	}
}

// onnxNames are the names that the onnx package gives element types.
var onnxNames = map[tensor.Datatype]string{
	tensor.FP32: "FLOAT", tensor.Uint8: "UINT8", tensor.Int8: "INT8", tensor.Uint16: "UINT16", tensor.Int16: "INT16",
	tensor.Int32: "INT32", tensor.Int64: "INT64", tensor.Bytes: "STRING", tensor.Bool: "BOOL", tensor.FP16: "FLOAT16",
	tensor.FP64: "DOUBLE", tensor.Uint32: "UINT32", tensor.Uint64: "UINT64",
}

func TestParseReadsWhatONNXReads(t *testing.T) {
	files, _ := filepath.Glob("testdata/good/*.onnx")
	if len(files) < 8 {
		t.Fatalf("only %d models in testdata/good", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".onnx"), func(t *testing.T) {
			var want reference
			if err := json.Unmarshal(read(t, strings.TrimSuffix(file, ".onnx")+".json"), &want); err != nil {
				t.Fatal(err)
			}
			m, err := Parse(read(t, file))
			if err != nil {
				t.Fatal(err)
			}
			got := reference{IRVersion: m.IRVersion, Opsets: m.Opsets, ProducerName: m.ProducerName, ProducerVersion: m.ProducerVersion,
				ModelVersion: m.ModelVersion, GraphName: m.GraphName, Nodes: m.Nodes, Metadata: map[string]string{}}
			for k, v := range m.Metadata {
				got.Metadata[k] = v
			}
			for _, v := range m.Inputs {
				got.Inputs = append(got.Inputs, struct {
					Name, Type string
					Shape      []int64
				}{v.Name, onnxNames[v.Datatype], v.Shape})
			}
			for _, v := range m.Outputs {
				got.Outputs = append(got.Outputs, struct {
					Name, Type string
					Shape      []int64
				}{v.Name, onnxNames[v.Datatype], v.Shape})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("onnx (-), Parse (+):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]string{ // file → what the message says
		"external_initializer": `tensor "w" keeps its data in another file; save the model as one file`,
		"external_subgraph":    `tensor "inner" keeps its data in another file`,
		"external_function":    `tensor "in_function" keeps its data in another file`,
		"external_sparse":      `tensor "in_sparse" keeps its data in another file`,
		"sequence":             `output "y" of the model is a sequence`,
		"zipmap":               `options={"zipmap": False}`,
		"map":                  `output "y" of the model is a map`,
		"optional":             `output "y" of the model is an optional`,
		"sparse_type":          `output "y" of the model is a sparse tensor`,
		"complex":              `output "y" of the model has element type complex64`,
		"bfloat16":             `input "x" of the model has element type bfloat16`,
		"no_graph":             "has no graph",
		"no_input":             "graph has no input",
		"no_output":            "graph has no output",
		"no_type":              `output "y" of the model has no type`,
		"no_name":              "input 0 of the model has no name",
		"control_character":    "input 0 of the model has a control character",
		"same_input_twice":     `two inputs of the model are called "x"`,
		"same_output_twice":    `two outputs of the model are called "y"`,
		"all_inputs_filled":    "graph has no input",
	}
	files, _ := filepath.Glob("testdata/bad/*.onnx")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".onnx")
		want, ok := cases[name]
		if !ok {
			t.Errorf("%s has no expected message", file)
		}
		delete(cases, name)
		_, err := Parse(read(t, file))
		refuses(t, name, err, want)
	}
	for name := range cases {
		t.Errorf("testdata/bad/%s.onnx is missing", name)
	}
}

func TestParseRefusesOtherFiles(t *testing.T) {
	good := read(t, "testdata/good/classifier.onnx")
	for name, c := range map[string]struct{ data, want string }{
		"empty":         {"", "the model file is empty"},
		"pickle":        {"\x80\x04\x95 and so on", "looks like a Python pickle"},
		"zip":           {"PK\x03\x04....", "looks like a zip archive"},
		"gzip":          {"\x1f\x8b\x08\x00", "looks like gzip"},
		"lfs":           {"version https://git-lfs.github.com/spec/v1\noid sha256:", "git lfs pull"},
		"html":          {"<html><body>no such file</body></html>", "looks like HTML"},
		"json":          {`{"error": "no"}`, "looks like JSON"},
		"ort":           {"\x1c\x00\x00\x00ORTMxxxxxxxx", "ORT format"},
		"noise":         {"\xff\xfe\xfd\xfc\xfb", "is damaged or of another format"},
		"cut off":       {string(good[:len(good)/2]), "is not an ONNX model"},
		"two graphs":    {string(good) + string(graphOf(t, good)), "more than one graph"},
		"deep":          {string(nested(200)), "nested deeper than"},
		"broken node":   {string(message(7, append(message(1, []byte{0xff}), graphBody(t, good)...))), "is not an ONNX model"},
		"long name":     {string(withInput(strings.Repeat("n", maxName+1))), "has a name of 1025 bytes"},
		"bad utf-8":     {string(withInput("\xff")), "is not UTF-8"},
		"much metadata": {string(append(metadata(20_000), good...)), "metadata of the model file is over"},
	} {
		_, err := Parse([]byte(c.data))
		refuses(t, name, err, c.want)
	}
}

func TestParseBoundsTheNumberOfValues(t *testing.T) {
	var graph []byte
	for i := range maxValues + 1 {
		graph = append(graph, message(11, message(1, protowire.AppendVarint([]byte("c"), uint64(i)+1<<20)[:3]))...)
	}
	_, err := Parse(message(7, graph))
	if !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("%d inputs: %v", maxValues+1, err)
	}
}

// TestEveryPrefixIsRefusedOrRead cuts a real file at each byte.
func TestEveryPrefixIsRefusedOrRead(t *testing.T) {
	for _, name := range []string{"classifier", "conditional", "function", "sparse"} {
		data := read(t, "testdata/good/"+name+".onnx")
		for i := range data {
			_, err := Parse(data[:i])
			if err != nil && !fault.Is(err, fault.InvalidArgument) {
				t.Fatalf("%s cut to %d bytes: %v", name, i, err)
			}
		}
	}
}

// TestExternalDataIsFoundAnywhere hides an external tensor in each place that the format has for tensors.
func TestExternalDataIsFoundAnywhere(t *testing.T) {
	good := graphBody(t, read(t, "testdata/good/identity.onnx"))
	ext := append(message(8, []byte("hidden")), protowire.AppendVarint(protowire.AppendTag(nil, 14, protowire.VarintType), 1)...)
	inGraph := message(5, ext)
	node := func(attribute []byte) []byte { return message(1, message(5, attribute)) }
	for name, model := range map[string][]byte{
		"initializer":       message(7, append(message(5, ext), good...)),
		"sparse values":     message(7, append(message(15, message(1, ext)), good...)),
		"sparse indices":    message(7, append(message(15, message(2, ext)), good...)),
		"attribute t":       message(7, append(node(message(5, ext)), good...)),
		"attribute tensors": message(7, append(node(message(10, ext)), good...)),
		"attribute g":       message(7, append(node(message(6, inGraph)), good...)),
		"attribute graphs":  message(7, append(node(message(11, inGraph)), good...)),
		"sparse_tensor":     message(7, append(node(message(22, message(1, ext))), good...)),
		"sparse_tensors":    message(7, append(node(message(23, message(2, ext))), good...)),
		"two levels":        message(7, append(node(message(6, node(message(6, inGraph)))), good...)),
		"function node":     append(message(25, message(7, message(5, message(5, ext)))), message(7, good)...),
		"function default":  append(message(25, message(11, message(5, ext))), message(7, good)...),
		"training":          append(message(20, message(1, inGraph)), message(7, good)...),
		"training step":     append(message(7, good), message(20, message(2, inGraph))...),
	} {
		_, err := Parse(model)
		refuses(t, name, err, `tensor "hidden" keeps its data in another file`)
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.onnx", "testdata/bad/*.onnx"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add(nested(40))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			if k := fault.KindOf(err); k != fault.InvalidArgument {
				t.Fatalf("kind %s: %v", k, err)
			}
			return
		}
		if len(m.Inputs) == 0 || len(m.Outputs) == 0 {
			t.Fatal("accepted without inputs or outputs")
		}
		for _, v := range append(m.Inputs, m.Outputs...) {
			if v.Name == "" || v.Datatype.Size() < 0 || len(v.Shape) > maxRank {
				t.Fatalf("accepted %+v", v)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	graph := graphBody(b, read(b, "testdata/good/identity.onnx"))
	weights := message(5, append(message(8, []byte("w")), message(9, make([]byte, 64<<20))...)) // raw_data
	data := message(7, append(weights, graph...))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func refuses(t *testing.T, name string, err error, want string) {
	t.Helper()
	if !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("%s: got %v, want InvalidArgument", name, err)
		return
	}
	if got := fault.Public(err).Message; !strings.Contains(got, want) {
		t.Errorf("%s: message %q does not say %q", name, got, want)
	}
}

// message encodes body as field num.
func message(num protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), body)
}

// graphBody returns the GraphProto of a model.
func graphBody(t testing.TB, model []byte) []byte {
	t.Helper()
	var graph []byte
	if err := each(model, func(f field) error {
		if f.is(7) {
			graph = f.bytes
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return graph
}

func graphOf(t testing.TB, model []byte) []byte { return message(7, graphBody(t, model)) }

// nested returns a model whose graph holds depth subgraphs, one inside the other.
func nested(depth int) []byte {
	var graph []byte
	for range depth {
		graph = message(1, message(5, message(6, graph)))
	}
	return message(7, graph)
}

func withInput(name string) []byte { return message(7, message(11, message(1, []byte(name)))) }

func metadata(entries int) []byte {
	var b []byte
	for range entries {
		b = append(b, message(14, append(message(1, []byte("key")), message(2, []byte("value"))...))...)
	}
	return b
}
