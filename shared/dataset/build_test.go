package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

func TestRowsAreInTimeOrderWhateverTheFilesAre(t *testing.T) {
	w := newWorld(t)
	w.put("months/02.csv", "flight,when,delay,carrier,late\nUA1,2013-02-01 05:00:00,1.5,\"a,b\",1\nUA2,2013-02-01T04:00:00+01:00,,UA,0\n")
	w.put("months/01.ndjson", `{"late":true,"when":"2013-01-31","carrier":"B6","delay":7}
{"carrier":null,"late":0,"when":"2013-01-02T00:00:00Z","other":[1,2]}
{"carrier":"XX","when":"2013-01-02T00:00:00Z","delay":3}
{"carrier":"XX","when":null,"late":1}
`)
	type row struct {
		When    string  `parquet:"when"`
		Delay   float64 `parquet:"delay"`
		Carrier string  `parquet:"carrier"`
		Late    int64   `parquet:"late"`
	}
	var columnar bytes.Buffer
	if err := parquet.Write(&columnar, []row{{"2013-01-15T00:00:00.25Z", 0.1, "ü", 1}}); err != nil {
		t.Fatal(err)
	}
	w.put("months/00.parquet", columnar.String())
	w.put("months/_SUCCESS", "not,rows")
	w.put("months/.hidden.csv", "not,rows")
	w.put("months/folder/", "")
	built := w.build("months/")
	want := `delay,carrier,when,late
,,2013-01-02T00:00:00Z,0
0.1,ü,2013-01-15T00:00:00.25Z,1
7,B6,2013-01-31,1
,UA,2013-02-01T04:00:00+01:00,0
1.5,"a,b",2013-02-01 05:00:00,1
`
	if got := w.channel(built); got != want {
		t.Errorf("channel:\n%s\nwant:\n%s", got, want)
	}
	if !built.Created || built.Number != 1 || built.Rows != 5 || built.MissingTarget != 1 || built.MissingTime != 1 ||
		built.First != "2013-01-02T00:00:00Z" || built.Last != "2013-02-01T05:00:00Z" || len(built.Sources) != 3 {
		t.Errorf("document: %+v", built)
	}
	for _, s := range built.Sources {
		if s.VersionID == "" || s.ETag == "" || len(s.SHA256) != 64 || s.Size == 0 || s.Rows == 0 || s.Kind != Table {
			t.Errorf("source %+v is not pinned", s)
		}
	}
	if left, _ := os.ReadDir(w.builder.Dir); len(left) > 0 {
		t.Errorf("%d temporary files are left", len(left))
	}
}

func TestSameSourcesAreTheSameNumber(t *testing.T) {
	w := newWorld(t)
	w.put("months/01.csv", month(1, 30))
	w.put("months/02.csv", month(2, 30))
	first := w.build("months/")
	again := w.build("months/")
	if again.Created || again.Number != 1 || again.Digest != first.Digest {
		t.Errorf("the second time: %+v", again)
	}
	w.put("months/02.csv", month(2, 30)) // the same bytes, another version
	rewritten := w.build("months/")
	if rewritten.Number != 2 || rewritten.Pin == first.Pin || rewritten.Digest != first.Digest {
		t.Errorf("a file was written again: %+v", rewritten)
	}
	w.put("months/02.csv", month(2, 31))
	changed := w.build("months/")
	if changed.Number != 3 || changed.Digest == first.Digest || changed.Rows != 61 {
		t.Errorf("a file was changed: %+v", changed)
	}
	stored, err := Read(t.Context(), w.registry, "flights", 1)
	if err != nil || stored.Digest != first.Digest || len(stored.Sources) != 2 {
		t.Errorf("Read: %+v, %v", stored, err)
	}
	w.store.Delete(registry.BlobKey(first.Digest)) // then the channel is made again, of the pinned versions
	w.schema = w.parse(strings.Replace(flightsSchema, `"number"`, `"category"`, 1))
	if other := w.build("months/"); other.Number != 4 {
		t.Errorf("another schema: %+v", other)
	}
	w.schema = w.parse(flightsSchema)
	if w.build("months/"); w.build("months/").Number != 3 {
		t.Error("the earlier schema has a new number")
	}
}

func TestTheChannelThatIsGoneIsMadeAgain(t *testing.T) {
	w := newWorld(t)
	w.put("months/01.csv", month(1, 30))
	first := w.build("months/")
	w.store.Delete(registry.BlobKey(first.Digest))
	again := w.build("months/")
	if again.Created || again.Number != 1 || w.channel(again) == "" {
		t.Errorf("%+v", again)
	}
}

