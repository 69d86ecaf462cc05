package registration

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// tampered runs models with the real runtime and then changes the answers, as a
// runtime that computes otherwise would.
type tampered struct {
	inference.Runtime
	answer func(inputs, outputs []tensor.Tensor) error
}

func (r tampered) Load(ctx context.Context, model []byte, sig schema.Signature) (inference.Session, error) {
	s, err := r.Runtime.Load(ctx, model, sig)
	return tamperedSession{s, r.answer}, err
}

type tamperedSession struct {
	inference.Session
	answer func(inputs, outputs []tensor.Tensor) error
}

func (s tamperedSession) Run(ctx context.Context, inputs []tensor.Tensor, want []string) ([]tensor.Tensor, func(), error) {
	outputs, release, err := s.Session.Run(ctx, inputs, want)
	if err == nil && inputs[0].Rows() > 2 { // leave the probe alone
		if err = s.answer(inputs, outputs); err != nil {
			release()
			return nil, nil, err
		}
	}
	return outputs, release, err
}

func TestAnswersThatDifferAreRefused(t *testing.T) {
	batches := 0
	for name, c := range map[string]struct {
		dir    string
		answer func(inputs, outputs []tensor.Tensor) error
		kind   fault.Kind // "" is accepted
		want   string
	}{
		"within the tolerance": {"binary", func(_, out []tensor.Tensor) error { out[1].FP32s[0] += 9e-6; return nil }, "", ""},
		"over the tolerance":   {"binary", func(_, out []tensor.Tensor) error { out[1].FP32s[0] += 2e-5; return nil }, fault.FailedPrecondition, "4 of 60 rows"},
		"in the last row only": {"binary", func(in, out []tensor.Tensor) error {
			if in[0].Rows() == 12 { // 60 rows are batches of 16 and a last one of 12
				out[1].FP32s[23] -= 0.5
			}
			return nil
		}, fault.FailedPrecondition, `1 of 60 rows of the holdout are answered differently here than by the trainer (tolerance 1e-05); the largest difference is 0.5, in output "probabilities_1", row 60`},
		"not a number": {"binary", func(_, out []tensor.Tensor) error { out[1].FP32s[3] = float32(math.NaN()); return nil },
			fault.FailedPrecondition, `4 answers are not finite, the first in output "probabilities_1", row 2`},
		"infinite": {"regression", func(_, out []tensor.Tensor) error { out[0].FP32s[0] = float32(math.Inf(1)); return nil },
			fault.FailedPrecondition, `4 answers are not finite, the first in output "prediction", row 1`},
		"another string label": {"multiclass", func(_, out []tensor.Tensor) error { out[0].Strings[5] = "other"; return nil },
			fault.FailedPrecondition, `4 labels differ, the first in output "label", row 6`},
		"a million, off by 5":  {"regression", func(_, out []tensor.Tensor) error { out[0].FP32s[0] += 5; return nil }, "", ""},
		"a million, off by 50": {"regression", func(_, out []tensor.Tensor) error { out[0].FP32s[0] += 50; return nil }, fault.FailedPrecondition, "4 of 60 rows"},
		"fewer answers": {"regression", func(_, out []tensor.Tensor) error { out[0].FP32s = out[0].FP32s[:1]; return nil },
			fault.FailedPrecondition, "does not answer row by row"},
		"run fails": {"binary", func(_, _ []tensor.Tensor) error { return fault.New(fault.Internal, "the model failed on these inputs") },
			fault.FailedPrecondition, "the model cannot be run on the rows from 1 of holdout.csv"},
		"deadline": {"binary", func(_, _ []tensor.Tensor) error {
			if batches++; batches == 3 {
				return fault.New(fault.DeadlineExceeded, "the deadline passed while the model ran")
			}
			return nil
		}, fault.DeadlineExceeded, "ran out of time after 32 rows"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.r.Limits.BatchRows = 16
			w.r.Runtime = tampered{w.r.Runtime, c.answer}
			w.upload(t, c.dir)
			out, err := w.r.Run(context.Background(), in())
			if c.kind != "" {
				refuses(t, name, err, c.kind, c.want)
				if keys := w.keys(t); len(keys) > 0 {
					t.Errorf("stored: %v", keys)
				}
			} else if err != nil || !out.Parity.Checked {
				t.Errorf("refused: %v", err)
			}
			w.noTemp(t)
		})
	}
}

