package ingestion

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/blob/blobtest"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
)

var landed = time.Date(2026, 4, 7, 9, 30, 15, 500e6, time.UTC)

// world is a stack in memory with a binary classifier and a regression.
type world struct {
	t      *testing.T
	data   *blob.Memory
	job    *Job
	log    bytes.Buffer
	meters map[string]float64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	clock := func() time.Time { return landed }
	w := &world{t: t, data: &blob.Memory{Now: clock}, meters: map[string]float64{}}
	reg := registry.New(&blob.Memory{Now: clock}, registry.Options{Now: clock})
	for name, task := range map[string]schema.Task{"flights": schema.Binary, "price": schema.Regression} {
		if _, _, err := reg.CreateModel(t.Context(), registry.Model{Name: name, Task: task}); err != nil {
			t.Fatal(err)
		}
	}
	w.job = &Job{Bucket: "data", Data: w.data, Models: reg, Meter: w, Log: slog.New(slog.NewTextHandler(&w.log, nil)), Dir: t.TempDir(),
		Sleep: func(context.Context, time.Duration) error { return nil }}
	return w
}

func (w *world) Measure(_, model string, values map[string]float64) {
	for name, v := range values {
		w.meters[model+" "+name] += v
	}
}
func (w *world) Count(name string, n int64) { w.meters[name] += float64(n) }
func (w *world) Flush()                     {}

func (w *world) put(key string, body []byte) blob.Info {
	w.t.Helper()
	info, err := w.data.Put(w.t.Context(), key, body, blob.Always())
	if err != nil {
		w.t.Fatal(err)
	}
	return info
}

func event(key, version string) In {
	var in In
	raw := fmt.Sprintf(`{"version":"0","source":"aws.s3","detail":{"bucket":{"name":"data"},"object":{"key":%q,"version-id":%q,"size":3}}}`, key, version)
	if err := json.Unmarshal([]byte(raw), &in); err != nil {
		panic(err)
	}
	return in
}

func (w *world) run(key string) (Out, *Report) {
	w.t.Helper()
	out, err := w.job.Run(w.t.Context(), event(key, ""))
	if err != nil {
		w.t.Fatal(err)
	}
	return out, w.report(out.Report)
}

func (w *world) report(key string) *Report {
	w.t.Helper()
	rep, err := w.job.stored(w.t.Context(), key)
	if err != nil || rep == nil {
		w.t.Fatal(key, err)
	}
	if rep.Lines != rep.Filed+rep.Duplicates+rep.Conflicts+rep.leftOut() {
		w.t.Errorf("%d lines in, but %d filed, %d duplicates, %d conflicts and %d left out", rep.Lines, rep.Filed, rep.Duplicates, rep.Conflicts, rep.leftOut())
	}
	return rep
}

// objects are the contents of what is stored under prefix, by key.
func objects(t *testing.T, store blob.Store, prefix string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range store.List(t.Context(), prefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		obj, err := store.Get(t.Context(), info.Key)
		if err != nil {
			t.Fatal(err)
		}
		all[info.Key] = string(obj.Body)
	}
	return all
}

// scanned reads filed objects as evaluation does.
func scanned(t *testing.T, files map[string]string) (n int) {
	t.Helper()
	for key, body := range files {
		sc := label.NewScanner(strings.NewReader(body))
		for sc.Scan() {
			if at, ok := label.TimeOf(sc.Record().ID); ok && !strings.Contains(key, at.Format("/2006-01-02/15/")) {
				t.Errorf("%s is in %s", sc.Record().ID, key)
			}
			n++
		}
		if sc.Err() != nil {
			t.Errorf("%s: %v", key, sc.Err())
		}
	}
	return n
}

func zipped(raw []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(raw)
	_ = w.Close()
	return out.Bytes()
}

// at is the inference id of the k-th prediction of an hour of April 6, 2026.
func at(hour, k int) string {
	ms := time.Date(2026, 4, 6, hour, 0, k%3600, 0, time.UTC).UnixMilli()
	h := fmt.Sprintf("%012x", ms)
	return fmt.Sprintf("%s-%s-7a44-9d0b-%012x", h[:8], h[8:], k)
}

