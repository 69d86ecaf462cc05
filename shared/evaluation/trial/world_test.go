package trial

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

const model = "flights"

var noon = time.Date(2026, 4, 6, 12, 0, 0, 0, time.UTC)

// world is a model with two versions, of which the first serves, and a bucket of captures.
type world struct {
	t     *testing.T
	clock time.Time
	store *blob.Memory // registry
	data  *blob.Memory
	reg   *registry.Registry
	judge Judge
	refs  map[int]registry.Ref
	rng   *rand.Rand
	puts  int
	moves int
}

func newWorld(t *testing.T, settings string) *world {
	t.Helper()
	w := &world{t: t, clock: noon, store: &blob.Memory{}, data: &blob.Memory{}, refs: map[int]registry.Ref{}, rng: rand.New(rand.NewPCG(2026, 11))}
	now := func() time.Time { return w.clock }
	w.reg = registry.New(w.store, registry.Options{Now: now, Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }, Rand: func() float64 { return 0.5 }})
	w.judge = Judge{Registry: w.reg, Data: w.data, Now: now}
	_, _, err := w.reg.CreateModel(t.Context(), registry.Model{Name: model, Task: schema.Binary})
	w.must(err)
	for range 2 {
		w.publish()
	}
	w.apply(registry.Bootstrap(w.refs[1]), "")
	if settings != "" {
		s, err := registry.ParseSettings([]byte(settings))
		w.must(err)
		digest, err := w.reg.PutSettings(t.Context(), model, s)
		w.must(err)
		w.apply(registry.Configure(digest), "")
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) publish() {
	w.t.Helper()
	ctx := w.t.Context()
	s := schema.Schema{V: schema.Version, Task: schema.Binary, Signature: schema.Signature{
		Inputs: []schema.Spec{{Name: "carrier", Datatype: tensor.Bytes, Shape: []int64{-1, 1}}},
		Outputs: []schema.Spec{{Name: "label", Datatype: tensor.Int64, Shape: []int64{-1}},
			{Name: "probabilities", Datatype: tensor.FP32, Shape: []int64{-1, 2}}}}}
	document, err := s.Encode()
	w.must(err)
	file := fmt.Append(nil, "model ", len(w.refs))
	hex := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	files := []registry.File{{Path: "model.onnx", Size: int64(len(file)), SHA256: hex(file), Blob: true}, {Path: "schema.json", Size: int64(len(document)), SHA256: hex(document)}}
	m := registry.Manifest{Model: model, Digest: registry.ContentDigest(files), Files: files, Runtime: "test", Parity: registry.Parity{Checked: true}}
	m.Version, err = w.reg.Claim(ctx, model, m.Digest, "test")
	w.must(err)
	w.must(w.reg.PutBlob(ctx, files[0].SHA256, bytes.NewReader(file), files[0].Size))
	_, err = w.reg.PutVersionFile(ctx, model, m.Version, "schema.json", document)
	w.must(err)
	_, _, err = w.reg.PutManifest(ctx, m)
	w.must(err)
	w.refs[m.Version] = registry.Ref{Version: m.Version, Digest: m.Digest}
}

// apply moves the pointer; evidence may be "".
func (w *world) apply(c registry.Change, evidence string) registry.State {
	w.t.Helper()
	w.moves++
	r := registry.Request{TransitionID: fmt.Sprint("move-", w.moves), Actor: "ana", Reason: "a test", SeenGeneration: 0}
	if evidence != "" {
		r.Evidence = []string{evidence}
	}
	out, err := w.reg.Apply(w.t.Context(), model, r, c)
	w.must(err)
	return out.State
}

// traffic is what a stretch of predictions is like.
type traffic struct {
	requests             int
	champion, challenger float64 // area under the ROC curve
	paired               bool
	shadow               bool    // the challenger only scores beside
	weight               float64 // of the challenger
	slow                 float64 // share of the challenger's answers that take ten times as long
	unlabelled           bool
}

