package remote

import (
	"errors"
	"testing"

	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// FuzzRead: whatever a backend sends is an answer of the signature, or a failure with its reason.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"model_version":"1","outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","data":[7]}]}`), "", "", "sha256:01", "1")
	f.Add([]byte(`{"outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","parameters":{"binary_data_size":4}}]}    `), "95", "application/octet-stream", "sha256:01", "1")
	f.Add([]byte(`{}`), "", "application/vnd.sagemaker-triton.binary+json;json-header-size=2", "", "")
	s := &schema.Signature{
		Inputs:  []schema.Spec{{Name: "x", Datatype: tensor.FP32, Shape: []int64{-1, 1}}},
		Outputs: []schema.Spec{{Name: "y", Datatype: tensor.FP32, Shape: []int64{-1, 1}}, {Name: "t", Datatype: tensor.Bytes, Shape: []int64{-1}}},
	}
	b := inference.DefaultBackend()
	b.Kind, b.URL = inference.URL, "http://localhost:1"
	client := New(Options{}).Client(b, inference.Bound{Model: "m", Version: 1, Digest: "sha256:01", Signature: s})
	call := Call{Inputs: []tensor.Tensor{{Name: "x", Datatype: tensor.FP32, Shape: []int64{1, 1}, FP32s: []float32{1}}}, Want: []string{"y"}}
	f.Fuzz(func(t *testing.T, body []byte, length, contentType, digest, version string) {
		m := new(memory)
		a, err := client.read(&call, &reply{status: 200, body: body, jsonLength: length, contentType: contentType, digest: digest, version: version, by: version}, m)
		var failure *Failure
		if err != nil {
			if !errors.As(err, &failure) || failure.Reason != Garbage && failure.Reason != OtherVersion {
				t.Fatal(err)
			}
			return
		}
		if digest != "sha256:01" || a.Version != "1" || len(a.Outputs) != 1 || a.Outputs[0].Name != "y" || len(a.Outputs[0].FP32s) != 1 {
			t.Fatalf("%+v", a)
		}
		a.Release()
	})
}
