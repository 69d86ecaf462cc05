package oip

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// sentinel stands for a value that must not come back in any message.
const sentinel = "S3NT1NEL"

func input(fields string) string { return `{"inputs":[{` + fields + `}]}` }

func TestDecodeFaults(t *testing.T) {
	tests := []struct {
		name, body string
		want       string // in the message
	}{
		{"empty", "", `no body`},
		{"white space", " \n", `no body`},
		{"not JSON", sentinel, "not valid JSON"},
		{"cut off", input(`"name":"x","shape":[1],"datatype":"FP32","data":[1`)[:40], "not valid JSON"},
		{"array", `[1]`, "the request is not an object"},
		{"trailing data", input(`"name":"x","shape":[1],"datatype":"FP32","data":[1]`) + `x`, "not valid JSON"},
		{"no inputs", `{}`, "inputs is missing"},
		{"inputs empty", `{"inputs":[]}`, "inputs is empty"},
		{"inputs of another kind", `{"inputs":{"` + sentinel + `":1}}`, "inputs is not an array"},
		{"input of another kind", `{"inputs":[7]}`, "inputs[0] is not an object"},
		{"no name", input(`"shape":[1],"datatype":"FP32","data":[1]`), "inputs[0].name is missing"},
		{"name of another kind", input(`"name":5,"shape":[1],"datatype":"FP32","data":[1]`), "inputs[0].name is not a string"},
		{"no datatype", input(`"name":"x","shape":[1],"data":[1]`), "inputs[0].datatype is missing"},
		{"unknown datatype", input(`"name":"x","shape":[1],"datatype":"` + sentinel + `","data":[1]`), "inputs[0].datatype is not a datatype that is served"},
		{"BF16", input(`"name":"x","shape":[1],"datatype":"BF16","data":[1]`), "inputs[0].datatype is not a datatype that is served"},
		{"no shape", input(`"name":"x","datatype":"FP32","data":[1]`), "inputs[0].shape is missing"},
		{"shape of another kind", input(`"name":"x","shape":3,"datatype":"FP32","data":[1]`), "inputs[0].shape is not an array"},
		{"negative dimension", input(`"name":"x","shape":[-1,2],"datatype":"FP32","data":[1,2]`), "inputs[0].shape has a negative dimension"},
		{"fractional dimension", input(`"name":"x","shape":[1.5],"datatype":"FP32","data":[1]`), "inputs[0].shape has a dimension that is not an integer"},
		{"dimension over 64 bits", input(`"name":"x","shape":[18446744073709551616],"datatype":"FP32","data":[1]`), "inputs[0].shape has a dimension that is not an integer within 64 bits"},
		{"shape overflows", input(`"name":"x","shape":[4294967296,4294967296],"datatype":"FP32","data":[1]`), "inputs[0].shape asks for more elements than the body holds"},
		{"huge dimension", input(`"name":"x","shape":[9223372036854775807],"datatype":"FP32","data":[1]`), "inputs[0].shape asks for more"},
		{"too many dimensions", input(`"name":"x","shape":[1,1,1,1,1,1,1,1,1],"datatype":"FP32","data":[1]`), "inputs[0].shape has too many dimensions"},
		{"too few values", input(`"name":"x","shape":[3],"datatype":"FP32","data":[1.25,2.25]`), "inputs[0].data has fewer values"},
		{"too many values", input(`"name":"x","shape":[1],"datatype":"FP32","data":[1,2]`), "inputs[0].data has more values"},
		{"nested otherwise", input(`"name":"x","shape":[2,2],"datatype":"FP32","data":[[1,2,3],[4]]`), "inputs[0].data has more values"},
		{"no data", input(`"name":"x","shape":[1],"datatype":"FP32"`), "inputs[0].data is missing"},
		{"data of another kind", input(`"name":"x","shape":[1],"datatype":"FP32","data":"` + sentinel + `"`), "inputs[0].data is not an array"},
		{"string among floats", input(`"name":"x","shape":[2],"datatype":"FP32","data":[1,"` + sentinel + `"]`), "inputs[0].data[1] is not a number"},
		{"float among ints", input(`"name":"x","shape":[2],"datatype":"INT32","data":[1,2.5]`), "inputs[0].data[1] is not written as an integer"},
		{"number among strings", input(`"name":"x","shape":[2],"datatype":"BYTES","data":["a",31337]`), "inputs[0].data[1] is not a string"},
		{"number among bools", input(`"name":"x","shape":[1],"datatype":"BOOL","data":[1]`), "inputs[0].data[0] is not true or false"},
		{"null among ints", input(`"name":"x","shape":[1],"datatype":"INT64","data":[null]`), "inputs[0].data[0] is null, want an integer"},
		{"null among bools", input(`"name":"x","shape":[1],"datatype":"BOOL","data":[null]`), "inputs[0].data[0] is null"},
		{"int out of range", input(`"name":"x","shape":[1],"datatype":"INT8","data":[31337]`), "inputs[0].data[0] is out of the range"},
		{"float out of range", input(`"name":"x","shape":[1],"datatype":"FP32","data":[1e39]`), "inputs[0].data[0] is out of the range"},
		{"half out of range", input(`"name":"x","shape":[1],"datatype":"FP16","data":[65520]`), "inputs[0].data[0] is out of the range"},
		{"NaN", input(`"name":"x","shape":[2],"datatype":"FP32","data":[1,NaN]`), "inputs[0].data[1] is not JSON: NaN"},
		{"Infinity", input(`"name":"x","shape":[1],"datatype":"FP64","data":[-Infinity]`), "inputs[0].data[0] is not JSON: NaN and Infinity"},
		{"invalid UTF-8", input(`"name":"x","shape":[1],"datatype":"BYTES","data":["` + "\xff" + `"]`), "inputs[0].data[0] is not valid UTF-8"},
		{"surrogate", input(`"name":"x","shape":[1],"datatype":"BYTES","data":["\ud800"]`), "inputs[0].data[0] has an unpaired surrogate"},
		{"duplicate key", input(`"name":"x","name":"y","shape":[1],"datatype":"FP32","data":[1]`), "inputs[0].name is given twice"},
		{"duplicate data", input(`"name":"x","shape":[1],"datatype":"FP32","data":[1],"data":[2]`), "inputs[0].data is given twice"},
		{"duplicate inputs", `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}],"inputs":[]}`, "inputs is given twice"},
		{"duplicate tensor", `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]},{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}`, "inputs[1].name repeats that of inputs[0]"},
		{"deep data", input(`"name":"x","shape":[1],"datatype":"FP32","data":` + strings.Repeat("[", 100000)), "nested deeper"},
		{"deep unknown key", `{"x":` + strings.Repeat(`{"a":`, 100000), "nested deeper"},
		{"id of another kind", `{"id":5,"inputs":[]}`, "id is not a string"},
		{"parameters of another kind", `{"parameters":[],"inputs":[]}`, "parameters is not an object"},
		{"key of another kind", `{"parameters":{"key":7},"inputs":[]}`, "parameters.key is not a string"},
		{"binary_data_output of another kind", `{"parameters":{"binary_data_output":"yes"},"inputs":[]}`, "parameters.binary_data_output is not true or false"},
		{"output without name", `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}],"outputs":[{}]}`, "outputs[0].name is missing"},
		{"classification", `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}],"outputs":[{"name":"y","parameters":{"classification":3}}]}`, "classification is not supported"},
		{"shared memory", input(`"name":"x","shape":[1],"datatype":"FP32","parameters":{"shared_memory_region":"` + sentinel + `"}`), "shared_memory_region is not supported"},
		{"binary size without header", input(`"name":"x","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}`), "no Inference-Header-Content-Length"},
	}
	var d Decoder
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := d.Decode([]byte(tt.body), AllJSON)
			expectFault(t, err, tt.want)
		})
	}
}

