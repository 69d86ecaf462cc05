package profile

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// textOf writes flights as CSV or NDJSON; infinities have no JSON and are written as 1e999.
func textOf(rows []flight, format string) []byte {
	var out bytes.Buffer
	if format == "csv" {
		out.WriteString("\ufeffdelay,plain,hour,big,carrier,tail,late,new\n")
	}
	for _, r := range rows {
		plain := strconv.FormatFloat(r.Plain, 'g', -1, 64)
		delay, carrier := "", ""
		if r.Delay != nil {
			delay, carrier = strconv.FormatFloat(*r.Delay, 'g', -1, 64), *r.Carrier
		}
		late := map[bool]string{true: "1", false: "0"}[r.Late]
		if format == "csv" {
			fmt.Fprintf(&out, "%s,%s,%d,%d,%s,\"%s\",%s,x\n", delay, plain, r.Hour, r.Big, carrier, r.Tail, late)
			continue
		}
		object := map[string]any{"hour": r.Hour, "big": r.Big, "tail": r.Tail, "late": r.Late, "new": []int{1}}
		if r.Delay != nil {
			object["delay"], object["carrier"] = *r.Delay, *r.Carrier
		}
		switch {
		case math.IsInf(r.Plain, 0):
			object["plain"] = json.RawMessage(strings.TrimPrefix(strings.Replace(plain, "Inf", "1e999", 1), "+"))
		case !math.IsNaN(r.Plain):
			object["plain"] = r.Plain
		}
		raw, err := json.Marshal(object)
		if err != nil {
			panic(err)
		}
		out.Write(append(raw, '\n'))
	}
	return out.Bytes()
}

func countText(t testing.TB, format string, r io.Reader, b *Baseline) (*Tally, Report) {
	t.Helper()
	plain, err := Decompress(r)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	tally := NewTally(b)
	read := CountNDJSON
	if format == "csv" {
		read = CountCSV
	}
	rep, err := read(context.Background(), plain, tally)
	if err != nil {
		t.Fatal(err)
	}
	return tally, rep
}

func TestTextCountsEqualTheBaselines(t *testing.T) {
	rows := flights(rand.New(rand.NewPCG(31, 31)), 5000)
	b := flightsBaseline(rows)
	for _, format := range []string{"csv", "ndjson"} {
		for _, packing := range []string{"plain", "gzip", "zstd"} {
			raw := pack(t, textOf(rows, format), packing)
			tally, rep := countText(t, format, bytes.NewReader(raw), b)
			if rep.Rows != uint64(len(rows)) || rep.Malformed != 0 || strings.Join(rep.Extra, ",") != "new" || len(rep.Absent) != 0 {
				t.Errorf("%s %s: %+v", format, packing, rep)
			}
			for i := range b.Columns {
				got, want := tally.States[i], b.Columns[i].State
				if format == "ndjson" { // JSON has no NaN: it arrives as a missing value
					want.Missing, want.NaN = want.Missing+want.NaN, 0
				}
				x, _ := json.Marshal(&got)
				y, _ := json.Marshal(&want)
				if !bytes.Equal(x, y) {
					t.Errorf("%s %s, column %s:\n%.300s\nwant\n%.300s", format, packing, b.Columns[i].Name, x, y)
				}
			}
		}
	}
}

func pack(t testing.TB, raw []byte, packing string) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch packing {
	case "plain":
		return raw
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zstd":
		var err error
		if w, err = zstd.NewWriter(&out); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func tiny() *Baseline {
	c := NewCounter()
	c.Add("a", 100)
	return &Baseline{V: BaselineVersion, Columns: []Column{numericColumn("x", []float64{1, 2, 3}, 0, 0), CategoricalColumn("c", c, 0, 0)}}
}

func TestMalformedLinesAreCountedNotLost(t *testing.T) {
	tests := []struct {
		name, format, text string
		rows, malformed    uint64
		first              string
	}{
		{"header only", "csv", "x,c\n", 0, 0, ""},
		{"short line", "csv", "x,c\n1,a\n2\n3,b\n", 2, 1, "line 3: 1 fields, the header has 2"},
		{"no final newline", "csv", "x,c\n1,a", 1, 0, ""},
		{"empty", "ndjson", "", 0, 0, ""},
		{"cut off", "ndjson", "{\"x\":1}\n{\"x\":", 1, 1, "line 2: "},
		{"array", "ndjson", "[1]\n{}\n", 1, 1, "line 1: not a JSON object"},
		{"twice", "ndjson", "{\"x\":1,\"x\":2}\n", 0, 1, "line 1: a column is given twice"},
		{"behind", "ndjson", "{\"x\":1}{\"x\":2}\n", 0, 1, "line 1: text behind the object"},
		{"comma", "ndjson", "{\"x\":1,}\n", 0, 1, "line 1: a comma before"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := tiny()
			tally, rep := countText(t, tt.format, strings.NewReader(tt.text), b)
			if rep.Rows != tt.rows || rep.Malformed != tt.malformed || !strings.HasPrefix(rep.First, tt.first) {
				t.Errorf("%+v", rep)
			}
			for i := range tally.States {
				if tally.States[i].Rows != tt.rows {
					t.Errorf("column %d counted %d rows of %d", i, tally.States[i].Rows, tt.rows)
				}
			}
		})
	}
}

func TestUnreadableTextIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"empty CSV":       "",
		"twice":           "x,x\n1,2\n",
		"bare quote":      "x,c\n1,\"a\"b\n",
		"quote left open": "x,c\n1,\"" + strings.Repeat("line\n", MaxLine/4) + "\n",
	} {
		if _, err := CountCSV(context.Background(), strings.NewReader(text), NewTally(tiny())); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	long := `{"c":"` + strings.Repeat("a", MaxLine) + `"}`
	if _, err := CountNDJSON(context.Background(), strings.NewReader(long), NewTally(tiny())); err == nil {
		t.Error("an endless line is read")
	}
	gz := pack(t, []byte("x,c\n1,a\n"), "gzip")
	plain, err := Decompress(bytes.NewReader(gz[:len(gz)-6]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CountCSV(context.Background(), plain, NewTally(tiny())); err == nil {
		t.Error("a truncated gzip file is read to its end without an error")
	}
}

func FuzzText(f *testing.F) {
	f.Add("x,c\n1,a\n", true)
	f.Add(`{"x":1e999,"c":"a"}`, false)
	b := tiny()
	f.Fuzz(func(t *testing.T, text string, isCSV bool) {
		tally := NewTally(b)
		read := CountNDJSON
		if isCSV {
			read = CountCSV
		}
		rep, err := read(context.Background(), strings.NewReader(text), tally)
		if err != nil {
			return
		}
		for i := range tally.States {
			if err := tally.States[i].check(); err != nil || tally.States[i].Rows != rep.Rows {
				t.Fatalf("%d rows, column %d: %d, %v", rep.Rows, i, tally.States[i].Rows, err)
			}
		}
	})
}
