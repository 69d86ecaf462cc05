package profile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/fault"
)

// freeze makes a baseline of a source of any format, as the command line does.
func freeze(t *testing.T, raw []byte) *Baseline {
	t.Helper()
	k := NewKinds()
	if err := k.Observe(context.Background(), bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	b, err := NewBuilder(k.Specs())
	if err != nil {
		t.Fatal(err)
	}
	rep, err := CountSource(context.Background(), bytes.NewReader(raw), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b.Freeze(rep.Rows)
}

// counted profiles raw on b, through the stored form.
func counted(t *testing.T, b *Baseline, raw []byte) (*Group, Report) {
	t.Helper()
	tally := NewTally(b)
	rep, err := CountSource(context.Background(), bytes.NewReader(raw), tally, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := NewDocument("m", 1, digestA, Source{Key: "k"}, tally, rep)
	back, err := ParseDocument([]byte(encode(t, &d)))
	if err != nil {
		t.Fatal(err)
	}
	return &back.Groups[0], rep
}

func column(name string, n int, value func(i int) string) []byte {
	var out bytes.Buffer
	out.WriteString(name + ",other\n")
	for i := range n {
		fmt.Fprintf(&out, "%s,1\n", value(i))
	}
	return out.Bytes()
}

// TestOddColumns: whatever a column holds, it has a baseline and counts, and every row is in them.
func TestOddColumns(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		rows  int
		value func(i int) string
		check func(c *Column) bool
	}{
		"all missing":     {1000, func(int) string { return "" }, func(c *Column) bool { return c.State.Missing == 1000 && c.State.Values() == 0 }},
		"constant":        {1000, func(int) string { return "7" }, func(c *Column) bool { return c.Few && c.Distinct == 1 }},
		"constant text":   {1000, func(int) string { return "a" }, func(c *Column) bool { return len(c.Cells.Named) == 1 }},
		"megabyte names":  {12, func(i int) string { return long + fmt.Sprint(i%2) }, func(c *Column) bool { return c.Distinct == 2 && c.Kind == Categorical }},
		"100k categories": {200_000, func(i int) string { return fmt.Sprint("c", i%100_000) }, func(c *Column) bool { return c.Distinct == 100_000 && !c.Identifier }},
		"identifiers":     {20_000, func(i int) string { return fmt.Sprint("id", i) }, func(c *Column) bool { return c.Identifier && len(c.Cells.Named) == 0 }},
		"NaN and infinity": {1000, func(i int) string { return []string{"NaN", "inf", "-Infinity", "1"}[i%4] }, func(c *Column) bool {
			return c.Kind == Numeric && c.State.NaN == 250 && c.State.PosInf == 250 && c.State.NegInf == 250
		}},
		"dates":             {1000, func(i int) string { return time.Unix(int64(i)*86400, 0).UTC().Format(time.DateOnly) }, func(c *Column) bool { return c.Kind == Categorical && c.Identifier }},
		"huge integers":     {1000, func(i int) string { return fmt.Sprint(uint64(math.MaxUint64) - uint64(i)) }, func(c *Column) bool { return c.Kind == Numeric && *c.State.Max > 1e19 }},
		"beyond a float":    {1000, func(i int) string { return "1" + strings.Repeat("0", 400) }, func(c *Column) bool { return c.State.PosInf == 1000 }},
		"one row":           {1, func(int) string { return "3" }, func(c *Column) bool { return c.State.Rows == 1 }},
		"no rows":           {0, nil, func(c *Column) bool { return c.State.Rows == 0 && c.CellCount() == 1 }},
		"a million numbers": {1_000_000, func(i int) string { return fmt.Sprint(float64(i) * 1.37) }, func(c *Column) bool { return c.Kind == Numeric && c.CellCount() >= MaxBins }},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && c.rows > 100_000 {
				t.Skip("long")
			}
			raw := column("odd", c.rows, c.value)
			b := freeze(t, raw)
			col, _ := b.Column("odd")
			if !c.check(col) {
				t.Errorf("kind %s, few %v, identifier %v, %d distinct, named %.20q, state %d rows", col.Kind, col.Few, col.Identifier, col.Distinct, col.Cells.Named, col.State.Rows)
			}
			g, rep := counted(t, b, raw)
			if rep.Rows != uint64(c.rows) || g.Columns[0].Rows != uint64(c.rows) || len(b.Columns[0].Cells.Named) > 0 && len(b.Columns[0].Cells.Named[0]) > MaxName {
				t.Errorf("%d rows of %d", g.Columns[0].Rows, c.rows)
			}
		})
	}
}

