package scoring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

// TestEveryFormatGivesTheSamePredictions: also of a version that is in no slot of a model without a champion.
func TestEveryFormatGivesTheSamePredictions(t *testing.T) {
	const n = 2345
	for name, body := range map[string][]byte{
		"csv": csv(n), "csv.gz": gzipped(csv(n)), "csv.zst": zipped(csv(n)), "ndjson": ndjson(n), "ndjson.gz": gzipped(ndjson(n)), "parquet": columnar(n, 700),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.put(source, body) // the name says nothing
			in := item()
			in.IDColumn, in.Keep = "name", []string{"other", "x"}
			out, got := w.ran(in)
			if !out.Created || out.RowsIn != n || out.URI != "s3://data/predictions/m/r1/000000.ndjson" {
				t.Errorf("%+v", out)
			}
			for i := range n {
				if got.numbers[i] != int64(i) || got.ids[i] != fmt.Sprintf("n%d", i) || got.y[i] != float64(i+7) || fmt.Sprint(got.kept["x"][i]) != fmt.Sprint(i) {
					t.Fatalf("row %d is %d, %s, %v, %v", i, got.numbers[i], got.ids[i], got.y[i], got.kept["x"][i])
				}
			}
			if k := got.kept["other"][5]; k != nil && k != "" {
				t.Errorf("a missing cell is kept as %v", k)
			}
			if h := got.head; h.Version != 2 || h.Source.Bucket != "data" || h.ETag == "" || h.VersionDigest == "" || h.Runtime != "test 1.0.0" || h.V != 1 {
				t.Errorf("head %+v", h)
			}
			if got.parts != 3 {
				t.Errorf("%d lines, want a batch of 1,000 rows each", got.parts)
			}
		})
	}
}

func TestRowGroups(t *testing.T) {
	w := newWorld(t, nil)
	w.put(source, columnar(100, 10))
	in := item()
	in.Source.RowGroups = []int{1, 2, 7}
	_, got := w.ran(in)
	var want []int64
	for _, from := range []int64{10, 20, 70} {
		for i := range int64(10) {
			want = append(want, from+i)
		}
	}
	if !slices.Equal(got.numbers, want) || got.y[0] != 17 || got.y[29] != 86 {
		t.Errorf("rows %v", got.numbers)
	}
	if got.parts != 2 { // what does not follow is in a line of its own
		t.Errorf("%d lines", got.parts)
	}
	in.Item, in.Source.RowGroups = "000001", []int{0, 10}
	if _, err := w.scorer.Run(t.Context(), in); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "no row group 10, only 10 of them") {
		t.Errorf("a row group that is not there: %v", err)
	}
}

// TestARepeatedDeliveryRunsNothing: what is stored is the answer, whatever became of the source and the version.
func TestARepeatedDeliveryRunsNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.put(source, csv(1500))
	first, _ := w.ran(item())
	w.data.Delete(source)
	w.Store.Delete(registry.ManifestKey("m", 2))
	runs := w.runtime.runs.Load()
	again, err := w.scorer.Run(t.Context(), item())
	first.Created = false
	if err != nil || again != first || w.runtime.runs.Load() != runs {
		t.Errorf("%+v, %v, want %+v and no run", again, err, first)
	}
	for name, change := range map[string]func(*In){
		"version": func(in *In) { in.Version = 1 },
		"key":     func(in *In) { in.Source.Key = "batches/m/others" },
		"groups":  func(in *In) { in.Source.RowGroups = []int{0} },
		"id":      func(in *In) { in.IDColumn = "name" },
		"keep":    func(in *In) { in.Keep = []string{"x"} },
		"object":  func(in *In) { in.Source.VersionID = "another" },
	} {
		in := item()
		change(&in)
		if _, err := w.scorer.Run(t.Context(), in); !fault.Is(err, fault.AlreadyExists) {
			t.Errorf("the same item with another %s: %v", name, err)
		}
	}
}

// TestALostAnswerIsNoSecondResult: the write happened; the next delivery finds it.
func TestALostAnswerIsNoSecondResult(t *testing.T) {
	w := newWorld(t, nil)
	w.put(source, csv(10))
	w.data.loseNext = true
	if _, err := w.scorer.Run(t.Context(), item()); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("%v", err)
	}
	out, got := w.ran(item())
	if out.Created || len(got.y) != 10 || w.runtime.rows.Load() != 10 {
		t.Errorf("%+v after %d rows", out, w.runtime.rows.Load())
	}
}

