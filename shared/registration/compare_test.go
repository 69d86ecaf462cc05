package registration

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

var compared = schema.Signature{Outputs: []schema.Spec{
	{Name: "label", Datatype: tensor.Int64, Shape: []int64{-1}},
	{Name: "p", Datatype: tensor.FP32, Shape: []int64{-1, 2}},
	{Name: "name", Datatype: tensor.Bytes, Shape: []int64{-1}},
}}

// outputsOf are n rows from row first on, each p moved by shift.
func outputsOf(first, n int, shift float32) []tensor.Tensor {
	label := tensor.Tensor{Name: "label", Datatype: tensor.Int64, Shape: []int64{int64(n)}}
	p := tensor.Tensor{Name: "p", Datatype: tensor.FP32, Shape: []int64{int64(n), 2}}
	name := tensor.Tensor{Name: "name", Datatype: tensor.Bytes, Shape: []int64{int64(n)}}
	for i := first; i < first+n; i++ {
		label.I64s = append(label.I64s, int64(i%2))
		p.FP32s = append(p.FP32s, float32(i)/1000+shift, 1-float32(i)/1000)
		name.Strings = append(name.Strings, strings.Repeat("x", i%3))
	}
	return []tensor.Tensor{label, p, name}
}

func TestCompareRuntimes(t *testing.T) {
	for name, c := range map[string]struct {
		shift float32
		spoil func(out []tensor.Tensor)
		want  string
	}{
		"equal":           {},
		"within":          {shift: 1e-6},
		"one value":       {spoil: func(o []tensor.Tensor) { o[1].FP32s[7*2] += 0.25 }, want: `1 of 100 rows are answered differently there than here (tolerance 1e-05); the largest difference is 0.25, in output "p_0", row 58`},
		"one label":       {spoil: func(o []tensor.Tensor) { o[0].I64s[3]++ }, want: `1 labels differ, the first in output "label", row 54`},
		"one text":        {spoil: func(o []tensor.Tensor) { o[2].Strings[3] += "y" }, want: `1 labels differ, the first in output "name", row 54`},
		"not finite":      {spoil: func(o []tensor.Tensor) { o[1].FP32s[0] = float32(math.NaN()) }, want: `1 answers are not finite, the first in output "p_0", row 51`},
		"all of them off": {shift: 1e-3, want: "100 of 100 rows"},
	} {
		both := CompareRuntimes(compared, 1e-5)
		for first := 1; first <= 100; first += 50 {
			ours := outputsOf(first, 50, c.shift)
			if c.spoil != nil && first == 51 {
				c.spoil(ours)
			}
			if err := both.AddBoth(ours, outputsOf(first, 50, 0), 50); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		p, differs, err := both.Verdict("there", "here")
		if err != nil || !p.Checked || p.Rows != 100 || (differs == "") != (c.want == "") || !strings.Contains(differs, c.want) {
			t.Errorf("%s: %+v, %q, %v", name, p, differs, err)
		}
	}
}

// TestTextsReadBack: what others write is what differ reads, for every bit pattern.
func TestTextsReadBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sig := schema.Signature{Outputs: []schema.Spec{{Name: "a", Datatype: tensor.FP32, Shape: []int64{-1}}, {Name: "b", Datatype: tensor.FP64, Shape: []int64{-1}}, {Name: "c", Datatype: tensor.Uint64, Shape: []int64{-1}}, {Name: "d", Datatype: tensor.Bool, Shape: []int64{-1}}, {Name: "e", Datatype: tensor.FP16, Shape: []int64{-1}}}}
	c := CompareRuntimes(sig, 1e-30)
	for range 1000 {
		f, d := math.Float32frombits(random.Uint32()), math.Float64frombits(random.Uint64())
		if f-f != 0 || d-d != 0 {
			continue
		}
		out := []tensor.Tensor{{Datatype: tensor.FP32, FP32s: []float32{f}}, {Datatype: tensor.FP64, FP64s: []float64{d}}, {Datatype: tensor.Uint64, U64s: []uint64{random.Uint64()}},
			{Datatype: tensor.Bool, Bools: []bool{random.IntN(2) == 0}}, {Datatype: tensor.FP16, U16s: []uint16{uint16(random.Uint32()) &^ 0x4000}}}
		for i := range out {
			out[i].Shape = []int64{1}
		}
		if err := c.AddBoth(out, out, 1); err != nil {
			t.Fatal(err)
		}
	}
	if p, differs, err := c.Verdict("", ""); err != nil || differs != "" || p.MaxAbsDiff != 0 {
		t.Errorf("%+v, %q, %v", p, differs, err)
	}
}

func TestCompareTrainer(t *testing.T) {
	text := "name,p_0,p_1,label\nx,0.001,0.999,1\nxx,0.002,0.998,0\n"
	for name, c := range map[string]struct {
		text string
		rows int
		kind fault.Kind
	}{
		"as many":        {text, 2, ""},
		"more rows":      {text, 3, fault.InvalidArgument},
		"fewer rows":     {text, 1, fault.InvalidArgument},
		"no rows":        {text, 0, fault.InvalidArgument},
		"other columns":  {"q\n1\n", 1, fault.InvalidArgument},
		"not by the row": {text, -1, fault.FailedPrecondition},
	} {
		both, err := CompareTrainer(compared, strings.NewReader(c.text), 1e-5)
		if err != nil {
			t.Fatal(err)
		}
		if c.rows > 0 {
			err = both.Add(outputsOf(1, c.rows, 0), c.rows)
		} else if c.rows < 0 {
			err = both.Add(outputsOf(1, 3, 0), 2)
		}
		if err == nil {
			var differs string
			if _, differs, err = both.Verdict("there", "by the trainer"); differs != "" {
				t.Errorf("%s: %s", name, differs)
			}
		}
		if fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := CompareTrainer(compared, strings.NewReader(""), 1e-5); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("an empty file: %v", err)
	}
}
