package registration

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/inference/onnx/onnxtest"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

const folder = "uploads/01JD0000000000000000000000/"

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// world is a registry in memory with a registrar that runs models with ONNX Runtime.
type world struct {
	store *blob.Memory
	reg   *registry.Registry
	r     *Registrar
}

func newWorld(t testing.TB) *world {
	t.Helper()
	store := &blob.Memory{}
	reg := registry.New(store, registry.Options{Now: func() time.Time { return now }, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	return &world{store: store, reg: reg, r: &Registrar{Bucket: "reg", Uploads: store, Registry: reg, Runtime: onnxtest.Runtime(t),
		Now: func() time.Time { return now }, Dir: t.TempDir()}}
}

func (w *world) put(t testing.TB, key string, data []byte) {
	t.Helper()
	if _, err := w.store.Put(context.Background(), key, data, blob.Always()); err != nil {
		t.Fatal(err)
	}
}

// upload puts testdata/<dir> under the folder.
func (w *world) upload(t testing.TB, dir string) {
	t.Helper()
	files, _ := filepath.Glob("testdata/" + dir + "/*")
	if len(files) == 0 {
		t.Fatalf("testdata/%s is empty", dir)
	}
	for _, f := range files {
		w.put(t, folder+filepath.Base(f), read(t, f))
	}
}

// keys lists what is stored outside of uploads/.
func (w *world) keys(t testing.TB) []string {
	t.Helper()
	var keys []string
	for info, err := range w.store.List(context.Background(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(info.Key, "uploads/") {
			keys = append(keys, info.Key)
		}
	}
	return keys
}

// noTemp fails the test when a copy of a table was left behind.
func (w *world) noTemp(t testing.TB) {
	t.Helper()
	if left, _ := filepath.Glob(w.r.Dir + "/*"); len(left) > 0 {
		t.Errorf("temporary files left: %v", left)
	}
}

func in() In { return In{Model: "flights", Source: "s3://reg/" + folder, Actor: "tests"} }

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTrainedModelsRegister(t *testing.T) {
	columns := func(spec schema.Spec) schema.Spec { spec.Shape = []int64{-1, 1}; return spec }
	inputs := []schema.Spec{columns(schema.Spec{Name: "dep_delay", Datatype: tensor.FP32}),
		columns(schema.Spec{Name: "distance", Datatype: tensor.FP32}), columns(schema.Spec{Name: "carrier", Datatype: tensor.Bytes})}
	cases := map[string]struct {
		task    schema.Task
		target  string
		outputs []schema.Spec
	}{
		"binary": {schema.Binary, "late", []schema.Spec{{Name: "label", Datatype: tensor.Int64, Shape: []int64{-1}},
			{Name: "probabilities", Datatype: tensor.FP32, Shape: []int64{-1, 2}}}},
		"multiclass": {schema.Multiclass, "size", []schema.Spec{{Name: "label", Datatype: tensor.Bytes, Shape: []int64{-1}},
			{Name: "probabilities", Datatype: tensor.FP32, Shape: []int64{-1, 3}}}},
		"regression": {schema.Regression, "price", []schema.Spec{{Name: "prediction", Datatype: tensor.FP32, Shape: []int64{-1, 1}}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			w := newWorld(t)
			w.upload(t, name)
			out, err := w.r.Run(ctx, in())
			if err != nil {
				t.Fatal(err)
			}
			if !out.Created || out.Existing || out.Version != 1 || !slices.Equal(out.Warnings, []string{ofHoldout}) {
				t.Errorf("answer %+v", out)
			}
			if p := out.Parity; !p.Checked || p.Rows != 60 || p.Tolerance != DefaultTolerance {
				t.Errorf("parity %+v", p)
			}
			t.Logf("max_abs_diff %g %s", out.Parity.MaxAbsDiff, out.Parity.Where)
			m, err := w.reg.Verify(ctx, "flights", 1)
			if err != nil {
				t.Fatal(err)
			}
			if m.Digest != out.Digest || !strings.HasPrefix(m.Runtime, "onnxruntime ") || len(m.Metrics) != 1 || m.CreatedBy != "tests" {
				t.Errorf("manifest %+v", m)
			}
			for _, path := range []string{"model.onnx", "schema.json", "baseline.json", "reference.json", "MLmodel", "holdout.csv", "predictions.csv", "metrics.json", "features.json", "run.json", "training_schema.json"} {
				if _, ok := m.File(path); !ok {
					t.Errorf("the manifest does not list %s", path)
				}
			}
			var got schema.Schema
			data, err := w.reg.ReadFile(ctx, &m, "schema.json")
			if err != nil || json.Unmarshal(data, &got) != nil {
				t.Fatal(err)
			}
			want := schema.Schema{V: 1, Task: c.task, Signature: schema.Signature{Inputs: inputs, Outputs: c.outputs},
				Contract: schema.Contract{Columns: map[string]schema.Column{"dep_delay": {Missing: schema.Accept}, "distance": {Missing: schema.Accept},
					"carrier": {Missing: schema.Accept, Categories: []string{"UA", "", "AA", "B6"}}}}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("schema (-want +got):\n%s", diff)
			}
			model, err := w.reg.Model(ctx, "flights")
			if err != nil || model.Task != c.task || model.Target != c.target {
				t.Errorf("model %+v, %v", model, err)
			}
			w.noTemp(t)
		})
	}
}

func TestSameContentIsTheSameVersion(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.upload(t, "binary")
	first, err := w.r.Run(ctx, in())
	if err != nil {
		t.Fatal(err)
	}
	before := w.keys(t)
	again, err := w.r.Run(ctx, in())
	if err != nil {
		t.Fatal(err)
	}
	want := first
	want.Created, want.Existing = false, true
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("second answer (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, w.keys(t)); diff != "" {
		t.Errorf("the second call wrote:\n%s", diff)
	}
	// Other documentation is another schema, and so another version of the same model file.
	features := bytes.Replace(read(t, "testdata/binary/features.json"), []byte(`"AA"`), []byte(`"AB"`), 1)
	w.put(t, folder+"features.json", features)
	second, err := w.r.Run(ctx, in())
	if err != nil || second.Version != 2 || second.Existing || second.Digest == first.Digest {
		t.Errorf("another schema: %+v, %v", second, err)
	}
}

func TestModelIsCreatedOnce(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	out, err := w.r.Run(ctx, In{Model: "flights", Task: schema.Binary, Target: "late", Actor: "tests"})
	if diff := cmp.Diff(Out{Model: "flights", Created: true}, out); diff != "" || err != nil {
		t.Fatalf("%v\n%s", err, diff)
	}
	for name, c := range map[string]struct {
		in   In
		want fault.Kind
	}{
		"again":          {In{Model: "flights", Task: schema.Binary, Target: "late"}, ""},
		"left out":       {In{Model: "flights"}, ""},
		"another task":   {In{Model: "flights", Task: schema.Regression}, fault.FailedPrecondition},
		"another target": {In{Model: "flights", Target: "early"}, fault.FailedPrecondition},
		"bad name":       {In{Model: "../flights"}, fault.InvalidArgument},
		"no name":        {In{}, fault.InvalidArgument},
	} {
		out, err := w.r.Run(ctx, c.in)
		if fault.KindOf(err) != c.want || out.Created {
			t.Errorf("%s: %+v, %v, want %q", name, out, err, c.want)
		}
	}
	w.upload(t, "regression") // of another task than the model
	_, err = w.r.Run(ctx, in())
	refuses(t, "trained for another task", err, fault.FailedPrecondition, "register it under another name")
	if keys := w.keys(t); len(keys) != 1 {
		t.Errorf("stored: %v", keys)
	}
}

// TestModelOfTheTrainer registers what functions/train wrote: commas, quotes and gaps in its tables,
// and a column without any value.
func TestModelOfTheTrainer(t *testing.T) {
	w := newWorld(t)
	w.upload(t, "trained")
	out, err := w.r.Run(context.Background(), in())
	if err != nil {
		t.Fatal(err)
	}
	if p := out.Parity; !p.Checked || p.Rows != 120 || p.MaxAbsDiff > 1e-6 || !slices.Equal(out.Warnings, []string{ofHoldout}) {
		t.Errorf("parity %+v, warnings %v", p, out.Warnings)
	}
	m, err := w.reg.Verify(context.Background(), "flights", 1)
	if err != nil || m.Metrics["roc_auc_ovr"] < 0.9 || len(m.Files) != 11 {
		t.Errorf("manifest %+v, %v", m, err)
	}
	var run struct{ Seed int }
	if err := json.Unmarshal(m.Run, &run); err != nil || run.Seed != 1 {
		t.Errorf("run record %s, %v", m.Run, err)
	}
}

// TestInnerMetrics keeps numbers of inner objects and drops what is no number.
func TestInnerMetrics(t *testing.T) {
	got, err := metrics([]byte(`{"v":1,"n":60,"split":"time","auc":null,"by_origin":{"JFK":0.5,"note":"x"},"list":[1]}`))
	want := map[string]float64{"n": 60, "by_origin.JFK": 0.5}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestForeignModelRegistersWithoutParity(t *testing.T) {
	w := newWorld(t)
	w.put(t, folder+"mine.onnx", read(t, "testdata/models/double.onnx"))
	w.put(t, folder+"readme.txt", []byte("notes"))
	for source, want := range map[string][]string{folder: {`not used: "readme.txt"`, noBaseline, noHoldout}, folder + "mine.onnx": {noBaseline, noHoldout}} {
		out, err := w.r.Run(context.Background(), In{Model: "foreign", Source: "s3://reg/" + source})
		if err != nil {
			t.Fatal(err)
		}
		if out.Version != 1 || out.Parity.Checked || out.Parity.Reason != "the source has no holdout.csv and predictions.csv" {
			t.Errorf("answer %+v, parity %+v", out, out.Parity)
		}
		if diff := cmp.Diff(want, out.Warnings); diff != "" {
			t.Errorf("warnings:\n%s", diff)
		}
	}
	m, err := w.reg.Verify(context.Background(), "foreign", 1)
	if err != nil || len(m.Files) != 3 {
		t.Errorf("files %+v, %v", m.Files, err)
	}
}

// refuses checks the kind of an error and a part of its public message.
func refuses(t testing.TB, name string, err error, kind fault.Kind, want string) {
	t.Helper()
	if fault.KindOf(err) != kind {
		t.Errorf("%s: got %v, want %s", name, err, kind)
		return
	}
	public := fault.Public(err)
	text := public.Message
	for _, v := range public.Violations {
		text += "; " + v.Path + " " + v.Problem
	}
	if !strings.Contains(text, want) {
		t.Errorf("%s: message %q does not say %q", name, text, want)
	}
}

func TestATrainingRecordIsKept(t *testing.T) {
	w := newWorld(t)
	w.upload(t, "binary")
	record := []byte(`{"v":1,"key":"sha256:ab","dataset":{"name":"flights","number":3,"digest":"sha256:cd"}}`)
	w.put(t, folder+"training.json", record)
	out, err := w.r.Run(t.Context(), in())
	if err != nil {
		t.Fatal(err)
	}
	m, err := w.reg.Manifest(t.Context(), "flights", out.Version)
	if err != nil {
		t.Fatal(err)
	}
	var kept bytes.Buffer
	if err := json.Compact(&kept, m.Training); err != nil || kept.String() != string(record) || m.Dataset != "flights/3" {
		t.Errorf("the manifest has %s of dataset %q", m.Training, m.Dataset)
	}
	if f, err := w.reg.ReadFile(t.Context(), &m, "training.json"); err != nil || !bytes.Equal(f, record) {
		t.Errorf("the file is %s, %v", f, err)
	}
	for text, want := range map[string]string{`{}`: "", `[]`: "", `{"dataset":{"number":3}}`: ""} {
		if got := datasetOf([]byte(text)); got != want {
			t.Errorf("%s is of dataset %q", text, got)
		}
	}
}
