package outcome

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
)

func text(name, content string) File { return File{name, strings.NewReader(content)} }

// prediction is a row of the files of the tests.
type prediction struct {
	ID      string  `parquet:"id"`
	Score   float64 `parquet:"score"`
	Class   int64   `parquet:"class"`
	Carrier string  `parquet:"carrier,optional,dict"`
	At      int64   `parquet:"at,timestamp(microsecond)"`
}

type truth struct {
	ID    string   `parquet:"id"`
	Label *float64 `parquet:"label,optional"`
	Known int64    `parquet:"known,timestamp"`
}

func parquetOf[T any](t testing.TB, rows []T, options ...parquet.WriterOption) []byte {
	t.Helper()
	var out bytes.Buffer
	w := parquet.NewGenericWriter[T](&out, options...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// joinFiles joins with some workers and gives the outcomes as text.
func joinFiles(t testing.TB, f *Files) (*texts, Counts) {
	t.Helper()
	x := &texts{}
	var mu sync.Mutex
	counts, err := f.Join(t.Context(), func(_ int, b *Batch) error {
		mu.Lock()
		defer mu.Unlock()
		x.names = f.Segments()
		return x.visit(b)
	})
	if err != nil {
		t.Fatal(err)
	}
	return x.sorted(), counts
}

var columnsOf = Names{ID: "id", Scores: []string{"score"}, Prediction: "class", Segments: []string{"carrier"}, Time: "at", Label: "label", LabelTime: "known"}

// tables draws predictions and labels, some of them repeated, unknown or missing.
func tables(rng *rand.Rand, n int) (rows []prediction, labels []truth) {
	const at = 1_775_433_600_000
	for i := range n {
		id := fmt.Sprint("order-", i)
		if i%2 == 0 {
			id = fmt.Sprint(i)
		}
		row := prediction{id, float64(rng.IntN(1000)) / 1000, int64(rng.IntN(2)), []string{"UA", "B6", "", "a,\"b\""}[rng.IntN(4)], (at + int64(i)) * 1000}
		if rng.IntN(50) == 0 {
			row.Score = 1.5
		}
		rows = append(rows, row)
		switch rng.IntN(30) {
		case 0:
			rows = append(rows, row)
		case 1:
			row.Score = 0.125
			rows = append(rows, row)
		case 2:
			row.Carrier = "WN"
			rows = append(rows, row)
		}
		for range []int{0, 1, 1, 1, 1, 2, 3}[rng.IntN(7)] {
			v := float64(rng.IntN(2))
			labels = append(labels, truth{id, &v, at + int64(rng.IntN(3))*3_600_000})
		}
		if rng.IntN(20) == 0 {
			v := float64(rng.IntN(2))
			labels = append(labels, truth{fmt.Sprint("unknown-", i), &v, at})
		}
		if rng.IntN(40) == 0 {
			labels = append(labels, truth{id, nil, at})
		}
	}
	return rows, labels
}

func TestFilesGiveTheSameHoweverTheyAreWritten(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	rows, labels := tables(rng, 6000)
	base := Files{Task: schema.Binary, Names: columnsOf}
	var want *texts
	var wantCounts Counts
	for name, write := range writers {
		orders := 2
		if testing.Short() {
			orders = 1
		}
		for range orders {
			rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			rng.Shuffle(len(labels), func(i, j int) { labels[i], labels[j] = labels[j], labels[i] })
			for _, workers := range []int{1, 2, 3} {
				f := base
				f.Workers, f.perPartition = workers, []int64{1: 100, 2: 20, 3: 7000}[workers] // of 20: by groups of keys
				cut := rng.IntN(len(rows))
				f.Predictions = []Predicted{{Files: []File{write(t, rows[:cut], nil), write(t, rows[cut:], nil)}}}
				f.Labels = []File{write(t, nil, labels)}
				got, counts := joinFiles(t, &f)
				counts.First = Problems{}
				if want == nil {
					want, wantCounts = got, counts
					if counts.Repeated == 0 || counts.Differing == 0 || counts.LabelConflicts == 0 || counts.LabelsUnmatched == 0 || counts.LabelsUnusable == 0 || counts.BadScores == 0 || counts.Unlabelled == 0 {
						t.Fatalf("the files lack something: %+v", counts)
					}
				}
				if diff := cmp.Diff(wantCounts, counts); diff != "" {
					t.Fatalf("%s, %d workers: %s", name, workers, diff)
				}
				if !slices.Equal(want.rows, got.rows) {
					t.Fatalf("%s, %d workers: %s", name, workers, cmp.Diff(want.rows, got.rows))
				}
			}
		}
	}
}

// writers write either predictions or labels.
var writers = map[string]func(t testing.TB, rows []prediction, labels []truth) File{
	"parquet": func(t testing.TB, rows []prediction, labels []truth) File {
		options := []parquet.WriterOption{parquet.MaxRowsPerRowGroup(1500), parquet.PageBufferSize(3000), parquet.Compression(&parquet.Snappy)}
		raw := parquetOf(t, rows, options...)
		if labels != nil {
			raw = parquetOf(t, labels, options...)
		}
		return File{"file.parquet", bytes.NewReader(raw)}
	},
	"csv": func(t testing.TB, rows []prediction, labels []truth) File {
		return text("file.csv", csvOf(rows, labels))
	},
	"csv.gz": func(t testing.TB, rows []prediction, labels []truth) File {
		return File{"file.csv.gz", bytes.NewReader(zipped(t, []byte(csvOf(rows, labels))))}
	},
	"ndjson.zst": func(t testing.TB, rows []prediction, labels []truth) File {
		z, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return File{"file.ndjson.zst", bytes.NewReader(z.EncodeAll([]byte(ndjsonOf(rows, labels)), nil))}
	},
}

func csvOf(rows []prediction, labels []truth) string {
	var out strings.Builder
	if labels != nil {
		out.WriteString("label,id,known\r\n")
	} else {
		out.WriteString("\ufeffclass,at,id,score,more,carrier\n")
	}
	for _, l := range labels {
		v := ""
		if l.Label != nil {
			v = fmt.Sprintf("%.1f", *l.Label)
		}
		fmt.Fprintf(&out, "%s,%s,%s\r\n", v, l.ID, timeOf(l.Known))
	}
	for _, r := range rows {
		fmt.Fprintf(&out, "%d,%s,%s,%g,\"line\nbreak\",\"%s\"\n", r.Class, timeOf(r.At/1000), r.ID, r.Score, strings.ReplaceAll(r.Carrier, `"`, `""`))
	}
	return out.String()
}

func ndjsonOf(rows []prediction, labels []truth) string {
	var out strings.Builder
	for _, l := range labels {
		v := "null"
		if l.Label != nil {
			v = fmt.Sprint(*l.Label == 1)
		}
		fmt.Fprintf(&out, "{\"label\":%s,\"id\":%q,\"known\":%q}\n", v, l.ID, timeOf(l.Known))
	}
	for _, r := range rows {
		id := fmt.Sprintf("%q", r.ID)
		if !strings.HasPrefix(r.ID, "order") {
			id = r.ID
		}
		fmt.Fprintf(&out, "{\"score\":%g,\"more\":[1,{\"id\":2}],\"class\":%d,\"carrier\":%q,\"id\":%s,\"at\":%q}\n\n", r.Score, r.Class, r.Carrier, id, timeOf(r.At/1000))
	}
	return out.String()
}

func timeOf(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// TestRepeatedRowsThatDifferInASegmentDoNotDependOnTheirOrder reads rows of two ids in any order, among others that
// number the segments in one order or another.
func TestRepeatedRowsThatDifferInASegmentDoNotDependOnTheirOrder(t *testing.T) {
	rows := []string{"1,0.5,1,x,UA,z\n", "1,0.5,1,x,B6,z\n", "1,0.5,1,x,B6,z\n", "2,0.5,,x,,y\n", "2,0.5,,x,,x\n", "3,0.5,1,z,UA,x\n", "4,0.5,1,y,B6,y\n"}
	rng := rand.New(rand.NewPCG(11, 11))
	var want *texts
	var wantCounts Counts
	for i := range 60 {
		rng.Shuffle(len(rows), func(i, k int) { rows[i], rows[k] = rows[k], rows[i] })
		var files []File
		for _, row := range rows {
			files = append(files, text("file", "id,score,label,a,b,c\n"+row))
		}
		f := &Files{Task: schema.Binary, Names: Names{ID: "id", Scores: []string{"score"}, Segments: []string{"a", "b", "c"}, Label: "label"},
			Predictions: []Predicted{{Files: files}}, Workers: 1 + i%3, perPartition: int64(1 + i%2)}
		got, counts := joinFiles(t, f)
		if want == nil {
			want, wantCounts = got, counts
		}
		if diff := cmp.Diff(want.rows, got.rows) + cmp.Diff(wantCounts, counts); diff != "" {
			t.Fatalf("%q, %d workers: %s", rows, f.Workers, diff)
		}
	}
	for _, segments := range []string{`"x" "UA" "z"`, `"x" "" "y"`} {
		if !slices.ContainsFunc(want.rows, func(s string) bool { return strings.HasSuffix(s, segments) }) {
			t.Errorf("%s is not in %q", segments, want.rows)
		}
	}
	if wantCounts.Repeated != 3 || wantCounts.Differing != 2 || wantCounts.LabelDuplicates != 0 || wantCounts.LabelsWithoutRows != 2 {
		t.Errorf("%+v", wantCounts)
	}
}

func TestTwoModelsArePaired(t *testing.T) {
	f := &Files{Task: schema.Binary, Names: Names{ID: "id", Scores: []string{"p"}, Label: "y", LabelID: "key"},
		Predictions: []Predicted{{Files: []File{text("a", "id,p\n1,0.1\n2,0.2\n3,0.3\n5,2\n")}, Version: 4}, {Files: []File{text("b", "p,id\n0.9,2\n0.8,3\n0.7,4\n0.6,5\n0.9,2\n")}, Version: 5}},
		Labels:      []File{text("labels", "key,y\n2,1\n4,0\n3,true\n")}}
	got, counts := joinFiles(t, f)
	if counts.Pairs != 2 || counts.Unpaired != 2 || counts.Predictions != 3 || counts.Paired != 4 || counts.BadScores != 1 || counts.Repeated != 1 || counts.Labelled != 2 || counts.LabelsWithoutRows != 1 {
		t.Errorf("%+v", counts)
	}
	if len(got.pairs) != 2 || !strings.Contains(got.pairs[0], "v4 champion served") || !strings.Contains(got.pairs[0], "| ") || !strings.Contains(got.pairs[0], "v5 challenger paired") {
		t.Errorf("%q", got.pairs)
	}
}

func TestLabelsInTheSameFile(t *testing.T) {
	const rows = "y,p,id,w\n1,0.25,a,1\n0,0.5,b,0\n,0.75,c,2\n1,0.25,a,1\nlate,0.5,d,1\n0,0.5,e,-1\n"
	for name, id := range map[string]string{"streamed": "", "by id": "id"} {
		_, counts := joinFiles(t, &Files{Task: schema.Binary, Names: Names{ID: id, Scores: []string{"p"}, Label: "y", Weight: "w"}, Predictions: []Predicted{{Files: []File{text("rows.csv", rows)}}}})
		want := Counts{Predictions: 5, Labelled: 3, Unlabelled: 2, Strata: []Stratum{{1, 5}}, Malformed: 1, Labels: 5, LabelsUnusable: 1, LabelsWithoutRows: 1,
			First: Problems{Malformed: "rows.csv, row 6: the weight is missing, negative or no number", Label: "rows.csv, row 5: the label is none of the classes"}}
		if id != "" {
			want.Predictions, want.Labelled, want.Strata[0].Rows, want.Repeated, want.LabelDuplicates = 4, 2, 4, 1, 1
		}
		if diff := cmp.Diff(want, counts); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestLabelsOfARegressionInTheSameFile tells labels that are no numbers from those that are missing.
func TestLabelsOfARegressionInTheSameFile(t *testing.T) {
	type row struct {
		ID    int64    `parquet:"id"`
		Score float64  `parquet:"p"`
		Label *float64 `parquet:"y,optional"`
	}
	seven, inf, nan := 7.0, math.Inf(-1), math.NaN()
	raw := parquetOf(t, []row{{1, 0.5, &seven}, {2, 0.5, nil}, {3, 0.5, &inf}, {4, 0.5, &nan}, {5, 0.5, &inf}})
	said := func(text string) *string { return &text }
	words := parquetOf(t, []struct {
		ID    int64   `parquet:"id"`
		Score float64 `parquet:"p"`
		Label *string `parquet:"y,optional"`
	}{{1, 0.5, said("7")}, {2, 0.5, nil}, {3, 0.5, said("abc")}, {4, 0.5, said("")}, {5, 0.5, said("Inf")}})
	for name, file := range map[string]File{
		"csv":             text("rows", "id,p,y\n1,0.5,7\n2,0.5,\n3,0.5,abc\n4,0.5,NaN\n5,0.5,inf\n"),
		"ndjson":          text("rows", `{"id":1,"p":0.5,"y":7}`+"\n"+`{"id":2,"p":0.5}`+"\n"+`{"id":3,"p":0.5,"y":[1]}`+"\n"+`{"id":4,"p":0.5,"y":null}`+"\n"+`{"id":5,"p":0.5,"y":-1e999}`),
		"parquet":         {"rows", bytes.NewReader(raw)},
		"parquet of text": {"rows", bytes.NewReader(words)},
	} {
		for _, id := range []string{"", "id"} {
			_, counts := joinFiles(t, &Files{Task: schema.Regression, Names: Names{ID: id, Scores: []string{"p"}, Label: "y"}, Predictions: []Predicted{{Files: []File{file}}}})
			want := Counts{Predictions: 5, Labelled: 1, Unlabelled: 4, Strata: []Stratum{{1, 5}}, Labels: 3, LabelsUnusable: 2, First: Problems{Label: "rows, row 3: the label is no number"}}
			if diff := cmp.Diff(want, counts); diff != "" {
				t.Errorf("%s, id %q: %s", name, id, diff)
			}
		}
	}
}

// TestLabelsOfARegressionInTheirOwnFile counts a missing label, too: the line says nothing.
func TestLabelsOfARegressionInTheirOwnFile(t *testing.T) {
	_, counts := joinFiles(t, &Files{Task: schema.Regression, Names: Names{ID: "id", Scores: []string{"p"}, Label: "y"},
		Predictions: []Predicted{{Files: []File{text("p", "id,p\n1,0.5\n2,0.5\n")}}}, Labels: []File{text("l", "id,y\n1,7\n2,\n3,abc\n4,inf\n")}})
	want := Counts{Predictions: 2, Labelled: 1, Unlabelled: 1, Strata: []Stratum{{1, 2}}, Labels: 4, LabelsUnusable: 3, First: Problems{Label: "l, row 2: the label is missing, or no number"}}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Error(diff)
	}
}

func TestRegressionAndClassesOfFiles(t *testing.T) {
	got, counts := joinFiles(t, &Files{Task: schema.Regression, Names: Names{ID: "id", Scores: []string{"p"}, Label: "y"},
		Predictions: []Predicted{{Files: []File{text("p", "id,p\n1,-3.5\n2,nan\n3,1e999\n")}}}, Labels: []File{text("l", "id,y\n1,7\n2,x\n3,NaN\n")}})
	if counts.BadScores != 2 || counts.LabelsUnusable != 2 || counts.Labelled != 1 || len(got.rows) != 1 || !strings.Contains(got.rows[0], "label=7@0 score=-3.5") {
		t.Errorf("%+v %q", counts, got.rows)
	}
	got, counts = joinFiles(t, &Files{Task: schema.Multiclass, Names: Names{ID: "id", Scores: []string{"red", "blue"}, Prediction: "class", Label: "y"},
		Predictions: []Predicted{{Files: []File{text("p", "id,red,blue,class\n1,0.25,0.75,blue\n2,0.5,,red\n")}}}, Labels: []File{text("l", "id,y\n1,red\n2,green\n")}})
	if counts.BadScores != 1 || counts.LabelsUnusable != 1 || len(got.rows) != 1 || !strings.Contains(got.rows[0], "label=0@0 scores=[0.25 0.75] predicted=1") {
		t.Errorf("%+v %q", counts, got.rows)
	}
}

func TestBadFiles(t *testing.T) {
	binary := Files{Task: schema.Binary, Names: Names{ID: "id", Scores: []string{"p"}, Label: "y"}}
	many := []byte("id,p,s\n")
	for i := range MaxSegmentValues + 2 {
		many = fmt.Appendf(many, "%d,0.5,s%d\n", i, i)
	}
	for name, c := range map[string]struct {
		change              func(f *Files)
		predictions, labels string
		says                string
	}{
		"no column":        {nil, "id,score\n1,0.5\n", "id,y\n1,1\n", `predictions: there is no column "p"; the columns are: id, score`},
		"no header":        {nil, "1,0.5\n2,0.25\n", "id,y\n1,1\n", "the first line holds numbers"},
		"no label column":  {nil, "id,p\n1,0.5\n", "id,label\n1,1\n", `labels: there is no column "y"; the columns are: id, label`},
		"empty":            {nil, "", "id,y\n1,1\n", "header"},
		"no rows":          {nil, "id,p\n", "id,y\n1,1\n", "no rows"},
		"twice":            {nil, "id,p,p\n1,1,1\n", "id,y\n1,1\n", "twice"},
		"ndjson":           {nil, `{"id":1,"score":0.5}` + "\n", "id,y\n1,1\n", `no column "p"; the columns are: id, score`},
		"open quote":       {nil, "id,p\n\"1,0.5\n2,0.5\n", "id,y\n1,1\n", "after line 1"},
		"no parquet":       {nil, "PAR1 and something else", "id,y\n1,1\n", "Parquet"},
		"cut gzip":         {nil, "\x1f\x8b", "id,y\n1,1\n", "compressed"},
		"no task":          {func(f *Files) { f.Task = "x" }, "id,p\n1,1\n", "id,y\n1,1\n", "task"},
		"no id":            {func(f *Files) { f.Names.ID = "" }, "id,p\n1,1\n", "id,y\n1,1\n", "id column"},
		"no label":         {func(f *Files) { f.Names.Label = "" }, "id,p\n1,1\n", "id,y\n1,1\n", "label column"},
		"two scores":       {func(f *Files) { f.Names.Scores = []string{"p", "q"} }, "id,p\n1,1\n", "id,y\n1,1\n", "2 score columns"},
		"segment of an id": {func(f *Files) { f.Names.Segments = []string{"s"} }, string(many), "id,y\n1,1\n", `segment column "s"`},
	} {
		f := binary
		if c.change != nil {
			c.change(&f)
		}
		f.Predictions, f.Labels = []Predicted{{Files: []File{text("predictions", c.predictions)}}}, []File{text("labels", c.labels)}
		_, err := f.Join(t.Context(), func(int, *Batch) error { return nil })
		if !fault.Is(err, fault.InvalidArgument) || !strings.Contains(fault.Public(err).Message, c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	stop := errors.New("stop")
	f := binary
	f.Predictions, f.Labels = []Predicted{{Files: []File{text("predictions", "id,p\n1,0.5\n")}}}, []File{text("labels", "id,y\n1,1\n")}
	if _, err := f.Join(t.Context(), func(int, *Batch) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the visitor's error: %v", err)
	}
}

func TestUUIDsAreReadAsTheUUIDPackageDoes(t *testing.T) {
	const id = "019d5f2c-7C5B-7d0a-8f0e-3b7a52d1c9e4"
	for i := range len(id) {
		for c := range 256 {
			text := id[:i] + string([]byte{byte(c)}) + id[i+1:]
			want, err := uuid.Parse(text)
			got, ok := uuidKey(text)
			if ok != (err == nil) || ok && got != KeyOfBytes((*[16]byte)(&want)) {
				t.Errorf("%q: %x, %v; want %x, %v", text, got, ok, want, err)
			}
		}
	}
	if _, ok := uuidKey(id[:35]); ok {
		t.Error("a text that is too short")
	}
}

func TestKeys(t *testing.T) {
	same := [][2]Key{{KeyOf("17"), KeyOfNumber(17)}, {KeyOf("-17"), KeyOfNumber(-17)}, {KeyOf("019D5F2C-7c5b-7d0a-8f0e-3b7a52d1c9e4"), KeyOfBytes(&[16]byte{0x01, 0x9d, 0x5f, 0x2c, 0x7c, 0x5b, 0x7d, 0x0a, 0x8f, 0x0e, 0x3b, 0x7a, 0x52, 0xd1, 0xc9, 0xe4})}}
	for _, p := range same {
		if p[0] != p[1] {
			t.Errorf("%x and %x", p[0], p[1])
		}
	}
	seen := map[Key]string{}
	for _, id := range []string{"0", "-0", "00", "07", "7", "7.0", "+7", "", "a", "b", "aa", "9223372036854775807", "9223372036854775808", "019d5f2c-7c5b-7d0a-8f0e-3b7a52d1c9e4", "019d5f2c-7c5b-7d0a-8f0e-3b7a52d1c9eg", "abcdefgh", "abcdefghi", "abcdefgh\x00"} {
		k := KeyOf(id)
		if other, taken := seen[k]; taken {
			t.Errorf("%q and %q have one key", id, other)
		}
		seen[k] = id
	}
	hashes := map[uint64]int{}
	for i := range 1 << 14 {
		hashes[KeyOfNumber(int64(i)).Hash()>>56]++
	}
	least, most := math.MaxInt, 0
	for _, n := range hashes {
		least, most = min(least, n), max(most, n)
	}
	if len(hashes) != 256 || most > 2*least {
		t.Errorf("the numbers 0 to 16383 fall into %d of 256 partitions, %d to %d each", len(hashes), least, most)
	}
	rows := map[Key]bool{}
	for i := range 1000 {
		rows[KeyOf("a").RowKey(i)] = true
	}
	if len(rows) != 1000 || rows[KeyOf("a")] {
		t.Error("rows share a key")
	}
	if !slices.Equal([]int32{0, 1, 1, none, none}, classesOf(t, "0", "1.0", "true", "2", "")) {
		t.Error("classes of texts")
	}
}

func classesOf(t *testing.T, texts ...string) (out []int32) {
	t.Helper()
	c := (&Spec{Task: schema.Binary}).classes()
	for _, x := range texts {
		out = append(out, c.text(x))
	}
	return out
}
