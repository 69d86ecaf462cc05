package schema

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/tensor"
)

func p(v float64) *float64 { return &v }

// trip is a model of the tests: a bounded number, an optional one, a closed and
// an open category, a count, and a matrix with named columns.
func trip() *Schema {
	col := func(name string, d tensor.Datatype) Spec { return Spec{Name: name, Datatype: d, Shape: []int64{-1, 1}} }
	return &Schema{V: 1, Task: Binary,
		Signature: Signature{
			Inputs: []Spec{col("delay", tensor.FP32), col("wind", tensor.FP64), col("carrier", tensor.Bytes), col("tail", tensor.Bytes), col("seats", tensor.Int32),
				{Name: "m", Datatype: tensor.FP32, Shape: []int64{-1, 2}, Columns: []string{"lat", "lon"}}},
			Outputs: []Spec{{Name: "label", Datatype: tensor.Int64, Shape: []int64{-1}}},
		},
		Contract: Contract{Columns: map[string]Column{
			"delay":   {Min: p(-60), Max: p(1440)},
			"wind":    {Missing: Accept},
			"carrier": {Categories: []string{"UA", "DL"}, RefuseUnknown: true},
			"tail":    {Missing: Accept},
			"seats":   {Min: p(1)},
			"lat":     {Min: p(-90), Max: p(90)},
		}},
	}
}

func f32(name string, shape []int64, v ...float32) tensor.Tensor {
	return tensor.Tensor{Name: name, Datatype: tensor.FP32, Shape: shape, FP32s: v}
}

func str(name string, shape []int64, v ...string) tensor.Tensor {
	return tensor.Tensor{Name: name, Datatype: tensor.Bytes, Shape: shape, Strings: v}
}

// rows2 is a valid request of two rows, in the order of the signature.
func rows2() []tensor.Tensor {
	s := []int64{2, 1}
	return []tensor.Tensor{
		f32("delay", s, 5, 7), {Name: "wind", Datatype: tensor.FP64, Shape: s, FP64s: []float64{1, math.NaN()}},
		str("carrier", s, "UA", "DL"), str("tail", s, "N1", "unseen"), {Name: "seats", Datatype: tensor.Int32, Shape: s, I32s: []int32{1, 300}},
		f32("m", []int64{2, 2}, 40, -73, 41, -180),
	}
}

