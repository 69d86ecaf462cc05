package rpc

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/oip"
	"github.com/tidegate/tidegate/shared/serving/rpc/inferencepb"
	"github.com/tidegate/tidegate/shared/tensor"
)

type (
	request  = inferencepb.ModelInferRequest
	input    = inferencepb.ModelInferRequest_InferInputTensor
	output   = inferencepb.ModelInferRequest_InferRequestedOutputTensor
	elements = inferencepb.InferTensorContents
)

func decode(t *testing.T, req *request) (*oip.Request, error) {
	t.Helper()
	body, length, err := appendRequest(nil, req)
	if err != nil {
		return nil, err
	}
	return new(oip.Decoder).Decode(body, length)
}

func TestTypedContentsOfEveryDatatype(t *testing.T) {
	for _, tt := range []struct {
		datatype tensor.Datatype
		contents *elements
		want     tensor.Tensor
	}{
		{tensor.Bool, &elements{BoolContents: []bool{true, false}}, tensor.Tensor{Bools: []bool{true, false}}},
		{tensor.Int8, &elements{IntContents: []int32{-128, 127}}, tensor.Tensor{I8s: []int8{-128, 127}}},
		{tensor.Int16, &elements{IntContents: []int32{-32768, 32767}}, tensor.Tensor{I16s: []int16{-32768, 32767}}},
		{tensor.Int32, &elements{IntContents: []int32{math.MinInt32, math.MaxInt32}}, tensor.Tensor{I32s: []int32{math.MinInt32, math.MaxInt32}}},
		{tensor.Int64, &elements{Int64Contents: []int64{math.MinInt64, math.MaxInt64}}, tensor.Tensor{I64s: []int64{math.MinInt64, math.MaxInt64}}},
		{tensor.Uint8, &elements{UintContents: []uint32{0, 255}}, tensor.Tensor{U8s: []uint8{0, 255}}},
		{tensor.Uint16, &elements{UintContents: []uint32{0, 65535}}, tensor.Tensor{U16s: []uint16{0, 65535}}},
		{tensor.Uint32, &elements{UintContents: []uint32{0, math.MaxUint32}}, tensor.Tensor{U32s: []uint32{0, math.MaxUint32}}},
		{tensor.Uint64, &elements{Uint64Contents: []uint64{0, math.MaxUint64}}, tensor.Tensor{U64s: []uint64{0, math.MaxUint64}}},
		{tensor.FP32, &elements{Fp32Contents: []float32{-1.5, math.MaxFloat32}}, tensor.Tensor{FP32s: []float32{-1.5, math.MaxFloat32}}},
		{tensor.FP64, &elements{Fp64Contents: []float64{-1.5, math.MaxFloat64}}, tensor.Tensor{FP64s: []float64{-1.5, math.MaxFloat64}}},
		{tensor.Bytes, &elements{BytesContents: [][]byte{[]byte("wörd"), {}}}, tensor.Tensor{Strings: []string{"wörd", ""}}},
	} {
		got, err := decode(t, &request{Inputs: []*input{{Name: "x", Datatype: string(tt.datatype), Shape: []int64{2, 1}, Contents: tt.contents}}})
		if err != nil {
			t.Errorf("%s: %v", tt.datatype, err)
			continue
		}
		tt.want.Name, tt.want.Datatype, tt.want.Shape = "x", tt.datatype, []int64{2, 1}
		if diff := cmp.Diff(tt.want, got.Inputs[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.datatype, diff)
		}
	}
	for _, bad := range []struct {
		datatype tensor.Datatype
		contents *elements
	}{
		{tensor.Int8, &elements{IntContents: []int32{1, 128}}}, {tensor.Uint8, &elements{UintContents: []uint32{256, 1}}}, {tensor.Int16, &elements{IntContents: []int32{-32769, 1}}},
		{tensor.FP32, &elements{Fp64Contents: []float64{1, 2}}}, {tensor.FP32, &elements{Fp32Contents: []float32{1, 2}, IntContents: []int32{1}}},
		{tensor.FP16, &elements{Fp32Contents: []float32{1, 2}}}, {tensor.FP32, &elements{Fp32Contents: []float32{1}}}, {tensor.FP32, nil},
	} {
		if _, err := decode(t, &request{Inputs: []*input{{Name: "x", Datatype: string(bad.datatype), Shape: []int64{2, 1}, Contents: bad.contents}}}); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s of %v: %v", bad.datatype, bad.contents, err)
		}
	}
}