func TestManyMakersOneNumber(t *testing.T) {
	w := newWorld(t)
	w.put("months/01.csv", month(1, 30))
	var makers sync.WaitGroup
	numbers := make([]int, 8)
	for i := range numbers {
		makers.Add(1)
		go func() {
			defer makers.Done()
			built, err := w.builder.Build(t.Context(), w.request("months/"))
			if err != nil {
				t.Error(err)
			}
			numbers[i] = built.Number
		}()
	}
	makers.Wait()
	for _, n := range numbers {
		if n != numbers[0] || n == 0 {
			t.Fatalf("numbers %v; want one", numbers)
		}
	}
}

func TestACrashBeforeTheIndexIsContinued(t *testing.T) {
	w := newWorld(t)
	w.put("months/01.csv", month(1, 30))
	first := w.build("months/")
	w.store.Delete(registry.DatasetPinKey("flights", first.Pin))
	if again := w.build("months/"); again.Number != 1 {
		t.Errorf("number %d; want the one that has no index yet", again.Number)
	}
}

func TestReadsThePinnedVersion(t *testing.T) {
	w := newWorld(t)
	w.put("months/01.csv", month(1, 30))
	w.put("months/02.csv", month(2, 30))
	once := false
	w.builder.Buckets["data"] = &meddled{w.data, func(key string) {
		if !once && key == "months/01.csv" {
			once = true
			w.put("months/02.csv", "broken")
		}
	}}
	if built := w.build("months/"); built.Rows != 60 {
		t.Errorf("%d rows; want those of the versions that were listed", built.Rows)
	}
}

func TestSourcesThatChangeMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.put("months/01.csv", month(1, 30))
	w.builder.Buckets["data"] = &meddled{w.data, func(key string) { w.data.Delete(key) }}
	w.refused(fault.FailedPrecondition, "of the training file s3://data/months/01.csv was deleted", w.request("months/"))

	w.put("months/01.csv", month(1, 30))
	w.builder.Buckets["data"] = unversioned{&meddled{w.data, func(key string) { w.put(key, month(1, 31)) }}}
	w.refused(fault.FailedPrecondition, "s3://data/months/01.csv was replaced", w.request("months/"))

	w.builder.Buckets["data"] = unversioned{&meddled{Memory: w.data}}
	if built := w.build("months/"); built.Rows != 31 || built.Sources[0].VersionID != "" {
		t.Errorf("a bucket without versions: %+v", built)
	}
}

// unversioned is a bucket without versions.
type unversioned struct{ *meddled }

func (u unversioned) Head(ctx context.Context, key string) (blob.Info, error) {
	info, err := u.meddled.Head(ctx, key)
	info.VersionID = ""
	return info, err
}

func (u unversioned) OpenVersion(ctx context.Context, key, _ string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	if u.before != nil {
		u.before(key)
	}
	return u.Open(ctx, key, offset, length)
}

