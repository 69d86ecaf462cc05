package training

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/dataset"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

var (
	now  = time.Date(2013, 8, 1, 0, 30, 0, 0, time.UTC)
	code = "sha256:" + strings.Repeat("c0de", 16)
)

const trainingSchema = `{"v":1,"task":"binary_classification","target":"late","time":"when","columns":[{"name":"delay","type":"number"},{"name":"carrier","type":"category"}]}`

// world is a stack in memory: a model whose version 1, trained by hand until March, is the champion.
type world struct {
	t         *testing.T
	reg, data *blob.Memory
	registry  *registry.Registry
	planner   Planner
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, reg: &blob.Memory{}, data: &blob.Memory{}}
	clock := func() time.Time { return now }
	w.registry = registry.New(w.reg, registry.Options{Now: clock, Sleep: func(context.Context, time.Duration) error { return nil }})
	dir := t.TempDir()
	builder := &dataset.Builder{Buckets: map[string]dataset.Bucket{"data": w.data, "reg": w.reg}, Registry: w.registry, Now: clock, Dir: dir}
	w.planner = Planner{RegistryBucket: "reg", DataBucket: "data", Registry: w.registry, Uploads: w.reg, Builder: builder,
		TrainMemoryMB: 3008, Now: clock, Log: slog.New(slog.DiscardHandler), Dir: dir}
	if _, _, err := w.registry.CreateModel(t.Context(), registry.Model{Name: "flights", Task: schema.Binary, Target: "late"}); err != nil {
		t.Fatal(err)
	}
	v1 := w.version(1, "one", trained{until: "2013-03-31T23:00:00Z"}, nil)
	w.apply(registry.Bootstrap(registry.Ref{Version: 1, Digest: v1.Digest}))
	for m := 1; m <= 7; m++ {
		w.put(fmt.Sprintf("training/flights/%02d.csv", m), month(m, 40))
	}
	return w
}

func (w *world) put(key, body string) blob.Info {
	w.t.Helper()
	info, err := w.data.Put(w.t.Context(), key, []byte(body), blob.Always())
	if err != nil {
		w.t.Fatal(err)
	}
	return info
}

