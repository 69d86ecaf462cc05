package twin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/cmd/tidegate/endpoint"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/remote"
	"github.com/tidegate/tidegate/shared/rows"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

var signature = schema.Signature{
	Inputs:  []schema.Spec{{Name: "x", Datatype: tensor.FP32, Shape: []int64{-1, 1}}, {Name: "name", Datatype: tensor.Bytes, Shape: []int64{-1, 1}}},
	Outputs: []schema.Spec{{Name: "y", Datatype: tensor.FP32, Shape: []int64{-1, 1}}},
}

// half is the model: y = x / 2, and what it does wrong.
type half struct {
	off  map[float32]float32 // by x
	fail func(first float32) error
}

func (h half) outputs(inputs []tensor.Tensor) []tensor.Tensor {
	y := tensor.Tensor{Name: "y", Datatype: tensor.FP32, Shape: []int64{inputs[0].Rows(), 1}}
	for _, x := range inputs[0].FP32s {
		y.FP32s = append(y.FP32s, x/2+h.off[x])
	}
	return []tensor.Tensor{y}
}

func (h half) Infer(_ context.Context, call remote.Call) (remote.Answer, error) {
	if h.fail != nil {
		if err := h.fail(call.Inputs[0].FP32s[0]); err != nil {
			return remote.Answer{}, err
		}
	}
	return remote.Answer{Outputs: h.outputs(call.Inputs), ServedBy: "endpoint", Release: func() {}}, nil
}

// function answers as the stack does, with an output more.
func (h half) function(_ context.Context, inputs []tensor.Tensor) (endpoint.Result, error) {
	other := tensor.Tensor{Name: "z", Datatype: tensor.FP32, Shape: []int64{inputs[0].Rows()}, FP32s: make([]float32, inputs[0].Rows())}
	return endpoint.Result{Outputs: append([]tensor.Tensor{other}, h.outputs(inputs)...), ServedBy: "lambda"}, nil
}

const n = 2500 // rows: three requests

func table(t *testing.T) rows.Source {
	t.Helper()
	var text strings.Builder
	text.WriteString("name,x,late\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&text, ",%d,0\n", i)
	}
	src, err := rows.At("rows", strings.NewReader(text.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func trainer(off map[int]float64) string {
	var text strings.Builder
	text.WriteString("y\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&text, "%v\n", float64(i)/2+off[i])
	}
	return text.String()
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		backend, function half
		trainer           string
		want              string
	}{
		"as the function":     {},
		"as the trainer":      {trainer: trainer(nil)},
		"relative above 1":    {trainer: trainer(map[int]float64{500: 1e-4})},
		"unlike the function": {backend: half{off: map[float32]float32{300: 1}}, want: `1 of 2500 rows are answered differently by gpu than by the function (tolerance 1e-05); the largest difference is 1, in output "y", row 300`},
		"unlike the trainer":  {trainer: trainer(map[int]float64{2500: 0.5, 2: 0.25}), want: `2 of 2500 rows are answered differently by gpu than by the trainer`},
	} {
		done := 0
		check := Check{Backend: c.backend, Name: "gpu", Signature: signature, Rows: table(t), Tolerance: 1e-5, Done: func(rows int) { done = rows }}
		if c.trainer != "" {
			check.Trainer = strings.NewReader(c.trainer)
		} else {
			check.Function = c.function.function
		}
		f, err := check.Run(t.Context())
		if err != nil || f.Rows != n || done != n || f.ServedBy != "endpoint" || (f.Differs == "") != (c.want == "") || !strings.Contains(f.Differs, c.want) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func TestWhatCannotBeChecked(t *testing.T) {
	at := func(row float32, err error) half {
		return half{fail: func(first float32) error {
			if first == row {
				return err
			}
			return nil
		}}
	}
	refused := fault.Invalid(fault.Violation{Path: `inputs["x"].data[3]`, Problem: "is above the maximum"})
	for name, c := range map[string]struct {
		backend half
		edit    func(*Check)
		kind    fault.Kind
		want    string
	}{
		"down":          {at(1001, &remote.Failure{Reason: remote.Unreachable}), nil, fault.Unavailable, "gpu does not answer: rows 1001 to 2000"},
		"other version": {at(1, &remote.Failure{Reason: remote.OtherVersion}), nil, fault.FailedPrecondition, "does not serve this version"},
		"garbage":       {at(1, &remote.Failure{Reason: remote.Garbage}), nil, fault.FailedPrecondition, "does not answer as the version's signature says"},
		"denied":        {at(1, &remote.Failure{Reason: remote.Denied}), nil, fault.PermissionDenied, "refuses the caller"},
		"a row refused": {at(1001, refused), nil, fault.InvalidArgument, `row 1004, column "x" is above the maximum`},
		"no column":     {half{}, func(c *Check) { c.Rows, _ = rows.At("rows", strings.NewReader("x\n1\n"), nil) }, fault.InvalidArgument, `no column for input "name"`},
		"no rows":       {half{}, func(c *Check) { c.Rows, _ = rows.At("rows", strings.NewReader("x,name\n"), nil) }, fault.InvalidArgument, "has no rows"},
		"no such output": {half{}, func(c *Check) {
			c.Function = func(context.Context, []tensor.Tensor) (endpoint.Result, error) { return endpoint.Result{}, nil }
		}, fault.Internal, `no output "y"`},
		"function down": {half{}, func(c *Check) {
			c.Function = func(context.Context, []tensor.Tensor) (endpoint.Result, error) {
				return endpoint.Result{}, errors.New("gone")
			}
		}, fault.Internal, "gone"},
		"trainer ends early": {half{}, func(c *Check) { c.Trainer = strings.NewReader("y\n0.5\n") }, fault.InvalidArgument, "same rows in the same order"},
	} {
		check := Check{Backend: c.backend, Name: "gpu", Signature: signature, Rows: table(t), Tolerance: 1e-5, Function: half{}.function, Done: func(int) {}}
		if c.edit != nil {
			c.edit(&check)
		}
		if _, err := check.Run(t.Context()); !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