func TestTwoAtOnceStoreOne(t *testing.T) {
	w := newWorld(t, nil)
	w.put(source, csv(100))
	other := newWorld(t, nil).scorer
	other.Data, other.Registry, other.Models, other.Runtime = w.data, w.Registry, w.Store, w.runtime
	var meet sync.WaitGroup
	meet.Add(2)
	w.data.before = func() { meet.Done(); meet.Wait() }
	outs := make([]Out, 2)
	var both sync.WaitGroup
	for i, s := range []*Scorer{w.scorer, other} {
		both.Go(func() {
			var err error
			if outs[i], err = s.Run(t.Context(), item()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if outs[0].Created == outs[1].Created || outs[0].Digest != outs[1].Digest || outs[0].URI != outs[1].URI {
		t.Errorf("%+v", outs)
	}
}

func TestBadItems(t *testing.T) {
	w := newWorld(t, nil)
	w.put(source, csv(3))
	for name, tt := range map[string]struct {
		change func(*In)
		kind   fault.Kind
		says   string
	}{
		"model":        {func(in *In) { in.Model = "M" }, fault.InvalidArgument, "model must be"},
		"version":      {func(in *In) { in.Version = 0 }, fault.InvalidArgument, "version must be"},
		"run":          {func(in *In) { in.Run = "../x" }, fault.InvalidArgument, "run must be"},
		"item":         {func(in *In) { in.Item = "" }, fault.InvalidArgument, "item must be"},
		"bucket":       {func(in *In) { in.Source.Bucket = "other" }, fault.InvalidArgument, "source.bucket"},
		"folder":       {func(in *In) { in.Source.Key = "captures/x" }, fault.InvalidArgument, "source.key must be"},
		"folder alone": {func(in *In) { in.Source.Key = "batches/" }, fault.InvalidArgument, "source.key must be"},
		"models":       {func(in *In) { in.Source.Bucket, in.Source.Key = "registry", "models/m/state.json" }, fault.InvalidArgument, "source.key must be"},
		"groups":       {func(in *In) { in.Source.RowGroups = []int{2, 1} }, fault.InvalidArgument, "ascending"},
		"no groups":    {func(in *In) { in.Source.RowGroups = []int{} }, fault.InvalidArgument, "left out"},
		"csv groups":   {func(in *In) { in.Source.RowGroups = []int{0} }, fault.InvalidArgument, "not a Parquet file"},
		"keep twice":   {func(in *In) { in.Keep = []string{"x", "x"} }, fault.InvalidArgument, "keep must"},
		"keep absent":  {func(in *In) { in.Keep = []string{"x", "y"} }, fault.InvalidArgument, `keep names a column that the source does not have: "y" (its columns are name, other, x)`},
		"no id column": {func(in *In) { in.IDColumn = "key" }, fault.InvalidArgument, "id_column is not a column"},
		"empty id":     {func(in *In) { in.IDColumn = "other" }, fault.InvalidArgument, `row 1, column "other" has no id`},
		"not ready":    {func(in *In) { in.Version = 9 }, fault.NotFound, "version 9"},
		"no model":     {func(in *In) { in.Model = "absent" }, fault.NotFound, "absent"},
		"no object":    {func(in *In) { in.Source.Key = "batches/m/absent" }, fault.NotFound, "batches/m/absent is not there"},
		"replaced":     {func(in *In) { in.Source.VersionID = "another" }, fault.FailedPrecondition, "replaced"},
	} {
		in := item()
		in.Item = "bad"
		tt.change(&in)
		_, err := w.scorer.Run(t.Context(), in)
		if !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.data.Get(t.Context(), Key("m", "r1", "bad")); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: predictions are stored: %v", name, err)
		}
	}
	if why, err := w.data.Get(t.Context(), FailureKey("m", "r1", "bad")); err != nil || len(why.Body) == 0 {
		t.Errorf("the reason of the last failure: %s, %v", why.Body, err)
	}
}

// TestBadRows: a row that cannot be predicted ends the item and is named, and no value of it is.
func TestBadRows(t *testing.T) {
	limit := 5000.0
	for name, tt := range map[string]struct{ body, says string }{
		"text":         {string(csv(1200)) + "s3cret,n,\n", `row 1201, column "x" is not a number`},
		"above":        {string(csv(1200)) + "6789,n,\n", `row 1201, column "x" is above the maximum`},
		"missing":      {string(csv(1200)) + ",n,\n", `row 1201, column "x" is missing`},
		"ndjson":       {string(ndjson(1002)) + `{"x":6789}` + "\n", `row 1003, column "x" is above the maximum`},
		"several":      {"x\n6789\n1\n7890\n", `2 faults: row 1, column "x"`},
		"ragged":       {string(csv(3)) + "1\n", "row 4 is not CSV with the 3 fields"},
		"cut JSON":     {`{"x":1}` + "\n" + `{"x":`, "row 2 is not one JSON object"},
		"misspelt":     {"X,name\n1,a\n", `source has no column for input "x" (its columns are X, name)`},
		"empty":        {"", "begins with a header"},
		"twice":        {"x,x\n1,2\n", "twice"},
		"cut gzip":     {string(gzipped(csv(90000))[:5000]), "is not CSV"},
		"cut zstd":     {string(zipped(csv(90000))[:5000]), "is not CSV"},
		"no gzip":      {"\x1f\x8bjunk that is no gzip", "gzip"},
		"cut parquet":  {string(columnar(50, 10)[:300]), "not a readable Parquet file"},
		"long row":     {"x\n\"" + strings.Repeat("a", 17<<20), "row 1 is longer than 16 MB"},
		"long JSON":    {`{"x":"` + strings.Repeat("a", 17<<20), "row 1 is longer than 16 MB"},
		"whole number": {"x\n1e400\n", "finite"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(s *schema.Schema) { s.Contract.Columns = map[string]schema.Column{"x": {Max: &limit}} })
			w.put(source, []byte(tt.body))
			_, err := w.scorer.Run(t.Context(), item())
			if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(fault.Public(err).Message, tt.says) {
				t.Fatalf("%v, want %q", err, tt.says)
			}
			for _, secret := range []string{"s3cret", "6789", "7890"} {
				if strings.Contains(fmt.Sprint(fault.Public(err)), secret) {
					t.Errorf("a value is repeated: %v", err)
				}
			}
			if _, err := w.data.Get(t.Context(), Key("m", "r1", "000000")); !fault.Is(err, fault.NotFound) {
				t.Errorf("predictions are stored: %v", err)
			}
		})
	}
}

func TestNoRows(t *testing.T) {
	w := newWorld(t, nil)
	w.put(source, []byte("x,name\n"))
	if out, got := w.ran(item()); out.RowsIn != 0 || got.parts != 0 || !out.Created {
		t.Errorf("%+v", out)
	}
}

// TestTheStoreFails: what the store says is the error, and not what a reader makes of half a file.
func TestTheStoreFails(t *testing.T) {
	for name, body := range map[string][]byte{"csv": wide(60_000), "gzip": verbatim(wide(60_000)), "parquet": columnar(500_000, 100_000)} {
		w := newWorld(t, nil)
		w.put(source, body)
		w.data.failAt = w.data.reads.Load() + 3 // the look for a result, and the first block of several
		if _, err := w.scorer.Run(t.Context(), item()); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		w.data.failAt = 0
		if name == "parquet" {
			continue // both ends and the middle are read before the first row
		}
		w.runtime.slow = func(int) { // another object under the same key, after the first blocks
			w.runtime.slow = nil
			w.put(source, append(slices.Clone(body), '\n'))
		}
		if _, err := w.scorer.Run(t.Context(), item()); !fault.Is(err, fault.FailedPrecondition) {
			t.Errorf("%s, replaced: %v", name, err)
		}
	}
}

// TestTheContractInForce is that of the settings, as predict has it.
func TestTheContractInForce(t *testing.T) {
	w := newWorld(t, nil)
	w.Serve("m", registryRef(t, w, 1))
	low := 2.0
	w.Configure("m", registry.Settings{Contract: map[string]schema.Column{"x": {Max: &low, Missing: schema.Accept}}, Capture: &registry.CaptureSettings{Redact: map[string]string{"name": "hash"}}})
	w.put(source, csv(4))
	if _, err := w.scorer.Run(t.Context(), item()); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), `row 4, column "x"`) {
		t.Errorf("above the maximum of the settings: %v", err)
	}
	w.put(source, csv(3))
	if _, got := w.ran(item()); got.head.Settings == "" || len(got.y) != 3 {
		t.Errorf("head %+v", got.head)
	}
	in := item()
	in.Item, in.Keep = "kept", []string{"name"}
	if _, err := w.scorer.Run(t.Context(), in); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "redact") {
		t.Errorf("a redacted column is kept: %v", err)
	}
	w.put(source, []byte("name\na\n")) // the input's column is absent, which the contract accepts
	in = item()
	in.Item = "absent"
	w.runtime.bend = func(y *tensor.Tensor) { y.FP32s[0] = 1 }
	if _, got := w.ran(in); !slices.Equal(got.head.Absent, []string{"x"}) {
		t.Errorf("head %+v", got.head)
	}
}

