package job

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/registry"
)

var now = time.Date(2026, 4, 6, 14, 31, 16, 0, time.UTC)

type row struct {
	Delay   *float64 `parquet:"delay,optional"`
	Carrier string   `parquet:"carrier"`
}

func rows(n int) []row {
	rng := rand.New(rand.NewPCG(81, 81))
	out := make([]row, n)
	for i := range out {
		if rng.IntN(10) > 0 {
			d := math.Round(rng.NormFloat64() * 30)
			out[i].Delay = &d
		}
		out[i].Carrier = []string{"UA", "AA", "B6"}[rng.IntN(3)]
	}
	return out
}

// world is a stack in memory: model flights has version 1 with a baseline, version 2 without; 1 is champion.
type world struct {
	data *blob.Memory
	reg  *registry.Registry
	job  *Job
	log  bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx := context.Background()
	clock := func() time.Time { return now }
	w := &world{data: &blob.Memory{Now: clock}}
	w.reg = registry.New(&blob.Memory{Now: clock}, registry.Options{Now: clock})
	b, err := profile.NewBuilder([]profile.Spec{{Name: "delay", Kind: profile.Numeric}, {Name: "carrier", Kind: profile.Categorical}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows(3000) {
		if r.Delay == nil {
			b.Missing(0, 1)
		} else {
			b.Number(0, *r.Delay, 1)
		}
		b.Text(1, r.Carrier, 1)
	}
	raw, err := json.Marshal(b.Freeze(3000))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.reg.CreateModel(ctx, registry.Model{Name: "flights"}); err != nil {
		t.Fatal(err)
	}
	w.publish(t, map[string][]byte{"model.onnx": []byte("1"), profile.BaselineFile: raw})
	w.publish(t, map[string][]byte{"model.onnx": []byte("2")})
	w.job = &Job{Bucket: "data", Data: w.data, Registry: w.reg, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
	return w
}

func (w *world) publish(t *testing.T, files map[string][]byte) {
	t.Helper()
	ctx := context.Background()
	m := registry.Manifest{Model: "flights"}
	for name, data := range files {
		m.Files = append(m.Files, registry.File{Path: name, Size: int64(len(data)), SHA256: sum(data)})
	}
	m.Digest = registry.ContentDigest(m.Files)
	version, err := w.reg.Claim(ctx, "flights", m.Digest, "tests")
	if err != nil {
		t.Fatal(err)
	}
	m.Version = version
	for name, data := range files {
		if _, err := w.reg.PutVersionFile(ctx, "flights", version, name, data); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.reg.PutManifest(ctx, m); err != nil {
		t.Fatal(err)
	}
}

func (w *world) promote(t *testing.T, version int) {
	t.Helper()
	m, err := w.reg.Manifest(context.Background(), "flights", version)
	if err != nil {
		t.Fatal(err)
	}
	change := registry.Bootstrap(registry.Ref{Version: version, Digest: m.Digest})
	if _, err := w.reg.Apply(context.Background(), "flights", registry.Request{TransitionID: fmt.Sprint("t", version), Actor: "tests"}, change); err != nil {
		t.Fatal(err)
	}
}

func (w *world) put(t *testing.T, key string, data []byte) blob.Info {
	t.Helper()
	info, err := w.data.Put(context.Background(), key, data, blob.Always())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func (w *world) profiles(t *testing.T) []string {
	t.Helper()
	var keys []string
	for info, err := range w.data.List(context.Background(), "profiles/", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func (w *world) document(t *testing.T, key string) *profile.Document {
	t.Helper()
	d, err := w.job.stored(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func table(t *testing.T, n, perGroup int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := parquet.NewGenericWriter[row](&out, parquet.MaxRowsPerRowGroup(int64(perGroup)))
	if _, err := w.Write(rows(n)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func text(n int) []byte {
	var out bytes.Buffer
	out.WriteString("delay,carrier\n")
	for _, r := range rows(n) {
		if r.Delay != nil {
			fmt.Fprint(&out, *r.Delay)
		}
		fmt.Fprintf(&out, ",%s\n", r.Carrier)
	}
	return out.Bytes()
}

func zipped(raw []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(raw)
	_ = w.Close()
	return out.Bytes()
}

func item(key string, change func(*Item)) In {
	i := Item{Bucket: "data", Key: key, Model: "flights", Version: 1, Job: "j1", ID: "000"}
	if change != nil {
		change(&i)
	}
	return In{Item: i}
}

// TestBatchInEveryForm: CSV, gzip, Parquet whole and by row groups give the same counts.
func TestBatchInEveryForm(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.put(t, "batches/flights/a.csv", text(1000))
	w.put(t, "batches/flights/a.csv.gz", zipped(text(1000)))
	w.put(t, "batches/flights/a.parquet", table(t, 1000, 300))
	var want string
	for i, items := range [][]In{
		{item("batches/flights/a.csv", nil)},
		{item("batches/flights/a.csv.gz", nil)},
		{item("batches/flights/a.parquet", nil)},
		{item("batches/flights/a.parquet", func(i *Item) { i.RowGroups = []int{0, 3} }), item("batches/flights/a.parquet", func(i *Item) { i.RowGroups, i.ID = []int{1, 2}, "001" })},
	} {
		b, digest, err := w.job.baseline(ctx, "flights", 1)
		if err != nil {
			t.Fatal(err)
		}
		window := profile.NewWindow(b, digest, profile.Selection{Version: 1})
		var rows uint64
		for _, in := range items {
			in.Job = fmt.Sprint("j", i)
			out, err := w.job.Run(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			rows += out.Rows
			if err := window.Add(w.document(t, out.Profile)); err != nil {
				t.Fatal(err)
			}
		}
		if rows != 1000 || window.Rows() != 1000 {
			t.Errorf("form %d: %d rows", i, rows)
		}
		got, _ := json.Marshal(window.Strata())
		if want == "" {
			want = string(got)
		}
		if want != string(got) {
			t.Errorf("form %d counts otherwise", i)
		}
	}
}

// TestRepeatedItems: the same item again answers the same and writes nothing; another object under its name is refused.
func TestRepeatedItems(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.promote(t, 1)
	w.put(t, "batches/flights/a.csv", text(100))
	w.put(t, "batches/flights/b.csv", text(10))
	in := item("batches/flights/a.csv", func(i *Item) { i.Version = 0 })
	first, err := w.job.Run(ctx, in)
	if err != nil || first.Rows != 100 || first.Profile != "profiles/flights/batches/j1/000.json" {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := w.job.Run(ctx, in)
	if err != nil || again.Rows != first.Rows || again.Profile != first.Profile || len(w.profiles(t)) != 1 {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := w.job.Run(ctx, item("batches/flights/b.csv", nil)); !fault.Is(err, fault.AlreadyExists) {
		t.Errorf("another object: %v", err)
	}
}

func TestItemsThatCannotBeCounted(t *testing.T) {
	ctx := context.Background()
	whole := table(t, 100, 50)
	for name, c := range map[string]struct {
		data   []byte
		change func(*Item)
		kind   fault.Kind
		want   string
	}{
		"empty":             {[]byte{}, nil, fault.InvalidArgument, "is empty"},
		"header only":       {[]byte("delay,carrier\n"), nil, "", ""},
		"cut gzip":          {zipped(text(1000))[:500], nil, fault.InvalidArgument, "cannot be read"},
		"cut Parquet":       {whole[:len(whole)-20], nil, fault.InvalidArgument, "not a readable Parquet"},
		"row group":         {whole, func(i *Item) { i.RowGroups = []int{2} }, fault.InvalidArgument, "has no row group 2"},
		"row groups of CSV": {text(10), func(i *Item) { i.RowGroups = []int{0} }, fault.InvalidArgument, "not a readable Parquet"},
		"no champion":       {text(10), func(i *Item) { i.Version = 0 }, fault.FailedPrecondition, "has no champion"},
		"no version":        {text(10), func(i *Item) { i.Version = 9 }, fault.NotFound, "has no version 9"},
		"no model":          {text(10), func(i *Item) { i.Model = "other" }, fault.NotFound, "has no version 1"},
		"bucket":            {text(10), func(i *Item) { i.Bucket = "other" }, fault.InvalidArgument, "data bucket"},
		"key":               {text(10), func(i *Item) { i.Key = "captures/x" }, fault.InvalidArgument, "under batches/"},
		"job":               {text(10), func(i *Item) { i.Job = "../x" }, fault.InvalidArgument, "1 to 128 letters"},
		"item":              {text(10), func(i *Item) { i.ID = "" }, fault.InvalidArgument, "1 to 128 letters"},
		"model name":        {text(10), func(i *Item) { i.Model = "A/B" }, fault.InvalidArgument, "name of a model"},
		"order":             {text(10), func(i *Item) { i.RowGroups = []int{1, 1} }, fault.InvalidArgument, "ascending"},
		"replaced":          {text(10), func(i *Item) { i.VersionID = "an-older-one" }, fault.FailedPrecondition, "was replaced"},
	} {
		w := newWorld(t)
		w.put(t, "batches/flights/a", c.data)
		out, err := w.job.Run(ctx, item("batches/flights/a", c.change))
		if c.kind == "" {
			if err != nil || out.Rows != 0 {
				t.Errorf("%s: %+v, %v", name, out, err)
			}
			continue
		}
		public := &fault.Error{}
		if err != nil {
			public = fault.Public(err)
		}
		message := public.Message
		for _, v := range public.Violations {
			message += v.Problem
		}
		if fault.KindOf(err) != c.kind || !strings.Contains(message, c.want) {
			t.Errorf("%s: %v, want %s %q", name, err, c.kind, c.want)
		}
		keys := w.profiles(t)
		if len(keys) == 0 && strings.HasPrefix(c.want, "cannot be read") {
			t.Errorf("%s: the reason is not kept", name)
		}
		for _, key := range keys {
			if why, err := w.data.Get(ctx, key); !strings.HasSuffix(key, "/j1/000.failed.txt") || err != nil || string(why.Body) != message+"\n" {
				t.Errorf("%s: wrote %s: %s", name, key, why.Body)
			}
		}
	}
}

// TestEveryItemIsAccountedFor: an object that is gone and a version without baseline have a profile that says so.
func TestEveryItemIsAccountedFor(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	out, err := w.job.Run(ctx, item("batches/flights/gone.csv", nil))
	if err != nil || !out.Gone || out.Rows != 0 || out.Profile == "" || !strings.Contains(w.log.String(), "is gone") {
		t.Fatalf("%+v, %v, %s", out, err, w.log.String())
	}
	if again, err := w.job.Run(ctx, item("batches/flights/gone.csv", nil)); err != nil || !again.Gone {
		t.Errorf("again: %+v, %v", again, err)
	}
	w.put(t, "batches/flights/a.csv", append(text(100), "1\n"...))
	out, err = w.job.Run(ctx, item("batches/flights/a.csv", func(i *Item) { i.Version, i.ID = 2, "001" }))
	if err != nil || out.Rows != 0 || out.RowsLeftOut != 101 {
		t.Fatalf("%+v, %v", out, err)
	}
	if d := w.document(t, out.Profile); len(d.Groups) != 0 || !strings.Contains(d.Report.Uncounted[0].Reason, "has no baseline") {
		t.Errorf("%+v", d.Report)
	}
}

const line = `{"v":1,"id":"019d632d-%04x-7d0a-8f0e-3b7a52d1c9e4","ts":"2026-04-06T14:31:16.123456Z","model":"%s","version":%d,"slot":"champion","role":"served",` +
	`"first_row":0,"rows":1,"inputs":{"delay":[12],"carrier":["UA"]},"outputs":{"label":[1]},"status":200,"sampled":1}` + "\n"

func captured(models ...string) []byte {
	var out bytes.Buffer
	for i := range 30 {
		fmt.Fprintf(&out, line, i, models[i%len(models)], 1)
	}
	return zipped(out.Bytes())
}

func event(key, version string) In {
	var in In
	raw := fmt.Sprintf(`{"version":"0","source":"aws.s3","time":"2026-04-06T14:32:00Z","detail":{"bucket":{"name":"data"},"object":{"key":%q,"version-id":%q,"size":3}}}`, key, version)
	if err := json.Unmarshal([]byte(raw), &in); err != nil {
		panic(err)
	}
	return in
}

func TestCapturesByModelAndHour(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	const key = "captures/2026-04-06/15/x.gz"
	info := w.put(t, key, captured("flights", "other"))
	out, err := w.job.Run(ctx, event(key, info.VersionID))
	if err != nil {
		t.Fatal(err)
	}
	if out.Rows != 15 || out.RowsLeftOut != 15 || len(out.Profiles) != 2 || !strings.HasPrefix(out.Profiles[0], "profiles/flights/2026-04-06/15/") {
		t.Fatalf("%+v", out)
	}
	// Delivered again, later and out of order: the same answer, nothing new.
	again, err := w.job.Run(ctx, event(key, info.VersionID))
	if err != nil || !slices.Equal(again.Profiles, out.Profiles) || again.Rows != out.Rows || len(w.profiles(t)) != 2 {
		t.Errorf("%+v, %v", again, err)
	}
	if d := w.document(t, out.Profiles[1]); d.Model != "other" || len(d.Groups) != 0 || d.Report.Uncounted[0].Rows != 15 {
		t.Errorf("a model without versions: %+v", d.Report)
	}
	if !strings.Contains(w.log.String(), "left out") {
		t.Errorf("logged %s", w.log.String())
	}
}

func TestCapturesThatAreNotThere(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	out, err := w.job.Run(ctx, event("captures/2026-04-06/15/gone.gz", "v"))
	if err != nil || !out.Gone {
		t.Errorf("gone: %+v, %v", out, err)
	}
	old := w.put(t, "captures/2026-04-06/15/x.gz", captured("flights"))
	w.put(t, "captures/2026-04-06/15/x.gz", captured("flights", "flights"))
	if out, err := w.job.Run(ctx, event("captures/2026-04-06/15/x.gz", old.VersionID)); err != nil || old.VersionID != "" && !out.Gone {
		t.Errorf("replaced: %+v, %v", out, err)
	}
	for _, key := range []string{"labels/x", "captures/2026/", "profiles/x"} {
		if out, err := w.job.Run(ctx, event(key, "")); err != nil || len(out.Profiles) > 0 {
			t.Errorf("%s: %+v, %v", key, out, err)
		}
	}
	w.put(t, "captures/cut.gz", captured("flights")[:40])
	if _, err := w.job.Run(ctx, event("captures/cut.gz", "")); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("cut off: %v", err)
	}
}

// TestLostAnswers runs every item until it succeeds over a store that loses answers, and gets one profile each.
func TestLostAnswers(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.put(t, "batches/flights/a.parquet", table(t, 300, 100))
	w.put(t, "captures/2026-04-06/15/x.gz", captured("flights"))
	for seed := range uint64(20) {
		j := &Job{Bucket: "data", Data: blobtest.Faulty(w.data, seed, blobtest.Storm()), Registry: w.reg, Log: slog.New(slog.DiscardHandler)}
		for _, in := range []In{item("batches/flights/a.parquet", nil), event("captures/2026-04-06/15/x.gz", "")} {
			for try := 0; ; try++ {
				out, err := j.Run(ctx, in)
				if err == nil {
					if out.Rows != 300 && out.Rows != 30 {
						t.Errorf("%+v", out)
					}
					break
				}
				if !fault.KindOf(err).Retryable() || try > 200 {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		}
	}
	if keys := w.profiles(t); len(keys) != 2 {
		t.Errorf("profiles %v", keys)
	}
}

func TestInputIsStrictForItems(t *testing.T) {
	var in In
	if err := json.Unmarshal([]byte(`{"bucket":"data","rowgroups":[1]}`), &in); err == nil {
		t.Error("an unknown field of an item is accepted")
	}
	if err := json.Unmarshal([]byte(`{"bucket":"data","item":"7","row_groups":[1,2],"version":3}`), &in); err != nil || in.ID != "7" || len(in.RowGroups) != 2 {
		t.Errorf("%+v, %v", in, err)
	}
}

func TestDeadline(t *testing.T) {
	w := newWorld(t)
	w.put(t, "batches/flights/a.csv", text(100))
	err := reading(fmt.Errorf("x: %w", context.DeadlineExceeded), "k")
	if !fault.Is(err, fault.DeadlineExceeded) {
		t.Error(err)
	}
	if err := reading(errors.Join(io.ErrUnexpectedEOF), "k"); !fault.Is(err, fault.InvalidArgument) {
		t.Error(err)
	}
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}
