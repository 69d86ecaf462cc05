package dataset

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
)

func TestSchema(t *testing.T) {
	s, err := ParseSchema([]byte(flightsSchema))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Used(), ","); got != "delay,carrier,when,late" {
		t.Errorf("Used: %s", got)
	}
	want := `{"v":1,"task":"binary_classification","target":"late","time":"when","columns":[{"name":"delay","type":"number"},{"name":"carrier","type":"category"}],"drop":["flight"]}`
	if string(s.Bytes()) != want {
		t.Errorf("Bytes: %s", s.Bytes())
	}
	again, err := ParseSchema(s.Bytes())
	if err != nil || again.Digest() != s.Digest() {
		t.Errorf("the schema in its one form has digest %s, %v", again.Digest(), err)
	}
	input, err := ParseSchema([]byte(`{"task":"regression","target":"y","time":"t","columns":[{"name":"t","type":"number"}]}`))
	if err != nil || strings.Join(input.Used(), ",") != "t,y" {
		t.Errorf("a time that is an input: %v, %v", input, err)
	}
}

func TestBadSchemas(t *testing.T) {
	for doc, paths := range map[string]string{
		`[]`: "training task target columns",
		`{"v":2,"task":"binary_classification","target":"y","columns":[{"name":"a","type":"number"}]}`:                                                         "v",
		`{"task":"clustering","target":"","columns":[]}`:                                                                                                       "task target columns",
		`{"task":"regression","target":"y","columns":[{"name":"a","type":"text"},{"name":"a","type":"number"}]}`:                                               "columns[0].type columns[1].name",
		`{"task":"regression","target":"y","columns":[{"name":"y","type":"number"},{"name":"label","type":"category"},{"name":"tidegate/x","type":"number"}]}`: "columns[0].name columns[1].name columns[2].name",
		`{"task":"regression","target":"y","time":"y","columns":[{"name":"a","type":"number"}],"drop":["a",7]}`:                                                "time drop[0] drop[1]",
		`{"task":"regression","target":"y","columns":[{"name":"a","type":"number","unit":"m"},"b",{"name":"a\nb","type":"number"}],"x":1}`:                     "x columns[0].unit columns[1] columns[2].name",
	} {
		_, err := ParseSchema([]byte(doc))
		if !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", doc, err)
			continue
		}
		var got []string
		for _, v := range fault.Public(err).Violations {
			got = append(got, v.Path)
		}
		if strings.Join(got, " ") != paths {
			t.Errorf("%s: faults at %v, want %s", doc, got, paths)
		}
	}
}

func FuzzSchema(f *testing.F) {
	f.Add([]byte(flightsSchema))
	f.Add([]byte(`{"task":"regression","target":"y","time":"t","columns":[{"name":"t","type":"number"}],"drop":[]}`))
	f.Add([]byte(`{"task":null,"columns":[null],"drop":[null]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		s, err := ParseSchema(doc)
		if err != nil {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, err := ParseSchema(s.Bytes())
		if err != nil || !bytes.Equal(again.Bytes(), s.Bytes()) {
			t.Fatalf("%s is not its own form: %v", s.Bytes(), err)
		}
	})
}

func TestMoments(t *testing.T) {
	for text, want := range map[string]string{
		"2013-01-01T05:00:00Z": "2013-01-01T05:00:00Z", "2013-01-01 05:00:00": "2013-01-01T05:00:00Z", "2013-01-01": "2013-01-01T00:00:00Z",
		"2013-01-01T05:00:00.25+01:00": "2013-01-01T04:00:00.25Z", "2013-01-01 05:30": "2013-01-01T05:30:00Z", " 17.5 ": "17.5", "1969-12-31T23:59:59.5Z": "1969-12-31T23:59:59.5Z",
	} {
		m, ok := ParseMoment(text)
		if !ok || m.Text() != want {
			t.Errorf("%q: %s, %v; want %s", text, m.Text(), ok, want)
		}
	}
	for _, text := range []string{"", "nan", "inf", "1_000", "0x1p-2", "tomorrow", "2013-13-01", "25:00"} {
		if m, ok := ParseMoment(text); ok {
			t.Errorf("%q is taken for %s", text, m.Text())
		}
	}
}

func FuzzMoment(f *testing.F) {
	for _, s := range []string{"2013-01-01T05:00:00Z", "17.5", "-1e300", "0x10", "2013-01-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := ParseMoment(text)
		if !ok {
			return
		}
		again, ok := ParseMoment(m.Text())
		if !ok || again.clock != m.clock || again.at-m.at > 1e-5 || m.at-again.at > 1e-5 {
			t.Fatalf("%q is %v, its text %q %v", text, m, m.Text(), again)
		}
	})
}
