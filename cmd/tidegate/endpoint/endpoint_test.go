package endpoint

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint/endpointtest"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

func client(t *testing.T, h http.HandlerFunc, options ...Option) *Client {
	t.Helper()
	api := httptest.NewServer(h)
	t.Cleanup(api.Close)
	c, err := New(api.URL, Open, append([]Option{WithSleep(func(context.Context, time.Duration) error { return nil })}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSignedByTheServersOwnReckoning(t *testing.T) {
	api := httptest.NewServer(endpointtest.IAM(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"name":"iris"}`)
	})))
	defer api.Close()
	key := endpointtest.Credentials
	for name, c := range map[string]struct {
		region, secret string
		want           fault.Kind
	}{
		"right":        {endpointtest.Region, key.SecretAccessKey, ""},
		"other region": {"us-east-1", key.SecretAccessKey, fault.PermissionDenied},
		"wrong secret": {endpointtest.Region, "x", fault.PermissionDenied},
	} {
		signer := NewSigner(credentials.NewStaticCredentialsProvider(key.AccessKeyID, c.secret, key.SessionToken), c.region, time.Now)
		cl, err := New(api.URL, signer.Sign)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cl.Metadata(context.Background(), "a b:c", 3); fault.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyWhatComputedNothingIsRetried(t *testing.T) {
	for status, want := range map[int]struct {
		tries int
		kind  fault.Kind
	}{
		429: {3, fault.ResourceExhausted}, 503: {3, fault.Unavailable}, 500: {1, fault.Internal}, 502: {1, fault.Internal},
		504: {1, fault.DeadlineExceeded}, 400: {1, fault.InvalidArgument}, 401: {1, fault.PermissionDenied}, 403: {1, fault.PermissionDenied},
		404: {1, fault.NotFound}, 409: {1, fault.FailedPrecondition}, 413: {1, fault.PayloadTooLarge}, 418: {1, fault.InvalidArgument},
	} {
		tries := 0
		c := client(t, func(w http.ResponseWriter, r *http.Request) {
			tries++
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(status)
			fmt.Fprint(w, `{"error":"told why"}`)
		}, WithTries(3))
		_, err := c.Ready(context.Background())
		if tries != want.tries || fault.KindOf(err) != want.kind || fault.Public(err).Message != "told why" && want.kind != fault.Internal {
			t.Errorf("status %d: %d tries, %v", status, tries, err)
		}
	}
}

func TestRetriesEndInTheAnswer(t *testing.T) {
	bodies := []string{}
	var waits []time.Duration
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies = append(bodies, string(b))
		if len(bodies) < 3 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(503)
			return
		}
		w.Header().Set(HeaderInferenceID, "id-1")
		w.Header().Set(HeaderVersion, "7")
		fmt.Fprint(w, `{"predictions":[{"label":1}]}`)
	}, WithSleep(func(_ context.Context, d time.Duration) error {
		waits = append(waits, d)
		return nil
	}))
	got, err := c.PredictRows(context.Background(), Rows{Model: "m", Instances: []map[string]any{{"x": 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != "id-1" || got.Version != 7 || got.Tries != 3 || string(got.Rows[0]) != `{"label":1}` {
		t.Errorf("%+v", got)
	}
	if bodies[0] == "" || bodies[0] != bodies[2] {
		t.Errorf("the tries sent %q", bodies)
	}
	for _, w := range waits {
		if w < time.Second {
			t.Errorf("waited %v where the server asked for 1 s", w)
		}
	}
}

func everyDatatype() []tensor.Tensor {
	return []tensor.Tensor{
		{Name: "bool", Datatype: tensor.Bool, Shape: []int64{2}, Bools: []bool{true, false}},
		{Name: "u8", Datatype: tensor.Uint8, Shape: []int64{2}, U8s: []uint8{0, 255}},
		{Name: "u16", Datatype: tensor.Uint16, Shape: []int64{2}, U16s: []uint16{0, 65535}},
		{Name: "u32", Datatype: tensor.Uint32, Shape: []int64{2}, U32s: []uint32{0, 1<<32 - 1}},
		{Name: "u64", Datatype: tensor.Uint64, Shape: []int64{2}, U64s: []uint64{0, 1<<64 - 1}},
		{Name: "i8", Datatype: tensor.Int8, Shape: []int64{2}, I8s: []int8{-128, 127}},
		{Name: "i16", Datatype: tensor.Int16, Shape: []int64{2}, I16s: []int16{-1, 1}},
		{Name: "i32", Datatype: tensor.Int32, Shape: []int64{2}, I32s: []int32{-1, 1}},
		{Name: "i64", Datatype: tensor.Int64, Shape: []int64{2}, I64s: []int64{math.MinInt64, math.MaxInt64}},
		{Name: "f32", Datatype: tensor.FP32, Shape: []int64{2, 1}, FP32s: []float32{0.1, float32(math.NaN())}},
		{Name: "f64", Datatype: tensor.FP64, Shape: []int64{2, 1}, FP64s: []float64{1e300, -0.1}},
		{Name: "text", Datatype: tensor.Bytes, Shape: []int64{2}, Strings: []string{"", "ä\n\x00"}},
		{Name: "none", Datatype: tensor.FP32, Shape: []int64{0, 3}, FP32s: []float32{}},
	}
}

// echo answers the inputs of a request as outputs: what was encoded is decoded again.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	w.Header().Set(HeaderInferenceID, "id")
	length := r.Header.Get(headerJSONLength)
	swapped := strings.Replace(string(body), `"inputs"`, `"outputs"`, 1)
	if length != "" { // one letter more in the JSON part
		var n int
		fmt.Sscan(length, &n)
		w.Header().Set(headerJSONLength, fmt.Sprint(n+1))
	}
	fmt.Fprint(w, swapped)
}

func TestTensorsSurviveBothForms(t *testing.T) {
	for _, binary := range []bool{false, true} {
		got, err := client(t, echo).Infer(context.Background(), Inference{Model: "m", Inputs: everyDatatype(), Binary: binary})
		if err != nil {
			t.Fatalf("binary %v: %v", binary, err)
		}
		if diff := cmp.Diff(everyDatatype(), got.Outputs, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("binary %v: %s", binary, diff)
		}
	}
}

func TestMissingStringsAreNullInJSON(t *testing.T) {
	in := Inference{Inputs: []tensor.Tensor{{Name: "s", Datatype: tensor.Bytes, Shape: []int64{2}, Strings: []string{"", ""}, Missing: []int{1}}}}
	if body, _ := in.encode(); !strings.Contains(string(body), `"data":["",null]`) {
		t.Errorf("%s", body)
	}
}

func TestAnswersThatLie(t *testing.T) {
	for name, c := range map[string]struct{ length, body string }{
		"not json":            {"", "<html>"},
		"length past the end": {"99", `{"outputs":[]}`},
		"negative length":     {"-1", `{"outputs":[]}`},
		"size past the end":   {"", `{"outputs":[{"name":"a","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}}]}`},
		"too few":             {"", `{"outputs":[{"name":"a","datatype":"FP32","shape":[2],"data":[1]}]}`},
		"overflow":            {"", `{"outputs":[{"name":"a","datatype":"FP32","shape":[4611686018427387904,4],"data":[1]}]}`},
		"unknown datatype":    {"", `{"outputs":[{"name":"a","datatype":"COMPLEX","shape":[1],"data":[1]}]}`},
		"trailing bytes":      {"14", `{"outputs":[]}xx`},
		"strings cut":         {"93", `{"outputs":[{"name":"a","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":4}}]}` + "\x09\x00\x00\x00"},
	} {
		if _, err := DecodeAnswer(c.length, []byte(c.body)); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add("", []byte(`{"outputs":[{"name":"a","datatype":"FP32","shape":[2],"data":[1,null]}]}`))
	f.Add("93", []byte(`{"outputs":[{"name":"a","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}]}`+"\x01\x00\x00\x00x"))
	f.Fuzz(func(t *testing.T, length string, body []byte) {
		answer, err := DecodeAnswer(length, body)
		if err != nil {
			return
		}
		for _, o := range answer.Outputs {
			if n, err := tensor.Elements(o.Shape, 1<<40); err != nil || int(n) != o.Len() {
				t.Errorf("output %q: %d elements for shape %v", o.Name, o.Len(), o.Shape)
			}
		}
	})
}

func BenchmarkEncode1000x30(b *testing.B) {
	in := Inference{Model: "m", Inputs: []tensor.Tensor{{Name: "x", Datatype: tensor.FP32, Shape: []int64{1000, 30}, FP32s: make([]float32, 30000)}}}
	for i := range in.Inputs[0].FP32s {
		in.Inputs[0].FP32s[i] = float32(i) / 7
	}
	for _, binary := range []bool{false, true} {
		in.Binary = binary
		b.Run(fmt.Sprintf("binary=%v", binary), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				in.encode()
			}
		})
	}
}