func expectFault(t *testing.T, err error, want string) {
	t.Helper()
	if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), want) {
		t.Fatalf("error %v, want InvalidArgument with %q", err, want)
	}
	for _, value := range []string{sentinel, "31337", "1.25", "1e39"} {
		if strings.Contains(err.Error(), value) {
			t.Errorf("the message repeats a value: %v", err)
		}
	}
}

func TestAllFaultsTogether(t *testing.T) {
	body := `{"inputs":[{"name":"a","shape":[1],"datatype":"FP32","data":["x"]},{"name":"b","shape":[-1],"datatype":"FP32","data":[1]},{"name":"c","shape":[1],"datatype":"XX","data":[1]}]}`
	_, err := new(Decoder).Decode([]byte(body), AllJSON)
	if got := fault.Public(err).Violations; len(got) != 3 {
		t.Errorf("violations %v, want one for each input", got)
	}
	_, err = new(Decoder).Decode([]byte(`{"inputs":[`+strings.TrimSuffix(strings.Repeat(`{"name":"a"},`, 1000), ",")+`]}`), AllJSON)
	if got := fault.Public(err); len(got.Violations) != MaxViolations || !strings.Contains(got.Message, "faults, the first 100 listed") {
		t.Errorf("%d violations, message %q", len(got.Violations), got.Message)
	}
}