func registryRef(t *testing.T, w *world, version int) registry.Ref {
	m, err := w.Registry.Manifest(t.Context(), "m", version)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Ref{Version: version, Digest: m.Digest}
}

func TestTheModelFails(t *testing.T) {
	for name, tt := range map[string]struct {
		set  func(*counting)
		kind fault.Kind
		says string
	}{
		"on the rows":    {func(c *counting) { c.fail = func() error { return errors.New("Gather index out of range") } }, fault.FailedPrecondition, "the rows from 1 to 10"},
		"for a moment":   {func(c *counting) { c.fail = func() error { return fault.New(fault.Unavailable, "busy") } }, fault.Unavailable, "busy"},
		"out of time":    {func(c *counting) { c.fail = func() error { return fault.New(fault.DeadlineExceeded, "late") } }, fault.DeadlineExceeded, "no time left after 0 rows"},
		"fewer rows":     {func(c *counting) { c.bend = func(y *tensor.Tensor) { y.Shape, y.FP32s = []int64{9, 1}, y.FP32s[:9] } }, fault.FailedPrecondition, "does not answer row by row"},
		"no rows at all": {func(c *counting) { c.bend = func(y *tensor.Tensor) { y.Shape, y.FP32s = nil, y.FP32s[:1] } }, fault.FailedPrecondition, "does not answer row by row"},
	} {
		w := newWorld(t, nil)
		w.put(source, csv(10))
		tt.set(w.runtime)
		if _, err := w.scorer.Run(t.Context(), item()); !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBatchesAdapt: a slow model gets smaller batches, and an item that cannot end in time says so before its time is over.
func TestBatchesAdapt(t *testing.T) {
	w := newWorld(t, nil)
	now := time.Now()
	w.scorer.Now = func() time.Time { return now }
	var sizes []int
	w.runtime.slow = func(rows int) {
		sizes = append(sizes, rows)
		now = now.Add(time.Duration(rows) * 10 * time.Millisecond)
	}
	w.put(source, csv(2000))
	w.ran(item())
	if sizes[0] != 1000 || sizes[1] != 100 || slices.Max(sizes[1:]) != 100 {
		t.Errorf("batches of %v rows", sizes)
	}
	ctx, cancel := context.WithDeadline(t.Context(), now.Add(9*time.Second))
	defer cancel()
	in := item()
	in.Item, w.scorer.Limits.BatchRows = "000001", 100
	began := now
	_, err := w.scorer.Run(ctx, in)
	if !fault.Is(err, fault.DeadlineExceeded) || !strings.Contains(err.Error(), "no time left after 600 rows") || now.Sub(began) > 7*time.Second {
		t.Errorf("after %v: %v", now.Sub(began), err)
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t, nil)
	w.put(source, csv(2000))
	w.scorer.Limits.ResultBytes = 5_000
	if _, err := w.scorer.Run(t.Context(), item()); !fault.Is(err, fault.PayloadTooLarge) || !strings.Contains(err.Error(), "5000 bytes") {
		t.Errorf("%v", err)
	}
	if l := LimitsFor(1769); l.MemoryBytes != 1769<<19 || LimitsFor(0).MemoryBytes != 0 {
		t.Errorf("%+v", l)
	}
	w.scorer.Limits = Limits{MemoryBytes: 10}
	if _, err := w.scorer.Run(t.Context(), In{Model: "m", Version: 1, Run: "r", Item: "i", Source: Source{Key: source}}); !fault.Is(err, fault.ResourceExhausted) {
		t.Errorf("%v", err)
	}
}

// TestLongLinesAreSplit: a reader's buffer is bounded.
func TestLongLinesAreSplit(t *testing.T) {
	w := newWorld(t, nil)
	var b strings.Builder
	b.WriteString("x,text\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "%d,%s\n", i, strings.Repeat("ä", 5000))
	}
	w.put(source, []byte(b.String()))
	in := item()
	in.Keep = []string{"text"}
	out, got := w.ran(in)
	object, _ := w.data.Get(t.Context(), strings.TrimPrefix(out.URI, "s3://data/"))
	for line := range strings.Lines(string(object.Body)) {
		if len(line) > maxLine+1 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if got.parts < 10 || got.numbers[999] != 999 || got.kept["text"][999] != strings.Repeat("ä", 5000) {
		t.Errorf("%d lines", got.parts)
	}
}

func TestFixedBatches(t *testing.T) {
	w := newWorld(t, func(s *schema.Schema) {
		s.Signature.Inputs[0].Shape, s.Signature.Outputs[0].Shape = []int64{4, 1}, []int64{4, 1}
	})
	w.put(source, csv(12))
	if _, got := w.ran(item()); got.parts != 3 || len(got.y) != 12 {
		t.Errorf("%d lines", got.parts)
	}
	w.put(source, csv(14))
	in := item()
	in.Item = "000001"
	if _, err := w.scorer.Run(t.Context(), in); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "4 rows at a time, and there are only 2 from row 13 on") {
		t.Errorf("%v", err)
	}
}

// TestWhatIsNotAResult: an object that score did not write, or not to its end, is no answer.
func TestWhatIsNotAResult(t *testing.T) {
	w := newWorld(t, nil)
	w.put(source, csv(3))
	out, _ := w.ran(item())
	key := strings.TrimPrefix(out.URI, "s3://data/")
	whole, _ := w.data.Get(t.Context(), key)
	for name, body := range map[string][]byte{
		"foreign": []byte("hello\n"), "empty": nil, "without its end": whole.Body[:len(whole.Body)/2], "newer": []byte(strings.Replace(string(whole.Body), `"v":1`, `"v":2`, 1)),
	} {
		w.put(key, body)
		if _, err := w.scorer.Run(t.Context(), item()); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVersionsTakeTurns: one version is in memory at a time.
func TestVersionsTakeTurns(t *testing.T) {
	w := newWorld(t, nil)
	w.put(source, csv(1))
	for i, version := range []int{1, 1, 2, 1} {
		in := item()
		in.Version, in.Item = version, fmt.Sprint(i)
		if _, got := w.ran(in); got.y[0] != float64(5+2*(version-1)) {
			t.Errorf("version %d predicts %v", version, got.y)
		}
	}
	if n, open := len(w.runtime.Loads()), w.runtime.Open(); n != 3 || open != 1 {
		t.Errorf("%d loads, %d open", n, open)
	}
}

// FuzzTable: whatever the object holds, either all rows come out or the error is of a kind that is known.
func FuzzTable(f *testing.F) {
	for _, seed := range [][]byte{csv(3), ndjson(3), gzipped(csv(2)), zipped(ndjson(2)), columnar(4, 2), []byte("x\n"), []byte(`{"x":[1]}`), []byte(`{"x":{"y":1}}`), []byte("PAR1PAR1")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w := newWorld(t, nil)
		w.put(source, body)
		in := item()
		in.Keep = []string{"x"}
		out, err := w.scorer.Run(t.Context(), in)
		switch fault.KindOf(err) {
		case "":
			w.read(out)
		case fault.InvalidArgument:
		default:
			t.Errorf("kind %q: %v", fault.KindOf(err), err)
		}
	})
}

func BenchmarkScore(b *testing.B) {
	for name, body := range map[string][]byte{"csv": csv(100_000), "ndjson": ndjson(100_000), "parquet": columnar(100_000, 100_000)} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, nil)
			if _, err := w.data.Put(b.Context(), source, body, blob.Always()); err != nil {
				b.Fatal(err)
			}
			in := item()
			for n := 0; b.Loop(); n++ {
				in.Item = fmt.Sprint(n)
				if _, err := w.scorer.Run(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