func TestParametersAreCarried(t *testing.T) {
	parameter := func(v string) map[string]*inferencepb.InferParameter {
		return map[string]*inferencepb.InferParameter{
			"key":                {ParameterChoice: &inferencepb.InferParameter_StringParam{StringParam: v}},
			"binary_data_output": {ParameterChoice: &inferencepb.InferParameter_BoolParam{BoolParam: false}},
			"binary_data_size":   {ParameterChoice: &inferencepb.InferParameter_Int64Param{Int64Param: 99}},
			"n":                  {ParameterChoice: &inferencepb.InferParameter_Int64Param{Int64Param: -3}},
			"u":                  {ParameterChoice: &inferencepb.InferParameter_Uint64Param{Uint64Param: math.MaxUint64}},
			"d":                  {ParameterChoice: &inferencepb.InferParameter_DoubleParam{DoubleParam: 0.5}},
			"nan":                {ParameterChoice: &inferencepb.InferParameter_DoubleParam{DoubleParam: math.NaN()}},
			"none":               {},
		}
	}
	got, err := decode(t, &request{Id: "a\"b", Parameters: parameter("user \"1\""), Outputs: []*output{{Name: "y"}},
		Inputs: []*input{{Name: "x", Datatype: "FP32", Shape: []int64{1}, Parameters: parameter("v")}}, RawInputContents: [][]byte{{0, 0, 128, 63}}})
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != "a\"b" || got.Key != "user \"1\"" || !got.WantsBinary("y") || got.Inputs[0].FP32s[0] != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAnswersAreReadBack(t *testing.T) {
	want := []tensor.Tensor{
		{Name: "y \"1\"", Datatype: tensor.FP32, Shape: []int64{2, 1}, FP32s: []float32{1, 2}}, {Name: "t", Datatype: tensor.Bytes, Shape: []int64{1}, Strings: []string{"wörd"}},
		{Name: "s", Datatype: tensor.Int64, Shape: nil, I64s: []int64{-7}},
	}
	body, length := oip.AppendAnswer(nil, &oip.Answer{Model: "m", Version: "3", ID: "i", Outputs: want, Binary: func(string) bool { return true }})
	var got inferencepb.ModelInferResponse
	if err := readAnswer(body[:length], body[length:], &got); err != nil {
		t.Fatal(err)
	}
	if got.ModelName != "m" || got.ModelVersion != "3" || got.Id != "i" || len(got.Outputs) != 3 || got.Outputs[0].Name != "y \"1\"" || len(got.Outputs[2].Shape) != 0 ||
		string(got.RawOutputContents[1]) != "\x05\x00\x00\x00wörd" || len(got.RawOutputContents[0]) != 8 {
		t.Errorf("%v", &got)
	}
	for _, broken := range []struct{ text, raw string }{{string(body[:length]), string(body[length : len(body)-1])}, {string(body[:length]), string(body[length:]) + "x"}, {"{", ""}, {`{"outputs":[{"data":[1]}]}`, ""}} {
		if err := readAnswer([]byte(broken.text), []byte(broken.raw), &inferencepb.ModelInferResponse{}); err == nil {
			t.Errorf("%.60q is read", broken.text)
		}
	}
}

func TestEveryKindHasACode(t *testing.T) {
	for _, k := range fault.Kinds() {
		err := refused(fault.New(k, "no"))
		if got := status.Code(err); got == codes.OK || got == codes.Unknown || (got == codes.Internal) != (k == fault.Internal) {
			t.Errorf("%s is %s", k, got)
		}
	}
}

// FuzzRequest holds that a message either has no HTTP form or has one that is JSON
// followed by its tensors.
func FuzzRequest(f *testing.F) {
	for _, req := range []*request{
		{ModelName: "m", Inputs: []*input{{Name: "x", Datatype: "FP32", Shape: []int64{1, 3}}}, RawInputContents: [][]byte{make([]byte, 12)}},
		{Id: "\x01", Inputs: []*input{{Name: "x", Datatype: "INT8", Shape: []int64{-1}, Contents: &elements{IntContents: []int32{1}}}}, Outputs: []*output{{Name: "y"}}},
		{Parameters: map[string]*inferencepb.InferParameter{"k": {ParameterChoice: &inferencepb.InferParameter_DoubleParam{DoubleParam: math.Inf(1)}}}},
	} {
		seed, err := proto.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		var req request
		if proto.Unmarshal(message, &req) != nil {
			return
		}
		body, length, err := appendRequest(nil, &req)
		if err != nil {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Error(err)
			}
			return
		}
		if !json.Valid(body[:length]) {
			t.Errorf("%q", body[:length])
		}
		if _, err := new(oip.Decoder).Decode(body, length); err != nil && fault.Is(err, fault.Internal) {
			t.Error(err)
		}
		_ = readAnswer(message, message, &inferencepb.ModelInferResponse{}) // whatever it is given, it ends
	})
}
