package rows

import (
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

const sentinel = "S3NT1NEL"

func spec(name string, d tensor.Datatype, shape ...int64) schema.Spec {
	return schema.Spec{Name: name, Datatype: d, Shape: shape}
}

func compile(t testing.TB, inputs ...schema.Spec) *schema.Checker {
	t.Helper()
	c, err := schema.Compile(&schema.Schema{V: 1, Task: schema.Unspecified,
		Signature: schema.Signature{Inputs: inputs, Outputs: []schema.Spec{spec("y", tensor.FP32, -1, 1)}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// columns is a model with one input for each column.
func columns(t testing.TB) *schema.Checker {
	return compile(t, spec("a", tensor.FP32, -1, 1), spec("b", tensor.Bytes, -1, 1), spec("n", tensor.Int64, -1))
}

// matrix is a model with one input of three columns, named or not.
func matrix(t testing.TB, named bool) *schema.Checker {
	s := spec("x", tensor.FP32, -1, 3)
	if named {
		s.Columns = []string{"u", "v", "w"}
	}
	return compile(t, s)
}

func TestDecode(t *testing.T) {
	nan := float32(math.NaN())
	abn := func(rows int64, a []float32, b []string, missing []int, n []int64) []tensor.Tensor {
		return []tensor.Tensor{{Name: "a", Datatype: tensor.FP32, Shape: []int64{rows, 1}, FP32s: a},
			{Name: "b", Datatype: tensor.Bytes, Shape: []int64{rows, 1}, Strings: b, Missing: missing},
			{Name: "n", Datatype: tensor.Int64, Shape: []int64{rows}, I64s: n}}
	}
	x := func(rows int64, v ...float32) []tensor.Tensor {
		return []tensor.Tensor{{Name: "x", Datatype: tensor.FP32, Shape: []int64{rows, 3}, FP32s: v}}
	}
	one := compile(t, spec("z", tensor.FP64, -1, 1))
	deep := compile(t, spec("t", tensor.Uint8, -1, 2, 2))
	tests := []struct {
		name     string
		model    *schema.Checker
		body     string
		columnar bool
		want     []tensor.Tensor
	}{
		{"row objects", columns(t), `{"signature_name":"serving_default","instances":[{"a":1.5,"b":"x","n":2},{"n":3,"a":null,"b":"y"}]}`, false,
			abn(2, []float32{1.5, nan}, []string{"x", "y"}, nil, []int64{2, 3})},
		{"absent columns", columns(t), `{"instances":[{"n":1},{"n":2,"b":null}]}`, false, abn(2, []float32{nan, nan}, []string{"", ""}, []int{0, 1}, []int64{1, 2})},
		{"singleton arrays", columns(t), `{"instances":[{"a":[1.5],"b":["x"],"n":[2]}]}`, false, abn(1, []float32{1.5}, []string{"x"}, nil, []int64{2})},
		{"row arrays", columns(t), `{"instances":[[1.5,"x",2],[2.5,null,3]]}`, false, abn(2, []float32{1.5, 2.5}, []string{"x", ""}, []int{1}, []int64{2, 3})},
		{"base64", columns(t), `{"instances":[{"a":1,"b":{"b64":"/wA="},"n":1}]}`, false, abn(1, []float32{1}, []string{"\xff\x00"}, nil, []int64{1})},
		{"columns", columns(t), `{"inputs":{"b":["x",null],"a":[1,2],"n":[3,4]}}`, true, abn(2, []float32{1, 2}, []string{"x", ""}, []int{1}, []int64{3, 4})},
		{"columns nested", columns(t), `{"inputs":{"a":[[1],[2]],"n":[3,4]}}`, true, abn(2, []float32{1, 2}, []string{"", ""}, []int{0, 1}, []int64{3, 4})},
		{"matrix rows", matrix(t, false), `{"instances":[[1,2,3],[4,5,6]]}`, false, x(2, 1, 2, 3, 4, 5, 6)},
		{"matrix row objects", matrix(t, false), `{"instances":[{"x":[1,2,3]}]}`, false, x(1, 1, 2, 3)},
		{"named matrix rows", matrix(t, true), `{"instances":[[1,2,3],[4,5,null]]}`, false, x(2, 1, 2, 3, 4, 5, nan)},
		{"named matrix row objects", matrix(t, true), `{"instances":[{"w":3,"u":1,"v":2},{"w":6,"u":4}]}`, false, x(2, 1, 2, 3, 4, nan, 6)},
		{"named matrix as a whole", matrix(t, true), `{"instances":[{"x":[1,2,3]}]}`, false, x(1, 1, 2, 3)},
		{"matrix columns", matrix(t, true), `{"inputs":{"x":[[1,2,3],[4,5,6]]}}`, true, x(2, 1, 2, 3, 4, 5, 6)},
		{"matrix named columns", matrix(t, true), `{"inputs":{"w":[3,6],"u":[1,4],"v":[2,5]}}`, true, x(2, 1, 2, 3, 4, 5, 6)},
		{"plain inputs", matrix(t, true), `{"inputs":[[1,2,3]]}`, true, x(1, 1, 2, 3)},
		{"scalars", one, `{"instances":[1, 2.5,null ]}`, false, []tensor.Tensor{{Name: "z", Datatype: tensor.FP64, Shape: []int64{3, 1}, FP64s: []float64{1, 2.5, math.NaN()}}}},
		{"deep rows", deep, `{"instances":[[[1,2],[3,4]],[5,6,7,8]]}`, false, []tensor.Tensor{{Name: "t", Datatype: tensor.Uint8, Shape: []int64{2, 2, 2}, U8s: []uint8{1, 2, 3, 4, 5, 6, 7, 8}}}},
	}
	var d Decoder // one for all: nothing may be left of the request before
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := d.Decode([]byte(tt.body), tt.model)
			if err != nil {
				t.Fatal(err)
			}
			ignoreOthers := cmpopts.IgnoreFields(tensor.Tensor{}, others(tt.want)...)
			if diff := cmp.Diff(tt.want, req.Inputs, cmpopts.EquateNaNs(), cmpopts.EquateEmpty(), ignoreOthers); diff != "" || req.Columnar != tt.columnar {
				t.Errorf("columnar %v %s", req.Columnar, diff)
			}
		})
	}
}

// others are the slices that no tensor of want uses: the decoder keeps its memory there.
func others(want []tensor.Tensor) []string {
	used := map[tensor.Datatype]bool{}
	for _, t := range want {
		used[t.Datatype] = true
	}
	var names []string
	for d, name := range map[tensor.Datatype]string{tensor.FP32: "FP32s", tensor.FP64: "FP64s", tensor.Int64: "I64s", tensor.Bytes: "Strings", tensor.Uint8: "U8s"} {
		if !used[d] {
			names = append(names, name)
		}
	}
	return names
}

// TestSpaceBetweenValues: rows read the same, however a client lays them out.
func TestSpaceBetweenValues(t *testing.T) {
	floats, integers := "[[0.5,0.25,-0.75],[1,2.5e-3,-3.125]]", "[[1,2,3],[4,5,6]]"
	for datatype, values := range map[tensor.Datatype]string{tensor.FP16: floats, tensor.FP32: floats, tensor.FP64: floats,
		tensor.Int8: integers, tensor.Int16: integers, tensor.Int32: integers, tensor.Int64: integers,
		tensor.Uint8: integers, tensor.Uint16: integers, tensor.Uint32: integers, tensor.Uint64: integers,
		tensor.Bool: "[[true,false,true],[false,false,true]]", tensor.Bytes: `[["a","",null],[" ","b","c"]]`} {
		for name, c := range map[string]*schema.Checker{"wide": compile(t, spec("x", datatype, -1, 2, 3)), "columns": compile(t, spec("x", datatype, -1, 3), spec("y", datatype, -1, 3))} {
			row := values
			if name == "columns" {
				row = strings.Replace(values[1:len(values)-1], ",[", `,"y":[`, 1)
			}
			compact := `{"instances":[{"x":` + row + `},{"x":` + row + `}]}`
			want := decoded(t, c, compact)
			for _, gap := range []string{" ", "  ", "\n", "\t", "\r\n", "\n    ", " \r\n\t "} {
				text := strings.NewReplacer("[", "["+gap, "]", gap+"]", ",", ","+gap, ":", gap+":"+gap, "{", "{"+gap, "}", gap+"}").Replace(compact)
				if diff := cmp.Diff(want, decoded(t, c, text), cmpopts.EquateNaNs()); diff != "" {
					t.Errorf("%s of %s with %q between: %s", name, datatype, gap, diff)
				}
			}
		}
	}
}

func decoded(t *testing.T, c *schema.Checker, body string) []tensor.Tensor {
	t.Helper()
	req, err := new(Decoder).Decode([]byte(body), c)
	if err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return req.Inputs
}

func TestDecodeFaults(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"empty", "", "no body"},
		{"not JSON", sentinel, "not valid JSON"},
		{"cut off", `{"instances":[{"a":1`, "not valid JSON"},
		{"array", `[]`, "is not an object"},
		{"neither", `{"signature_name":"x"}`, "neither"},
		{"both", `{"instances":[{"a":1,"b":"","n":1}],"inputs":{}}`, "more than one"},
		{"twice", `{"instances":[{"a":1,"b":"","n":1}],"instances":[]}`, "more than one"},
		{"no rows", `{"instances":[]}`, "no rows"},
		{"no columns", `{"inputs":{}}`, "no rows"},
		{"empty columns", `{"inputs":{"a":[],"n":[]}}`, "no rows"},
		{"instances of another kind", `{"instances":"` + sentinel + `"}`, "instances is not an array"},
		{"inputs of another kind", `{"inputs":7}`, "inputs is neither"},
		{"inputs as rows", `{"inputs":[[1,"x",2]]}`, "several inputs"},
		{"scalar row", `{"instances":[31337]}`, "instances[0] is neither an object nor an array"},
		{"short row", `{"instances":[[1,"x"]]}`, "instances[0] does not have 3 values"},
		{"long row", `{"instances":[[1,"x",2,"` + sentinel + `"]]}`, "instances[0] does not have 3 values"},
		{"extra column", `{"instances":[{"a":1,"b":"x","n":2,"` + sentinel + `":1}]}`, "instances[0] has a column that is not an input"},
		{"extra column of inputs", `{"inputs":{"a":[1],"` + sentinel + `":[1]}}`, "inputs has a column that is not an input"},
		{"duplicate column", `{"instances":[{"a":1,"a":2,"n":1}]}`, "instances[0].a is given twice"},
		{"duplicate column of inputs", `{"inputs":{"a":[1],"a":[2]}}`, "inputs.a is given twice"},
		{"missing integer", `{"instances":[{"a":1,"b":"x"}]}`, "instances[0].n is missing"},
		{"null integer", `{"instances":[{"a":1,"b":"x","n":null}]}`, "instances[0].n is null, want an integer"},
		{"string for a number", `{"instances":[{"a":"` + sentinel + `","b":"x","n":1}]}`, "instances[0].a is not a number"},
		{"number for a string", `{"instances":[{"a":1,"b":31337,"n":1}]}`, "instances[0].b is not a string"},
		{"fraction", `{"instances":[{"a":1,"b":"x","n":1.5}]}`, "instances[0].n is not written as an integer"},
		{"out of range", `{"instances":[{"a":1e39,"b":"x","n":1}]}`, "instances[0].a is out of the range"},
		{"NaN", `{"instances":[{"a":NaN,"b":"x","n":1}]}`, "instances[0].a is not JSON: NaN"},
		{"two in a singleton", `{"instances":[{"a":[1,2],"b":"x","n":1}]}`, "instances[0].a has more values"},
		{"other rows", `{"inputs":{"a":[1,2],"b":["x"],"n":[1,2]}}`, "inputs.b has other rows"},
		{"more rows", `{"inputs":{"a":[1],"b":["x","y"],"n":[1]}}`, "inputs.b has other rows"},
		{"column of another kind", `{"inputs":{"a":5}}`, "inputs.a is not an array of rows"},
		{"bad base64", `{"instances":[{"a":1,"b":{"b64":"%%"},"n":1}]}`, "instances[0].b is not a string"},
		{"base64 and more", `{"instances":[{"a":1,"b":{"b64":"AA==","c":1},"n":1}]}`, "instances[0].b is not a string"},
		{"object of three keys", `{"instances":[{"a":1,"b":{"x":1,"y":2,"z":3},"n":1}]}`, "instances[0].b is not a string"},
		{"bad base64 and two more", `{"instances":[{"a":1,"b":{"b64":"%%","x":1,"y":2},"n":1}]}`, "instances[0].b is not a string"},
		{"base64 twice", `{"instances":[{"a":1,"b":{"b64":"AA==","b64":"AA=="},"n":1}]}`, "instances[0].b is not a string"},
		{"bad base64 before good", `{"instances":[{"a":1,"b":{"b64":"%%","b64":"AA=="},"n":1}]}`, "instances[0].b is not a string"},
		{"base64 of another kind", `{"instances":[{"a":1,"b":{"b64":1},"n":1}]}`, "instances[0].b is not a string"},
		{"empty object", `{"instances":[{"a":1,"b":{},"n":1}]}`, "instances[0].b is not a string"},
		{"object of three keys in columns", `{"inputs":{"a":[1],"b":[{"x":1,"y":2,"z":3}],"n":[1]}}`, "inputs.b[0] is not a string"},
		{"trailing data", `{"instances":[{"a":1,"b":"x","n":1}]} x`, "not valid JSON"},
		{"deep", `{"instances":[{"a":` + strings.Repeat("[", 100000), "nested deeper"},
		{"deep unknown", `{"x":` + strings.Repeat("[", 100000), "nested deeper"},
		{"invalid UTF-8", `{"instances":[{"a":1,"b":"` + "\xff" + `","n":1}]}`, "instances[0].b is not valid UTF-8"},
	}
	c := columns(t)
	var d Decoder
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := d.Decode([]byte(tt.body), c)
			var all strings.Builder
			if err != nil {
				all.WriteString(err.Error())
				for _, v := range fault.Public(err).Violations {
					all.WriteString("\n" + v.Path + " " + v.Problem)
				}
			}
			if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(all.String(), tt.want) {
				t.Fatalf("error %s, want %q", all.String(), tt.want)
			}
			for _, value := range []string{sentinel, "31337", "1e39"} {
				if strings.Contains(all.String(), value) {
					t.Errorf("the message repeats a value: %s", all.String())
				}
			}
		})
	}
}

