package rows

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

func compressed(t *testing.T, s string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(s), nil)
}

// grouped has n rows i = 0, 1, … in row groups of so many.
func grouped(t *testing.T, n, group int) []byte {
	t.Helper()
	type row struct {
		I int64 `parquet:"i"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, parquet.MaxRowsPerRowGroup(int64(group)))
	for i := range n {
		if _, err := w.Write([]row{{int64(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestAtTellsTheFormatByContent, and the number of each row.
func TestAtTellsTheFormatByContent(t *testing.T) {
	const csv, ndjson = "i\n0\n1\n2\n", "\n" + `{"i":0}` + "\n" + `{"i":1}` + "\n\n" + `{"i":2}`
	for name, content := range map[string][]byte{
		"csv": []byte(csv), "csv.gz": zipped(t, csv), "csv.zst": compressed(t, csv), "ndjson": []byte(ndjson), "ndjson.zst": compressed(t, ndjson),
		"parquet": grouped(t, 3, 2), "short csv": []byte("i\n0\n1\n2"), "marked ndjson": []byte("\ufeff" + ndjson[1:]),
	} {
		src, err := At(name, bytes.NewReader(content), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for n := int64(0); ; n++ {
			row, err := src.Next()
			if errors.Is(err, io.EOF) {
				if n != 3 {
					t.Errorf("%s: %d rows", name, n)
				}
				break
			}
			if err != nil || fmt.Sprint(row["i"]) != fmt.Sprint(n) || src.Row() != n+1 {
				t.Fatalf("%s: row %d is %v, %v", name, src.Row(), row, err)
			}
		}
	}
}

func TestRowGroupsKeepTheirNumbers(t *testing.T) {
	content := grouped(t, 25, 10)
	src, err := At("t", bytes.NewReader(content), []int{0, 2})
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for {
		row, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || row["i"] != src.Row()-1 {
			t.Fatalf("row %d is %v, %v", src.Row(), row, err)
		}
		got = append(got, src.Row())
	}
	if want := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 21, 22, 23, 24, 25}; !slices.Equal(got, want) || src.Total() != 15 || src.Position() != 15 {
		t.Errorf("rows %v, %d of %d", got, src.Position(), src.Total())
	}
	for _, bad := range [][]int{{3}, {-1}} {
		if _, err := At("t", bytes.NewReader(content), bad); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "only 3 of them") {
			t.Errorf("row groups %v: %v", bad, err)
		}
	}
}

// failing breaks off with a fault of its own after some bytes.
type failing struct {
	*bytes.Reader
	after int64
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.after {
		return 0, fault.New(fault.Unavailable, "the store is down")
	}
	return f.Reader.ReadAt(p, off)
}

// TestAStoreThatFailsIsNoDamage: its own error comes through every layer of decoding.
func TestAStoreThatFailsIsNoDamage(t *testing.T) {
	long := "i\n" + strings.Repeat("12345\n", 100_000)
	for name, content := range map[string][]byte{"csv": []byte(long), "gzip": zipped(t, long), "ndjson": []byte(strings.Repeat(`{"i":1}`+"\n", 100_000)), "parquet": grouped(t, 1000, 100)} {
		src, err := At(name, &failing{bytes.NewReader(content), int64(len(content)) - 10}, nil)
		for err == nil {
			_, err = src.Next()
		}
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRowsAreBounded(t *testing.T) {
	for name, content := range map[string]string{"csv": "a\n1\n\"" + strings.Repeat("x", maxRow+1<<20), "ndjson": `{"a":1}` + "\n" + `{"a":"` + strings.Repeat("x", maxRow+1<<20)} {
		src, err := At(name, strings.NewReader(content), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = src.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err = src.Next(); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), "row 2 is longer than 16 MB") {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

func TestNamedColumns(t *testing.T) {
	named := []Spec{{Name: "x", Datatype: tensor.FP32, Shape: []int64{-1, 3}, Columns: []string{"a", "b", "c"}}, {Name: "one", Datatype: tensor.FP16, Shape: []int64{-1, 1}, Columns: []string{"d"}}}
	row := Row{"a": "1", "b": nil, "c": 3.5, "d": int64(2)}
	got, err := Columns(named, []Row{row, {"x": []any{1.0, 2.0, 3.0}, "d": "0.1"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if x := got[0].FP32s; x[0] != 1 || x[1] == x[1] || x[2] != 3.5 || x[5] != 3 {
		t.Errorf("x is %v", x)
	}
	if d := got[1].U16s; d[0] != tensor.HalfFromFloat64(2) || d[1] != tensor.HalfFromFloat64(0.1) {
		t.Errorf("one is %v", d)
	}
	if missing := Missing(named, Row{"a": "1"}); !slices.Equal(missing, []string{"one"}) {
		t.Errorf("missing %v", missing)
	}
	if _, err := Columns(named, []Row{{"a": "1", "b": "s3cret"}}, 41); err == nil || err.Error() != `InvalidArgument: row 41, column "b" is not a number` {
		t.Errorf("%v", err)
	}
}

// TestDecimalsAreRoundedOnce: 1 + 2^-24 + 2^-60 is nearest to 1 + 2^-23 as a float32, but by way of a float64 it is halfway and goes to 1.
func TestDecimalsAreRoundedOnce(t *testing.T) {
	const text = "1.000000059604644775390625867361737988403547205962240695953369140625"
	v := tensor.Tensor{Datatype: tensor.FP32, FP32s: make([]float32, 1)}
	if problem := Set(&v, 0, text); problem != "" || v.FP32s[0] != math.Nextafter32(1, 2) {
		t.Errorf("%v, %s", v.FP32s[0], problem)
	}
	half := tensor.Tensor{Datatype: tensor.FP16, U16s: make([]uint16, 1)}
	for text, ok := range map[string]bool{"65504": true, "65536": false, "inf": false, "1e400": false, "": true, "NA": true, "x": false} {
		if problem := Set(&half, 0, text); (problem == "") != ok {
			t.Errorf("%q as FP16: %s", text, problem)
		}
	}
}
