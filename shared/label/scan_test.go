package label

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// many makes n labels in order, of all kinds.
func many(n int) []Record {
	rng := rand.New(rand.NewPCG(4, 6))
	all := make([]Record, n)
	for i := range all {
		r := &all[i]
		r.ID = fmt.Sprintf("019d6334-%04x-7%03x-9%03x-%012x", rng.IntN(1<<16), rng.IntN(1<<12), rng.IntN(1<<12), i)
		if i%7 == 0 {
			r.ID += fmt.Sprintf("#%d", rng.IntN(500))
		}
		if i%11 == 0 {
			r.ID, r.Request = fmt.Sprintf("order \"%d\" ü", i), true
		}
		r.Label = []Value{NumberOf(float64(rng.IntN(3))), NumberOf(rng.NormFloat64()), TextOf("läte\n"), BoolOf(true)}[rng.IntN(4)]
		r.TS = made.Add(time.Duration(rng.IntN(1e9)) * time.Millisecond)
	}
	slices.SortFunc(all, func(a, b Record) int { return Order(&a, &b) })
	return all
}

func lines(all []Record) []byte {
	var out []byte
	for i := range all {
		out = Append(out, &all[i])
	}
	return out
}

func TestFiledLine(t *testing.T) {
	r := Record{ID: id + "#3", Label: NumberOf(1), TS: made}
	want := `{"id":"` + id + `#3","label":1,"ts":"2026-04-06T14:31:15.123Z"}` + "\n"
	if got := string(Append(nil, &r)); got != want {
		t.Error(got)
	}
	if got := string(AppendRaw(nil, r.ID, false, []byte("1"), made)); got != want {
		t.Error(got)
	}
	r = Record{ID: `order "17"`, Request: true, Label: TextOf("late"), TS: made.In(time.FixedZone("", 3600))}
	if got := string(Append(nil, &r)); got != `{"request_id":"order \"17\"","label":"late","ts":"2026-04-06T14:31:15.123Z"}`+"\n" {
		t.Error(got)
	}
}

func TestScannerReadsBackWhatWasWritten(t *testing.T) {
	want := many(5000)
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(lines(want)), "in halves": iotest.HalfReader(bytes.NewReader(lines(want)))} {
		sc := NewScanner(r)
		i := 0
		for ; sc.Scan(); i++ {
			got := *sc.Record()
			if got.ID != want[i].ID || got.Request != want[i].Request || Compare(got.Label, want[i].Label) != 0 || !got.TS.Equal(want[i].TS) {
				t.Fatalf("%s: label %d is %+v, want %+v", name, i, got, want[i])
			}
		}
		if sc.Err() != nil || i != len(want) {
			t.Errorf("%s: %d labels, %v", name, i, sc.Err())
		}
	}
	if sc := NewScanner(strings.NewReader("")); sc.Scan() || sc.Err() != nil {
		t.Error("an empty object is not damaged")
	}
}