func TestDecode(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		name, fields string
		want         tensor.Tensor
	}{
		{"FP32", `"name":"x","shape":[2,2],"datatype":"FP32","data":[1,-2.5e-1,null,16777217]`,
			tensor.Tensor{Name: "x", Datatype: tensor.FP32, Shape: []int64{2, 2}, FP32s: []float32{1, -0.25, float32(nan), 16777216}}},
		{"FP64 nested", `"name":"x","shape":[2,1],"datatype":"FP64","data":[[0.30000000000000004],[null]]`,
			tensor.Tensor{Name: "x", Datatype: tensor.FP64, Shape: []int64{2, 1}, FP64s: []float64{0.30000000000000004, nan}}},
		{"data first", `"data":[1,2],"parameters":{"anything":[{}]},"name":"x","datatype":"INT16","shape":[2],"unknown":null`,
			tensor.Tensor{Name: "x", Datatype: tensor.Int16, Shape: []int64{2}, I16s: []int16{1, 2}}},
		{"escaped key and name", `"n\u0061me":"\u00e9","shape":[1],"datatype":"INT8","data":[-128]`,
			tensor.Tensor{Name: "é", Datatype: tensor.Int8, Shape: []int64{1}, I8s: []int8{-128}}},
		{"BYTES", `"name":"x","shape":[3],"datatype":"BYTES","data":["a\n",null,"é"]`,
			tensor.Tensor{Name: "x", Datatype: tensor.Bytes, Shape: []int64{3}, Strings: []string{"a\n", "", "é"}, Missing: []int{1}}},
		{"BOOL", `"name":"x","shape":[2],"datatype":"BOOL","data":[true,false]`, tensor.Tensor{Name: "x", Datatype: tensor.Bool, Shape: []int64{2}, Bools: []bool{true, false}}},
		{"FP16", `"name":"x","shape":[3],"datatype":"FP16","data":[1,65504,-0.5]`, tensor.Tensor{Name: "x", Datatype: tensor.FP16, Shape: []int64{3}, U16s: []uint16{0x3c00, 0x7bff, 0xb800}}},
		{"UINT64", `"name":"x","shape":[1],"datatype":"UINT64","data":[18446744073709551615]`, tensor.Tensor{Name: "x", Datatype: tensor.Uint64, Shape: []int64{1}, U64s: []uint64{math.MaxUint64}}},
		{"UINT32", `"name":"x","shape":[1],"datatype":"UINT32","data":[7]`, tensor.Tensor{Name: "x", Datatype: tensor.Uint32, Shape: []int64{1}, U32s: []uint32{7}}},
		{"UINT16", `"name":"x","shape":[1],"datatype":"UINT16","data":[7]`, tensor.Tensor{Name: "x", Datatype: tensor.Uint16, Shape: []int64{1}, U16s: []uint16{7}}},
		{"UINT8", `"name":"x","shape":[1],"datatype":"UINT8","data":[7]`, tensor.Tensor{Name: "x", Datatype: tensor.Uint8, Shape: []int64{1}, U8s: []uint8{7}}},
		{"INT32", `"name":"x","shape":[1],"datatype":"INT32","data":[-7]`, tensor.Tensor{Name: "x", Datatype: tensor.Int32, Shape: []int64{1}, I32s: []int32{-7}}},
		{"INT64", `"name":"x","shape":[1],"datatype":"INT64","data":[-9223372036854775808]`, tensor.Tensor{Name: "x", Datatype: tensor.Int64, Shape: []int64{1}, I64s: []int64{math.MinInt64}}},
		{"no rows", `"name":"x","shape":[0,3],"datatype":"FP32","data":[]`, tensor.Tensor{Name: "x", Datatype: tensor.FP32, Shape: []int64{0, 3}, FP32s: []float32{}}},
	}
	var d Decoder
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := d.Decode([]byte(input(tt.fields)), AllJSON)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]tensor.Tensor{tt.want}, req.Inputs, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeRequest(t *testing.T) {
	body := `{"id":"abc","parameters":{"binary_data_output":true,"key":"customer","timeout":5},"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}],
		"outputs":[{"name":"y"},{"name":"z","parameters":{"binary_data":false}}]}`
	req, err := new(Decoder).Decode([]byte(body), AllJSON)
	if err != nil {
		t.Fatal(err)
	}
	if req.ID != "abc" || req.Key != "customer" || !req.WantsBinary("y") || req.WantsBinary("z") || len(req.Outputs) != 2 {
		t.Errorf("request %+v", req)
	}
}

