package watch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// world is a registry with model "flights", whose version 1 serves, and an empty data bucket.
type world struct {
	*Watcher
	t      *testing.T
	data   *blob.Memory
	store  *blob.Memory
	now    time.Time
	mu     sync.Mutex
	events []any
	texts  []string
	lines  []map[string]float64
	put    int // objects
}

const model = "flights"

var firstDay = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// wide is a policy under which a few hundred rows decide.
const wide = `"tolerances":{"roc_auc":0.1}`

// long leaves out what the race detector would take minutes for.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
}

func newWorld(t *testing.T, policy string) *world {
	t.Helper()
	w := &world{t: t, data: new(blob.Memory), store: new(blob.Memory), now: firstDay.Add(-time.Hour)}
	w.data.Now = func() time.Time { return w.now }
	w.store.Now = w.data.Now
	reg := registry.New(w.store, registry.Options{Now: func() time.Time { return w.now }})
	w.Watcher = &Watcher{Registry: reg, Data: w.data, Bucket: "data", Bus: w, Topic: w, Meter: w, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler)}
	_, _, err := reg.CreateModel(t.Context(), registry.Model{Name: model, Task: schema.Binary, Target: "late"})
	w.check(err)
	w.move(registry.Bootstrap(w.version(1, reference(t, 1))))
	if policy != "" {
		digest, err := reg.PutSettings(t.Context(), model, registry.Settings{Quality: json.RawMessage(policy)})
		w.check(err)
		w.move(registry.Configure(digest))
	}
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

var moves int

// move applies a transition.
func (w *world) move(change registry.Change) {
	w.t.Helper()
	seen := int64(0)
	if s, _, err := w.Registry.State(w.t.Context(), model); err == nil {
		seen = s.Generation
	}
	moves++
	_, err := w.Registry.Apply(w.t.Context(), model, registry.Request{TransitionID: fmt.Sprint("t", moves), Actor: "test", SeenGeneration: seen}, change)
	w.check(err)
}

// version registers a version, without a reference when r is nil.
func (w *world) version(number int, r *quality.Reference) registry.Ref {
	w.t.Helper()
	described := schema.Schema{V: 1, Task: schema.Binary, Signature: schema.Signature{
		Inputs: []schema.Spec{{Name: "carrier", Datatype: tensor.Bytes, Shape: []int64{-1, 1}}},
		Outputs: []schema.Spec{{Name: "label", Datatype: tensor.Int64, Shape: []int64{-1}},
			{Name: "probabilities", Datatype: tensor.FP32, Shape: []int64{-1, 2}}}}}
	raw, err := described.Encode()
	w.check(err)
	files := map[string][]byte{"schema.json": raw}
	if r != nil {
		files[quality.ReferenceFile], err = r.Encode()
		w.check(err)
	}
	return w.files(model, number, files)
}

// files registers a version of these files.
func (w *world) files(name string, number int, files map[string][]byte) registry.Ref {
	w.t.Helper()
	ctx := w.t.Context()
	sum := sha256.Sum256(fmt.Append(nil, number))
	listed := []registry.File{{Path: "model.onnx", Size: 1, SHA256: hex.EncodeToString(sum[:]), Blob: true}}
	for path, body := range files {
		_, err := w.Registry.PutVersionFile(ctx, name, number, path, body)
		w.check(err)
		sum := sha256.Sum256(body)
		listed = append(listed, registry.File{Path: path, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:])})
	}
	m, _, err := w.Registry.PutManifest(ctx, registry.Manifest{Model: name, Version: number, Digest: registry.ContentDigest(listed), Files: listed, Runtime: "test"})
	w.check(err)
	return registry.Ref{Version: m.Version, Digest: m.Digest}
}

// draw is the score of a row and what turns out: with the probability of the score
// if the model is good, by chance if it is not.
func draw(rng *rand.Rand, good bool) (p float64, truth int) {
	p = 1 / (1 + math.Exp(-2*rng.NormFloat64()))
	p = math.Round(p*1e4) / 1e4
	q := p
	if !good {
		q = 0.5
	}
	if rng.Float64() < q {
		truth = 1
	}
	return p, truth
}

var references sync.Map

// reference is of 6,000 rows of a good model.
func reference(t *testing.T, seed uint64) *quality.Reference {
	t.Helper()
	if known, ok := references.Load(seed); ok {
		return known.(*quality.Reference)
	}
	rng := rand.New(rand.NewPCG(seed, 11))
	scores := make([]float64, 6000)
	truth := make([]int, len(scores))
	for i := range scores {
		scores[i], truth[i] = draw(rng, true)
	}
	layout, err := quality.NewBinary(score.Freeze(scores))
	if err != nil {
		t.Fatal(err)
	}
	s := quality.NewState(layout)
	for i := range scores {
		s.Add(&quality.Row{Score: scores[i], Class: quality.NoClass, Labelled: true, Label: truth[i], Mature: true, Key: uint64(i)})
	}
	r, err := quality.NewReference(s, "holdout", firstDay.AddDate(0, 0, -30))
	if err != nil {
		t.Fatal(err)
	}
	references.Store(seed, r)
	return r
}

func (w *world) Emit(_ context.Context, source, detailType string, _ time.Time, detail any) error {
	switch detail.(type) {
	case Completed:
		if detailType != EventCompleted {
			w.t.Errorf("event %s", detailType)
		}
	case StateChange:
		if detailType != EventStateChange {
			w.t.Errorf("event %s", detailType)
		}
	default:
		w.t.Errorf("event %T", detail)
	}
	if source != EventSource {
		w.t.Errorf("event of %s", source)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, detail)
	return nil
}

func (w *world) Publish(_ context.Context, subject, text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, subject+"\n"+text)
	return nil
}

