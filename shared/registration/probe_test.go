package registration

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
)

// TestShapesOfOutputs registers models whose files tell the shapes of their outputs in different ways, or wrongly.
func TestShapesOfOutputs(t *testing.T) {
	for name, c := range map[string]struct {
		want    []int64
		warning string
	}{
		"double":      {[]int64{-1, 2}, ""},
		"no_shape":    {[]int64{-1, 2}, ""},
		"wrong_shape": {[]int64{-1, 2}, ""},
		"wrong_width": {[]int64{-1, -1}, ""},
		"one_row":     {[]int64{1, 2}, `input "x" takes a fixed number of rows: every request must have as many; export the model with a free first dimension`},
		"image":       {[]int64{-1, 1, 1, 1}, "the model could not be run on rows of zeros and empty strings, which need not be what it takes; it is not known whether it runs"},
		"parse":       {[]int64{-1, 1}, "the model could not be run on rows of zeros and empty strings, which need not be what it takes; it is not known whether it runs"},
		"large":       {[]int64{-1, 50_000_000}, "the inputs of the model are too large to try it on rows of zeros; it is not known whether it runs"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			out, err := registerModel(t, w, name)
			if err != nil {
				t.Fatal(err)
			}
			var warnings []string
			if c.warning != "" {
				warnings = append(warnings, c.warning)
			}
			if name == "image" || name == "large" {
				warnings = append(warnings, `input "x" has no fixed number of values a row: its drift is not measured`)
			}
			warnings = append(warnings, noBaseline, noHoldout)
			if diff := cmp.Diff(warnings, out.Warnings); diff != "" {
				t.Errorf("warnings:\n%s", diff)
			}
			m, err := w.reg.Manifest(context.Background(), "m", 1)
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
			if diff := cmp.Diff(c.want, s.Signature.Outputs[0].Shape); diff != "" {
				t.Errorf("shape:\n%s", diff)
			}
			if s.Task != schema.Unspecified {
				t.Errorf("task %q", s.Task)
			}
		})
	}
}

func TestModelsThatCannotRunAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		kind fault.Kind
		want string
	}{
		"traced":              {fault.FailedPrecondition, "cannot be run on 2 rows"},
		"input_without_shape": {fault.InvalidArgument, `input "x" of the model has no shape`},
		"image_no_shape":      {fault.InvalidArgument, `output "y" of the model has no shape`},
		"unknown_operator":    {fault.InvalidArgument, "NoSuchOperator"},
	} {
		w := newWorld(t)
		_, err := registerModel(t, w, name)
		refuses(t, name, err, c.kind, c.want)
		if keys := w.keys(t); len(keys) > 0 {
			t.Errorf("%s: stored %v", name, keys)
		}
	}
}

// TestProbeTakesRowsOfTheHoldout runs a model of numbers written as text on rows that it can take, and on one that it cannot.
func TestProbeTakesRowsOfTheHoldout(t *testing.T) {
	for holdout, want := range map[string]string{"1.5": "", secret: "the model loads but cannot be run on 1 rows"} {
		w := newWorld(t)
		w.put(t, folder+"holdout.csv", []byte("x\n"+holdout+"\n"))
		w.put(t, folder+"predictions.csv", []byte("y\n1.5\n"))
		_, err := registerModel(t, w, "parse")
		if want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		refuses(t, "no number", err, fault.FailedPrecondition, want)
	}
}

func registerModel(t *testing.T, w *world, name string) (Out, error) {
	t.Helper()
	w.put(t, folder+"m.onnx", read(t, "testdata/models/"+name+".onnx"))
	return w.r.Run(context.Background(), In{Model: "m", Source: "s3://reg/" + folder})
}