const at0930 = `,"ts":"2026-04-07T09:30:15.000Z"}` + "\n"

func TestFileByHour(t *testing.T) {
	text := "id,label,ts\n" + at(14, 2) + ",1,\n" + at(15, 1) + "#0,late,2026-04-07T08:00:00Z\n" + at(14, 1) + ",0,\n"
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{"plain": []byte(text), "gzip": zipped([]byte(text)), "zstd": enc.EncodeAll([]byte(text), nil)} {
		w := newWorld(t)
		w.put("labels/landed/files/flights/april.csv", body)
		out, rep := w.run("labels/landed/files/flights/april.csv")
		if out.Labels != 3 || out.LeftOut != 0 || out.Report != "labels/reports/2026-04-07/"+rep.ID+".json" || rep.Format != "csv" {
			t.Errorf("%s: %+v", name, out)
		}
		want := map[string]string{
			"labels/filed/flights/2026-04-06/14/" + rep.ID + ".ndjson": `{"id":"` + at(14, 1) + `","label":0` + at0930 + `{"id":"` + at(14, 2) + `","label":1` + at0930,
			"labels/filed/flights/2026-04-06/15/" + rep.ID + ".ndjson": `{"id":"` + at(15, 1) + `#0","label":"late","ts":"2026-04-07T08:00:00.000Z"}` + "\n",
		}
		if got := objects(t, w.data, "labels/filed/"); !maps.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
		if m := rep.Models; len(m) != 1 || m[0].Filed != 3 || len(m[0].Hours) != 2 || m[0].Hours[0].Filed != 2 || m[0].Hours[0].Hour.Hour() != 14 {
			t.Errorf("%s: %+v", name, m)
		}
		if w.meters["flights LabelsFiled"] != 3 || w.meters["LabelLinesLeftOut"] != 0 {
			t.Errorf("%s: measured %v", name, w.meters)
		}
	}
}

func TestLinesOfFeedback(t *testing.T) {
	w := newWorld(t)
	var body []byte
	received := landed.Add(-time.Minute)
	for _, l := range []label.Landed{
		{Model: "price", Record: label.Record{ID: at(14, 1), Label: label.NumberOf(17.25), TS: received}},
		{Model: "flights", Record: label.Record{ID: at(14, 1), Label: label.BoolOf(true), TS: received}},
		{Model: "flights", Record: label.Record{ID: `order "17"`, Request: true, Label: label.NumberOf(1), TS: received}, PredictedAt: "2026-04-06T14Z"},
		{Model: "nobody", Record: label.Record{ID: at(14, 1), Label: label.NumberOf(1), TS: received}},
	} {
		l.Received = received
		body = label.AppendLanded(body, &l)
	}
	body = append(body, `{"id":"`+at(14, 1)+`","label":1}`+"\nnonsense\n"...)
	w.put("labels/landed/api/2026-04-07/09/x.gz", zipped(body))
	out, rep := w.run("labels/landed/api/2026-04-07/09/x.gz")
	if out.Labels != 3 || out.LeftOut != 3 || rep.LeftOut[label.UnknownModel] != 2 || rep.LeftOut[label.Malformed] != 1 || !slices.Equal(rep.Unknown, []string{"nobody"}) {
		t.Errorf("%+v %+v", out, rep)
	}
	const ts = `,"ts":"2026-04-07T09:29:15.500Z"}` + "\n"
	want := map[string]string{
		"labels/filed/flights/2026-04-06/14/" + rep.ID + ".ndjson": `{"id":"` + at(14, 1) + `","label":true` + ts + `{"request_id":"order \"17\"","label":1` + ts,
		"labels/filed/price/2026-04-06/14/" + rep.ID + ".ndjson":   `{"id":"` + at(14, 1) + `","label":17.25` + ts,
	}
	if got := objects(t, w.data, "labels/filed/"); !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if !strings.Contains(w.log.String(), "lines of a source are no labels") {
		t.Errorf("logged %s", w.log.String())
	}
}

