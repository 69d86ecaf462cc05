package command

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// odd is a table with columns that have no cells.
type odd struct {
	X      float64  `parquet:"x"`
	Amount int64    `parquet:"amount,decimal(2:9)"`
	Day    int32    `parquet:"day,date"`
	Tags   []string `parquet:"tags,list"`
	Inner  struct {
		Y float64 `parquet:"y"`
	} `parquet:"inner"`
}

func oddTable(t *testing.T, n int) []byte {
	t.Helper()
	rows := make([]odd, n)
	for i := range rows {
		rows[i] = odd{X: float64(i % 100), Amount: int64(i), Day: int32(i), Tags: []string{"a", "b"}}
		if i%10 == 0 {
			rows[i].X = math.NaN()
		}
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[odd](&b)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func repeat(header, line string, n int) []byte {
	return []byte(header + "\n" + strings.Repeat(line+"\n", n))
}

func numbered(header string, n int, line func(i int) string) []byte {
	var b bytes.Buffer
	b.WriteString(header + "\n")
	for i := range n {
		b.WriteString(line(i) + "\n")
	}
	return b.Bytes()
}

// TestOddInput gives the commands what files can hold, and says what has to come of it.
func TestOddInput(t *testing.T) {
	c := newCloud(t)
	t.Chdir(t.TempDir())
	plain := numbered("x,c", 3000, func(i int) string { return fmt.Sprintf("%d,%c", i%100, 'a'+i%3) })
	put(t, "reference.csv", plain)
	table := oddTable(t, 1000)
	long := strings.Repeat("n", 1<<20)
	for name, f := range map[string]struct {
		content []byte
		code    int
		says    string
	}{
		"empty.csv":      {nil, ExitError, "empty.csv: the CSV file is empty"},
		"header.csv":     {[]byte("x,c\n"), ExitUnknown, "there are no rows"},
		"one.csv":        {[]byte("x,c\n1,a\n"), ExitUnknown, "1 row"},
		"cut.csv.gz":     {packed(plain)[:200], ExitError, "cut.csv.gz: "},
		"cut.parquet":    {table[:len(table)-100], ExitError, "cut.parquet: "},
		"quote.csv":      {[]byte("x,c\n1,\"a\n2,b\n"), ExitError, "quote.csv: "},
		"bytes.bin":      {[]byte("\x00\x01\x02\xff\xfe"), ExitError, "neither Parquet nor text"},
		"types.csv":      {repeat("x,c", "text,a", 3000), ExitWrong, "wrong type"},
		"column.csv":     {repeat("c", "a", 3000), ExitWrong, "missing in all rows: x"},
		"more.csv":       {bytes.ReplaceAll(bytes.ReplaceAll(plain, []byte("\n"), []byte(",9\n")), []byte("c,9\n"), []byte("c,new\n")), ExitOK, "not compared, as the reference does not have them: new"},
		"missing.csv":    {repeat("x,c", ",NA", 3000), ExitWrong, "missing"},
		"constant.csv":   {repeat("x,c", "7,a", 3000), ExitWrong, "Drift in 2 columns"},
		"names.csv":      {numbered("x,c", 20, func(i int) string { return fmt.Sprintf("%d,%s%d", i, long, i) }), ExitWrong, "are new"},
		"categories.csv": {numbered("x,c", 100_000, func(i int) string { return fmt.Sprintf("%d,v%d", i%100, i) }), ExitWrong, "are new"},
		"infinite.csv":   {numbered("x,c", 3000, func(i int) string { return []string{"inf", "-inf", "NaN", "1e999", "nan"}[i%5] + ",a" }), ExitWrong, "x"},
		"huge.csv":       {repeat("x,c", "123456789012345678901234567890,a", 3000), ExitWrong, "x"},
		"lines.csv":      {append(append([]byte{}, plain...), "1\n1,2,3\n"...), ExitOK, "left out: 2 rows, lines that are no rows"},
		"twice.csv":      {[]byte("x,x\n1,2\n"), ExitError, "names column \"x\" twice"},
		"array.ndjson":   {[]byte("{\"x\":[1],\"c\":{\"d\":1}}\n"), ExitUnknown, "1 row does not decide c, x"},
		"arrays.ndjson":  {bytes.Repeat([]byte("{\"x\":[1],\"c\":{\"d\":1}}\n"), 20), ExitWrong, "wrong type"},
		"odd.parquet":    {table, ExitWrong, "c"},
	} {
		put(t, name, f.content)
		code, out, errs := c.run("drift", "--reference", "reference.csv", "--current", name)
		if code != f.code || !strings.Contains(out+errs, f.says) {
			t.Errorf("%s: exit code %d, want %d and %q\n%.2000s%.2000s", name, code, f.code, f.says, out, errs)
		}
		if code == ExitError && (out != "" || strings.Count(errs, "\n") != 1 || len(errs) > 1000) {
			t.Errorf("%s: not one line: %.2000s", name, errs)
		}
	}
	code, out, errs := c.run("drift", "--reference", "odd.parquet", "--current", "odd.parquet")
	for _, want := range []string{`"amount", in the reference: decimal`, `"day", in the reference: a time`, `"tags", in the reference: nested`, `"inner", in the reference: nested`} {
		if !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %s in\n%s%s", code, want, out, errs)
		}
	}
	// A column that the window holds in a form without cells says nothing of drift.
	put(t, "amounts.csv", numbered("x,amount", 1000, func(i int) string { return fmt.Sprintf("%d,%d", i%100, i) }))
	code, out, _ = c.run("drift", "--reference", "amounts.csv", "--current", "odd.parquet", "--policy", permissive(t))
	if code == ExitError || !strings.Contains(out, `"amount": decimal`) || !strings.Contains(out, "not gating: amount") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, _, errs := c.run("drift", "--reference", "header.csv", "--current", "reference.csv"); code != ExitError || !strings.Contains(errs, "no rows") {
		t.Errorf("a reference without rows: exit code %d, %s", code, errs)
	}
	if code, out, errs := c.run("profile", "names.csv", "-o", "names.json"); code != ExitOK || len(out) > 4000 {
		t.Errorf("long names: exit code %d, %d bytes, %s", code, len(out), errs)
	}
}

func permissive(t *testing.T) string {
	t.Helper()
	put(t, "permissive.json", []byte(`{"tolerances":{"missing":0.5}}`))
	return "permissive.json"
}

func TestDriftUsage(t *testing.T) {
	c := newCloud(t)
	t.Chdir(t.TempDir())
	put(t, "a.csv", []byte("x\n1\n"))
	for _, args := range [][]string{
		{"drift"}, {"drift", "--reference", "a.csv"}, {"drift", "--current", "a.csv"}, {"drift", "--reference", "none.csv", "--current", "a.csv"},
		{"drift", "--reference", "a.csv", "--current", "a.csv", "--kind", "x"}, {"drift", "--reference", "a.csv", "--current", "a.csv", "--workers", "-1"},
		{"drift", "--reference", "a.csv", "--current", "a.csv", "--html", "no/such/folder.html"}, {"drift", "--reference", "a.csv", "--current", "a.csv", "--name", ""},
		{"drift", "--reference", "a.csv", "--current", "a.csv", "--columns", "y"}, {"drift", "--reference", "a.csv", "--current", "a.csv", "--policy", "a.csv"},
		{"profile"}, {"profile", "none.csv"}, {"profile", "a.csv", "a.csv"}, {"profile", "a.csv", "-o", "no/such/folder.json"}, {"profile", "a.csv", "--baseline", "a.csv"},
		{"drift", "calibrate"}, {"drift", "calibrate", "m", "--windows", "a.csv"}, {"drift", "calibrate", "--windows", "a.csv", "--chunk", "day"},
		{"drift", "calibrate", "--windows", "a.csv"}, {"drift", "calibrate", "--windows", "a.csv", "--time", "x", "--chunk", "year"}, {"drift", "calibrate", "--windows", "a.csv", "--tolerances", "2"},
		{"export"}, {"export", "m", "-o", "x"}, {"export", "--captures", "a.csv"}, {"export", "--captures", "none", "-o", "x"}, {"export", "m", "--window", "today", "-o", "x"},
		{"export", "--captures", "a.csv", "--role", "any", "-o", "x"}, {"export", "nobody", "--window", "2026-11-24", "-o", "x"},
	} {
		code, out, errs := c.run(args...)
		if code != ExitError || out != "" || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "tidegate: ") {
			t.Errorf("%v: exit code %d, output %q, errors %q", args, code, out, errs)
		}
	}
}
