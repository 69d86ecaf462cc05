package provenance_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/provenance"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/stat"
	"github.com/tidegate/tidegate/shared/tensor"
)

var update = flag.Bool("update", false, "write testdata/*.golden.json; then let testdata/validate.py look at them")

const run = `{"v": 1, "model": "flights", "seed": 3, "run": "0a1b2c3d", "started_at": "2026-11-24T11:40:00Z", "finished_at": "2026-11-24T11:58:00+01:00",
 "hyperparameters": {"seed": "3", "learning_rate": 0.1, "note": "a & b < c", "list": [1, 2]},
 "versions": {"python": "3.12.3", "scikit-learn": "1.9.1", "skl2onnx": "1.20.0"},
 "code": "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
 "image": "123.dkr.ecr.eu-west-1.amazonaws.com/trainer@sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
 "inputs": {"data": {"sha256": "1111111111111111111111111111111111111111111111111111111111111111", "size": 1200, "uri": "s3://reg/uploads/x/train.csv"},
  "schema": {"sha256": "2222222222222222222222222222222222222222222222222222222222222222", "size": 90, "uri": ""}},
 "outputs": {"model.onnx": {"sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "size": 9}},
 "dataset": {"name": "flights", "number": 3, "digest": "sha256:1111111111111111111111111111111111111111111111111111111111111111", "rows": 120000,
  "uri": "s3://reg/blobs/sha256/11/1111", "sources": [{"bucket": "data", "key": "months/03 März&.csv", "version_id": "a+b/c=", "etag": "\"e\"", "size": 600},
   {"bucket": "data", "key": "months/04.csv", "version_id": "null", "sha256": "3333333333333333333333333333333333333333333333333333333333333333"}]}}`

func version(record string) *provenance.Version {
	m := &registry.Manifest{Model: "flights", Version: 7, Digest: "sha256:" + strings.Repeat("9", 64), Runtime: "onnxruntime 1.27.0",
		Files:   []registry.File{{Path: "model.onnx", Size: 9, SHA256: strings.Repeat("a", 64), Blob: true}, {Path: "schema.json", Size: 3, SHA256: strings.Repeat("b", 64)}},
		Parity:  registry.Parity{Checked: true, Rows: 60, MaxAbsDiff: 5.96e-8, Tolerance: 1e-5},
		Metrics: map[string]float64{"n": 60, "n_positive": 9, "roc_auc": 0.9, "f1": 0.5}, CreatedAt: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	if record != "" {
		m.Run = json.RawMessage(record)
		m.Files = append(m.Files, registry.File{Path: "training_schema.json", SHA256: strings.Repeat("2", 64)})
	}
	return &provenance.Version{Manifest: m, Model: registry.Model{Name: "flights", Task: schema.Binary, Target: "late"}, Source: "s3://reg/uploads/01JD/",
		Schema: &schema.Schema{V: 1, Task: schema.Binary, Signature: schema.Signature{
			Inputs:  []schema.Spec{{Name: "x", Datatype: tensor.FP32, Shape: []int64{-1, 2}, Columns: []string{"delay", "distance"}}},
			Outputs: []schema.Spec{{Name: "probabilities", Datatype: tensor.FP32, Shape: []int64{-1, 2}}}}},
		Record:  provenance.ParseRecord(m.Run),
		Metrics: []provenance.Metric{{Name: "roc_auc", Value: 0.9135, Interval: &stat.Interval{Lo: 0.8905, Hi: 0.9321}}, {Name: "log_loss", Value: 0.25}}}
}

func documents(t testing.TB, v *provenance.Version) (statement, bom []byte) {
	t.Helper()
	statement, err := v.Statement()
	if err != nil {
		t.Fatal(err)
	}
	bom, err = v.BOM()
	if err != nil {
		t.Fatal(err)
	}
	return statement, bom
}

// TestDocuments holds the bytes to those that validate.py found valid.
func TestDocuments(t *testing.T) {
	foreign := version("")
	foreign.Model, foreign.Metrics, foreign.Manifest.Metrics = registry.Model{Name: "foreign", Task: schema.Unspecified}, nil, nil
	foreign.Manifest.Model, foreign.Manifest.Parity, foreign.Source = "foreign", registry.Parity{Reason: "no holdout"}, "s3://reg/uploads/01JD/best.onnx"
	for name, v := range map[string]*provenance.Version{"trained": version(run), "foreign": foreign,
		"another": version(`{"outputs": {"model.onnx": {"sha256": "` + strings.Repeat("a", 64) + `"}}}`)} {
		statement, bom := documents(t, v)
		for file, got := range map[string][]byte{"statement": statement, "bom": bom} {
			path := "testdata/" + name + "." + file + ".golden.json"
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs; look at it, run with -update and let validate.py look too:\n%s", path, got)
			}
		}
	}
}