func TestSignaturesThatRowsCannotAddress(t *testing.T) {
	for _, s := range []schema.Spec{spec("x", tensor.FP32, 2, 2), spec("x", tensor.FP32), spec("x", tensor.FP32, -1, -1)} {
		if _, err := new(Decoder).Decode([]byte(`{"instances":[1]}`), compile(t, s)); !fault.Is(err, fault.Unimplemented) {
			t.Errorf("shape %v: %v, want Unimplemented", s.Shape, err)
		}
	}
}

func TestEmptyRowsAreBounded(t *testing.T) {
	var specs []schema.Spec
	for i := range 200 {
		specs = append(specs, spec("c"+strconv.Itoa(i), tensor.FP64, -1, 1))
	}
	body := []byte(`{"instances":[` + strings.TrimSuffix(strings.Repeat("{},", 1000000), ",") + `]}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := new(Decoder).Decode(body, compile(t, specs...))
	runtime.ReadMemStats(&after)
	if !fault.Is(err, fault.InvalidArgument) || after.TotalAlloc-before.TotalAlloc > 512<<20 {
		t.Errorf("%d MB spent, %v", (after.TotalAlloc-before.TotalAlloc)>>20, err)
	}
}

func TestAppend(t *testing.T) {
	label := tensor.Tensor{Name: "label", Datatype: tensor.Int64, Shape: []int64{2}, I64s: []int64{1, 0}}
	probs := tensor.Tensor{Name: "probabilities", Datatype: tensor.FP32, Shape: []int64{2, 2}, FP32s: []float32{0.25, 0.75, 1, float32(math.NaN())}}
	column := tensor.Tensor{Name: "y", Datatype: tensor.FP32, Shape: []int64{2, 1}, FP32s: []float32{0.1, 2}}
	deep := tensor.Tensor{Name: "d", Datatype: tensor.Uint8, Shape: []int64{2, 1, 2}, U8s: []uint8{1, 2, 3, 4}}
	whole := tensor.Tensor{Name: "w", Datatype: tensor.Bytes, Shape: []int64{1}, Strings: []string{"q\""}}
	tests := []struct {
		name, predictions, columns string
		outputs                    []tensor.Tensor
	}{
		{"scalar", `{"predictions":[0.1,2]}`, `{"outputs":[0.1,2]}`, []tensor.Tensor{column}},
		{"vector", `{"predictions":[[0.25,0.75],[1,null]]}`, `{"outputs":[[0.25,0.75],[1,null]]}`, []tensor.Tensor{probs}},
		{"classification", `{"predictions":[{"label":1,"probabilities":[0.25,0.75]},{"label":0,"probabilities":[1,null]}]}`,
			`{"outputs":{"label":[1,0],"probabilities":[[0.25,0.75],[1,null]]}}`, []tensor.Tensor{label, probs}},
		{"deep", `{"predictions":[[[1,2]],[[3,4]]]}`, `{"outputs":[[[1,2]],[[3,4]]]}`, []tensor.Tensor{deep}},
		{"not by row", `{"predictions":[["q\""],["q\""]]}`, `{"outputs":[["q\""],["q\""]]}`, []tensor.Tensor{whole}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendPredictions(nil, tt.outputs, 2)); got != tt.predictions {
				t.Errorf("predictions %s\nwant %s", got, tt.predictions)
			}
			if got := string(AppendOutputs(nil, tt.outputs, 2)); got != tt.columns {
				t.Errorf("outputs %s\nwant %s", got, tt.columns)
			}
		})
	}
}

// TestFormsAgree sends the same random table in every form and expects the same tensors.
func TestFormsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c := columns(t)
	for range 200 {
		n := r.IntN(5) + 1
		var objects, arrays, as, bs, ns []string
		for range n {
			a, b, k := strconv.FormatFloat(r.NormFloat64(), 'g', -1, 32), strconv.Quote(strconv.Itoa(r.IntN(1e6))), strconv.Itoa(r.IntN(1e6))
			if r.IntN(5) == 0 {
				a = "null"
			}
			if r.IntN(5) == 0 {
				b = "null"
			}
			fields := []string{`"a":` + a, `"b":` + b, `"n":` + k}
			r.Shuffle(3, func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
			objects, arrays = append(objects, "{"+strings.Join(fields, ",")+"}"), append(arrays, "["+a+","+b+","+k+"]")
			as, bs, ns = append(as, a), append(bs, b), append(ns, k)
		}
		var want []tensor.Tensor
		for i, body := range []string{`{"instances":[` + strings.Join(objects, ",") + `]}`, `{"instances":[` + strings.Join(arrays, ", ") + `]}`,
			`{"inputs":{"b":[` + strings.Join(bs, ",") + `],"n":[` + strings.Join(ns, ",") + `],"a":[` + strings.Join(as, ",") + `]}}`} {
			var d Decoder
			req, err := d.Decode([]byte(body), c)
			if err != nil {
				t.Fatalf("%v in %s", err, body)
			}
			if i == 0 {
				want = req.Inputs
			} else if diff := cmp.Diff(want, req.Inputs, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s\n%s", body, diff)
			}
		}
	}
}

// FuzzDecode: whatever the body, decoding ends without a panic, and what it accepts is whole.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"instances":[{"a":1,"b":"x","n":2},{"n":3}]}`, `{"instances":[[1,"x",2]]}`, `{"inputs":{"a":[1],"b":[{"b64":"AA=="}],"n":[[1]]}}`,
		`{"inputs":[[1,2,3]]}`, `{"instances":[{"u":1,"w":3,"x":[1,2,3]}]}`, `{"instances":[1,null]}`} {
		f.Add([]byte(s))
	}
	models := []*schema.Checker{columns(f), matrix(f, true), matrix(f, false), compile(f, spec("t", tensor.Uint8, -1, 2, 2))}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, c := range models {
			var d Decoder
			req, err := d.Decode(body, c)
			if err != nil {
				if !fault.Is(err, fault.InvalidArgument) {
					t.Fatalf("error of kind %s", fault.KindOf(err))
				}
				continue
			}
			for i := range req.Inputs {
				in := &req.Inputs[i]
				if n, err := tensor.Elements(in.Shape, 1<<30); err != nil || int(n) != in.Len() || in.Rows() != int64(req.Rows) || req.Rows == 0 {
					t.Fatalf("input %d: shape %v holds %d elements", i, in.Shape, in.Len())
				}
			}
			AppendOutputs(AppendPredictions(nil, req.Inputs, req.Rows), req.Inputs, req.Rows)
		}
	})
}

func BenchmarkDecode1x11Object(b *testing.B) {
	var specs []schema.Spec
	var fields []string
	for i := range 11 {
		specs = append(specs, spec("column_"+strconv.Itoa(i), tensor.FP32, -1, 1))
		fields = append(fields, `"column_`+strconv.Itoa(i)+`":12.5`)
	}
	c := compile(b, specs...)
	body := []byte(`{"instances":[{` + strings.Join(fields, ",") + `}]}`)
	var d Decoder
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := d.Decode(body, c); err != nil {
			b.Fatal(err)
		}
	}
}
