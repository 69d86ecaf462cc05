package profile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// parts counts a text on so many sinks in blocks of size, and merges them.
func parts(t testing.TB, format Format, text []byte, b *Baseline, workers, size int) (*Tally, Report, error) {
	t.Helper()
	tallies, sinks := make([]*Tally, workers), make([]Sink, workers)
	for i := range sinks {
		tallies[i] = NewTally(b)
		sinks[i] = tallies[i]
	}
	var rep Report
	var err error
	if format == CSV {
		rep, err = csvParts(context.Background(), bytes.NewReader(text), size, sinks)
	} else {
		rep, err = ndjsonParts(context.Background(), bytes.NewReader(text), size, workers, func(w int) *objectRows { return newObjectRows(sinks[w]) })
	}
	for _, o := range tallies[1:] {
		if err := tallies[0].Merge(o); err != nil {
			t.Fatal(err)
		}
	}
	return tallies[0], rep, err
}

// samePartsAsOne compares blocks of all sizes with one reader: counts, report and error.
func samePartsAsOne(t testing.TB, format Format, text []byte, b *Baseline, sizes ...int) {
	t.Helper()
	read := CountNDJSON
	if format == CSV {
		read = CountCSV
	}
	one := NewTally(b)
	want, wantErr := read(context.Background(), bytes.NewReader(text), one)
	for i, size := range sizes {
		got, rep, err := parts(t, format, text, b, 1+i%4, size)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("blocks of %d: %v, want %v\n%q", size, err, wantErr, text)
		}
		if err != nil {
			continue
		}
		if a, b := mustJSON(t, rep), mustJSON(t, want); !bytes.Equal(a, b) {
			t.Fatalf("blocks of %d: %s, want %s\n%q", size, a, b, text)
		}
		if a, b := mustJSON(t, got.States), mustJSON(t, one.States); !bytes.Equal(a, b) {
			t.Fatalf("blocks of %d: %s, want %s\n%q", size, a, b, text)
		}
		if a, b := mustJSON(t, got.Split), mustJSON(t, one.Split); !bytes.Equal(a, b) {
			t.Fatalf("blocks of %d: another split", size)
		}
	}
}

func TestPartsCountAsOne(t *testing.T) {
	rows := finite(2000)
	b := splitFlights(t, rows)
	for format, text := range map[Format][]byte{CSV: textOf(rows, "csv"), NDJSON: textOf(rows, "ndjson")} {
		samePartsAsOne(t, format, text, b, 1000, 4096, 1<<20)
		samePartsAsOne(t, format, text[:len(text)-7], b, 5000)
	}
}

// TestPartsOfOddText: quotes around newlines, lines that are no rows, and quotes that are none.
func TestPartsOfOddText(t *testing.T) {
	b := tiny()
	rng := rand.New(rand.NewPCG(3, 3))
	pieces := []string{"1,a\n", "2,\"a\nb\"\n", "\"3\",\"say \"\"x\"\"\"\n", "\n", "4\n", "5,b,c\n", "x,\n", ",\r\n", "6,c\r\n", "7,\"\"\n"}
	bad := []string{"8,a\"b\n", "9,\"open", "\"x\"y,1\n"}
	for i := range 300 {
		var text strings.Builder
		text.WriteString([]string{"x,c\n", "\ufeffc,x\n", "\n\n\"x\",\"c\",\"n\new\"\r\n", "x"}[i%4])
		for range rng.IntN(30) {
			text.WriteString(pieces[rng.IntN(len(pieces))])
		}
		if i%5 == 0 {
			text.WriteString(bad[rng.IntN(len(bad))])
			text.WriteString("\n10,a\n")
		}
		samePartsAsOne(t, CSV, []byte(text.String()), b, 1, 2, 5, 17, 100, 1000)
	}
	samePartsAsOne(t, NDJSON, []byte("{\"x\":1}\n\n{\"x\":2,\"n\":1}\nnull\n{\"c\":\"a\"}"), b, 1, 3, 20, 100)
	samePartsAsOne(t, CSV, nil, b, 10)
}