func TestTheSameVersionGivesTheSameBytes(t *testing.T) {
	statement, bom := documents(t, version(run))
	for range 20 {
		again, bomAgain := documents(t, version(run))
		if !bytes.Equal(statement, again) || !bytes.Equal(bom, bomAgain) {
			t.Fatal("the bytes depend on something else")
		}
	}
}

// TestBuilderIsNotClaimedWithoutEvidence: a record counts only if it is of this very file.
func TestBuilderIsNotClaimedWithoutEvidence(t *testing.T) {
	other := strings.ReplaceAll(run, strings.Repeat("a", 64), strings.Repeat("e", 64))
	for name, c := range map[string]struct {
		record, builder string
		dependencies    int
	}{
		"ours":                  {run, provenance.Trainer, 10},
		"of another file":       {other, provenance.UnknownBuilder, 1},
		"no outputs":            {`{"seed": 1, "hyperparameters": {"seed": 1}, "versions": {"scikit-learn": "1", "skl2onnx": "1"}}`, provenance.UnknownBuilder, 1},
		"none":                  {"", provenance.UnknownBuilder, 1},
		"not an object":         {`[1]`, provenance.UnknownBuilder, 1},
		"fields of other types": {`{"outputs": [], "hyperparameters": "x", "dataset": 3, "versions": {"a": 1}, "inputs": {"data": 1}}`, provenance.UnknownBuilder, 1},
		"another trainer":       {`{"outputs": {"model.onnx": {"sha256": "` + strings.Repeat("a", 64) + `"}}}`, provenance.AnotherTrainer, 0},
	} {
		statement, bom := documents(t, version(c.record))
		var got struct {
			Subject []struct {
				Name   string
				Digest map[string]string
			}
			Predicate struct {
				BuildDefinition struct {
					ResolvedDependencies []any
					ExternalParameters   struct{ Hyperparameters map[string]any }
				}
				RunDetails struct{ Builder struct{ ID string } }
			}
		}
		if err := json.Unmarshal(statement, &got); err != nil {
			t.Fatal(err)
		}
		if got.Predicate.RunDetails.Builder.ID != c.builder || len(got.Predicate.BuildDefinition.ResolvedDependencies) != c.dependencies {
			t.Errorf("%s: builder %s, %d dependencies, want %s, %d", name, got.Predicate.RunDetails.Builder.ID, len(got.Predicate.BuildDefinition.ResolvedDependencies), c.builder, c.dependencies)
		}
		if claims := got.Predicate.BuildDefinition.ExternalParameters.Hyperparameters != nil; claims != (c.builder == provenance.Trainer) {
			t.Errorf("%s: hyperparameters are there: %v", name, claims)
		}
		if len(got.Subject) < 2 || got.Subject[0].Name != "model.onnx" || got.Subject[0].Digest["sha256"] != strings.Repeat("a", 64) {
			t.Errorf("%s: subjects %+v", name, got.Subject)
		}
		if !bytes.Contains(bom, []byte(c.builder)) {
			t.Errorf("%s: the bill of materials names another builder", name)
		}
	}
}

func TestSourcesAreNamedByVersion(t *testing.T) {
	statement, bom := documents(t, version(run))
	for _, want := range []string{"s3://data/months/03%20M%C3%A4rz&.csv?versionId=a%2Bb%2Fc%3D", "s3://data/months/04.csv?versionId=null"} {
		if !bytes.Contains(statement, []byte(want)) || !bytes.Contains(bom, []byte(want)) {
			t.Errorf("%s is missing", want)
		}
	}
}

// FuzzRecord: any run record gives two documents, and names a builder only if it has the model's digest.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(run))
	f.Add([]byte(`{"outputs": {"model.onnx": null}, "versions": null, "dataset": {"sources": [null]}}`))
	f.Add([]byte(`{"dataset": {"name": "\u0000", "sources": [{"key": "%zz", "bucket": " /"}]}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, record []byte) {
		v := version("")
		v.Record = provenance.ParseRecord(record)
		statement, bom := documents(t, v)
		if !json.Valid(statement) || !json.Valid(bom) {
			t.Error("not JSON")
		}
		trained := v.Record.Outputs["model.onnx"] == strings.Repeat("a", 64)
		if builder := builderOf(t, statement); trained == (builder == provenance.UnknownBuilder) {
			t.Errorf("builder %s", builder)
		}
	})
}

func builderOf(t *testing.T, statement []byte) string {
	var doc struct {
		Predicate struct {
			RunDetails struct{ Builder struct{ ID string } }
		}
	}
	if err := json.Unmarshal(statement, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Predicate.RunDetails.Builder.ID
}