// TestTwiceWithDifferentValues: the last by ts counts, at the same moment the greater value; the order of lines decides nothing.
func TestTwiceWithDifferentValues(t *testing.T) {
	lines := []string{
		at(14, 1) + ",0,2026-04-07T08:00:00Z", at(14, 1) + ",1,2026-04-07T07:00:00Z", at(14, 1) + ",0,2026-04-07T06:00:00Z",
		at(14, 2) + ",0,", at(14, 2) + ",1,", at(14, 3) + ",1,", at(14, 3) + ",1,",
	}
	var first string
	for seed := range uint64(6) {
		w := newWorld(t)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		w.put("labels/landed/files/flights/a.csv", []byte("id,label,ts\n"+strings.Join(lines, "\n")))
		out, rep := w.run("labels/landed/files/flights/a.csv")
		if out.Labels != 3 || out.Duplicates != 2 || out.Conflicts != 2 || rep.Models[0].Duplicates != 2 || rep.Models[0].Conflicts != 2 {
			t.Errorf("%+v", out)
		}
		want := `{"id":"` + at(14, 1) + `","label":0,"ts":"2026-04-07T08:00:00.000Z"}` + "\n" + `{"id":"` + at(14, 2) + `","label":1` + at0930 + `{"id":"` + at(14, 3) + `","label":1` + at0930
		got := strings.Join(slices.Collect(maps.Values(objects(t, w.data, "labels/filed/"))), "")
		if got != want {
			t.Errorf("order %d: %s", seed, got)
		}
		if first == "" {
			first = got
		}
	}
}

func TestWhatIsLeftOutIsCounted(t *testing.T) {
	w := newWorld(t)
	future := strings.Replace(at(14, 1), at(14, 1)[:8], "01a00000", 1)
	w.put("labels/landed/files/price/a.ndjson", []byte(`{"id":"`+at(14, 1)+`","label":1.5}
{"id":"`+at(14, 2)+`","label":"late"}
{"id":"`+at(14, 3)+`","label":null}
{"id":"`+future+`","label":1}
{"id":"4711","label":1}
{"label":1}
{"request_id":"a","label":1}
{"id":"`+at(14, 4)+`","label":1,"ts":"2027-01-01T00:00:00Z"}
{"id":"`+at(14, 5)+`","label":1,"model":"flights"}
{"id":"`+at(14, 6)+`","label":`))
	out, rep := w.run("labels/landed/files/price/a.ndjson")
	want := map[label.Problem]uint64{label.WrongType: 1, label.NoLabel: 1, label.Future: 1, label.BadID: 1, label.NoID: 1, label.NoPredictedAt: 1, label.FutureTS: 1, label.Malformed: 1}
	if out.Labels != 2 || out.LeftOut != 8 || !maps.Equal(rep.LeftOut, want) {
		t.Errorf("%+v, %v", out, rep.LeftOut)
	}
	if f := rep.First[0]; f.Line != 2 || f.Problem != label.WrongType || !strings.Contains(f.Text, "regression") {
		t.Errorf("%+v", f)
	}
	if m := rep.Models[0]; m.leftOut() != 7 || w.meters["price LabelsLeftOut"] != 7 || w.meters["LabelLinesLeftOut"] != 8 {
		t.Errorf("%+v, measured %v", m, w.meters)
	}
}

