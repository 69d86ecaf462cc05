package training

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
)

func TestWhatTheFunctionLeftIsAdopted(t *testing.T) {
	w := newWorld(t)
	w.configure(tables)
	s := w.snapshot("run-1")
	if a := w.run(In{Step: StepAdopt, Run: "run-1"}).Adopted; a.Ready || a.Repeated || a.Source != s.Source {
		t.Errorf("before the training: %+v", a)
	}
	w.train(s, func(files map[string][]byte) { delete(files, "run.json") })
	if a := w.run(In{Step: StepAdopt, Run: "run-1"}).Adopted; a.Ready {
		t.Errorf("while files are written: %+v", a)
	}
	w.train(s, nil)
	a := w.run(In{Step: StepAdopt, Run: "run-1"}).Adopted
	if !a.Ready || a.Metrics["roc_auc"] != 0.91 || a.Rows != (Rows{200, 40}) || len(a.Metrics) != 2 {
		t.Errorf("adopted: %+v", a)
	}
	obj, err := w.reg.Get(t.Context(), strings.TrimPrefix(s.Source, "s3://reg/")+RecordFile)
	if err != nil {
		t.Fatal(err)
	}
	r, ok, err := ParseRecord(obj.Body)
	if err != nil || !ok || r.Key != s.Key || r.Dataset != s.Dataset.Ref || r.Hyperparameters["seed"] != "1" {
		t.Errorf("record %+v, %v, %v", r, ok, err)
	}
	if again := w.run(In{Step: StepAdopt, Run: "run-1"}).Adopted; !again.Repeated || !again.Ready {
		t.Errorf("again: %+v", again)
	}
}

func TestWhatIsNotOfThisRun(t *testing.T) {
	edit := func(name, old, new string) func(map[string][]byte) {
		return func(files map[string][]byte) {
			if !bytes.Contains(files[name], []byte(old)) {
				t.Fatalf("%s does not hold %s", name, old)
			}
			files[name] = bytes.ReplaceAll(files[name], []byte(old), []byte(new))
		}
	}
	for text, change := range map[string]func(map[string][]byte){
		"there is no model.onnx":            func(f map[string][]byte) { delete(f, "model.onnx") },
		"there is no holdout.csv":           func(f map[string][]byte) { delete(f, "holdout.csv") },
		"no row was held out":               edit("run.json", `"holdout":40`, `"holdout":0`),
		"run.json is not JSON of its form":  func(f map[string][]byte) { f["run.json"] = []byte(`{"rows":7}`) },
		"metrics.json is not JSON":          func(f map[string][]byte) { f["metrics.json"] = []byte(`{"auc":NaN}`) },
		"metrics.json has 300000 bytes":     func(f map[string][]byte) { f["metrics.json"] = bytes.Repeat([]byte(" "), 300_000) },
		"other code trained (c1dec0dec0de)": edit("run.json", `"sha256:c0de`, `"sha256:c1de`),
		"says that it learned from other rows": func(f map[string][]byte) {
			var run map[string]any
			_ = json.Unmarshal(f["run.json"], &run)
			run["inputs"].(map[string]any)["data"] = map[string]string{"sha256": strings.Repeat("0", 64)}
			f["run.json"], _ = json.Marshal(run)
		},
		"was given another training schema": func(f map[string][]byte) {
			var run map[string]any
			_ = json.Unmarshal(f["run.json"], &run)
			run["inputs"].(map[string]any)["schema"] = map[string]string{"sha256": strings.Repeat("0", 64)}
			f["run.json"], _ = json.Marshal(run)
		},
	} {
		w := newWorld(t)
		w.configure(tables)
		w.train(w.snapshot("run-1"), change)
		w.refused(In{Step: StepAdopt, Run: "run-1"}, fault.FailedPrecondition, text)
	}
	w := newWorld(t)
	w.configure(tables)
	w.registered(2, w.snapshot("run-1"))
	w.snapshot("run-2")
	w.refused(In{Step: StepAdopt, Run: "run-2"}, fault.FailedPrecondition, `run "run-2" reuses version 2`)
}

// sagemaker is a world whose model is trained by jobs, with the snapshot of a run.
func sagemaker(t *testing.T) (*world, *Snapshot, string) {
	w := newWorld(t)
	w.configure(fmt.Sprintf(`{"sources":[{"prefix":"training/flights/"}],"trainer":{"kind":"sagemaker","role":"arn:aws:iam::111122223333:role/train","image":"x/y@sha256:%s"}}`, strings.Repeat("ab", 32)))
	s := w.run(In{Step: StepSnapshot, Run: "run-1"}).Snapshot
	return w, s, strings.TrimSuffix(s.Source, "model/") + "jobs/" + s.Jobs[0] + "/output/model.tar.gz"
}

