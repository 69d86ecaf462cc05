package label

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
)

// outcomes reads all of text: a record's line for each label, the problem for every other line.
func outcomes(t *testing.T, text string, task schema.Task) []string {
	t.Helper()
	d, err := NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for {
		in, problem, err := d.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if problem == Fine {
			rec, _, problems := in.Record(task, now, made)
			if problem = problems.First(); problem == Fine {
				out = append(out, strings.TrimSuffix(string(Append(nil, &rec)), "\n"))
				continue
			}
		}
		out = append(out, string(problem))
	}
}

const stamp = `,"ts":"2026-04-06T14:31:15.123Z"}`

func TestReaderOfNDJSON(t *testing.T) {
	got := outcomes(t, "\ufeff"+`{"id":"`+id+`","label":1}
{ "label" : "late" , "extra" : {"deep":[1,2]} , "id" : "`+strings.ToUpper(id)+`#2" , "ts" : "2026-04-06 16:31:15.1239+02:00" }

{"request_id":"order-17","predicted_at":"2026-04-06T14","label":true,"ts":null}
{"id":"`+id+`","label":null}
{"id":"`+id+`"}
{"id":17,"label":1}
{"id":"`+id+`","label":[1]}
{"id":"`+id+`","label":{"a":1}}
{"id":"`+id+`","label":1,"ts":17}
{"id":"`+id+`","label":1} x
{"id":"`+id+`","label":1
[1]
nonsense
`+strings.Repeat("x", maxInput+10)+`
{"id":"`+id+`","label":0.25}
{"id":"`+id+`","label":2}`, schema.Multiclass)
	want := []string{
		`{"id":"` + id + `","label":1` + stamp,
		`{"id":"` + id + `#2","label":"late"` + stamp,
		`{"request_id":"order-17","label":true` + stamp,
		"no_label", "no_label", "bad_id", "wrong_type", "wrong_type", "bad_ts", "malformed", "malformed", "malformed", "malformed", "malformed", "wrong_type",
		`{"id":"` + id + `","label":2` + stamp,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestReaderOfCSV(t *testing.T) {
	got := outcomes(t, "\ufeff\n"+`Label, id ,note,ts,request_id,predicted_at
1,`+id+`,,,,
"lat""e",`+id+`#1,"a, b",2026-04-06T14:31:15.123Z,,
true,,,,order 17,2026-04-06T14Z
,`+id+`,,,,
1,,,,,
1,nobody,,,,
1,`+id+`
1,"`+id+`,,,,
1,`+id+`,x"y,,,
1,`+id+",\xff,,,\r\n"+`2,`+id+",,,,\r\n", schema.Binary)
	want := []string{
		`{"id":"` + id + `","label":1` + stamp,
		`{"id":"` + id + `#1","label":"lat\"e"` + stamp,
		`{"request_id":"order 17","label":true` + stamp,
		"no_label", "no_id", "bad_id", "malformed", "malformed", "malformed", "malformed",
		`{"id":"` + id + `","label":2` + stamp,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestReaderRefusesWhatHasNoForm(t *testing.T) {
	for name, text := range map[string]string{
		"no header":       id + ",1\n",
		"no label column": "id,value\n" + id + ",1\n",
		"half a request":  "request_id,label\na,1\n",
		"twice":           "id,label,ID\n",
		"Parquet":         "PAR1\x15\x04",
		"a JSON list":     `[{"id":"` + id + `","label":1}]`,
		"a long line":     strings.Repeat("id,label,", 10_000) + "\n",
		"blank":           strings.Repeat("\n", 1000),
		"semicolons":      "id;label\n",
	} {
		if _, err := NewReader(strings.NewReader(text)); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := outcomes(t, "", schema.Binary); got != nil {
		t.Errorf("an empty file has %v", got)
	}
	if got := outcomes(t, "id,label\n", schema.Binary); got != nil {
		t.Errorf("a header alone has %v", got)
	}
}

// FuzzSplit holds the fields of a line to encoding/csv's.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{"", "a,b", `"a","b""c",`, `a"b`, `"a"b`, `"a`, `,,`, `""`, `"""",x`, ` "a"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n") {
			return
		}
		var scratch []byte
		got, ok := split(nil, []byte(line), &scratch)
		want, err := csv.NewReader(strings.NewReader(line + "\n")).Read()
		if line == "" {
			want, err = []string{""}, nil // encoding/csv passes over empty lines, and so does Reader
		}
		if ok != (err == nil) || ok && !slices.Equal(got, want) {
			t.Errorf("%q is %q (%v), encoding/csv says %q (%v)", line, got, ok, want, err)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add("id,label\n" + id + ",1\n")
	f.Add(`{"id":"` + id + `","label":"x"}` + "\n{")
	f.Add("request_id,predicted_at,label,ts\n\"a\"\"\",2026-04-06T14,late,2026-04-06T14:31:15Z\n")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := NewReader(strings.NewReader(text))
		if err != nil {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Error(err)
			}
			return
		}
		for {
			in, problem, err := d.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				return
			}
			if problem != Fine {
				continue
			}
			rec, _, problems := in.Record(schema.Unspecified, now, made)
			if problems.First() != Fine {
				continue
			}
			sc := NewScanner(strings.NewReader(string(Append(nil, &rec))))
			if !sc.Scan() || Order(sc.Record(), &rec) != 0 || Compare(sc.Record().Label, rec.Label) != 0 {
				t.Errorf("%+v cannot be read back: %v", rec, sc.Err())
			}
		}
	})
}
