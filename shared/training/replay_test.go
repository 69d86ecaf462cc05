package training

import (
	"bytes"
	"context"
	"encoding/csv"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// replayed is a world with a version that a retraining made, its recipe, and the files that a repetition leaves.
func replayed(t *testing.T) (*world, *Recipe, map[string][]byte) {
	w := newWorld(t)
	w.configure(tables)
	s := w.snapshot("run-1")
	w.registered(2, s)
	r, err := FindRecipe(t.Context(), w.registry, "flights", 2, code)
	if err != nil {
		t.Fatal(err)
	}
	return w, r, trained{data: s.Dataset.Digest}.files("model 2", held(7, 40))
}

func opened(files map[string][]byte) Files {
	return func(_ context.Context, name string) (io.ReadCloser, error) {
		body, ok := files[name]
		if !ok {
			return nil, fault.New(fault.NotFound, "the repeated training left no %s", name)
		}
		return io.NopCloser(bytes.NewReader(body)), nil
	}
}

func TestARecipeIsTheOldPayload(t *testing.T) {
	w, r, _ := replayed(t)
	if len(r.Missing)+len(r.Changed) > 0 || len(r.Sources) != 7 || r.Record.Run != "run-1" {
		t.Errorf("%+v", r)
	}
	p, err := r.Payload("reg", "s3://reg/uploads/again/")
	if err != nil {
		t.Fatal(err)
	}
	if p.DataURI != "s3://reg/"+registry.BlobKey(r.Record.Dataset.Digest) || p.OutputURI != "s3://reg/uploads/again/" || p.Hyperparameters["seed"] != "1" || p.Task != "binary_classification" {
		t.Errorf("%+v", p)
	}
	other, err := FindRecipe(t.Context(), w.registry, "flights", 2, "sha256:"+strings.Repeat("ab", 32))
	if err != nil || len(other.Changed) != 1 || !strings.Contains(other.Changed[0], "c0dec0dec0de -> abababababab") {
		t.Errorf("other code: %+v, %v", other, err)
	}
	if _, err := FindRecipe(t.Context(), w.registry, "flights", 1, code); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "no training record") {
		t.Errorf("a version that was trained by hand: %v", err)
	}
	if _, err := FindRecipe(t.Context(), w.registry, "flights", 7, code); !fault.Is(err, fault.NotFound) {
		t.Errorf("no version: %v", err)
	}
	w.reg.Delete(registry.BlobKey(r.Record.Dataset.Digest))
	w.reg.Delete(registry.DatasetKey("flights", 1))
	gone, err := FindRecipe(t.Context(), w.registry, "flights", 2, code)
	if err != nil || len(gone.Missing) != 2 {
		t.Fatalf("%+v, %v", gone, err)
	}
	if _, err := gone.Payload("reg", "s3://reg/uploads/again/"); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), "dataset flights number 1 is no longer there") {
		t.Errorf("Payload: %v", err)
	}
}

func TestWhatARepetitionShows(t *testing.T) {
	w, r, same := replayed(t)
	edit := func(row, column int, value string) func(map[string][]byte) {
		return func(files map[string][]byte) {
			records, err := csv.NewReader(bytes.NewReader(files["predictions.csv"])).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			records[row][column] = value
			var b bytes.Buffer
			if err := csv.NewWriter(&b).WriteAll(records); err != nil {
				t.Fatal(err)
			}
			files["predictions.csv"] = b.Bytes()
		}
	}
	metric := func(text string) func(map[string][]byte) {
		return func(files map[string][]byte) { files["metrics.json"] = []byte(text) }
	}
	tests := map[string]struct {
		change  func(map[string][]byte)
		verdict Verdict
		why     string
	}{
		"the same":          {func(map[string][]byte) {}, Equal, ""},
		"other bytes":       {func(f map[string][]byte) { f["model.onnx"] = []byte("two") }, Equal, ""},
		"a little":          {edit(3, 1, "0.750005"), Within, ""},
		"a metric a little": {metric(`{"v":1,"roc_auc":0.9100001,"n":40}`), Within, ""},
		"too much":          {edit(3, 1, "0.7502"), Differs, `1 of 40 predictions differ by more than 1e-05, at most by 0.0002 (column "probabilities_0", row 3)`},
		"another class":     {edit(4, 0, "0"), Differs, `1 of 40 predictions differ`},
		"not a number":      {edit(4, 1, "nan"), Differs, `(column "probabilities_0", row 4)`},
		"a metric":          {metric(`{"v":1,"roc_auc":0.92,"n":40}`), Differs, "metric roc_auc differs by 0.01, more than 1e-06"},
		"a metric less":     {metric(`{"n":40}`), Differs, "metric roc_auc is there on one side only"},
		"a metric more":     {metric(`{"roc_auc":0.91,"n":40,"by":{"class":1}}`), Differs, "metric by.class is there on one side only"},
		"another holdout":   {func(f map[string][]byte) { f["holdout.csv"] = []byte(held(6, 40)) }, Differs, "other rows are held out"},
		"fewer rows": {func(f map[string][]byte) {
			f["predictions.csv"] = f["predictions.csv"][:bytes.LastIndexByte(bytes.TrimSpace(f["predictions.csv"]), '\n')+1]
		}, Differs, "another number of rows"},
		"other columns": {edit(0, 0, "class"), Differs, "other columns"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(same)
			tt.change(files)
			got, err := r.Compare(t.Context(), w.registry, opened(files), DefaultPolicy().Replay)
			if err != nil {
				t.Fatal(err)
			}
			if got.Verdict != tt.verdict || !strings.Contains(strings.Join(got.Why, "\n"), tt.why) || (tt.verdict != Differs) != (len(got.Why) == 0) {
				t.Errorf("%+v; want %s, %q", got, tt.verdict, tt.why)
			}
			if got.SameModel != (name != "other bytes") {
				t.Errorf("same model: %v", got.SameModel)
			}
		})
	}
	for name, damage := range map[string][2]string{"predictions.csv": {"label,probabilities_0,probabilities_1\n\"b", "predictions.csv is no table"}, "metrics.json": {"[1]", "is no JSON object"}} {
		files := maps.Clone(same)
		files[name] = []byte(damage[0])
		if _, err := r.Compare(t.Context(), w.registry, opened(files), DefaultPolicy().Replay); !fault.Is(err, fault.FailedPrecondition) || !strings.Contains(err.Error(), damage[1]) {
			t.Errorf("a damaged %s: %v", name, err)
		}
		delete(files, name)
		if _, err := r.Compare(t.Context(), w.registry, opened(files), DefaultPolicy().Replay); !fault.Is(err, fault.NotFound) {
			t.Errorf("no %s: %v", name, err)
		}
	}
}

func FuzzPredictions(f *testing.F) {
	f.Add("label,p\n1,0.5\n", "label,p\n1,0.6\n")
	f.Add("label,p\n1,\n", "label,p\n1,nan\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		o := Replayed{}
		if err := o.rows(csv.NewReader(strings.NewReader(a)), csv.NewReader(strings.NewReader(b))); err != nil {
			if !fault.Is(err, fault.FailedPrecondition) {
				t.Fatal(err)
			}
			return
		}
		if a == b && (len(o.Why) > 0 || o.MaxAbsDiff != 0) {
			t.Fatalf("a table differs from itself: %v", o.Why)
		}
	})
}