// serve writes the captures and labels of predictions between two times of an hour.
func (w *world) serve(from, to time.Time, f traffic) {
	w.t.Helper()
	var lines bytes.Buffer
	var labels []label.Record
	for range f.requests {
		at := from.Add(time.Duration(w.rng.Int64N(int64(to.Sub(from)))))
		truth := 0
		if w.rng.Float64() < 0.3 {
			truth = 1
		}
		r := capture.Record{V: 1, ID: w.id(at), TS: at, Model: model, Status: 200, Rows: 1, TotalRows: 1, Generation: 2, ServedBy: "lambda", Sampled: 1,
			Inputs: map[string]any{"carrier": []string{[]string{"AA", "UA"}[w.rng.IntN(2)]}}, LatencyUS: 10_000 + w.rng.Int64N(10_000)}
		noise := w.rng.NormFloat64()
		scores := [2]float64{w.score(f.champion, truth, noise), w.score(f.challenger, truth, 0.9*noise+math.Sqrt(1-0.81)*w.rng.NormFloat64())}
		served := 0
		if w.rng.Float64() < f.weight {
			served = 1
			if w.rng.Float64() < f.slow {
				r.LatencyUS *= 10
			}
		}
		for i, side := range []int{served, 1 - served} {
			if i == 1 && !f.paired {
				break
			}
			r.Role, r.Version, r.Slot = []capture.Role{capture.Served, capture.Paired}[i], side+1, []registry.Slot{registry.Champion, registry.Challenger}[side]
			if side == 1 && f.shadow {
				r.Slot = registry.Shadow
			}
			p := scores[side]
			class := 0
			if p >= 0.5 {
				class = 1
			}
			r.Outputs = map[string]any{"label": []int{class}, "probabilities": [][]float64{{1 - p, p}}}
			raw, err := json.Marshal(&r)
			w.must(err)
			lines.Write(append(raw, '\n'))
		}
		if !f.unlabelled {
			labels = append(labels, label.Record{ID: r.ID, Label: label.NumberOf(float64(truth)), TS: at.Add(time.Minute)})
		}
	}
	w.puts++
	w.put(fmt.Sprintf("%s%06d.ndjson", outcome.CapturesPrefix(from), w.puts), lines.Bytes())
	w.file(from, labels)
}

func (w *world) file(hour time.Time, labels []label.Record) {
	w.t.Helper()
	slices.SortFunc(labels, func(a, b label.Record) int { return label.Order(&a, &b) })
	var body []byte
	for i := range labels {
		body = label.Append(body, &labels[i])
	}
	w.puts++
	w.put(label.Key(model, hour, fmt.Sprint("source-", w.puts)), body)
}

func (w *world) put(key string, body []byte) {
	w.t.Helper()
	_, err := w.data.Put(w.t.Context(), key, body, blob.Always())
	w.must(err)
}

// score is a calibrated probability of a binormal model; inverted of one below one half.
func (w *world) score(auc float64, truth int, noise float64) float64 {
	if auc < 0.5 {
		return 1 - w.score(1-auc, truth, noise)
	}
	mu := 2 * (auc - 0.5) / 0.4 // near enough
	x := noise + mu*float64(truth)
	return math.Round(1e4/(1+math.Exp(-(math.Log(0.3/0.7)+mu*x-mu*mu/2)))) / 1e4
}

func (w *world) id(at time.Time) string {
	var u uuid.UUID
	for i := range u {
		u[i] = byte(w.rng.Uint32())
	}
	for i, ms := 0, uint64(at.UnixMilli()); i < 6; i++ {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6], u[8] = u[6]&15|0x70, u[8]&63|0x80
	return u.String()
}

// shadow makes version 2 the shadow now.
func (w *world) shadow() {
	w.t.Helper()
	w.apply(registry.StartShadow(w.refs[2]), "")
}

// begin starts a rollout of version 2 now and returns its id.
func (w *world) begin() string {
	w.t.Helper()
	w.apply(registry.StartRollout(w.refs[2], fmt.Sprint("rollout-", w.moves+1), "ana", 2500), "")
	return fmt.Sprint("rollout-", w.moves)
}

func (w *world) look(s Step) Out {
	w.t.Helper()
	out, err := w.judge.Run(w.t.Context(), In{Model: model, Rollout: &s})
	w.must(err)
	return out
}

func (w *world) says(out Out, want comparison.Action) {
	w.t.Helper()
	if out.Action != want {
		w.t.Errorf("it says %s (%s), want %s", out.Action, out.Summary, want)
	}
}

// evidence is what a look put down, and the report in it.
func (w *world) evidence(out Out) (registry.Evidence, comparison.Report) {
	w.t.Helper()
	e, err := w.reg.Evidence(w.t.Context(), out.Evidence)
	w.must(err)
	var report comparison.Report
	w.must(json.Unmarshal(e.Report, &report))
	return e, report
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(2026, seed)) }

func memory(t *testing.T, key, text string) *blob.Memory {
	t.Helper()
	store := &blob.Memory{}
	if _, err := store.Put(t.Context(), key, []byte(text), blob.Always()); err != nil {
		t.Fatal(err)
	}
	return store
}
