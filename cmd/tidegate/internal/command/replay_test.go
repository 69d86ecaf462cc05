package command

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/dataset"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/training"
)

var trainingCode = "sha256:" + strings.Repeat("c0de", 16)

// retrained is a cloud in which flights@1 has a training record, and a train function that
// leaves the files of that version again, after change has been at them.
func retrained(t *testing.T, change func(files map[string][]byte)) *cloud {
	t.Helper()
	c := registering(t)
	files := map[string][]byte{}
	paths, _ := filepath.Glob(trained + "/*")
	for _, path := range paths {
		files[filepath.Base(path)] = load(t, path)
	}
	put := func(body string) string {
		digest := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
		if err := c.reg.PutBlob(t.Context(), digest, strings.NewReader(body), int64(len(body))); err != nil {
			t.Fatal(err)
		}
		return "sha256:" + digest
	}
	rows, described := put("rows"), put("schema")
	document, err := json.Marshal(dataset.Document{V: 1, Name: "flights", Number: 1, Pin: rows, Digest: rows, SchemaDigest: described, Rows: 1, Size: 4, Columns: []string{"late"},
		Sources: []dataset.Source{{Kind: dataset.Table, Bucket: "data", Key: "training/flights/01.csv", ETag: `"e"`, Rows: 1, Size: 4}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.Put(t.Context(), registry.DatasetKey("flights", 1), document, blob.Once()); err != nil {
		t.Fatal(err)
	}
	record, err := json.Marshal(training.Record{V: 1, Model: "flights", Run: "run-1", Key: rows, Trainer: training.Lambda,
		Terms:   training.Terms{SchemaDigest: described, Hyperparameters: map[string]string{"seed": "7"}, Code: trainingCode},
		Dataset: training.Ref{Name: "flights", Number: 1, Digest: rows}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, training.RecordFile), record, 0o600); err != nil {
		t.Fatal(err)
	}
	c.must(t, "version", "register", dir, "--model", "flights")
	change(files)
	c.train = func(in map[string]any) (any, error) {
		if in["describe"] == true {
			return map[string]string{"code": trainingCode}, nil
		}
		hyper, _ := in["hyperparameters"].(map[string]any)
		if in["data_uri"] != "s3://registry/"+registry.BlobKey(rows) || in["schema_uri"] != "s3://registry/"+registry.BlobKey(described) || hyper["seed"] != "7" {
			t.Errorf("train was asked %v", in)
		}
		folder := strings.TrimPrefix(in["output_uri"].(string), "s3://registry/")
		for name, body := range files {
			if _, err := c.store.Put(t.Context(), folder+name, body, blob.Always()); err != nil {
				return nil, err
			}
		}
		return map[string]any{"output_uri": in["output_uri"], "files": slices.Sorted(maps.Keys(files))}, nil
	}
	return c
}

func TestReplay(t *testing.T) {
	for name, test := range map[string]struct {
		change func(map[string][]byte)
		args   []string
		code   int
		want   string
	}{
		"the same":        {func(map[string][]byte) {}, nil, ExitOK, "nothing differs\nmodel.onnx   the same bytes\npredictions  60 rows, 0 differ"},
		"another answer":  {edited("predictions.csv", "0.4234423", "0.4235"), nil, ExitWrong, "differs: 1 of 60 predictions differ by more than 1e-05"},
		"tolerated":       {edited("predictions.csv", "0.4234423", "0.4235"), []string{"--tolerance", "0.001"}, ExitOK, "differences within the tolerance"},
		"no tolerance":    {edited("predictions.csv", "0.4234423", "0.4234424"), []string{"--tolerance", "0"}, ExitWrong, "DIFFERS"},
		"a tiny one":      {edited("predictions.csv", "0.4234423", "0.4234424"), nil, ExitOK, "differences within the tolerance"},
		"another holdout": {edited("holdout.csv", "UA", "AA"), nil, ExitWrong, "other rows are held out"},
		"no predictions":  {func(f map[string][]byte) { delete(f, "predictions.csv") }, nil, ExitError, "left no predictions.csv"},
		"no number":       {func(map[string][]byte) {}, []string{"--tolerance", "NaN"}, ExitError, "--tolerance must be a number"},
		"negative":        {func(map[string][]byte) {}, []string{"--tolerance", "-1"}, ExitError, "--tolerance must be a number"},
	} {
		t.Run(name, func(t *testing.T) {
			c := retrained(t, test.change)
			code, out, errs := c.run(append([]string{"replay", "flights", "1"}, test.args...)...)
			if code != test.code || !strings.Contains(out+errs, test.want) || (code == ExitError) != (out == "") {
				t.Errorf("exit code %d, want %d and %q\n%s%s", code, test.code, test.want, out, errs)
			}
			if n := count(t, c); n != 1 {
				t.Errorf("%d versions: a replay registers nothing", n)
			}
		})
	}
}

func edited(file, old, new string) func(map[string][]byte) {
	return func(files map[string][]byte) {
		files[file] = bytes.Replace(files[file], []byte(old), []byte(new), 1)
	}
}

func count(t *testing.T, c *cloud) (n int) {
	t.Helper()
	for _, err := range c.reg.Versions(t.Context(), "flights", 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestReplayFollowsTheSettings: the tolerance is the model's where none is asked for.
func TestReplayFollowsTheSettings(t *testing.T) {
	c := retrained(t, edited("predictions.csv", "0.4234423", "0.4235"))
	c.must(t, "promote", "flights", "1")
	c.must(t, "configure", "flights", write(t, "settings.json", `{"retrain":{"replay":{"metric":0.01,"prediction":0.01}}}`))
	var doc struct {
		Verdict   string
		Source    string
		RowsTotal int `json:"rows"`
		Tolerance struct{ Prediction float64 }
	}
	if err := json.Unmarshal([]byte(c.must(t, "replay", "flights", "1", "--json")), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Verdict != "within_tolerance" || doc.Tolerance.Prediction != 0.01 || doc.RowsTotal != 60 || !strings.HasPrefix(doc.Source, "s3://registry/uploads/") {
		t.Errorf("%+v", doc)
	}
}

func TestReplayRefuses(t *testing.T) {
	same := func(map[string][]byte) {}
	c := retrained(t, same)
	c.must(t, "version", "register", trained, "--model", "byhand")
	for name, args := range map[string][]string{"no such version": {"flights", "2"}, "by hand": {"byhand", "1"}, "no number": {"flights", "x"}, "no such model": {"nobody", "1"}} {
		before := len(c.invoke)
		if code, out, errs := c.run(append([]string{"replay"}, args...)...); code != ExitError || out != "" || strings.Count(errs, "\n") != 1 || len(c.invoke) != before {
			t.Errorf("%s: exit code %d, %q, %q, %d calls", name, code, out, errs, len(c.invoke)-before)
		}
	}
	m, err := c.reg.Manifest(t.Context(), "flights", 1)
	if err != nil {
		t.Fatal(err)
	}
	record, _, err := training.ParseRecord(m.Training)
	if err != nil {
		t.Fatal(err)
	}
	c.fail = func(function string) error {
		if function == "train" {
			return fault.New(fault.DeadlineExceeded, "too slow")
		}
		return nil
	}
	if code, _, errs := c.run("replay", "flights", "1"); code != ExitError || !strings.Contains(errs, "too slow") {
		t.Errorf("a training that takes too long: exit code %d, %q", code, errs)
	}
	c.fail = func(string) error { return nil }
	c.store.Delete(registry.BlobKey(record.Dataset.Digest))
	c.store.Delete(registry.BlobKey(record.SchemaDigest))
	if code, _, errs := c.run("replay", "flights", "1"); code != ExitError || !strings.Contains(errs, "the training rows") || !strings.Contains(errs, "the training schema") {
		t.Errorf("without its data: exit code %d, %q", code, errs)
	}
}

// TestReplayTellsOfOtherCode: what trains now is not what trained then.
func TestReplayTellsOfOtherCode(t *testing.T) {
	c := retrained(t, func(map[string][]byte) {})
	train := c.train
	c.train = func(in map[string]any) (any, error) {
		if in["describe"] == true {
			return map[string]string{"code": "sha256:" + strings.Repeat("ab", 32)}, nil
		}
		return train(in)
	}
	if out := c.must(t, "replay", "flights", "1"); !strings.Contains(out, "note: other training code is deployed: c0dec0dec0de -> abababababab") {
		t.Errorf("%s", out)
	}
}