// TestPartsOfEndlessLines: a line of more than MaxLine bytes is an error that counts the rows before it.
func TestPartsOfEndlessLines(t *testing.T) {
	b := tiny()
	for _, text := range []string{"x,c\n1,a\n2,\"" + strings.Repeat("no end\n", MaxLine/7+1000), "x,c\n1,a\n" + strings.Repeat("a", MaxLine+100)} {
		_, rep, err := parts(t, CSV, []byte(text), b, 2, 1<<20)
		if err == nil || !strings.Contains(err.Error(), "longer than 16 MB") || rep.Rows != 1 {
			t.Errorf("%d rows, %v", rep.Rows, err)
		}
	}
	if _, _, err := parts(t, NDJSON, []byte("{\"x\":1}\n{\"x\":\""+strings.Repeat("a", MaxLine)), b, 2, 1<<20); err == nil || !strings.Contains(err.Error(), "after 1 rows") {
		t.Error(err)
	}
}

// TestPartsOfTextThatIsCutOff: an error of the stream, an unexpected end above all, is not its end.
func TestPartsOfTextThatIsCutOff(t *testing.T) {
	b := tiny()
	for _, cause := range []error{io.ErrUnexpectedEOF, errors.New("gone")} {
		for _, size := range []int{1, 5, 1000} {
			sinks := []Sink{NewTally(b), NewTally(b)}
			rep, err := csvParts(context.Background(), io.MultiReader(strings.NewReader("x,c\n1,a\n2,b\n3"), failing{cause}), size, sinks)
			if !errors.Is(err, cause) || rep.Rows != 2 || !strings.Contains(err.Error(), "after 2 rows") {
				t.Errorf("CSV in blocks of %d: %d rows, %v", size, rep.Rows, err)
			}
			_, err = ndjsonParts(context.Background(), io.MultiReader(strings.NewReader("{\"x\":1}\n{"), failing{cause}), size, 2, func(w int) *objectRows { return newObjectRows(sinks[w]) })
			if !errors.Is(err, cause) {
				t.Errorf("NDJSON in blocks of %d: %v", size, err)
			}
		}
	}
}

// TestBuildersMerge: a baseline frozen from parts of the rows, in any order, has the bytes of the whole.
func TestBuildersMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	specs := []Spec{{Name: "x", Kind: Numeric}, {Name: "few", Kind: Numeric}, {Name: "c", Kind: Categorical}, {Name: "rare", Kind: Categorical}}
	zipf := rand.NewZipf(rng, 1.3, 1, 1e6)
	fill := func(b *Builder, i int) {
		r := rand.New(rand.NewPCG(9, uint64(i)))
		b.Number(0, r.NormFloat64(), 1)
		b.Number(1, float64(r.IntN(5)), 1)
		if r.IntN(20) == 0 {
			b.Missing(2, 1)
		} else {
			b.Text(2, fmt.Sprint("v", int(100*r.Float64()*r.Float64())), 1)
		}
		b.Text(3, fmt.Sprint(zipf.Uint64()), 0)
		b.Text(3, fmt.Sprint("r", int(1/(1e-5+r.Float64()))), 1)
	}
	const n = 20000
	var want []byte
	for _, shards := range []int{1, 3, 50} {
		order := rng.Perm(n)
		builders := make([]*Builder, shards)
		for k := range builders {
			builders[k], _ = NewBuilder(specs)
			for _, i := range order[k*n/shards : (k+1)*n/shards] {
				fill(builders[k], i)
			}
		}
		for _, o := range builders[1:] {
			if err := builders[0].Merge(o); err != nil {
				t.Fatal(err)
			}
		}
		b := builders[0].Freeze(n)
		got, _ := json.Marshal(b)
		if want == nil {
			want = got
			if c, _ := b.Column("c"); len(c.Cells.Named) < 10 {
				t.Fatalf("named %q", c.Cells.Named)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d shards freeze another baseline, from byte %d on", shards, differ(got, want))
		}
	}
	other, _ := NewBuilder(specs[:1])
	whole, _ := NewBuilder(specs)
	if err := whole.Merge(other); err == nil {
		t.Error("builders of other columns are merged")
	}
}