func TestSourcesThatAreRefused(t *testing.T) {
	good := []byte("id,label\n" + strings.Repeat(at(14, 1)+",1\n", 2000))
	for name, c := range map[string]struct {
		key    string
		body   []byte
		limits func(*limits)
		kind   fault.Kind
		want   string
	}{
		"no header":      {"labels/landed/files/flights/a.csv", []byte(at(14, 1) + ",1\n"), nil, fault.InvalidArgument, "first line must name"},
		"no model":       {"labels/landed/files/a.csv", good, nil, fault.InvalidArgument, "no model's folder"},
		"elsewhere":      {"labels/landed/a.csv", good, nil, fault.InvalidArgument, "no model's folder"},
		"Parquet":        {"labels/landed/files/flights/a.parquet", []byte("PAR1...."), nil, fault.InvalidArgument, "Parquet"},
		"cut gzip":       {"labels/landed/files/flights/a.gz", zipped(good)[:60], nil, fault.InvalidArgument, "cannot be read"},
		"no gzip":        {"labels/landed/files/flights/a.gz", []byte("\x1f\x8b\x00\x00"), nil, fault.InvalidArgument, "cannot be read"},
		"text":           {"labels/landed/files/flights/a.gz", zipped(good), func(l *limits) { l.text = int64(len(good)) - 1 }, fault.PayloadTooLarge, "bytes of text"},
		"labels":         {"labels/landed/files/flights/a", good, func(l *limits) { l.labels = 1999 }, fault.PayloadTooLarge, "more than 1999 labels"},
		"hours":          {"labels/landed/files/flights/a", append(good, at(15, 1)+",1"...), func(l *limits) { l.hours = 1 }, fault.PayloadTooLarge, "more than 1 hours"},
		"one hour":       {"labels/landed/files/flights/a", good, func(l *limits) { l.hour = 10_000 }, fault.PayloadTooLarge, "of one hour"},
		"unknown models": {"labels/landed/api/a", []byte(`{"model":"a"}` + "\n" + `{"model":"b"}` + "\n"), func(l *limits) { l.unknown = 1 }, fault.InvalidArgument, "not registered"},
	} {
		w := newWorld(t)
		w.job.limits = defaults
		if c.limits != nil {
			c.limits(&w.job.limits)
		}
		w.put(c.key, c.body)
		for try := range 2 {
			_, err := w.job.Run(t.Context(), event(c.key, ""))
			if !fault.Is(err, c.kind) || !strings.Contains(fault.Public(err).Message, c.want) {
				t.Errorf("%s, delivery %d: %v", name, try, err)
			}
		}
		if len(objects(t, w.data, "labels/filed/")) > 0 {
			t.Errorf("%s: something is filed", name)
		}
		reports := objects(t, w.data, "labels/reports/")
		for key := range reports {
			if rep := w.report(key); rep.Refused == nil || rep.Refused.Kind != c.kind || rep.Filed+rep.Lines != 0 {
				t.Errorf("%s: %+v", name, rep)
			}
		}
		if len(reports) != 1 || w.meters["LabelSourcesRefused"] != 1 {
			t.Errorf("%s: %d reports, measured %v", name, len(reports), w.meters)
		}
	}
}

func TestEventsWithNothingToFile(t *testing.T) {
	w := newWorld(t)
	if out, err := w.job.Run(t.Context(), event("labels/landed/files/flights/gone.csv", "v")); err != nil || !out.Gone {
		t.Errorf("gone: %+v, %v", out, err)
	}
	old := w.put("labels/landed/files/flights/a.csv", []byte("id,label\n"+at(14, 1)+",1\n"))
	w.put("labels/landed/files/flights/a.csv", []byte("id,label\n"+at(14, 1)+",0\n"))
	if out, err := w.job.Run(t.Context(), event("labels/landed/files/flights/a.csv", old.VersionID)); err != nil || !out.Gone {
		t.Errorf("replaced: %+v, %v", out, err)
	}
	for _, key := range []string{"labels/filed/flights/x", "labels/landed/files/flights/", "captures/x"} {
		if out, err := w.job.Run(t.Context(), event(key, "")); err != nil || out.Report != "" {
			t.Errorf("%s: %+v, %v", key, out, err)
		}
	}
	other := event("labels/landed/files/flights/a.csv", "")
	other.Detail.Bucket.Name = "other"
	if out, err := w.job.Run(t.Context(), other); err != nil || out.Report != "" {
		t.Errorf("another bucket: %+v, %v", out, err)
	}
	if _, err := w.job.Run(t.Context(), In{}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("no event: %v", err)
	}
	if n := len(objects(t, w.data, "labels/reports/")) + len(objects(t, w.data, "labels/filed/")); n != 0 {
		t.Errorf("%d objects were written", n)
	}
	w.put("labels/landed/files/flights/empty.csv", nil)
	if out, rep := w.run("labels/landed/files/flights/empty.csv"); out.Labels != 0 || rep.Lines != 0 || rep.Refused != nil {
		t.Errorf("empty: %+v, %+v", out, rep)
	}
}