func TestBadSources(t *testing.T) {
	header := "when,delay,carrier,late\n"
	row := "2013-01-01T00:00:00Z,1,UA,1\n"
	tests := map[string]struct {
		files map[string]string
		kind  fault.Kind
		text  string
	}{
		"empty prefix":        {nil, fault.FailedPrecondition, "there are no objects under s3://data/months/"},
		"no rows":             {map[string]string{"a.csv": header}, fault.FailedPrecondition, "no row is left to train on: 0 in 1 files"},
		"empty object":        {map[string]string{"a.csv": ""}, fault.InvalidArgument, "s3://data/months/a.csv is empty"},
		"no target":           {map[string]string{"a.csv": header + "2013-01-01T00:00:00Z,1,UA,\n2013-01-01T00:00:00Z,1,UA,nan\n"}, fault.FailedPrecondition, "2 without a target"},
		"no time":             {map[string]string{"a.csv": header + ",1,UA,1\nNaN,1,UA,1\n"}, fault.FailedPrecondition, "2 without a time"},
		"other header":        {map[string]string{"a.csv": header + row, "b.csv": "when,delay,airline,late\n" + row}, fault.InvalidArgument, `b.csv has no column "carrier", which the training schema names as input`},
		"target column":       {map[string]string{"a.csv": "when,delay,carrier\n2013-01-01,1,UA\n"}, fault.InvalidArgument, `no column "late", which the training schema names as target`},
		"time column":         {map[string]string{"a.ndjson": `{"late":1,"delay":1,"carrier":"UA"}`}, fault.InvalidArgument, `no column "when", which the training schema names as time`},
		"time that is none":   {map[string]string{"a.csv": header + row + "yesterday,1,UA,1\n"}, fault.InvalidArgument, `a.csv: row 2: the time column "when" must hold`},
		"infinite time":       {map[string]string{"a.csv": header + "inf,1,UA,1\n"}, fault.InvalidArgument, "must hold ISO 8601 times"},
		"times and numbers":   {map[string]string{"a.csv": header + row, "b.csv": header + "17,1,UA,1\n"}, fault.InvalidArgument, "b.csv: row 1: the time column \"when\" holds times here"},
		"fields missing":      {map[string]string{"a.csv": header + "2013-01-01,1\n"}, fault.InvalidArgument, "row 1 is not CSV with the 4 fields"},
		"header twice":        {map[string]string{"a.csv": "when,delay,delay,late\n"}, fault.InvalidArgument, `names column "delay" twice`},
		"a list":              {map[string]string{"a.ndjson": `{"late":1,"delay":[1],"carrier":"UA","when":"2013-01-01"}`}, fault.InvalidArgument, `row 1, column "delay" holds a list`},
		"the same bytes":      {map[string]string{"a.csv": header + row, "b.csv": header + row}, fault.FailedPrecondition, "a.csv and s3://data/months/b.csv hold the same bytes"},
		"a damaged parquet":   {map[string]string{"a.parquet": "PAR1nothingPAR1"}, fault.InvalidArgument, "not a readable Parquet"},
		"cut off in the gzip": {map[string]string{"a.csv.gz": zipped(header + row)[:40]}, fault.InvalidArgument, "a.csv.gz"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for file, body := range tt.files {
				w.put("months/"+file, body)
			}
			w.refused(tt.kind, tt.text, w.request("months/"))
			if left, _ := os.ReadDir(w.builder.Dir); len(left) > 0 {
				t.Errorf("%d temporary files are left", len(left))
			}
		})
	}
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

func TestLimits(t *testing.T) {
	w := newWorld(t)
	w.put("months/01.csv", month(1, 700))
	w.put("months/02.csv", month(2, 300))
	in := w.request("months/")
	in.Cells, in.Advice = 1000, "which is what train takes at 300 MB"
	w.refused(fault.PayloadTooLarge, "more than 1000 values in input columns (501 rows of 2 so far), which is what train takes", in)
	w.builder.Limits = Limits{Rows: 999}
	w.refused(fault.PayloadTooLarge, "more than 999 rows", w.request("months/"))
	w.builder.Limits = Limits{Bytes: 10_000}
	w.refused(fault.PayloadTooLarge, "more than 10000 bytes", w.request("months/"))
	w.builder.Limits = Limits{Objects: 1}
	w.refused(fault.PayloadTooLarge, "more than 1 objects", w.request("months/"))
	w.builder.Limits = Limits{}
	w.refused(fault.InvalidArgument, "sources[0].bucket", Request{Name: "flights", Schema: w.schema, Prefixes: []Prefix{{Bucket: "elsewhere", Prefix: "x/"}}})
	w.refused(fault.FailedPrecondition, "nothing to train on", w.request())
	if built := w.build("months/", "months/01"); built.Rows != 1000 || len(built.Sources) != 2 {
		t.Errorf("an object under two prefixes: %d rows of %d objects", built.Rows, len(built.Sources))
	}
}

// TestShuffledRowsComeOutInOrder holds the sort in the file to one in memory.
func TestShuffledRowsComeOutInOrder(t *testing.T) {
	w := newWorld(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var want [100][]string // rows by their moment, in the order in which they come
	for file := range 5 {
		var b strings.Builder
		b.WriteString("when,delay,carrier,late\n")
		for i := range 400 {
			at := rng.IntN(len(want))
			row := fmt.Sprintf("%d,%s,%d,%d", i, strings.Repeat("x", rng.IntN(50)), at, i%2)
			want[at] = append(want[at], row)
			fmt.Fprintf(&b, "%d,%d,%s,%d\n", at, i, strings.Split(row, ",")[1], i%2)
		}
		w.put(fmt.Sprintf("months/%d.csv", file), b.String())
	}
	var lines []string
	for _, rows := range want {
		lines = append(lines, rows...)
	}
	built := w.build("months/")
	if got := w.channel(built); got != "delay,carrier,when,late\n"+strings.Join(lines, "\n")+"\n" {
		t.Error("the rows are in another order than by time, file and row")
	}
	if built.First != "0" || built.Last != "99" {
		t.Errorf("first %s, last %s", built.First, built.Last)
	}
}