// TestKindsOfParts: workers find the kinds that one reader finds.
func TestKindsOfParts(t *testing.T) {
	rows := finite(3000)
	for _, format := range []string{"csv", "ndjson"} {
		text := textOf(rows, format)
		var want []byte
		for _, workers := range []int{0, 1, 3} {
			k := NewKinds()
			k.Workers = workers
			if err := k.Observe(context.Background(), bytes.NewReader(text)); err != nil {
				t.Fatal(err)
			}
			got := mustJSON(t, k.Specs())
			if want == nil {
				want = got
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s, %d workers: %s, want %s", format, workers, got, want)
			}
		}
	}
}

// TestKindsOfManyNames: NDJSON has as many columns as its lines have names, in whatever order they come and whoever
// reads them, up to a bound.
func TestKindsOfManyNames(t *testing.T) {
	const names = 1500
	lines := make([]string, names)
	for i := range lines {
		value := "1"
		if i%3 == 0 {
			value = `"text"`
		}
		lines[i] = fmt.Sprintf(`{"c%04d":%s,"pad":%q}`, i, value, strings.Repeat("x", 2*textBlock/names)) + "\n"
	}
	rng := rand.New(rand.NewPCG(12, 12))
	for _, workers := range []int{1, 2, 4} {
		k := NewKinds()
		k.Workers = workers
		if err := k.NDJSON(context.Background(), strings.NewReader(strings.Join(lines, ""))); err != nil {
			t.Fatal(err)
		}
		specs := k.Specs()
		if len(specs) != names+1 {
			t.Fatalf("%d workers: %d columns", workers, len(specs))
		}
		for i, s := range specs[:names] {
			if want := map[bool]Kind{true: Categorical, false: Numeric}[i%3 == 0]; s.Name != fmt.Sprintf("c%04d", i) || s.Kind != want {
				t.Fatalf("%d workers: column %d is %+v", workers, i, s)
			}
		}
		rng.Shuffle(names, func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	}
}

// TestKindsOfKeysThatAreValues: more names than any table has columns are an error, whoever reads them.
func TestKindsOfKeysThatAreValues(t *testing.T) {
	line := func(from, to int) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, `,"user-%07d":1`, i)
		}
		return "{" + b.String()[1:] + "}\n"
	}
	half := line(0, maxNames/2)
	for name, tt := range map[string]struct {
		text string
		fits bool
	}{
		"as many as fit": {half + line(maxNames/2, maxNames) + half, true},
		"in one line":    {line(0, maxNames+1) + half, false},
		"in two lines":   {half + line(maxNames/2, maxNames+1), false},
		"in some lines":  {half + line(maxNames/2, maxNames) + half + line(maxNames, maxNames+1), false},
	} {
		for _, workers := range []int{1, 2} {
			k := NewKinds()
			k.Workers = workers
			err := k.NDJSON(context.Background(), strings.NewReader(tt.text))
			if tt.fits && (err != nil || len(k.Specs()) != maxNames) || !tt.fits && !errors.Is(err, errNames) {
				t.Errorf("%s, %d workers: %d columns, %v", name, workers, len(k.Specs()), err)
			}
		}
	}
}

func FuzzParts(f *testing.F) {
	f.Add("x,c\n1,a\n\"2\",\"b\nc\"\n", true, uint8(3))
	f.Add("{\"x\":1}\n{\"c\":2}", false, uint8(4))
	b := tiny()
	f.Fuzz(func(t *testing.T, text string, isCSV bool, size uint8) {
		format := NDJSON
		if isCSV {
			format = CSV
		}
		samePartsAsOne(t, format, []byte(text), b, int(size)+1, int(size)+2)
	})
}