func TestJSONLength(t *testing.T) {
	tests := []struct {
		name, header, contentType string
		want                      int
		fails                     bool
	}{
		{"absent", "", "application/json", AllJSON, false},
		{"absent, no type", "", "", AllJSON, false},
		{"number", "12", "", 12, false},
		{"whole body", "100", "", 100, false},
		{"zero", "0", "", 0, false},
		{"larger than the body", "101", "", 0, true},
		{"negative", "-1", "", 0, true},
		{"plus", "+5", "", 0, true},
		{"prefix junk", "x12", "", 0, true},
		{"suffix junk", "12x", "", 0, true},
		{"space", " 12", "", 0, true},
		{"not a number", "twelve", "", 0, true},
		{"hexadecimal", "0x10", "", 0, true},
		{"fraction", "1.5", "", 0, true},
		{"overflow 32", "4294967308", "", 0, true},
		{"overflow 64", "18446744073709551628", "", 0, true},
		{"two values", "12,12", "", 0, true},
		{"sagemaker", "", "application/vnd.sagemaker-triton.binary+json;json-header-size=12", 12, false},
		{"sagemaker with space", "", "application/vnd.sagemaker-triton.binary+json; json-header-size=12", 12, false},
		{"sagemaker without size", "", "application/vnd.sagemaker-triton.binary+json", AllJSON, false},
		{"sagemaker other parameter", "", "application/vnd.sagemaker-triton.binary+json;charset=utf-8", 0, true},
		{"sagemaker junk", "", "application/vnd.sagemaker-triton.binary+json;json-header-size=-5", 0, true},
		{"octets", "", "application/octet-stream", AllJSON, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := JSONLength(tt.header, tt.contentType, 100)
			if (err != nil) != tt.fails || (!tt.fails && got != tt.want) {
				t.Errorf("JSONLength(%q, %q) = %d, %v", tt.header, tt.contentType, got, err)
			}
		})
	}
}