func TestScannerRefusesDamage(t *testing.T) {
	good := string(Append(nil, &Record{ID: id, Label: NumberOf(1), TS: made}))
	later := strings.Replace(good, "019d6334", "019d6335", 1)
	for name, text := range map[string]string{
		"cut off":                good[:len(good)-1],
		"twice":                  good + good,
		"out of order":           later + good,
		"empty line":             good + "\n",
		"a space":                strings.Replace(good, `,"label"`, `, "label"`, 1),
		"no id":                  `{"label":1,"ts":"2026-04-06T14:31:15.123Z"}` + "\n",
		"another id":             strings.Replace(good, "-7a44", "-4a44", 1),
		"no label":               strings.Replace(good, `"label":1`, `"label":null`, 1),
		"a list":                 strings.Replace(good, `"label":1`, `"label":[1]`, 1),
		"NaN":                    strings.Replace(good, `"label":1`, `"label":NaN`, 1),
		"a huge number":          strings.Replace(good, `"label":1`, `"label":1e999`, 1),
		"no ts":                  strings.Replace(good, `,"ts":"2026-04-06T14:31:15.123Z"`, ``, 1),
		"ts to seconds":          strings.Replace(good, `.123Z`, `Z`, 1),
		"hour 24":                strings.Replace(good, `T14:`, `T24:`, 1),
		"February 30":            strings.Replace(good, `2026-04-06`, `2026-02-30`, 1),
		"more behind":            strings.Replace(good, "}\n", "} \n", 1),
		"too long":               `{"id":"` + strings.Repeat("a", 1<<20) + "\n",
		"empty request":          `{"request_id":"","label":1,"ts":"2026-04-06T14:31:15.123Z"}` + "\n",
		"an id behind a request": `{"request_id":"a","label":1,"ts":"2026-04-06T14:31:15.123Z"}` + "\n" + good,
	} {
		sc := NewScanner(strings.NewReader(text))
		n := 0
		for sc.Scan() {
			n++
		}
		if !fault.Is(sc.Err(), fault.Internal) || n > 1 {
			t.Errorf("%s: %d labels, %v", name, n, sc.Err())
		}
		if sc.Scan() {
			t.Errorf("%s: goes on behind the damage", name)
		}
	}
	broken := errors.New("connection lost")
	sc := NewScanner(io.MultiReader(strings.NewReader(good), iotest.ErrReader(broken)))
	if !sc.Scan() || sc.Scan() || !errors.Is(sc.Err(), broken) {
		t.Error(sc.Err())
	}
}

func TestScannerAllocatesNothing(t *testing.T) {
	text := lines(many(1000))
	r := bytes.NewReader(text)
	per := testing.AllocsPerRun(10, func() {
		r.Reset(text)
		sc := NewScanner(r)
		for sc.Scan() {
			_ = sc.Record()
		}
		if sc.Err() != nil {
			t.Fatal(sc.Err())
		}
	})
	// A text with escapes is put together in memory of its own: request ids and every fourth label here.
	if per > 1000 {
		t.Errorf("%v allocations for 1,000 lines", per)
	}
	plain := lines([]Record{{ID: id, Label: NumberOf(1), TS: made}, {ID: id + "#1", Label: TextOf("late"), TS: made}})
	if per := testing.AllocsPerRun(10, func() {
		r.Reset(plain)
		sc := NewScanner(r)
		for sc.Scan() {
			_ = sc.Record()
		}
	}); per > 5 {
		t.Errorf("%v allocations for a scanner and two lines", per)
	}
}

func FuzzScanner(f *testing.F) {
	f.Add(lines(many(20)))
	f.Add([]byte(`{"id":"` + id + `","label":-0.0,"ts":"2026-04-06T14:31:15.123Z"}` + "\n"))
	f.Add([]byte(`{"request_id":"\u0000","label":"\ud83d\ude00","ts":"9999-12-31T23:59:59.999Z"}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		sc := NewScanner(bytes.NewReader(text))
		var out []byte
		n := 0
		for ; sc.Scan(); n++ {
			out = Append(out, sc.Record())
		}
		again := NewScanner(bytes.NewReader(out))
		k := 0
		var twice []byte
		for ; again.Scan(); k++ {
			twice = Append(twice, again.Record())
		}
		if again.Err() != nil || k != n || !bytes.Equal(out, twice) {
			t.Errorf("%d labels were read, written, and read as %d: %v", n, k, again.Err())
		}
	})
}

func BenchmarkScan(b *testing.B) {
	var all []Record
	for i := range 20_000 {
		all = append(all, Record{ID: fmt.Sprintf("019d6334-73b3-7a44-9d0b-%012x", i), Label: NumberOf(float64(i % 2)), TS: made})
	}
	text := lines(all)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		sc := NewScanner(bytes.NewReader(text))
		n := 0
		for sc.Scan() {
			n++
		}
		if sc.Err() != nil || n != len(all) {
			b.Fatal(n, sc.Err())
		}
	}
}
