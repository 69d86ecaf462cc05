package table

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// all reads a file and joins its batches; texts are cloned, as they are not kept.
func all(t testing.TB, src profile.ReaderAtSize, columns []Column) ([]Values, Report, error) {
	t.Helper()
	table, err := Open(src, columns)
	if err != nil {
		return nil, Report{}, err
	}
	got := make([]Values, len(columns))
	total := Report{Wrong: make([]uint64, len(columns))}
	for part := range table.Parts() {
		if table.FirstRow(part) != total.Rows {
			t.Fatalf("part %d begins at row %d, %d were read", part, table.FirstRow(part), total.Rows)
		}
		next := int64(0)
		rep, err := table.Read(context.Background(), part, func(b *Batch) error {
			if b.First != next {
				t.Fatalf("a batch begins at row %d, want %d", b.First, next)
			}
			next += int64(b.Rows)
			for i := range b.Columns {
				v := &b.Columns[i]
				got[i].Form = v.Form
				for _, at := range v.Wrong {
					got[i].Wrong = append(got[i].Wrong, int(total.Rows+b.First)+at)
				}
				switch v.Form {
				case Floats:
					got[i].Floats = append(got[i].Floats, v.Floats[:b.Rows]...)
				case Ints:
					got[i].Ints = append(got[i].Ints, v.Ints[:b.Rows]...)
					null := v.Null
					if null == nil {
						null = make([]bool, b.Rows)
					}
					got[i].Null = append(got[i].Null, null[:b.Rows]...)
				default:
					for _, s := range v.Texts[:b.Rows] {
						got[i].Texts = append(got[i].Texts, strings.Clone(s))
					}
				}
			}
			return nil
		})
		total.Rows += rep.Rows
		total.Malformed += rep.Malformed
		if total.First == "" {
			total.First = rep.First
		}
		for i, n := range rep.Wrong {
			total.Wrong[i] += n
		}
		if err != nil {
			return got, total, err
		}
	}
	return got, total, nil
}

var wanted = []Column{{Name: "id"}, {Name: "x", Kind: Number}, {Name: "at", Kind: Time}}

func TestTextFormats(t *testing.T) {
	at := time.Date(2026, 4, 6, 14, 0, 0, 0, time.UTC).UnixMilli()
	want := []Values{
		{Form: Texts, Texts: []string{"7", "b", "", "true", "a,\"b\"\nc"}},
		{Form: Floats, Floats: []float64{1.5, math.NaN(), math.NaN(), 1, math.Inf(1)}, Wrong: []int{2}},
		{Form: Ints, Ints: []int64{at, at, 0, at, at - 14*3_600_000}, Null: []bool{false, false, true, false, false}},
	}
	for name, content := range map[string]string{
		"csv": "\ufeffx,more,at,id\r\n1.5,,2026-04-06T14:00:00Z,7\r\n\nNA,,2026-04-06 14:00:00,b\nmany,,,\nshort\ntrue,,2026-04-06T16:00:00+02:00,true\n" +
			"1e999,\"x\",2026-04-06,\"a,\"\"b\"\"\nc\"",
		"ndjson": `{"x":1.5,"at":"2026-04-06T14:00:00Z","id":7,"more":{"id":1}}` + "\n\n" + `{"at":"2026-04-06 14:00:00","id":"b","x":null}` + "\n" + `{"x":"many","at":null}` + "\n[1]\n" +
			`{"x":true,"at":"2026-04-06T16:00:00+02:00","id":true}` + "\r\n" + `{"x":1e999,"at":"2026-04-06","id":"a,\"b\"\nc"}`,
	} {
		got, rep, err := all(t, strings.NewReader(content), wanted)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if rep.Rows != 5 || rep.Malformed != 1 || !strings.HasPrefix(rep.First, "line ") || !slices.Equal(rep.Wrong, []uint64{0, 1, 0}) {
			t.Errorf("%s: %+v", name, rep)
		}
	}
}

type row struct {
	I32  int32    `parquet:"i32"`
	I64  *int64   `parquet:"i64,optional"`
	Dict *int64   `parquet:"dict,optional,dict"`
	F32  float32  `parquet:"f32"`
	F64  *float64 `parquet:"f64,optional,dict"`
	Bool *bool    `parquet:"bool,optional"`
	Text *string  `parquet:"text,optional"`
	Name string   `parquet:"name,dict"`
	UUID [16]byte `parquet:"uuid,uuid"`
	At   int64    `parquet:"at,timestamp(nanosecond)"`
	Day  int32    `parquet:"day,date"`
	List []int64  `parquet:"list,list"`
}