func TestBinaryFaults(t *testing.T) {
	fp32 := func(size, shape string) string {
		return input(`"name":"x","shape":` + shape + `,"datatype":"FP32","parameters":{"binary_data_size":` + size + `}`)
	}
	bytesOf := func(size string) string {
		return input(`"name":"x","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":` + size + `}`)
	}
	tests := []struct{ name, json, raw, want string }{
		{"more than the body", fp32("8", "[2]"), "1234", "larger than what is left"},
		{"huge", fp32("9223372036854775807", "[2]"), "1234", "larger than what is left"},
		{"overflow", fp32("9223372036854775808", "[2]"), "1234", "is not a number of bytes"},
		{"negative", fp32("-4", "[1]"), "1234", "is not a number of bytes"},
		{"fraction", fp32("4.0", "[1]"), "1234", "is not a number of bytes"},
		{"left over", fp32("4", "[1]"), "12345678", "binary data is longer"},
		{"not the shape", fp32("4", "[2]"), "1234", "asks for more elements than the body holds"},
		{"less than the size", fp32("8", "[1]"), "12345678", "does not agree with shape"},
		{"both", input(`"name":"x","shape":[1],"datatype":"FP32","data":[1],"parameters":{"binary_data_size":4}`), "1234", "has data and binary_data_size"},
		{"BYTES cut in length", bytesOf("7"), "\x02\x00\x00\x00ab\x01", "asks for more elements"},
		{"BYTES cut in text", bytesOf("9"), "\x00\x00\x00\x00\xff\x00\x00\x00a", "longer than its data"},
		{"BYTES ends early", bytesOf("8"), "\x04\x00\x00\x00abcd", "ends before its last element"},
		{"BYTES left over", bytesOf("9"), "\x00\x00\x00\x00\x00\x00\x00\x00z", "behind its last element"},
		{"BOOL of 2", input(`"name":"x","shape":[1],"datatype":"BOOL","parameters":{"binary_data_size":1}`), "\x02", "neither 0 nor 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := new(Decoder).Decode([]byte(tt.json+tt.raw), len(tt.json))
			expectFault(t, err, tt.want)
		})
	}
}

// samples returns one tensor of each datatype with random values.
func samples(r *rand.Rand) []tensor.Tensor {
	var list []tensor.Tensor
	for _, d := range []tensor.Datatype{tensor.Bool, tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64, tensor.Int8, tensor.Int16, tensor.Int32,
		tensor.Int64, tensor.FP16, tensor.FP32, tensor.FP64, tensor.Bytes} {
		t := tensor.Tensor{Name: "t-" + string(d), Datatype: d, Shape: []int64{int64(r.IntN(4) + 1), int64(r.IntN(3) + 1)}}
		n := int(t.Shape[0] * t.Shape[1])
		t.Resize(n)
		for i := 0; i < n; i++ {
			bits := r.Uint64() >> r.IntN(64)
			switch d {
			case tensor.Bool:
				t.Bools[i] = bits&1 == 1
			case tensor.Uint8:
				t.U8s[i] = uint8(bits)
			case tensor.Uint16:
				t.U16s[i] = uint16(bits)
			case tensor.FP16:
				t.U16s[i] = uint16(bits) &^ 0x4000 // finite
			case tensor.Uint32:
				t.U32s[i] = uint32(bits)
			case tensor.Uint64:
				t.U64s[i] = bits
			case tensor.Int8:
				t.I8s[i] = int8(bits)
			case tensor.Int16:
				t.I16s[i] = int16(bits)
			case tensor.Int32:
				t.I32s[i] = int32(bits)
			case tensor.Int64:
				t.I64s[i] = int64(bits)
			case tensor.FP32:
				t.FP32s[i] = float32(r.NormFloat64())
			case tensor.FP64:
				t.FP64s[i] = r.NormFloat64()
			case tensor.Bytes:
				t.Strings[i] = []string{"", "UA", "é\n\"", strings.Repeat("x", r.IntN(40))}[r.IntN(4)]
			}
		}
		list = append(list, t)
	}
	return list
}

// TestRoundTrip sends the outputs of an answer back as the inputs of a request:
// as JSON, as binary and mixed, at every alignment.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var d Decoder
	for round := range 300 {
		want := samples(r)
		binary := func(name string) bool { return round%3 == 1 || (round%3 == 2 && len(name)%2 == 0) }
		body, length := AppendAnswer(nil, &Answer{Model: "m" + strings.Repeat("x", r.IntN(8)), Version: "1", ID: "é", Outputs: want, Binary: binary})
		end := len(body)
		if length >= 0 {
			end = length
		}
		head := strings.Replace(string(body[:end]), `"outputs":`, `"inputs":`, 1)
		if length >= 0 {
			length = len(head)
		}
		req, err := d.Decode(append([]byte(head), body[end:]...), length)
		if err != nil {
			t.Fatalf("round %d: %v in %s", round, err, head)
		}
		if diff := cmp.Diff(want, req.Inputs, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("round %d: %s", round, diff)
		}
	}
}

