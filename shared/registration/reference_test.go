package registration

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

func (w *world) reference(t testing.TB, version int) *quality.Reference {
	t.Helper()
	ref, digest, err := quality.LoadReference(context.Background(), w.reg, "flights", version)
	if err != nil || len(digest) != 64 {
		t.Fatalf("digest %q, %v", digest, err)
	}
	return ref
}

// TestReferencesAreWhatScikitLearnSays compares with testdata/make_reference.py. These examples have few rows, so that every score is a bin
// of its own and the metrics are exact.
func TestReferencesAreWhatScikitLearnSays(t *testing.T) {
	var golden struct {
		Examples map[string]map[string]float64 `json:"examples"`
	}
	if err := json.Unmarshal(read(t, "testdata/reference.golden.json"), &golden); err != nil || len(golden.Examples) != 4 {
		t.Fatalf("%d examples, %v", len(golden.Examples), err)
	}
	classes := map[string][]string{"binary": {"0", "1"}, "multiclass": {"long", "mid, long", "short"}, "trained": {"large", "middle, or so", "small"}}
	for name, want := range golden.Examples {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.upload(t, name)
			out, err := w.r.Run(context.Background(), in())
			if err != nil {
				t.Fatal(err)
			}
			ref := w.reference(t, 1)
			for metric, v := range want {
				got := ref.Metric(metric)
				if got == nil || got.Value == nil || math.Abs(*got.Value-v) > 1e-9*max(1, v) || got.Interval == nil {
					t.Errorf("%s: %+v, scikit-learn says %v", metric, got, v)
				}
			}
			m, err := w.reg.Manifest(context.Background(), "flights", 1)
			if err != nil {
				t.Fatal(err)
			}
			holdout, _ := m.File("holdout.csv")
			if ref.Rows != uint64(out.Parity.Rows) || ref.Coverage != 1 || ref.Dataset != "sha256:"+holdout.SHA256 || !ref.TrainingEnd.IsZero() {
				t.Errorf("%d rows, coverage %g, dataset %s, training until %s", ref.Rows, ref.Coverage, ref.Dataset, ref.TrainingEnd)
			}
			if diff := cmp.Diff(classes[name], ref.Layout.Classes); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// column adds a column behind the last one but one, which is where the trainer has the time.
func column(name string, of func(i int) string) func([]byte) []byte {
	return lines(func(l []string) []string {
		for i := range l {
			if at := strings.LastIndexByte(l[i], ','); at >= 0 {
				value := name
				if i > 0 {
					value = of(i - 1)
				}
				l[i] = l[i][:at] + "," + value + l[i][at:]
			}
		}
		return l
	})
}

// targets sets the last column.
func targets(of func(i int, was string) string) func([]byte) []byte {
	return lines(func(l []string) []string {
		for i := range l {
			if at := strings.LastIndexByte(l[i], ','); at >= 0 && i > 0 {
				l[i] = l[i][:at+1] + of(i-1, strings.TrimSpace(l[i][at+1:])) + "\n"
			}
		}
		return l
	})
}

// TestWhatReferencesRestOn edits a good upload: the reference or its absence follow, and the version is the same.
func TestWhatReferencesRestOn(t *testing.T) {
	start := time.Date(2013, 3, 14, 3, 30, 0, 0, time.UTC)
	timed := edit{"training_schema.json", replace(`"late"`, `"late", "time": "when"`)}
	every := func(step time.Duration) edit {
		return edit{"holdout.csv", column("when", func(i int) string { return start.Add(time.Duration(i) * step).Format(time.RFC3339) })}
	}
	cases := map[string]struct {
		edits    []edit
		warnings []string // beside that of the baseline
		rows     uint64   // 0: no reference
		blocks   bool
		trained  string
	}{
		"as it is":     {nil, nil, 60, false, ""},
		"hours":        {[]edit{timed, every(15 * time.Minute)}, nil, 60, true, ""},
		"days":         {[]edit{timed, every(4 * time.Hour)}, nil, 60, true, ""}, // 60 hours in 10 days, were they hours
		"minutes":      {[]edit{timed, every(time.Minute)}, nil, 60, false, ""},
		"plain order":  {[]edit{timed, {"holdout.csv", column("when", func(i int) string { return fmt.Sprint(i) })}}, nil, 60, false, ""},
		"training end": {[]edit{timed, {"run.json", set(`{"time":{"train":{"first":"2013-01-01T10:00:00Z","last":"2013-03-14T03:00:00+02:00"}}}`)}}, nil, 60, false, "2013-03-14T01:00:00Z"},
		"another run":  {[]edit{{"run.json", set(`{"time":[1],"classes":7}`)}}, nil, 60, false, ""},
		"some times": {[]edit{timed, {"holdout.csv", column("when", func(i int) string { return []string{"2013-03-14", "noon"}[i%2] })}},
			[]string{"30 of 60 rows of holdout.csv have no time that can be read (RFC 3339), so that the reference does not know how rows of an hour depend on each other"}, 60, false, ""},
		"labels as other tools write them": {[]edit{{"holdout.csv", targets(func(_ int, was string) string { return map[string]string{"0": "False", "1": "1.0"}[was] })}}, nil, 60, false, ""},
		"labels missing": {[]edit{{"holdout.csv", targets(func(i int, was string) string { return was[:min(i%6, 1)] })}},
			[]string{"10 of 60 rows of holdout.csv have no label, and are left out of the reference"}, 50, false, ""},
		"other labels": {[]edit{{"holdout.csv", targets(func(i int, was string) string { return []string{secret, "NaN", was}[min(i, 2)] })}},
			[]string{"2 of 60 rows of holdout.csv have a label that is none of the model's classes, or too large, and are left out of the reference"}, 58, false, ""},
		"one class": {[]edit{{"holdout.csv", targets(func(int, string) string { return "0" })}},
			[]string{"the reference has no roc_auc: no label is of the positive class"}, 60, false, ""},
		"no label at all": {[]edit{{"holdout.csv", targets(func(int, string) string { return "" })}},
			[]string{"60 of 60 rows of holdout.csv have no label, and are left out of the reference", noReference + "the reference has no row with a prediction and a label"}, 0, false, ""},
		"no target":         {[]edit{{"holdout.csv", replace("carrier,late", "carrier,when")}, timed}, []string{noReference + `holdout.csv has no column "late", the target`}, 0, false, ""},
		"classes that part": {[]edit{{"run.json", set(`{"classes":[{"label":0},{"label":"0.0"}]}`)}}, []string{noReference + "it is not known which class each score is of; list the classes in run.json, in the order of the scores"}, 0, false, ""},
	}
	digest := ""
	for _, name := range append([]string{"as it is"}, slices.Sorted(mapKeys(cases))...) {
		c := cases[name]
		w := newWorld(t)
		w.upload(t, "binary")
		for _, e := range c.edits {
			obj, err := w.store.Get(context.Background(), folder+e.file)
			if err != nil {
				t.Fatal(err)
			}
			w.put(t, folder+e.file, e.change(obj.Body))
		}
		out, err := w.r.Run(context.Background(), in())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if digest == "" {
			digest = out.Digest
		}
		if out.Digest != digest {
			t.Errorf("%s: labels and times made another version", name)
		}
		if diff := cmp.Diff(append([]string{ofHoldout}, c.warnings...), out.Warnings); diff != "" {
			t.Errorf("%s: warnings:\n%s", name, diff)
		}
		if c.rows == 0 {
			if _, _, err := quality.LoadReference(context.Background(), w.reg, "flights", 1); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v, want NotFound", name, err)
			}
			continue
		}
		ref := w.reference(t, 1)
		primary := ref.Metric(quality.LogLoss)
		if ref.Rows != c.rows || primary.SERow == nil || (primary.SEBlock != nil) != c.blocks {
			t.Errorf("%s: %d rows, %+v", name, ref.Rows, primary)
		}
		if end := ref.TrainingEnd; c.trained == "" && !end.IsZero() || c.trained != "" && end.Format(time.RFC3339) != c.trained {
			t.Errorf("%s: trained until %s", name, end)
		}
		w.noTemp(t)
	}
}

// TestReferencesAreWrittenOnce: what an earlier registration of the same content left is kept, whatever the labels say now.
func TestReferencesAreWrittenOnce(t *testing.T) {
	w := newWorld(t)
	w.upload(t, "binary")
	if _, err := w.r.Run(context.Background(), in()); err != nil {
		t.Fatal(err)
	}
	before := w.reference(t, 1)
	w.put(t, folder+"holdout.csv", targets(func(int, string) string { return "1" })(read(t, "testdata/binary/holdout.csv")))
	out, err := w.r.Run(context.Background(), in())
	if err != nil || !out.Existing || w.reference(t, 1).Dataset != before.Dataset {
		t.Errorf("%+v, %v", out, err)
	}
}

func mapKeys[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestNamesOfClasses: without a run record the answers say which score is of which class.
func TestNamesOfClasses(t *testing.T) {
	type row struct {
		target  string
		answers []string
	}
	text, number := schema.Spec{Name: "label", Datatype: tensor.Bytes, Shape: []int64{-1}}, schema.Spec{Name: "label", Datatype: tensor.Int64, Shape: []int64{-1}}
	scores := func(n int64) schema.Spec {
		return schema.Spec{Name: "p", Datatype: tensor.FP32, Shape: []int64{-1, n}}
	}
	cases := map[string]struct {
		task    schema.Task
		outputs []schema.Spec
		run     string
		rows    []row
		want    []string // nil: not known
	}{
		"binary, by score":      {schema.Binary, []schema.Spec{text, scores(2)}, "", []row{{"yes", []string{"yes", "0.2", "0.8"}}, {"no", []string{"no", "0.9", "0.1"}}}, []string{"no", "yes"}},
		"binary, low threshold": {schema.Binary, []schema.Spec{text, scores(1)}, "", []row{{"b", []string{"b", "0.2"}}, {"a", []string{"a", "0.01"}}}, []string{"a", "b"}},
		"binary, one predicted": {schema.Binary, []schema.Spec{number, scores(2)}, "", []row{{"0", []string{"0", "0.7", "0.3"}}, {"1", []string{"0", "0.9", "0.1"}}}, []string{"0", "1"}},
		"binary, scores alone":  {schema.Binary, []schema.Spec{scores(1)}, "", []row{{"true", []string{"0.7"}}, {"False", []string{"0.9"}}}, []string{"false", "true"}},
		"binary, texts alone":   {schema.Binary, []schema.Spec{scores(1)}, "", []row{{"yes", []string{"0.7"}}, {"no", []string{"0.9"}}}, nil},
		"binary, recorded":      {schema.Binary, []schema.Spec{scores(1)}, `{"classes":[{"label":"yes"},{"label":"no"}]}`, []row{{"yes", []string{"0.7"}}}, []string{"yes", "no"}},
		"recorded otherwise":    {schema.Binary, []schema.Spec{scores(1)}, `{"classes":[{"label":"a"},{"label":"b"},{"label":"c"}]}`, []row{{"1", []string{"0.7"}}}, []string{"0", "1"}},
		"labels alone":          {schema.Multiclass, []schema.Spec{text}, "", []row{{"c", []string{"b"}}, {"a", []string{"b"}}}, []string{"a", "b", "c"}},
		"several, by votes": {schema.Multiclass, []schema.Spec{text, scores(3)}, "", []row{{"x", []string{"z", "0.5", "0.3", "0.2"}}, {"x", []string{"z", "0.5", "0.3", "0.2"}}, {"x", []string{"y", "0.5", "0.3", "0.2"}},
			{"x", []string{"y", "0.2", "0.6", "0.2"}}, {"x", []string{"x", "0.1", "0.1", "0.8"}}}, []string{"z", "y", "x"}},
		"several, one never":   {schema.Multiclass, []schema.Spec{number, scores(3)}, "", []row{{"2", []string{"0", "0.5", "0.3", "0.2"}}, {"1", []string{"1", "0.2", "0.6", "0.2"}}}, []string{"0", "1", "2"}},
		"several, not all":     {schema.Multiclass, []schema.Spec{text, scores(3)}, "", []row{{"c", []string{"a", "0.5", "0.3", "0.2"}}, {"c", []string{"b", "0.2", "0.6", "0.2"}}}, nil},
		"several, one for two": {schema.Multiclass, []schema.Spec{text, scores(2)}, "", []row{{"c", []string{"a", "0.6", "0.4"}}, {"c", []string{"a", "0.2", "0.8"}}}, nil},
	}
	for name, c := range cases {
		a, why := answersOf(schema.Signature{Outputs: c.outputs}, c.task)
		if why != "" {
			t.Errorf("%s: %s", name, why)
			continue
		}
		var header []string
		for _, o := range c.outputs {
			names, err := columnNames(o, "output", inputWidth(o))
			if err != nil {
				t.Fatal(err)
			}
			header = append(header, names...)
		}
		if why := a.bind(header); why != "" {
			t.Errorf("%s: %s", name, why)
			continue
		}
		var got classNames
		for _, r := range c.rows {
			got.see(a, r.target, r.answers)
		}
		why = got.settle(a, []byte(c.run))
		if why != "" {
			got.names = nil
		}
		if diff := cmp.Diff(c.want, got.names); diff != "" {
			t.Errorf("%s: %s\n%s", name, why, diff)
		}
	}
}

func TestModelsWithoutReference(t *testing.T) {
	wide := func(name string, kind tensor.Datatype, shape ...int64) schema.Spec {
		return schema.Spec{Name: name, Datatype: kind, Shape: shape}
	}
	for name, c := range map[string]struct {
		task    schema.Task
		outputs []schema.Spec
		want    string
	}{
		"no task":         {schema.Unspecified, nil, "task is not known"},
		"no output":       {schema.Binary, nil, "no output holds predictions"},
		"labels only":     {schema.Regression, []schema.Spec{wide("label", tensor.Int64, -1)}, "no output holds predictions"},
		"two values":      {schema.Regression, []schema.Spec{wide("y", tensor.FP32, -1, 2)}, "judged by one value, and the model answers 2"},
		"three scores":    {schema.Binary, []schema.Spec{wide("p", tensor.FP32, -1, 3)}, "one or two columns, and these are 3"},
		"one score":       {schema.Multiclass, []schema.Spec{wide("p", tensor.FP32, -1, 1)}, "2 to 100 columns, and these are 1"},
		"too many scores": {schema.Multiclass, []schema.Spec{wide("p", tensor.FP32, -1, 101)}, "2 to 100 columns, and these are 101"},
		"any width":       {schema.Multiclass, []schema.Spec{wide("p", tensor.FP32, -1, -1)}, "no fixed number of columns"},
	} {
		if _, why := answersOf(schema.Signature{Outputs: c.outputs}, c.task); !strings.Contains(why, c.want) {
			t.Errorf("%s: %q does not say %q", name, why, c.want)
		}
	}
}

// FuzzRunRecord reads what any trainer may have written: names of classes without a hole, and times in UTC.
func FuzzRunRecord(f *testing.F) {
	f.Add([]byte(`{"classes":[{"label":0},{"label":1.5},{"label":true},{"label":"a"}],"time":{"train":{"last":"2013-03-14 03:00:00+02:00"}}}`))
	f.Add([]byte(`{"classes":[{"label":null}],"time":null}`))
	f.Add([]byte(`{"classes":[{"label":1e400}],"time":{"train":{"last":7}}}`))
	f.Fuzz(func(t *testing.T, run []byte) {
		for _, name := range recorded(run) {
			if className(name) != className(className(name)) {
				t.Errorf("%q is another class each time", name)
			}
		}
		if end := trainingEnd(run); end.Location() != time.UTC {
			t.Errorf("%v is not in UTC", end)
		}
	})
}

func TestReferencesThatCannotBeRead(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.upload(t, "binary")
	if _, _, err := quality.LoadReference(ctx, w.reg, "flights", 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("no version: %v, want NotFound", err)
	}
	if _, err := w.r.Run(ctx, in()); err != nil {
		t.Fatal(err)
	}
	key := "models/flights/versions/00000001/reference.json"
	obj, err := w.store.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, key, append(obj.Body, ' '))
	if _, _, err := quality.LoadReference(ctx, w.reg, "flights", 1); !fault.Is(err, fault.Internal) {
		t.Errorf("another byte: %v, want Internal", err)
	}
	w.store.Delete(key)
	if _, _, err := quality.LoadReference(ctx, w.reg, "flights", 1); err == nil {
		t.Error("a reference that is gone is read")
	}
}