// TestMoreDistinctTextsThanAreKept: a million and one texts are an identifier, in bounded memory.
func TestMoreDistinctTextsThanAreKept(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	b, err := NewBuilder([]Spec{{Name: "id", Kind: Categorical}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range MaxDistinct + 1 {
		b.Text(0, fmt.Sprint(i), 3) // three times each: no value is seen once
	}
	if c := b.Freeze(3 * (MaxDistinct + 1)).Columns[0]; !c.Identifier || c.Distinct != MaxDistinct {
		t.Errorf("identifier %v, %d distinct", c.Identifier, c.Distinct)
	}
}

func TestColumnsMissingAndNew(t *testing.T) {
	b := freeze(t, []byte("a,b\n1,x\n2,y\n"))
	g, rep := counted(t, b, []byte("b,c\nx,1\n,2\nx,3\n"))
	if strings.Join(rep.Absent, ",") != "a" || strings.Join(rep.Extra, ",") != "c" || g.Columns[0].Missing != 3 || g.Columns[1].Missing != 1 {
		t.Errorf("%+v, %d of a missing", rep, g.Columns[0].Missing)
	}
	g, _ = counted(t, b, []byte("a,b\ntext,7\n1e3,x\n"))
	if g.Columns[0].WrongType != 1 || g.Columns[0].Rows != 2 || g.Columns[1].WrongType != 0 {
		t.Errorf("text in a number column: %+v", g.Columns[0].WrongType)
	}
}

// TestOddParquet: nested and decimal columns are left out by name, the others go on.
func TestOddParquet(t *testing.T) {
	type odd struct {
		Number  float32           `parquet:"number"`
		Nested  []int64           `parquet:"nested"`
		Decimal int64             `parquet:"decimal,decimal(2:18)"`
		When    time.Time         `parquet:"when,timestamp"`
		Map     map[string]string `parquet:"map"`
		Big     uint64            `parquet:"big"`
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[odd](&out)
	for i := range 50 {
		if _, err := w.Write([]odd{{Number: 0.1, Nested: []int64{1, 2}, Decimal: 5, When: time.Unix(int64(i), 0), Map: map[string]string{"a": "b"}, Big: math.MaxUint64}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	specs := []Spec{{Name: "number", Kind: Numeric}, {Name: "nested", Kind: Numeric}, {Name: "decimal", Kind: Numeric}, {Name: "when", Kind: Numeric}, {Name: "map", Kind: Categorical}}
	b, err := NewBuilder(specs)
	if err != nil {
		t.Fatal(err)
	}
	base := b.Freeze(0)
	g, rep := counted(t, base, out.Bytes())
	var left []string
	for _, l := range rep.LeftOut {
		left = append(left, l.Column+": "+strings.SplitN(l.Reason, ":", 2)[0])
	}
	if got := strings.Join(left, "; "); got != "nested: nested or repeated; decimal: decimal; when: a time; map: nested or repeated" {
		t.Errorf("left out %s", got)
	}
	if g.Columns[0].Values() != 50 || rep.Rows != 50 {
		t.Errorf("%d values of %d rows", g.Columns[0].Values(), rep.Rows)
	}
	// A float of 32 bits is the same value as its text.
	k := NewKinds()
	if err := k.Observe(t.Context(), bytes.NewReader(out.Bytes())); err != nil {
		t.Fatal(err)
	}
	base = freeze(t, out.Bytes())
	col, _ := base.Column("number")
	g, _ = counted(t, base, []byte("number\n0.1\n0.10000000149011612\n"))
	if col.Bits != 32 || g.Columns[0].Cells[col.index(float64(float32(0.1)))] != 2 {
		t.Errorf("%d bits, cells %v", col.Bits, g.Columns[0].Cells)
	}
}

func TestTruncatedParquet(t *testing.T) {
	var out bytes.Buffer
	w := parquet.NewGenericWriter[struct{ X float64 }](&out)
	_, _ = w.Write(make([]struct{ X float64 }, 1000))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	raw := out.Bytes()
	base := freeze(t, raw)
	for _, bad := range [][]byte{raw[:len(raw)-1], raw[:len(raw)/2], raw[:4], append(raw[:len(raw)/3:len(raw)/3], raw[len(raw)/2:]...)} {
		if _, err := CountSource(context.Background(), bytes.NewReader(bad), NewTally(base), nil); err == nil {
			t.Errorf("%d bytes of %d are accepted", len(bad), len(raw))
		}
	}
}

// TestScoresBesideAtoms: the last bits of a score, which differ between processors, do not move it out of its cell.
func TestScoresBesideAtoms(t *testing.T) {
	b, err := NewBuilder([]Spec{{Name: "p", Kind: Numeric, Score: true, Bits: 32}, {Name: "x", Kind: Numeric, Bits: 32}})
	if err != nil {
		t.Fatal(err)
	}
	leaves := []float64{0, 0.1, 0.25, 0.93, 1}
	for _, v := range leaves {
		b.Number(0, v, 100)
		b.Number(1, v, 100)
	}
	base := b.Freeze(500)
	tally := NewTally(base)
	for _, v := range leaves {
		for _, d := range []float64{-6e-8, 0, 6e-8} {
			tally.Number(0, v+d, 1)
			tally.Number(1, v+d, 1)
		}
	}
	for i, n := range base.Columns[0].State.Cells {
		if got := tally.States[0].Cells[i]; n > 0 && got != 3 || n == 0 && got != 0 {
			t.Errorf("cell %d: %d scores", i, got)
		}
	}
	if i := base.Columns[0].index(0.1 + 1e-3); base.Columns[0].Bins.Atom(i) {
		t.Error("another score counts as an atom")
	}
}

func TestProfilesOfAnotherBaselineAreRefused(t *testing.T) {
	a, b := freeze(t, []byte("x,y\n1,a\n2,b\n")), freeze(t, []byte("x,y\n1,a\n2,b\n3,c\n"))
	tally := NewTally(b)
	rep, err := CountSource(context.Background(), strings.NewReader("x,y\n1,a\n"), tally, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := NewDocument("m", 1, digestB, Source{Key: "k"}, tally, rep)
	for name, w := range map[string]*Window{
		"another digest":  NewWindow(b, digestA, Selection{}),
		"the wrong cells": NewWindow(a, digestB, Selection{}),
		"fewer columns":   NewWindow(&Baseline{V: 1, Columns: a.Columns[:1]}, digestB, Selection{}),
	} {
		if err := w.Add(&d); !fault.Is(err, fault.FailedPrecondition) || w.Rows() != 0 || len(w.Strata()) != 0 {
			t.Errorf("%s: %v, %d rows", name, err, w.Rows())
		}
	}
	other := NewWindow(b, digestA, Selection{Version: 2})
	if err := other.Add(&d); err != nil || other.Totals().Profiles != 0 {
		t.Errorf("rows of another version: %v", err)
	}
	if w := NewWindow(b, "sha256:"+digestB, Selection{Version: 1}); w.Add(&d) != nil || w.Rows() != 1 {
		t.Error("its own baseline is refused")
	}
}

func TestParseDocumentRefuses(t *testing.T) {
	base := capturedBaseline(t)
	d, _ := countOne(t, []byte(goodLine+"\n"+strings.Replace(goodLine, `"version":1`, `"version":2`, 1)), bothVersions(base))
	raw := encode(t, &d)
	for name, c := range map[string][2]string{
		"format":    {`"v":1`, `"v":3`},
		"not JSON":  {`{`, ``},
		"model":     {`"model":"flights"`, `"model":"../x"`},
		"sampled":   {`"sampled":1`, `"sampled":1.5`},
		"baseline":  {digestA, "aa"},
		"interval":  {"19:40:00", "19:41:00"},
		"errors":    {`"requests":1`, `"requests":1,"errors":2`},
		"rows":      {`"rows":2,"columns"`, `"rows":1,"columns"`},
		"cells":     {`"cells":[0,`, `"cells":[1,`},
		"order":     {`"version":1,"baseline"`, `"version":3,"baseline"`},
		"following": {"\n", "\n{}"},
	} {
		bad := strings.Replace(raw, c[0], c[1], 1)
		if bad == raw {
			t.Fatalf("%s: nothing changed", name)
		}
		if _, err := ParseDocument([]byte(bad)); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSourceIDs(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range []Source{{}, {Key: "a"}, {Bucket: "a"}, {VersionID: "a"}, {Key: "a", VersionID: "b"}, {Key: "a", RowGroups: []int{1}}, {Key: "a", RowGroups: []int{1, 2}}, {Key: "a", RowGroups: []int{12}}, {Key: "a1,"}} {
		if id := s.ID(); seen[id] || len(id) != 64 {
			t.Errorf("%+v has an id that is taken", s)
		} else {
			seen[id] = true
		}
	}
	if a, b := (Source{Key: "a", ETag: "x", VersionID: "v"}), (Source{Key: "a", ETag: "y", VersionID: "v"}); a.ID() != b.ID() {
		t.Error("the ETag counts beside a version")
	}
}

func FuzzParseDocument(f *testing.F) {
	base := capturedBaseline(f)
	docs, _, err := CountCaptures(context.Background(), strings.NewReader(goodLine), Source{Key: "k"}, bothVersions(base))
	if err != nil {
		f.Fatal(err)
	}
	raw, _ := docs[0].Encode()
	f.Add(raw)
	f.Add([]byte(`{"v":1,"model":"m","source":{"key":"k"},"groups":[],"report":{"rows":0}}`))
	if err := base.SplitBy(By{Segments: []string{"carrier"}, Cluster: "distance"}); err != nil {
		f.Fatal(err)
	}
	if docs, _, err = CountCaptures(context.Background(), strings.NewReader(goodLine), Source{Key: "k"}, bothVersions(base)); err != nil {
		f.Fatal(err)
	}
	raw, _ = docs[0].Encode()
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := ParseDocument(raw)
		if err != nil {
			return
		}
		w := NewWindow(base, digestA, Selection{})
		_ = w.Add(d)
		again, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseDocument(again)
		if err != nil {
			t.Fatalf("%v: %s", err, again)
		}
		if third, _ := back.Encode(); !bytes.Equal(again, third) {
			t.Error("another text for the same profile")
		}
		_, _ = io.Discard.Write(again)
	})
}