// TestLyingShapesDoNotAllocate holds memory to the size of the body.
func TestLyingShapesDoNotAllocate(t *testing.T) {
	for _, shape := range []string{"[1000000000]", "[1000000,1000000]", "[1000000000,0,5]"} {
		for _, datatype := range []string{"FP32", "BYTES", "FP64"} {
			body := []byte(input(`"name":"x","shape":` + shape + `,"datatype":"` + datatype + `","data":[1]`))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := new(Decoder).Decode(body, AllJSON)
			runtime.ReadMemStats(&after)
			if err == nil || after.TotalAlloc-before.TotalAlloc > 1<<16 {
				t.Errorf("shape %s of %s: %d bytes, %v", shape, datatype, after.TotalAlloc-before.TotalAlloc, err)
			}
		}
	}
}

func TestDecoderReusesMemory(t *testing.T) {
	body := []byte(input(`"name":"x","shape":[3],"datatype":"FP32","data":[1,2,3]`))
	var d Decoder
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Decode(body, AllJSON); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("%v allocations a request", n)
	}
}

func TestNaNIsNullInAnswers(t *testing.T) {
	out := tensor.Tensor{Name: "y", Datatype: tensor.FP32, Shape: []int64{3}, FP32s: []float32{float32(math.NaN()), float32(math.Inf(1)), 0.1}}
	body, _ := AppendAnswer(nil, &Answer{Model: "m", Version: "1", Outputs: []tensor.Tensor{out}})
	if !strings.Contains(string(body), `"data":[null,null,0.1]`) {
		t.Errorf("answer %s", body)
	}
	raw, n := AppendAnswer(nil, &Answer{Model: "m", Version: "1", Outputs: []tensor.Tensor{out}, Binary: func(string) bool { return true }})
	if got := math.Float32frombits(binary.LittleEndian.Uint32(raw[n:])); got == got {
		t.Errorf("binary NaN is %v", got)
	}
}

// FuzzDecode: whatever the body, decoding ends without a panic; what it accepts is consistent.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(input(`"name":"x","shape":[2],"datatype":"FP32","data":[1,2]`)), -1)
	f.Add([]byte(input(`"name":"x","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":9}`)+"\x01\x00\x00\x00a\x00\x00\x00\x00"), 90)
	f.Add([]byte(`{"id":"a","parameters":{"key":"k"},"outputs":[{"name":"y","parameters":{"binary_data":true}}],"inputs":[{"data":[[true],[false]],"shape":[2,1],"datatype":"BOOL","name":"b"}]}`), -1)
	r := rand.New(rand.NewPCG(7, 8))
	for range 4 {
		body, n := AppendAnswer(nil, &Answer{Model: "m", Version: "1", Outputs: samples(r), Binary: func(name string) bool { return len(name)%2 == 0 }})
		f.Add([]byte(strings.Replace(string(body), `"outputs":`, `"inputs":`, 1)), n-1)
	}
	f.Fuzz(func(t *testing.T, body []byte, length int) {
		if length < -1 || length > len(body) {
			length = -1
		}
		var d Decoder
		before := string(body)
		req, err := d.Decode(body, length)
		if string(body) != before {
			t.Fatal("the body was changed")
		}
		if err != nil {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Fatalf("error of kind %s", fault.KindOf(err))
			}
			return
		}
		for i := range req.Inputs {
			in := &req.Inputs[i]
			n, err := tensor.Elements(in.Shape, int64(len(body)))
			if err != nil || int(n) != in.Len() || in.Name == "" {
				t.Fatalf("input %d: shape %v holds %d elements, %v", i, in.Shape, in.Len(), err)
			}
			AppendRaw(AppendData(nil, in, 0, in.Len()), in)
		}
	})
}