func TestParquetColumnsStayAligned(t *testing.T) {
	const n = 5000
	rows := make([]row, n)
	for i := range rows {
		v, f, b, s := int64(i), float64(i)/4, i%3 == 0, fmt.Sprint("text ", i)
		rows[i] = row{I32: int32(-i), F32: float32(i) / 2, Name: fmt.Sprint("name ", i%7), At: -int64(i)*1_000_000 - 1, Day: int32(i), UUID: [16]byte{byte(i), byte(i >> 8)}}
		if i%5 != 0 {
			d := v % 11
			rows[i].I64, rows[i].Dict, rows[i].F64, rows[i].Bool, rows[i].Text = &v, &d, &f, &b, &s
		}
	}
	var file bytes.Buffer
	w := parquet.NewGenericWriter[row](&file, parquet.MaxRowsPerRowGroup(1700), parquet.PageBufferSize(1000))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	columns := []Column{{Name: "i32"}, {Name: "i64"}, {Name: "dict"}, {Name: "f32"}, {Name: "f64", Kind: Number}, {Name: "bool"}, {Name: "bool2"}, {Name: "text"}, {Name: "name"}, {Name: "uuid"},
		{Name: "at", Kind: Time}, {Name: "day", Kind: Time}, {Name: "i32", Kind: Number}, {Name: "text", Kind: Number}}
	columns[6] = Column{Name: "bool", Kind: Number}
	got, rep, err := all(t, bytes.NewReader(file.Bytes()), columns)
	if err != nil || rep.Rows != n {
		t.Fatalf("%+v, %v", rep, err)
	}
	if rep.Wrong[13] != n-n/5 || len(got[13].Wrong) != n-n/5 {
		t.Errorf("%d texts are no numbers, %d rows", rep.Wrong[13], len(got[13].Wrong))
	}
	for i := range rows {
		null := i%5 == 0
		say := func(what string, ok bool) {
			if !ok {
				t.Fatalf("row %d: %s", i, what)
			}
		}
		say("i32", got[0].Ints[i] == int64(-i) && got[12].Floats[i] == float64(-i))
		say("i64", got[1].Null[i] == null && (null || got[1].Ints[i] == int64(i)))
		say("dict", got[2].Null[i] == null && (null || got[2].Ints[i] == int64(i%11)))
		say("f32", got[3].Floats[i] == float64(i)/2)
		say("f64", math.IsNaN(got[4].Floats[i]) == null && (null || got[4].Floats[i] == float64(i)/4))
		say("bool", null && got[5].Texts[i] == "" && math.IsNaN(got[6].Floats[i]) || !null && got[5].Texts[i] == fmt.Sprint(i%3 == 0) && (got[6].Floats[i] == 1) == (i%3 == 0))
		say("text", null && got[7].Texts[i] == "" || got[7].Texts[i] == fmt.Sprint("text ", i))
		say("name", got[8].Texts[i] == fmt.Sprint("name ", i%7))
		say("uuid", got[9].Form == UUIDs && got[9].Texts[i] == string(rows[i].UUID[:]))
		say("at", got[10].Ints[i] == -int64(i)-1)
		_, wrong := slices.BinarySearch(got[13].Wrong, i)
		say("text as a number", wrong != null)
		say("day", got[11].Ints[i] == int64(i)*86_400_000)
	}
	for name, c := range map[string]Column{"nested": {Name: "list"}, "no time": {Name: "f64", Kind: Time}, "a number of a UUID": {Name: "uuid", Kind: Number}, "absent": {Name: "none"}} {
		if _, err := Open(bytes.NewReader(file.Bytes()), []Column{c}); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadingEndsWithTheVisitorOrTheContext(t *testing.T) {
	table, err := Open(strings.NewReader("id\n"+strings.Repeat("1\n", 10_000)), []Column{{Name: "id"}})
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if _, err := table.Read(t.Context(), 0, func(*Batch) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := table.Read(ctx, 0, func(*Batch) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzCSV compares with encoding/csv.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a\r\n\"x\ny\"\r\n\n\"\"\"\"", "\ufeffa,\"b\"\n1,2,3\n", "a\n\"", "a\nx\"y\n", "a\n\"x\"y\n", "a,a\n", "\n\r\na\n1", "a\n\r\n1\r", "a,b\n,\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, content string) {
		want := csv.NewReader(strings.NewReader(content))
		want.FieldsPerRecord = -1
		c := &csvReader{r: newBuffer(content)}
		for {
			record, wantErr := want.Read()
			fields, err := c.read()
			if (err == nil) != (wantErr == nil) || errors.Is(err, io.EOF) != errors.Is(wantErr, io.EOF) {
				t.Fatalf("we say %v, encoding/csv %v", err, wantErr)
			}
			if err != nil {
				return
			}
			if len(fields) != len(record) {
				t.Fatalf("%d fields, want %d", len(fields), len(record))
			}
			for i := range record {
				if string(fields[i]) != record[i] {
					t.Fatalf("field %d is %q, want %q", i, fields[i], record[i])
				}
			}
		}
	})
}

// FuzzNDJSON holds every row that encoding/json reads to the same values.
func FuzzNDJSON(f *testing.F) {
	f.Add(`{"id":"a","x":1}`)
	f.Add(`{"x":1e5,"id":{"x":2}}` + "\n" + `{"id":"\u00e9","x":"3"}`)
	f.Add("{}\n[1]\nnull\n{")
	f.Fuzz(func(t *testing.T, content string) {
		var rows []map[string]json.RawMessage
		for line := range strings.SplitSeq(content, "\n") {
			var r map[string]json.RawMessage
			if json.Unmarshal([]byte(line), &r) == nil && r != nil {
				rows = append(rows, r)
			}
		}
		got, rep, err := all(t, strings.NewReader("{\"id\":\"first\",\"x\":0}\n"+content), []Column{{Name: "id"}, {Name: "x", Kind: Number}})
		if err != nil {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Fatalf("kind %q: %v", fault.KindOf(err), err)
			}
			return
		}
		if int(rep.Rows) > len(rows)+1 {
			t.Fatalf("%d rows, encoding/json reads %d", rep.Rows, len(rows)+1)
		}
		if int(rep.Rows) < len(rows)+1 || strings.Contains(content, "\r") { // stricter on text that is not UTF-8
			return
		}
		for i, r := range rows {
			var text string
			if json.Unmarshal(r["id"], &text) == nil && got[0].Texts[i+1] != text {
				t.Fatalf("row %d: id %q, want %q", i, got[0].Texts[i+1], text)
			}
			var x float64
			if json.Unmarshal(r["x"], &x) == nil && string(r["x"]) != "null" && got[1].Floats[i+1] != x {
				t.Fatalf("row %d: x %g, want %g", i, got[1].Floats[i+1], x)
			}
		}
	})
}

// TestDamagedParquetIsAnError damages a file at each of its bytes. It is no fuzz test: the library allocates what the
// header of a page says, up to 2 GB, before it reads the page.
func TestDamagedParquetIsAnError(t *testing.T) {
	type small struct {
		ID    string   `parquet:"id,dict"`
		Score *float64 `parquet:"x,optional"`
		At    int64    `parquet:"at,timestamp"`
	}
	score := 0.5
	for name, compress := range map[string]parquet.WriterOption{"plain": parquet.Compression(&parquet.Uncompressed), "snappy": parquet.Compression(&parquet.Snappy)} {
		var out bytes.Buffer
		w := parquet.NewGenericWriter[small](&out, compress)
		if _, err := w.Write([]small{{"a", &score, 1}, {"b", nil, 2}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		refused := 0
		try := func(content []byte) {
			_, _, err := all(t, bytes.NewReader(content), wanted)
			if err == nil {
				return
			}
			if refused++; !fault.Is(err, fault.InvalidArgument) {
				t.Errorf("%s: kind %q: %v", name, fault.KindOf(err), err)
			}
		}
		for i := range out.Len() {
			damaged := bytes.Clone(out.Bytes())
			damaged[i] ^= 1
			if bytes.HasPrefix(damaged, []byte("PAR1")) {
				try(damaged)
			}
			if i >= 4 {
				try(out.Bytes()[:i])
			}
		}
		if refused < out.Len() {
			t.Errorf("%s: only %d of the damaged files are refused", name, refused)
		}
	}
}