// TestRedelivery: a source with a report is not read again, and a new version of a file is a source of its own.
func TestRedelivery(t *testing.T) {
	w := newWorld(t)
	const key = "labels/landed/files/flights/a.csv"
	w.put(key, []byte("id,label\n"+at(14, 1)+",1\n"))
	first, _ := w.run(key)
	before := objects(t, w.data, "labels/")
	w.job.Models = nil // would be asked for the model's task
	again, err := w.job.Run(t.Context(), event(key, ""))
	if err != nil || again != first || !maps.Equal(objects(t, w.data, "labels/"), before) || w.meters["flights LabelsFiled"] != 1 {
		t.Errorf("%+v, %v, measured %v", again, err, w.meters)
	}
	for k := range before {
		if n := len(w.data.Versions(k)); n != 1 {
			t.Errorf("%s was written %d times", k, n)
		}
	}
}

// TestLostAnswers files a source over a store that loses answers, calls that end in an error being delivered again.
func TestLostAnswers(t *testing.T) {
	var text strings.Builder
	text.WriteString("id,label\n")
	for k := range 400 {
		fmt.Fprintf(&text, "%s,%d\n", at(k%20, k), k%2)
	}
	want := map[string]string{}
	for seed := range uint64(25) {
		w := newWorld(t)
		w.job.limits = defaults
		w.job.limits.arena, w.job.limits.inline = 4<<10, 700
		w.put("labels/landed/files/flights/a.csv", []byte(text.String()))
		w.job.Data = blobtest.Faulty(w.data, seed, blobtest.Storm())
		var out Out
		err := errors.New("not run")
		for try := 0; err != nil; try++ {
			if out, err = w.job.Run(t.Context(), event("labels/landed/files/flights/a.csv", "")); err != nil && (try == 200 || !fault.KindOf(err).Retryable()) {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		got := objects(t, w.data, "labels/")
		if seed == 0 {
			want = got
		}
		if out.Labels != 400 || !maps.Equal(got, want) || scanned(t, objects(t, w.data, "labels/filed/")) != 400 {
			t.Errorf("seed %d: %+v, %d objects", seed, out, len(got))
		}
		for k := range got {
			if n := len(w.data.Versions(k)); n != 1 {
				t.Errorf("seed %d: %s was written %d times", seed, k, n)
			}
		}
	}
}

// TestStoreThatDoesNotAnswer: what does not mend in a few tries is an error that the platform repeats, and leaves no report.
func TestStoreThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t)
	w.put("labels/landed/files/flights/a.csv", []byte("id,label\n"+at(14, 1)+",1\n"+at(15, 1)+",1\n"))
	w.job.Data = deaf{w.data}
	_, err := w.job.Run(t.Context(), event("labels/landed/files/flights/a.csv", ""))
	if !fault.Is(err, fault.Unavailable) || len(objects(t, w.data, "labels/reports/")) != 0 {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.job.Data = w.data
	if _, err := w.job.Run(ctx, event("labels/landed/files/flights/a.csv", "")); !fault.KindOf(err).Retryable() {
		t.Errorf("without time: %v", err)
	}
}

// deaf is a store whose writes fail.
type deaf struct{ *blob.Memory }

func (deaf) Put(context.Context, string, []byte, blob.Condition) (blob.Info, error) {
	return blob.Info{}, fault.New(fault.Unavailable, "no answer")
}
