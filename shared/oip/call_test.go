package oip

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

// TestCallsArriveAsTheyWere: what AppendCall writes, Decode reads, with every datatype.
func TestCallsArriveAsTheyWere(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		c := Call{ID: "c-1", Inputs: samples(r), Want: []string{"y", "z"}}
		body, n := AppendCall([]byte("kept"), &c)
		var d Decoder
		req, err := d.Decode(body[4:], n)
		if err != nil || string(body[:4]) != "kept" {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.Inputs, req.Inputs, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" {
			t.Fatal(diff)
		}
		if req.ID != "c-1" || !req.BinaryOutputs || len(req.Outputs) != 2 || req.Outputs[1].Name != "z" || !req.WantsBinary("y") {
			t.Fatalf("%+v", req)
		}
	}
}

func TestCallsAsText(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 20 {
		c := Call{Inputs: samples(r), Want: []string{"y"}, Text: true}
		body, n := AppendCall(nil, &c)
		var d Decoder
		req, err := d.Decode(body, n)
		if err != nil || n != AllJSON {
			t.Fatalf("%d, %v", n, err)
		}
		if diff := cmp.Diff(c.Inputs, req.Inputs, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" || req.BinaryOutputs || req.WantsBinary("y") {
			t.Fatal(diff)
		}
	}
}

// TestMissingTextsTravelAsNull: binary BYTES cannot say that a text is missing.
func TestMissingTextsTravelAsNull(t *testing.T) {
	text := tensor.Tensor{Name: "t", Datatype: tensor.Bytes, Shape: []int64{3}, Strings: []string{"", "b\"", ""}, Missing: []int{0}}
	for _, inputs := range [][]tensor.Tensor{{text}, {text, {Name: "x", Datatype: tensor.FP32, Shape: []int64{1}, FP32s: []float32{1}}}} {
		body, n := AppendCall(nil, &Call{Inputs: inputs})
		if (n == AllJSON) != (len(inputs) == 1) {
			t.Errorf("JSON part of %d bytes for %d inputs", n, len(inputs))
		}
		var d Decoder
		req, err := d.Decode(body, n)
		if err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if diff := cmp.Diff(inputs, req.Inputs, cmpopts.EquateEmpty()); diff != "" || len(req.Outputs) != 0 {
			t.Errorf("%s %+v", diff, req.Outputs)
		}
	}
}

func TestAnswersAreReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 50 {
		a := Answer{Model: "m", Version: "7", ID: "c-1", Outputs: samples(r)}
		if i%3 > 0 {
			a.Binary = func(name string) bool { return i%3 == 1 || len(name)%2 == 0 }
		}
		body, n := AppendAnswer(nil, &a)
		var d Decoder
		got, err := d.DecodeAnswer(body, n)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a.Outputs, got.Outputs, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" || got.Model != "m" || got.Version != "7" || got.ID != "c-1" {
			t.Fatalf("%+v %s", got, diff)
		}
	}
}

func TestAnswersOfOtherServers(t *testing.T) {
	const y = `"outputs":[{"name":"y","shape":[1],"datatype":"FP32","data":[1]}]`
	for name, tt := range map[string]struct {
		body, model, version string
		problem              string
	}{
		"whole":              {`{"model_name":"m","model_version":"7","parameters":{"k":[1]},` + y + `}`, "m", "7", ""},
		"a number":           {`{"model_name":"m","model_version":7,` + y + `}`, "m", "7", ""},
		"null":               {`{"model_name":"m","model_version":null,"id":null,` + y + `}`, "m", "", ""},
		"no names":           {`{` + y + `}`, "", "", ""},
		"an error":           {`{"error":"S3NT1NEL"}`, "", "", "outputs is missing"},
		"another version":    {`{"model_version":[7],` + y + `}`, "", "", "model_version"},
		"twice":              {`{` + y + `,` + y + `}`, "", "", "outputs is given twice"},
		"HTML":               {`<html>S3NT1NEL</html>`, "", "", "not valid JSON"},
		"nothing":            {``, "", "", "not valid JSON"},
		"cut off":            {`{` + y, "", "", "not valid JSON"},
		"more":               {`{` + y + `}}`, "", "", "not valid JSON"},
		"too few values":     {`{"outputs":[{"name":"y","shape":[2],"datatype":"FP32","data":[1]}]}`, "", "", "outputs[0].data has fewer"},
		"a foreign datatype": {`{"outputs":[{"name":"y","shape":[1],"datatype":"BF16","data":[1]}]}`, "", "", "outputs[0].datatype"},
		"one name twice":     {`{"outputs":[{"name":"y","shape":[1],"datatype":"FP32","data":[1]},{"name":"y","shape":[1],"datatype":"FP32","data":[1]}]}`, "", "", "outputs[1].name repeats that of outputs[0]"},
		"an array":           {`[1]`, "", "", "the answer is not an object"},
	} {
		var d Decoder
		a, err := d.DecodeAnswer([]byte(tt.body), AllJSON)
		if (err != nil) != (tt.problem != "") || err != nil && (!strings.Contains(err.Error(), tt.problem) || strings.Contains(err.Error(), sentinel)) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (a.Model != tt.model || a.Version != tt.version || len(a.Outputs) != 1) {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 4 {
		body, n := AppendAnswer(nil, &Answer{Model: "m", Version: "1", Outputs: samples(r), Binary: func(name string) bool { return len(name)%2 == 0 }})
		f.Add(body, n)
	}
	f.Add([]byte(`{"model_version":null,"outputs":[]}`), -1)
	f.Fuzz(func(t *testing.T, body []byte, length int) {
		if length < -1 || length > len(body) {
			length = -1
		}
		var d Decoder
		a, err := d.DecodeAnswer(body, length)
		if err != nil {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Fatalf("error of kind %s", fault.KindOf(err))
			}
			return
		}
		for i := range a.Outputs {
			o := &a.Outputs[i]
			if n, err := tensor.Elements(o.Shape, int64(len(body))); err != nil || int(n) != o.Len() {
				t.Fatalf("shape %v has %d elements: %v", o.Shape, o.Len(), err)
			}
		}
	})
}
