package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/fault"
)

const head = `{"v":1,"id":"%s","ts":"%s","model":"flights","version":%d,"digest":"sha256:0","slot":"champion","role":"%s","generation":1,"first_row":%d,"rows":%d,"total_rows":%d,`

// lines of one object: a request of two rows, one that failed, a paired answer, a slice of a larger request.
func lines() string {
	const tail = `"status":200,"latency_us":1,"served_by":"lambda","sampled":1}` + "\n"
	two := fmt.Sprintf(head, "u1", "2026-11-24T12:00:00.25Z", 7, "served", 0, 2, 2) +
		`"inputs":{"delay":[12,null],"carrier":["UA","B6"],"tail":[9007199254740993,1],"image":{"shape":[2,2,2],"data":[]},"id":["x","y"]},"outputs":{"label":[0,1],"probabilities":[[0.93,0.07],[0.21,0.79]],"ok":[true,false]},` + tail
	failed := fmt.Sprintf(head, "u2", "2026-11-24T12:00:01Z", 7, "served", 0, 1, 1) + `"error_kind":"Internal","status":500,"latency_us":1,"served_by":"lambda","sampled":1}` + "\n"
	paired := fmt.Sprintf(head, "u1", "2026-11-24T12:00:00.25Z", 8, "paired", 0, 2, 2) + `"inputs":{"delay":[12,null]},"outputs":{"label":[1,1]},` + tail
	slice := fmt.Sprintf(head, "u3", "2026-11-25T00:10:00Z", 7, "served", 4, 1, 5) + `"inputs":{"delay":[1.5],"carrier":[null]},"outputs":{"label":[0]},` + tail
	return two + two + failed + paired + slice + "\nnot json\n" + `{"v":2}` + "\n" + strings.Replace(two, `"delay":[12,null]`, `"delay":[12]`, 1)
}

func of(objects ...string) Source {
	return func(_ context.Context, read func(string, io.Reader) error) error {
		for i, o := range objects {
			if err := read(fmt.Sprintf("object %d", i), strings.NewReader(o)); err != nil {
				return err
			}
		}
		return nil
	}
}

func exported(t *testing.T, src Source, sel Selection) (*Summary, []map[string]any) {
	t.Helper()
	var b bytes.Buffer
	out, err := Run(context.Background(), src, sel, &b)
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	file, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	columns := file.Schema().Columns()
	for _, group := range file.RowGroups() {
		r := group.Rows()
		defer r.Close()
		for buffer := make([]parquet.Row, 1); ; {
			n, err := r.ReadRows(buffer)
			if n == 1 {
				row := map[string]any{}
				for _, v := range buffer[0] {
					row[columns[v.Column()][0]] = plain(v)
				}
				rows = append(rows, row)
			}
			if err != nil {
				break
			}
		}
	}
	if uint64(len(rows)) != out.Rows {
		t.Errorf("%d rows in the file, %d reported", len(rows), out.Rows)
	}
	return out, rows
}

func plain(v parquet.Value) any {
	switch {
	case v.IsNull():
		return nil
	case v.Kind() == parquet.Double:
		return v.Double()
	case v.Kind() == parquet.Int64:
		return v.Int64()
	case v.Kind() == parquet.Boolean:
		return v.Boolean()
	}
	return string(v.ByteArray())
}

func TestRowsOfCaptures(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	w.Write([]byte(lines()))
	w.Close()
	out, rows := exported(t, of(zipped.String(), lines()), Selection{Role: capture.Served})
	if out.Rows != 3 || out.Records != 2 || out.Duplicates != 5 || out.Failed != 1 || out.Other != 2 || out.Malformed != 6 || !strings.Contains(out.First, "object 0, line 7") {
		t.Errorf("%+v", out)
	}
	want := map[string]string{"delay": "double", "carrier": "string", "tail": "int64", "input_id": "string", "label": "double",
		"probabilities_0": "double", "probabilities_1": "double", "ok": "boolean"}
	if diff := cmp.Diff(want, out.Columns); diff != "" {
		t.Error(diff)
	}
	if len(out.LeftOut) != 1 || out.LeftOut["image"] == "" {
		t.Errorf("left out: %v", out.LeftOut)
	}
	for i, id := range []string{"u1#0", "u1#1", "u3#4"} {
		if fmt.Sprintf("%s", rows[i]["id"]) != id {
			t.Errorf("row %d is %v", i, rows[i]["id"])
		}
	}
	if rows[0]["delay"] != 12.0 || rows[1]["delay"] != nil || rows[2]["delay"] != 1.5 || rows[0]["tail"] != int64(9007199254740993) || rows[1]["probabilities_1"] != 0.79 || rows[2]["ok"] != nil {
		t.Errorf("%v", rows)
	}
}

func TestSelection(t *testing.T) {
	day := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		sel  Selection
		rows uint64
	}{
		"all": {Selection{}, 5}, "day": {Selection{From: day, To: day.AddDate(0, 0, 1)}, 4}, "version": {Selection{Version: 8}, 2},
		"paired": {Selection{Role: capture.Paired}, 2}, "slot": {Selection{Slot: "shadow"}, 0}, "model": {Selection{Model: "other"}, 0},
	} {
		if out, _ := exported(t, of(lines()), c.sel); out.Rows != c.rows {
			t.Errorf("%s: %d rows, want %d", name, out.Rows, c.rows)
		}
	}
}

func TestRefusals(t *testing.T) {
	other := strings.Replace(lines(), `"model":"flights"`, `"model":"other"`, 1)
	for name, c := range map[string]struct {
		src  Source
		says string
	}{
		"two models": {of(lines(), other), "flights, other"}, "cut": {of(string(zip(lines())[:80])), "cut short"},
		"not gzip": {of("\x1f\x8bxx"), "compressed"}, "a long line": {of(strings.Repeat("x", 17<<20)), "longer than 16 MB"},
	} {
		if _, err := Run(context.Background(), c.src, Selection{}, io.Discard); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(fault.Public(err).Message, c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "null", "[]", `{"v":1}`, `{"v":1,"id":"a","model":"m","version":1,"ts":"2026-11-24T12:00:00Z","rows":-1}`} {
		if out, _ := exported(t, of(text), Selection{}); out.Rows != 0 {
			t.Errorf("%q: %d rows", text, out.Rows)
		}
	}
}

func zip(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.Bytes()
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte(lines()))
	f.Add([]byte(strings.ReplaceAll(lines(), "[0.93,0.07]", `[[1],"x"]`)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var b bytes.Buffer
		out, err := Run(context.Background(), of(string(raw)), Selection{}, &b)
		if err != nil {
			return
		}
		file, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil || uint64(file.NumRows()) != out.Rows {
			t.Fatalf("%d rows written: %v", out.Rows, err)
		}
	})
}