func (w *world) store(uri, body string) {
	w.t.Helper()
	if _, err := w.reg.Put(w.t.Context(), strings.TrimPrefix(uri, "s3://reg/"), []byte(body), blob.Always()); err != nil {
		w.t.Fatal(err)
	}
}

func TestAJobsArchiveIsUnpacked(t *testing.T) {
	w, s, artifact := sagemaker(t)
	if a := w.run(In{Step: StepAdopt, Run: "run-1"}).Adopted; a.Ready {
		t.Errorf("before the job: %+v", a)
	}
	files := trained{until: "2013-06-25T00:00:00Z", data: s.Dataset.Digest, schema: s.Record.SchemaDigest, code: "sha256:" + strings.Repeat("f0", 32)}.files("two", held(7, 40))
	files["./metrics.json"], files["logs/"], files["logs/out.txt"], files["../evil.txt"], files[RecordFile] = files["metrics.json"], nil, []byte("log"), []byte("evil"), []byte("{}")
	w.store(artifact, archive(t, files, "run.json", "logs/", "logs/out.txt", "../evil.txt", RecordFile, "./metrics.json", "model.onnx", "holdout.csv", "predictions.csv", "training_schema.json"))
	a := w.run(In{Step: StepAdopt, Run: "run-1", Artifact: artifact}).Adopted
	if !a.Ready || a.Rows.Holdout != 40 || a.Metrics["roc_auc"] != 0.91 {
		t.Errorf("%+v", a)
	}
	var names []string
	for info, err := range w.reg.List(t.Context(), strings.TrimPrefix(s.Source, "s3://reg/"), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Key[strings.LastIndex(info.Key, "/")+1:])
	}
	if got := strings.Join(names, " "); got != "holdout.csv metrics.json model.onnx predictions.csv run.json training.json training_schema.json" {
		t.Errorf("files %s", got)
	}
	if left, _ := os.ReadDir(w.planner.Dir); len(left) > 0 {
		t.Errorf("%d temporary files are left", len(left))
	}
}

func TestArchivesThatAreNone(t *testing.T) {
	whole := func(w *world, s *Snapshot) string {
		return archive(t, trained{}.files("two", held(7, 40)), "model.onnx", "holdout.csv", "predictions.csv")
	}
	for text, body := range map[string]func(*world, *Snapshot) string{
		"is not a gzip file": func(*world, *Snapshot) string { return "no archive" },
		"is damaged, or no tar.gz": func(w *world, s *Snapshot) string {
			return zipped(t, "text, not tar, and long enough to be a header? "+strings.Repeat("x", 600))
		},
		"is not there (any more)": nil,
		"is cut off, or damaged":  func(w *world, s *Snapshot) string { return zipped(t, cutTar(t)) },
		"there is no model.onnx":  func(*world, *Snapshot) string { return archive(t, map[string][]byte{"a.txt": nil}, "a.txt") },
		"holds more than 1,000 files": func(*world, *Snapshot) string {
			var names []string
			for i := range 1001 {
				names = append(names, fmt.Sprint("f", i, "/"))
			}
			return archive(t, nil, names...)
		},
	} {
		w, s, artifact := sagemaker(t)
		if body != nil {
			w.store(artifact, body(w, s))
		}
		w.refused(In{Step: StepAdopt, Run: "run-1", Artifact: artifact}, fault.FailedPrecondition, text)
		if left, _ := os.ReadDir(w.planner.Dir); len(left) > 0 {
			t.Errorf("%s: %d temporary files are left", text, len(left))
		}
	}
	w, s, artifact := sagemaker(t)
	w.store(artifact, whole(w, s))
	for _, elsewhere := range []string{"s3://other/uploads/x/model.tar.gz", "s3://reg/models/flights/state.json", strings.TrimSuffix(artifact, "model.tar.gz") + "../../../../model.tar.gz"} {
		w.refused(In{Step: StepAdopt, Run: "run-1", Artifact: elsewhere}, fault.InvalidArgument, "artifact must be the archive of a job of this run")
	}
	if a := w.run(In{Step: StepAdopt, Run: "run-1", Artifact: artifact}).Adopted; !a.Ready || a.Rows.Holdout != 0 {
		t.Errorf("an image that leaves no run.json: %+v", a)
	}
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