func TestToleranceIsTheCallers(t *testing.T) {
	w := newWorld(t)
	w.upload(t, "binary")
	w.r.Runtime = tampered{w.r.Runtime, func(_, out []tensor.Tensor) error { out[1].FP32s[0] += 0.01; return nil }}
	loose := in()
	loose.Tolerance = 0.1
	out, err := w.r.Run(context.Background(), loose)
	if err != nil || out.Parity.Tolerance != 0.1 || math.Abs(out.Parity.MaxAbsDiff-0.01) > 1e-6 || out.Parity.Where != `output "probabilities_0", row 1` {
		t.Errorf("%+v, %v", out.Parity, err)
	}
}

// TestParityOfPlainTables compares single models with tables written here.
func TestParityOfPlainTables(t *testing.T) {
	for name, c := range map[string]struct {
		model, holdout, predictions string
		kind                        fault.Kind
		want                        string
	}{
		"columns of a wide input":  {"double", "x_1,x_0\n2,1\n4,3\n", "y_0,y_1\n2,4\n6,8\n", "", ""},
		"byte order mark":          {"double", "\uFEFFx_1,x_0\n2,1\n", "y_0,y_1\n2,4\n", "", ""},
		"windows line ends":        {"double", "x_1,x_0\r\n2,1\r\n", "y_0,y_1\r\n2,4\r\n", "", ""},
		"no line end":              {"double", "x_1,x_0\n2,1", "y_0,y_1\n2,4", "", ""},
		"width that the file lies": {"wrong_width", "x_0,x_1\n2,1", "y_0,y_1\n4,2", "", ""},
		"a missing value through":  {"double", "x_0,x_1\n,1", "y_0,y_1\n0,2", fault.FailedPrecondition, "1 answers are not finite"},
		"an index column":          {"double", ",x_0,x_1\n0,2,1", "y_0,y_1\n4,2", fault.InvalidArgument, `has a column "" that is neither an input nor the target`},
		"fixed rows":               {"four_rows", "x_0,x_1\n" + strings.Repeat("2,1\n", 8), "y_0,y_1\n" + strings.Repeat("4,2\n", 8), "", ""},
		"fixed rows, cut":          {"four_rows", "x_0,x_1\n" + strings.Repeat("2,1\n", 7), "y_0,y_1\n" + strings.Repeat("4,2\n", 7), fault.InvalidArgument, "takes 4 rows at a time"},
		"one row":                  {"one_row", "x_0,x_1\n2,1\n3,4\n", "y_0,y_1\n4,2\n6,8\n", "", ""},
		"log of a negative":        {"logarithm", "x\n1\n-1\n", "y\n0\n0\n", fault.FailedPrecondition, `1 answers are not finite, the first in output "y", row 2`},
		"rows summed":              {"sums_rows", "x_0,x_1\n2,1\n3,4\n1,1\n", "y_0,y_1\n4,2\n6,8\n1,1\n", fault.FailedPrecondition, `output "y" has 2 elements for 3 rows: the model does not answer row by row`},
		"an image":                 {"image", "x\n1\n", "y\n1\n", fault.InvalidArgument, `input "x" has 4 dimensions, a CSV file holds two`},
		"label of a tie":           {"scores", "x_0,x_1\n0.5,0.5\n", "label,probabilities_0,probabilities_1\n1,0.5,0.5\n", "", ""},
		"label near a tie":         {"scores", "x_0,x_1\n0.500001,0.499999\n", "label,probabilities_0,probabilities_1\n1,0.499999,0.500001\n", "", ""},
		"label not near a tie":     {"scores", "x_0,x_1\n0.51,0.49\n", "label,probabilities_0,probabilities_1\n1,0.51,0.49\n", fault.FailedPrecondition, "1 labels differ"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.put(t, folder+"m.onnx", read(t, "testdata/models/"+c.model+".onnx"))
			w.put(t, folder+"holdout.csv", []byte(c.holdout))
			w.put(t, folder+"predictions.csv", []byte(c.predictions))
			out, err := w.r.Run(context.Background(), in())
			if c.kind != "" {
				refuses(t, name, err, c.kind, c.want)
			} else if err != nil || !out.Parity.Checked {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

// TestNamedColumnsOfAWideInput takes the names of a wide input's columns from features.json.
func TestNamedColumnsOfAWideInput(t *testing.T) {
	w := newWorld(t)
	w.put(t, folder+"m.onnx", read(t, "testdata/models/double.onnx"))
	w.put(t, folder+"features.json", []byte(`{"v":1,"features":[{"name":"height","type":"number","missing":"refuse"},{"name":"width","type":"number"}]}`))
	w.put(t, folder+"holdout.csv", []byte("width,height\n3,1\n"))
	w.put(t, folder+"predictions.csv", []byte("y_0,y_1\n2,6\n"))
	out, err := w.r.Run(context.Background(), in())
	if err != nil || !out.Parity.Checked {
		t.Fatal(err)
	}
	m, err := w.reg.Manifest(context.Background(), "flights", 1)
	if err != nil {
		t.Fatal(err)
	}
	data, err := w.reg.ReadFile(context.Background(), &m, "schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema.Schema
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	want := schema.Schema{V: 1, Task: schema.Unspecified, Signature: schema.Signature{
		Inputs:  []schema.Spec{{Name: "x", Datatype: tensor.FP32, Shape: []int64{-1, 2}, Columns: []string{"height", "width"}}},
		Outputs: []schema.Spec{{Name: "y", Datatype: tensor.FP32, Shape: []int64{-1, 2}}}},
		Contract: schema.Contract{Columns: map[string]schema.Column{"height": {Missing: schema.Refuse}, "width": {Missing: schema.Accept}}}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("schema (-want +got):\n%s", diff)
	}
}

func TestParityOfEveryDatatype(t *testing.T) {
	names := []string{"double", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool", "string"}
	values := [][]string{
		{"0.1", "0.1", "-9223372036854775808", "-2147483648", "-32768", "-128", "18446744073709551615", "4294967295", "65535", "255", "True", "a, b"},
		{"-1e300", "65504", "1", "2", "3", "4", "5", "6", "7", "8", "false", ""},
	}
	table := func(prefix string, values [][]string) []byte {
		text := prefix + strings.Join(names, ","+prefix) + "\n"
		for _, row := range values {
			for i, v := range row {
				if i > 0 {
					text += ","
				}
				text += `"` + v + `"`
			}
			text += "\n"
		}
		return []byte(text)
	}
	w := newWorld(t)
	w.put(t, folder+"m.onnx", read(t, "testdata/models/every_type.onnx"))
	w.put(t, folder+"holdout.csv", table("in_", values))
	w.put(t, folder+"predictions.csv", table("out_", values))
	out, err := w.r.Run(context.Background(), in())
	if err != nil || out.Parity.MaxAbsDiff != 0 || out.Parity.Rows != 2 {
		t.Fatalf("%+v, %v", out.Parity, err)
	}
	for i, name := range names {
		if name == "string" {
			continue
		}
		wrong := [][]string{append([]string(nil), values[1]...)}
		wrong[0][i] = secret
		w.put(t, folder+"holdout.csv", table("in_", wrong))
		w.put(t, folder+"predictions.csv", table("out_", values[1:]))
		_, err := w.r.Run(context.Background(), in())
		refuses(t, name, err, fault.InvalidArgument, `holdout.csv: column "in_`+name+`" of row 1 is not`)
		w.put(t, folder+"holdout.csv", table("in_", values[1:]))
		w.put(t, folder+"predictions.csv", table("out_", wrong))
		_, err = w.r.Run(context.Background(), in())
		refuses(t, name, err, fault.InvalidArgument, `predictions.csv: column "out_`+name+`" of row 1 is not`)
		wrong[0][i] = map[bool]string{true: "true", false: "77"}[name == "bool"]
		w.put(t, folder+"predictions.csv", table("out_", wrong))
		_, err = w.r.Run(context.Background(), in())
		refuses(t, name, err, fault.FailedPrecondition, `"out_`+name+`", row 1`)
	}
}

func TestDeadlineEndsTheRun(t *testing.T) {
	w := newWorld(t)
	w.upload(t, "binary")
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := w.r.Run(ctx, in())
	if k := fault.KindOf(err); k != fault.Unavailable && k != fault.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}