func (w *world) apply(c registry.Change) {
	w.t.Helper()
	if _, err := w.registry.Apply(w.t.Context(), "flights", registry.Request{TransitionID: fmt.Sprint(c.Kind, time.Now().UnixNano()), Actor: "tests"}, c); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) configure(retrain string) {
	w.t.Helper()
	digest, err := w.registry.PutSettings(w.t.Context(), "flights", registry.Settings{Retrain: json.RawMessage(retrain)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.apply(registry.Configure(digest))
}

// trained says what a version's run record tells.
type trained struct{ until, data, schema, code string }

// files are those of a training that held the rows of a table out.
func (tr trained) files(model, held string) map[string][]byte {
	run := map[string]any{"v": 1, "rows": map[string]int{"train": 200, "holdout": strings.Count(held, "\n") - 1},
		"inputs": map[string]any{"data": map[string]any{"sha256": registry.Hex(tr.data)}, "schema": map[string]any{"sha256": registry.Hex(tr.schema)}},
		"time":   map[string]any{"train": map[string]any{"first": "2013-01-01T00:00:00Z", "last": tr.until}}}
	if tr.code != "" {
		run["code"] = tr.code
	}
	record, _ := json.Marshal(run)
	predictions := strings.Builder{}
	predictions.WriteString("label,probabilities_0,probabilities_1\n")
	for i := range strings.Count(held, "\n") - 1 {
		fmt.Fprintf(&predictions, "%d,0.75,0.%d5\n", i%2, i%10)
	}
	return map[string][]byte{"model.onnx": []byte(model), "holdout.csv": []byte(held), "predictions.csv": []byte(predictions.String()),
		"metrics.json": []byte(`{"v":1,"task":"binary_classification","roc_auc":0.91,"n":40}`), "run.json": record, "training_schema.json": []byte(trainingSchema)}
}

// held is a holdout of a month, in the columns of the trainer.
func held(m, n int) string {
	var b strings.Builder
	b.WriteString("delay,carrier,when,late\n")
	for i := range n {
		fmt.Fprintf(&b, "%d.5,UA,2013-%02d-%02dT%02d:00:00Z,%d\n", i, m, 1+i/24, i%24, i%2)
	}
	return b.String()
}

// version writes a READY version as register does.
func (w *world) version(n int, model string, tr trained, record []byte) registry.Manifest {
	w.t.Helper()
	serving := schema.Schema{V: 1, Task: schema.Binary, Signature: schema.Signature{
		Inputs:  []schema.Spec{{Name: "delay", Datatype: tensor.FP32, Shape: []int64{-1, 1}}, {Name: "carrier", Datatype: tensor.Bytes, Shape: []int64{-1, 1}}},
		Outputs: []schema.Spec{{Name: "label", Datatype: tensor.Int64, Shape: []int64{-1}}, {Name: "probabilities", Datatype: tensor.FP32, Shape: []int64{-1, 2}}}}}
	files := tr.files(model, held(7, 40))
	files["schema.json"], _ = json.Marshal(serving)
	if record != nil {
		files[RecordFile] = record
	}
	m := registry.Manifest{Model: "flights", Version: n, Run: files["run.json"], Training: record, Metrics: map[string]float64{"roc_auc": 0.91, "n": 40}, Runtime: "test"}
	for name, body := range files {
		f := fileOf(name, body)
		var err error
		if f.Blob {
			err = w.registry.PutBlob(w.t.Context(), f.SHA256, bytes.NewReader(body), f.Size)
		} else {
			_, err = w.registry.PutVersionFile(w.t.Context(), "flights", n, name, body)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		m.Files = append(m.Files, f)
	}
	m.Digest = registry.ContentDigest(m.Files)
	stored, _, err := w.registry.PutManifest(w.t.Context(), m)
	if err != nil {
		w.t.Fatal(err)
	}
	return stored
}

func fileOf(name string, body []byte) registry.File {
	sum := sha256.Sum256(body)
	return registry.File{Path: name, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:]), Blob: name == "model.onnx" || strings.HasSuffix(name, ".csv")}
}

func (w *world) run(in In) Out {
	w.t.Helper()
	in.Model = "flights"
	out, err := w.planner.Run(w.t.Context(), in)
	if err != nil {
		w.t.Fatalf("%+v: %v", in, err)
	}
	return out
}

func (w *world) snapshot(id string) *Snapshot {
	w.t.Helper()
	return w.run(In{Step: StepSnapshot, Run: id, Code: code}).Snapshot
}

func (w *world) refused(in In, kind fault.Kind, text string) {
	w.t.Helper()
	in.Model = "flights"
	_, err := w.planner.Run(w.t.Context(), in)
	if !fault.Is(err, kind) || !strings.Contains(fault.Public(err).Message, text) {
		w.t.Errorf("%+v: %v; want %s with %q", in, err, kind, text)
	}
}

// train leaves what the train function would.
func (w *world) train(s *Snapshot, change func(files map[string][]byte)) {
	w.t.Helper()
	files := trained{until: "2013-06-25T00:00:00Z", data: s.Dataset.Digest, schema: s.Record.SchemaDigest, code: s.Record.Code}.files("two", held(7, 40))
	if change != nil {
		change(files)
	}
	for name, body := range files {
		if _, err := w.reg.Put(w.t.Context(), strings.TrimPrefix(s.Source, "s3://reg/")+name, body, blob.Always()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// registered makes version n of what a run trained.
func (w *world) registered(n int, s *Snapshot) registry.Manifest {
	w.t.Helper()
	record, err := json.Marshal(s.Record)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.version(n, fmt.Sprint("model ", n), trained{until: "2013-06-25T00:00:00Z", data: s.Dataset.Digest, schema: s.Record.SchemaDigest, code: s.Record.Code}, record)
}

func month(m, n int) string {
	var b strings.Builder
	b.WriteString("flight,when,delay,carrier,late\n")
	for i := range n {
		fmt.Fprintf(&b, "UA%d,2013-%02d-%02dT%02d:00:00Z,%d.5,UA,%d\n", i, m, 1+i/24%28, i%24, i, i%2)
	}
	return b.String()
}

// archive is a tar.gz of files, in the order of the names given.
func archive(t *testing.T, files map[string][]byte, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	to := tar.NewWriter(z)
	for _, name := range names {
		head := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}
		if strings.HasSuffix(name, "/") {
			head.Typeflag = tar.TypeDir
		}
		if err := to.WriteHeader(head); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// cutTar is a tar whose file is longer than what follows.
func cutTar(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	to := tar.NewWriter(&b)
	if err := to.WriteHeader(&tar.Header{Name: "model.onnx", Mode: 0o644, Size: 5000, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	b.WriteString(strings.Repeat("x", 700))
	return b.String()
}
