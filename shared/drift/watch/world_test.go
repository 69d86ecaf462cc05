package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
)

// world is a registry with model "flights", whose version 1 serves, and an empty data bucket.
type world struct {
	*Watcher
	t      *testing.T
	data   *blob.Memory
	store  *blob.Memory
	base   *profile.Baseline
	digest string
	now    time.Time
	events []StateChange
	texts  []string
	lines  []map[string]float64
}

const model = "flights"

var firstDay = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func newWorld(t *testing.T, settings string) *world {
	t.Helper()
	w := &world{t: t, data: new(blob.Memory), store: new(blob.Memory), now: firstDay}
	w.data.Now = func() time.Time { return w.now }
	reg := registry.New(w.store, registry.Options{Now: func() time.Time { return w.now }})
	w.Watcher = &Watcher{Registry: reg, Data: w.data, Bucket: "data", Bus: w, Topic: w, Meter: w, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler)}
	builder, err := profile.NewBuilder([]profile.Spec{{Name: "x", Kind: profile.Numeric}, {Name: "c", Kind: profile.Categorical}})
	w.check(err)
	draw(rand.New(rand.NewPCG(1, 2)), builder, 20000, 0)
	w.base = builder.Freeze(20000)
	w.version(1, w.base)
	digest := ""
	if settings != "" {
		digest, err = reg.PutSettings(t.Context(), model, registry.Settings{Drift: json.RawMessage(settings)})
		w.check(err)
	}
	m, err := reg.Manifest(t.Context(), model, 1)
	w.check(err)
	_, err = reg.Apply(t.Context(), model, registry.Request{TransitionID: "t1", Actor: "test"}, registry.Bootstrap(registry.Ref{Version: 1, Digest: m.Digest}))
	w.check(err)
	if digest != "" {
		_, err = reg.Apply(t.Context(), model, registry.Request{TransitionID: "t2", Actor: "test", SeenGeneration: 1}, registry.Configure(digest))
		w.check(err)
	}
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// version registers a version, without a baseline when b is nil.
func (w *world) version(number int, b *profile.Baseline) {
	w.t.Helper()
	ctx := w.t.Context()
	_, _, err := w.Registry.CreateModel(ctx, registry.Model{Name: model})
	w.check(err)
	sum := sha256.Sum256(fmt.Append(nil, number))
	files := []registry.File{{Path: "model.onnx", Size: 1, SHA256: hex.EncodeToString(sum[:]), Blob: true}}
	if b != nil {
		raw, err := json.Marshal(b)
		w.check(err)
		_, err = w.Registry.PutVersionFile(ctx, model, number, profile.BaselineFile, raw)
		w.check(err)
		sum := sha256.Sum256(raw)
		w.digest = hex.EncodeToString(sum[:])
		files = append(files, registry.File{Path: profile.BaselineFile, Size: int64(len(raw)), SHA256: w.digest})
	}
	_, _, err = w.Registry.PutManifest(ctx, registry.Manifest{Model: model, Version: number, Digest: registry.ContentDigest(files), Files: files, Runtime: "test"})
	w.check(err)
}

func (w *world) Emit(_ context.Context, source, detailType string, _ time.Time, detail any) error {
	if source != EventSource || detailType != EventStateChange {
		w.t.Errorf("event %s %s", source, detailType)
	}
	w.events = append(w.events, detail.(StateChange))
	return nil
}

func (w *world) Publish(_ context.Context, subject, text string) error {
	w.texts = append(w.texts, subject+"\n"+text)
	return nil
}

func (w *world) Measure(_, _ string, values map[string]float64) { w.lines = append(w.lines, values) }

func draw(rng *rand.Rand, s profile.Sink, n int, shift float64) {
	for range n {
		s.Number(0, rng.NormFloat64()+shift, 1)
		s.Text(1, string(rune('a'+rng.IntN(5))), 1)
	}
}

// captures writes what profile would of one captures object that arrived at
// arrived and holds n rows of time ts.
func (w *world) captures(arrived, ts time.Time, n int, shift float64, change ...func(*profile.Document)) (key string) {
	w.t.Helper()
	src := profile.Source{Bucket: "data", Key: fmt.Sprintf("captures/%s/%s-%d-%g", arrived.UTC().Format("2006-01-02/15"), ts.Format("150405"), n, shift)}
	info, err := w.data.Put(w.t.Context(), src.Key, []byte(src.Key), blob.Always())
	w.check(err)
	src.VersionID, src.ETag = info.VersionID, info.ETag
	tally := profile.NewTally(w.base)
	draw(rand.New(rand.NewPCG(uint64(ts.Unix()), uint64(n))), tally, n, shift)
	d := profile.Document{V: profile.DocumentVersion, Model: model, Source: src, Report: profile.Report{Rows: uint64(n)}, Groups: []profile.Group{{
		Version: 1, Baseline: w.digest, Slot: registry.Champion, Role: capture.Served, Sampled: 1, Interval: ts.UTC().Truncate(profile.Interval),
		Requests: uint64(n), Rows: uint64(n), Columns: tally.States}}}
	for _, c := range change {
		c(&d)
	}
	key = profile.CaptureKey(model, arrived, &src)
	w.put(key, &d)
	return key
}

func (w *world) put(key string, d *profile.Document) {
	w.t.Helper()
	raw, err := d.Encode()
	w.check(err)
	_, err = w.data.Put(w.t.Context(), key, raw, blob.Always())
	w.check(err)
}

// day writes the captures of one day, an object every hour.
func (w *world) day(date time.Time, rows int, shift float64) {
	w.t.Helper()
	for h := range 24 {
		ts := date.Add(time.Duration(h) * time.Hour)
		w.now = ts.Add(10 * time.Minute)
		w.captures(ts, ts, rows/24, shift)
	}
}

func (w *world) tickAt(now time.Time) []Done {
	w.t.Helper()
	w.now = now
	out, err := w.Run(w.t.Context(), In{Tick: true})
	w.check(err)
	return out.Reports
}

// report reads a stored report.
func (w *world) report(d Done) *drift.Report {
	w.t.Helper()
	obj, err := w.data.Get(w.t.Context(), strings.TrimPrefix(d.Report, "s3://data/"))
	w.check(err)
	r, err := drift.ParseReport(obj.Body)
	w.check(err)
	return r
}

// keys are the stored keys below prefix that end with end.
func (w *world) keys(prefix, end string) []string {
	var out []string
	for info := range w.data.List(w.t.Context(), prefix, "") {
		if strings.HasSuffix(info.Key, end) {
			out = append(out, info.Key)
		}
	}
	slices.Sort(out)
	return out
}