func (w *world) Measure(_, _ string, values map[string]float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, values)
}

// changes are the changes of state that were told.
func (w *world) changes() string {
	var out []string
	for _, e := range w.events {
		if c, ok := e.(StateChange); ok {
			out = append(out, c.Window+" "+string(c.Before)+">"+string(c.State))
		}
	}
	return strings.Join(out, ", ")
}

// traffic is what predict captures and what turns out, before it lies in a bucket.
type traffic struct {
	records []capture.Record
	labels  []label.Record
}

// flow draws n requests of an hour.
func flow(seed uint64, hour time.Time, n int, good bool) traffic {
	rng := rand.New(rand.NewPCG(seed, uint64(hour.Unix())))
	var f traffic
	for range n {
		at := hour.Add(time.Duration(rng.IntN(3_600_000)) * time.Millisecond)
		p, truth := draw(rng, good)
		class := 0
		if p >= 0.5 {
			class = 1
		}
		r := capture.Record{V: 1, ID: idAt(rng, at), TS: at, Model: model, Version: 1, Digest: "sha256:aa", Slot: registry.Champion, Role: capture.Served, Generation: 1,
			Rows: 1, TotalRows: 1, Status: 200, LatencyUS: int64(1000 + rng.IntN(1000)), ServedBy: "lambda", Sampled: 1,
			Inputs: map[string]any{"carrier": []any{[]any{"UA", "B6", "AA"}[rng.IntN(3)]}}, Outputs: map[string]any{"label": []any{class}, "probabilities": []any{[]any{1 - p, p}}}}
		f.records = append(f.records, r)
		f.labels = append(f.labels, label.Record{ID: r.ID, Label: label.NumberOf(float64(truth)), TS: at.Add(time.Duration(1+rng.IntN(60)) * time.Minute).Truncate(time.Millisecond)})
	}
	return f
}

func idAt(rng *rand.Rand, at time.Time) string {
	var u uuid.UUID
	for i := range u {
		u[i] = byte(rng.Uint32())
	}
	ms := uint64(at.UnixMilli())
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6], u[8] = u[6]&15|0x70, u[8]&63|0x80
	return u.String()
}

// captures puts an object of records that arrived in an hour.
func (w *world) captures(arrived time.Time, records []capture.Record) {
	w.t.Helper()
	var body bytes.Buffer
	for i := range records {
		raw, err := json.Marshal(&records[i])
		w.check(err)
		body.Write(append(raw, '\n'))
	}
	w.object(outcome.CapturesPrefix(arrived)+fmt.Sprintf("object-%06d", w.put), body.Bytes())
}

// labelled puts an object of filed labels of predictions of an hour.
func (w *world) labelled(hour time.Time, labels []label.Record) {
	w.t.Helper()
	w.labelledOf(model, hour, labels)
}

func (w *world) labelledOf(model string, hour time.Time, labels []label.Record) {
	w.t.Helper()
	labels = slices.Clone(labels)
	slices.SortFunc(labels, func(a, b label.Record) int { return label.Order(&a, &b) })
	var body []byte
	for i := range labels {
		body = label.Append(body, &labels[i])
	}
	w.object(label.Key(model, hour, fmt.Sprintf("source-%06d", w.put)), body)
}

func (w *world) object(key string, body []byte) {
	w.t.Helper()
	w.put++
	_, err := w.data.Put(w.t.Context(), key, body, blob.Always())
	w.check(err)
}

// day puts the captures of a day, and the labels of share of them.
func (w *world) day(date time.Time, rows int, good bool, share float64) {
	w.t.Helper()
	for h := range 24 {
		hour := date.Add(time.Duration(h) * time.Hour)
		f := flow(7, hour, rows/24, good)
		w.captures(hour, f.records)
		if n := int(math.Round(share * float64(len(f.labels)))); n > 0 {
			w.labelled(hour, f.labels[:n])
		}
	}
}

// rest puts the labels of a day that day has left out.
func (w *world) rest(date time.Time, rows int, good bool, share float64) {
	w.t.Helper()
	for h := range 24 {
		hour := date.Add(time.Duration(h) * time.Hour)
		f := flow(7, hour, rows/24, good)
		w.labelled(hour, f.labels[int(math.Round(share*float64(len(f.labels)))):])
	}
}

func date(n int) time.Time { return firstDay.AddDate(0, 0, n) }

// closed is a time when the window of day n is looked at first, mature when its labels are due by the default delay.
func closed(n int) time.Time { return date(n + 1).Add(70 * time.Minute) }
func mature(n int) time.Time { return date(n + 2).Add(10 * time.Minute) }

func (w *world) tickAt(now time.Time) []Done {
	w.t.Helper()
	w.now = now
	out, err := w.Run(w.t.Context(), In{Tick: true})
	w.check(err)
	if out.Left > 0 {
		w.t.Fatalf("hours are left: %+v", out.Waiting)
	}
	return out.Reports
}

// report reads a stored report, and its bytes.
func (w *world) report(d Done) (*evaluation.Report, []byte) {
	w.t.Helper()
	obj, err := w.data.Get(w.t.Context(), strings.TrimPrefix(d.Report, "s3://data/"))
	w.check(err)
	r, err := evaluation.ParseReport(obj.Body)
	w.check(err)
	return r, obj.Body
}

// keys are the stored keys below prefix that end with end.
func (w *world) keys(prefix, end string) []string {
	var out []string
	for info := range w.data.List(w.t.Context(), prefix, "") {
		if strings.HasSuffix(info.Key, end) && !strings.HasSuffix(info.Key, ".event.json") {
			out = append(out, info.Key)
		}
	}
	return out
}