func compiled(t testing.TB, s *Schema, overrides map[string]Column) *Checker {
	t.Helper()
	c, err := Compile(s, overrides)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckOrders(t *testing.T) {
	c := compiled(t, trip(), nil)
	in := rows2()
	in[0], in[5] = in[5], in[0]
	in[1], in[3] = in[3], in[1]
	got, err := c.Check(in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows2(), got, cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}

func TestCheckFillsAbsentColumns(t *testing.T) {
	c := compiled(t, trip(), nil)
	in := rows2()
	in = append(in[:1], in[2], in[4], in[5]) // no wind, no tail
	got, err := c.Check(in)
	if err != nil {
		t.Fatal(err)
	}
	want := rows2()
	want[1].FP64s = []float64{math.NaN(), math.NaN()}
	want[3].Strings, want[3].Missing = []string{"", ""}, []int{0, 1}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}

// sparse is a model of one input that is needed and n FP16 columns and a text that are not.
func sparse(shape []int64, n int) *Schema {
	s := &Schema{V: 1, Task: Unspecified, Contract: Contract{Columns: map[string]Column{"text": {Missing: Accept}}}, Signature: Signature{
		Inputs:  []Spec{{Name: "x", Datatype: tensor.FP32, Shape: shape}, {Name: "text", Datatype: tensor.Bytes, Shape: []int64{-1}}},
		Outputs: []Spec{{Name: "y", Datatype: tensor.FP32, Shape: []int64{-1}}}}}
	for i := range n {
		name := fmt.Sprint("o", i)
		s.Signature.Inputs = append(s.Signature.Inputs, Spec{Name: name, Datatype: tensor.FP16, Shape: []int64{-1, 1}})
		s.Contract.Columns[name] = Column{Missing: Accept}
	}
	return s
}

// spent is how many bytes f allocates.
func spent(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestClaimedRowsAreNotFilledIn: a shape without values may claim any number of rows.
func TestClaimedRowsAreNotFilledIn(t *testing.T) {
	for _, tt := range []struct {
		name        string
		spec, shape []int64
		want        string
	}{
		{"fixed dimension", []int64{-1, 1}, []int64{math.MaxInt32, 0}, "does not fit [-1 1] in dimension 1"},
		{"free dimension", []int64{-1, -1}, []int64{math.MaxInt32, 0}, "does not fit [-1 -1] in dimension 1"},
		{"dimension behind", []int64{-1, 2, 3}, []int64{math.MaxInt32, 2, 0}, "does not fit [-1 2 3] in dimension 2"},
		{"too many dimensions", []int64{-1, 1}, []int64{math.MaxInt32, 1, 0}, "has 3 dimensions, want 2: [-1 1]"},
		{"too few dimensions", []int64{-1, 1}, []int64{0}, "has 1 dimensions, want 2: [-1 1]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := compiled(t, sparse(tt.spec, 3), nil)
			var err error
			if n := spent(func() { _, err = c.Check([]tensor.Tensor{f32("x", tt.shape)}) }); n > 1<<20 {
				t.Errorf("%d MB spent", n>>20)
			}
			want := []fault.Violation{{Path: `inputs["x"].shape`, Problem: tt.want}}
			if diff := cmp.Diff(want, fault.Public(err).Violations); diff != "" || !fault.Is(err, fault.InvalidArgument) {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

// TestFillingIsBounded: absent columns may add so many values to those sent, and not one more.
func TestFillingIsBounded(t *testing.T) {
	const rows = 1 << 16
	room := SpareElements/rows + 1 // columns that may be absent, one of them the text
	in := func() []tensor.Tensor { return []tensor.Tensor{f32("x", []int64{rows, 1}, make([]float32, rows)...)} }
	got, err := compiled(t, sparse([]int64{-1, 1}, room-1), nil).Check(in())
	if err != nil || len(got) != room+1 || got[room].Len() != rows || len(got[1].Missing) != rows {
		t.Errorf("%d inputs, %v", len(got), err)
	}
	c := compiled(t, sparse([]int64{-1, 1}, room), nil)
	request := in()
	if n := spent(func() { _, err = c.Check(request) }); n > 1<<20 {
		t.Errorf("%d MB spent", n>>20)
	}
	expect(t, err, []string{fmt.Sprintf(`inputs["o%d"] is missing, and has too many values to be filled in; send it, or fewer rows`, room-1)})
	c = compiled(t, sparse([]int64{-1, 1}, 1), nil)
	_, err = c.Check([]tensor.Tensor{f32("x", []int64{math.MaxInt64, 1})})
	expect(t, err, []string{`inputs["text"] is missing, and has too many values`, `inputs["o0"] is missing, and has too many values`})
}

func TestAbsentBesideOtherFaults(t *testing.T) {
	c := compiled(t, trip(), nil)
	in := rows2()
	in[0].Shape = []int64{2}
	_, err := c.Check(append(in[:1:1], in[4], in[5])) // the shape is wrong, carrier may not be absent, wind and tail may
	want := []fault.Violation{{Path: `inputs["carrier"]`, Problem: "is missing"}, {Path: `inputs["delay"].shape`, Problem: "has 1 dimensions, want 2: [-1 1]"}}
	if diff := cmp.Diff(want, fault.Public(err).Violations); diff != "" {
		t.Error(diff)
	}
	_, err = compiled(t, sparse([]int64{-1, 1}, 1), map[string]Column{"x": {Missing: Accept}}).Check(nil)
	expect(t, err, []string{`inputs["x"] is missing`, `inputs["text"] is missing`}) // for how many rows?
}

func TestCheckFaults(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tests := []struct {
		name   string
		change func(in []tensor.Tensor) []tensor.Tensor
		want   []string
	}{
		{"missing column", func(in []tensor.Tensor) []tensor.Tensor { return in[1:] }, []string{`inputs["delay"] is missing`}},
		{"two missing columns", func(in []tensor.Tensor) []tensor.Tensor { return in[1:5] }, []string{`inputs["delay"] is missing`, `inputs["m"] is missing`}},
		{"missing and optional", func(in []tensor.Tensor) []tensor.Tensor { return in[4:] }, []string{`inputs["delay"] is missing`, `inputs["carrier"] is missing`}},
		{"extra column", func(in []tensor.Tensor) []tensor.Tensor {
			return append([]tensor.Tensor{f32("secret", []int64{2, 1}, 1, 2)}, in...)
		}, []string{`inputs[0] is not an input of the model; its inputs are "delay", "wind"`}},
		{"duplicate column", func(in []tensor.Tensor) []tensor.Tensor { return append(in, in[2]) }, []string{`inputs[6] repeats the input "carrier"`}},
		{"wrong datatype", func(in []tensor.Tensor) []tensor.Tensor {
			in[4] = f32("seats", []int64{2, 1}, 1, 2)
			return in
		}, []string{`inputs["seats"].datatype is FP32, want INT32`}},
		{"wrong rank", func(in []tensor.Tensor) []tensor.Tensor { in[0].Shape = []int64{2}; return in }, []string{`inputs["delay"].shape has 1 dimensions, want 2: [-1 1]`}},
		{"wrong width", func(in []tensor.Tensor) []tensor.Tensor {
			in[5] = f32("m", []int64{2, 3}, 1, 2, 3, 4, 5, 6)
			return in
		}, []string{`inputs["m"].shape does not fit [-1 2] in dimension 1`}},
		{"no width", func(in []tensor.Tensor) []tensor.Tensor { in[5] = f32("m", []int64{2, 0}); return in }, []string{`inputs["m"].shape does not fit [-1 2] in dimension 1`}},
		{"other batch", func(in []tensor.Tensor) []tensor.Tensor { in[0] = f32("delay", []int64{1, 1}, 1); return in }, []string{`has other rows than inputs["delay"]`}},
		{"no rows", func(in []tensor.Tensor) []tensor.Tensor {
			for i := range in {
				in[i].Shape = []int64{0, in[i].Shape[1]}
				in[i].Resize(0)
			}
			return in
		}, []string{`has no rows; send at least one`}},
		{"NaN refused", func(in []tensor.Tensor) []tensor.Tensor { in[0].FP32s[1] = nan; return in }, []string{`inputs["delay"].data[1] is missing`}},
		{"NaN refused without rules", func(in []tensor.Tensor) []tensor.Tensor { in[5].FP32s[3] = nan; return in }, []string{`inputs["m"].data[3] is missing`}},
		{"infinite", func(in []tensor.Tensor) []tensor.Tensor { in[0].FP32s[0] = inf; return in }, []string{`inputs["delay"].data[0] is infinite`}},
		{"infinite where missing is accepted", func(in []tensor.Tensor) []tensor.Tensor { in[1].FP64s[0] = math.Inf(-1); return in }, []string{`inputs["wind"].data[0] is infinite`}},
		{"below", func(in []tensor.Tensor) []tensor.Tensor { in[0].FP32s[0] = -61; return in }, []string{`inputs["delay"].data[0] is below the minimum -60`}},
		{"above", func(in []tensor.Tensor) []tensor.Tensor { in[0].FP32s[1] = 1441; return in }, []string{`inputs["delay"].data[1] is above the maximum 1440`}},
		{"integer below", func(in []tensor.Tensor) []tensor.Tensor { in[4].I32s[0] = 0; return in }, []string{`inputs["seats"].data[0] is below the minimum 1`}},
		{"column of a matrix", func(in []tensor.Tensor) []tensor.Tensor { in[5].FP32s[2] = 91; return in }, []string{`inputs["m"].data[2] is above the maximum 90`}},
		{"unknown category", func(in []tensor.Tensor) []tensor.Tensor { in[2].Strings[1] = "S3NT1NEL"; return in }, []string{`inputs["carrier"].data[1] is not one of the categories`}},
		{"missing category", func(in []tensor.Tensor) []tensor.Tensor {
			in[2].Strings[1], in[2].Missing = "", []int{1}
			return in
		}, []string{`inputs["carrier"].data[1] is missing`}},
		{"all at once", func(in []tensor.Tensor) []tensor.Tensor {
			in[0].FP32s[0], in[2].Strings[0], in[4].I32s[1] = 9999, "XX", -1
			return in
		}, []string{`"delay"].data[0] is above`, `"carrier"].data[0] is not one`, `"seats"].data[1] is below`}},
	}
	c := compiled(t, trip(), nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Check(tt.change(rows2()))
			expect(t, err, tt.want)
		})
	}
}

func expect(t *testing.T, err error, want []string) {
	t.Helper()
	if !fault.Is(err, fault.InvalidArgument) {
		t.Fatalf("error %v, want InvalidArgument", err)
	}
	var text strings.Builder
	for _, v := range fault.Public(err).Violations {
		text.WriteString(v.Path + " " + v.Problem + "\n")
	}
	for _, w := range want {
		if !strings.Contains(text.String(), w) {
			t.Errorf("violations\n%swant %q", text.String(), w)
		}
	}
	if strings.Contains(text.String()+err.Error(), "S3NT1NEL") {
		t.Errorf("a value is repeated: %s", text.String())
	}
}

func TestCheckRowsNamesRows(t *testing.T) {
	c := compiled(t, trip(), nil)
	in := rows2()
	in[0].FP32s[1], in[5].FP32s[2] = 9999, 91
	_, err := c.CheckRows(in)
	expect(t, err, []string{"instances[1].delay is above", "instances[1].lat is above"})
}

func TestManyFaultsAreCounted(t *testing.T) {
	c := compiled(t, trip(), nil)
	n := int64(1000)
	in := []tensor.Tensor{f32("delay", []int64{n, 1}), {Name: "wind", Datatype: tensor.FP64, Shape: []int64{n, 1}}, str("carrier", []int64{n, 1}),
		str("tail", []int64{n, 1}), {Name: "seats", Datatype: tensor.Int32, Shape: []int64{n, 1}}, f32("m", []int64{n, 2})}
	for i := range in {
		in[i].Resize(int(n * in[i].Shape[1]))
	}
	for i := range in[0].FP32s {
		in[0].FP32s[i] = -1000
	}
	_, err := c.Check(in) // delay, carrier ("" is not UA or DL) and seats (0) are wrong in every row
	public := fault.Public(err)
	if !strings.HasPrefix(public.Message, "3000 faults") || len(public.Violations) != 33 {
		t.Errorf("%d violations, message %q", len(public.Violations), public.Message)
	}
	expect(t, err, []string{`inputs["delay"] has 990 more faults`, `inputs["carrier"] has 990 more`, `inputs["seats"] has 990 more`})
}

func TestOverrides(t *testing.T) {
	c := compiled(t, trip(), map[string]Column{"delay": {Missing: Accept}, "carrier": {}, "gone": {Missing: Accept}})
	in := rows2()
	in[0].FP32s[0], in[0].FP32s[1], in[2].Strings[0] = float32(math.NaN()), 1e9, "ZZ"
	if _, err := c.Check(in); err != nil {
		t.Errorf("override did not relax: %v", err)
	}
	if got := UnknownColumns(trip(), map[string]Column{"delay": {}, "gone": {}, "also": {}}); !cmp.Equal(got, []string{"also", "gone"}) {
		t.Errorf("unknown columns %v", got)
	}
	if _, err := Compile(trip(), map[string]Column{"delay": {Min: p(2), Max: p(1)}}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("bad override: %v", err)
	}
	if trip().Contract.Columns["delay"].Missing == Accept {
		t.Error("the override changed the schema")
	}
}

func TestFP16AndFixedShapes(t *testing.T) {
	s := &Schema{V: 1, Task: Unspecified, Signature: Signature{
		Inputs:  []Spec{{Name: "h", Datatype: tensor.FP16, Shape: []int64{2, 2}}, {Name: "k", Datatype: tensor.Bool, Shape: nil}},
		Outputs: []Spec{{Name: "y", Datatype: tensor.FP16, Shape: []int64{2}}}}}
	c := compiled(t, s, nil)
	in := func(bits uint16) []tensor.Tensor {
		return []tensor.Tensor{{Name: "h", Datatype: tensor.FP16, Shape: []int64{2, 2}, U16s: []uint16{0x3c00, 0, 0x8000, bits}}, {Name: "k", Datatype: tensor.Bool, Bools: []bool{true}}}
	}
	if _, err := c.Check(in(0x7bff)); err != nil {
		t.Error(err)
	}
	_, err := c.Check(in(0x7e00))
	expect(t, err, []string{`inputs["h"].data[3] is missing`})
	_, err = c.Check(in(0xfc00))
	expect(t, err, []string{`inputs["h"].data[3] is infinite`})
}

func TestOnlyFaultsAreCounted(t *testing.T) {
	s := &Schema{V: 1, Task: Unspecified, Signature: Signature{Inputs: []Spec{{Name: "h", Datatype: tensor.FP16, Shape: []int64{-1}}},
		Outputs: []Spec{{Name: "y", Datatype: tensor.FP16, Shape: []int64{-1}}}}}
	in := tensor.Tensor{Name: "h", Datatype: tensor.FP16, Shape: []int64{100}, U16s: make([]uint16, 100)}
	for i := range 20 {
		in.U16s[i] = 0x7c00
	}
	_, err := compiled(t, s, nil).Check([]tensor.Tensor{in})
	if got := fault.Public(err).Message; !strings.HasPrefix(got, "20 faults") {
		t.Errorf("message %q", got)
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	c := compiled(t, trip(), nil)
	in := rows2()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.Check(in); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations for a good request", n)
	}
}

func TestPlaces(t *testing.T) {
	c := compiled(t, trip(), nil)
	if got := fmt.Sprint(c.Columns()); strings.Count(got, "{") != 7 {
		t.Errorf("columns %s", got)
	}
	lon, _ := c.Place("lon")
	m, _ := c.Place("m")
	if lon.Input != 5 || lon.Offset != 1 || lon.Width != 1 || m.Width != 2 || m.First != 5 || m.Count != 2 {
		t.Errorf("lon %+v, m %+v", lon, m)
	}
}

func benchmarkCheck(b *testing.B, s *Schema, in []tensor.Tensor) {
	c := compiled(b, s, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Check(in); err != nil {
			b.Fatal(err)
		}
	}
}

func matrix(col Column) (*Schema, []tensor.Tensor) {
	s := &Schema{V: 1, Task: Regression, Contract: Contract{Columns: map[string]Column{}}}
	spec := Spec{Name: "x", Datatype: tensor.FP32, Shape: []int64{-1, 30}}
	for i := range 30 {
		spec.Columns = append(spec.Columns, fmt.Sprint("c", i))
		s.Contract.Columns[spec.Columns[i]] = col
	}
	s.Signature = Signature{Inputs: []Spec{spec}, Outputs: []Spec{{Name: "y", Datatype: tensor.FP32, Shape: []int64{-1, 1}}}}
	return s, []tensor.Tensor{f32("x", []int64{1000, 30}, make([]float32, 30000)...)}
}

func BenchmarkCheck1000x30(b *testing.B) {
	s, in := matrix(Column{})
	benchmarkCheck(b, s, in)
}

func BenchmarkCheck1000x30Bounded(b *testing.B) {
	s, in := matrix(Column{Missing: Accept, Min: p(-10), Max: p(10)})
	benchmarkCheck(b, s, in)
}

func BenchmarkCheck2Rows(b *testing.B) { benchmarkCheck(b, trip(), rows2()) }
