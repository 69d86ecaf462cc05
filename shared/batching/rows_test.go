package batching

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/tensor"
)

// ramp is a tensor of any datatype whose elements tell where they come from.
func ramp(d tensor.Datatype, rows, width, from int) tensor.Tensor {
	t := tensor.Tensor{Name: "t", Datatype: d, Shape: []int64{int64(rows), int64(width)}}
	t.Resize(rows * width)
	for i := range rows * width {
		v := from + i
		switch d {
		case tensor.Bool:
			t.Bools[i] = v%3 == 0
		case tensor.Uint8:
			t.U8s[i] = uint8(v)
		case tensor.Uint16, tensor.FP16:
			t.U16s[i] = uint16(v)
		case tensor.Uint32:
			t.U32s[i] = uint32(v)
		case tensor.Uint64:
			t.U64s[i] = uint64(v)
		case tensor.Int8:
			t.I8s[i] = int8(v)
		case tensor.Int16:
			t.I16s[i] = int16(v)
		case tensor.Int32:
			t.I32s[i] = int32(v)
		case tensor.Int64:
			t.I64s[i] = int64(v)
		case tensor.FP32:
			t.FP32s[i] = float32(v)
		case tensor.FP64:
			t.FP64s[i] = float64(v)
		case tensor.Bytes:
			if t.Strings[i] = strconv.Itoa(v); v%5 == 0 {
				t.Strings[i] = ""
				t.Missing = append(t.Missing, i)
			}
		}
	}
	return t
}

func TestGatherAndScatterOfEveryDatatype(t *testing.T) {
	const width = 3
	sizes := []int{1, 4, 2, 5}
	var g gatherer // used again and again, as a batcher does
	for _, d := range []tensor.Datatype{tensor.Bool, tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64, tensor.Int8, tensor.Int16,
		tensor.Int32, tensor.Int64, tensor.FP16, tensor.FP32, tensor.FP64, tensor.Bytes} {
		total, text := 0, 0
		var all [][]tensor.Tensor
		for i, n := range sizes {
			one := []tensor.Tensor{ramp(d, n, width, 7*i)}
			all = append(all, one)
			total += n
			text += textOf(one)
		}
		g.begin(all[0], total)
		g.reserve(text)
		row := 0
		for i, one := range all {
			g.add(one, row)
			row += sizes[i]
		}
		row = 0
		for i, one := range all {
			got := g.slice(row, row+sizes[i])
			if diff := cmp.Diff(one, got); diff != "" {
				t.Errorf("%s request %d (-given +gathered):\n%s", d, i, diff)
			}
			row += sizes[i]
		}
		if !equal(&g.slice(0, total)[0], &g.inputs[0]) {
			t.Errorf("%s is not equal to itself", d)
		}
		g.rest()
	}
}

// TestRowsThatCannotBeMixedAreCounted: a run of them is timed as what it is.
func TestRowsThatCannotBeMixedAreCounted(t *testing.T) {
	of := func(elements int, shape ...int64) tensor.Tensor {
		return tensor.Tensor{Datatype: tensor.Bool, Shape: shape, Bools: make([]bool, elements)}
	}
	for name, tt := range map[string]struct {
		inputs []tensor.Tensor
		rows   int
		ok     bool
	}{
		"rows":                            {[]tensor.Tensor{of(6, 3, 2), of(3, 3)}, 3, true},
		"more than any batch":             {[]tensor.Tensor{of(100_000, 100_000, 1), of(100_000, 100_000)}, 100_000, false},
		"a scalar that all share":         {[]tensor.Tensor{of(1), of(500, 500)}, 500, false},
		"a row that all share":            {[]tensor.Tensor{of(500, 500), of(4, 1, 4)}, 500, false},
		"fewer elements than it says":     {[]tensor.Tensor{of(7, 4, 2)}, 4, false},
		"rows of nothing":                 {[]tensor.Tensor{of(0, 1<<62, 0)}, 1, false},
		"fewer elements than it has rows": {[]tensor.Tensor{of(5, 1<<62)}, 5, false},
		"none":                            {[]tensor.Tensor{of(0, -1), of(0, 0)}, 1, false},
	} {
		if rows, ok := rowsOf(tt.inputs); rows != tt.rows || ok != tt.ok {
			t.Errorf("%s: %d rows, may share a batch: %v; want %d, %v", name, rows, ok, tt.rows, tt.ok)
		}
	}
}

func TestEqualAllowsWhatBatchSizesChange(t *testing.T) {
	of := func(v ...float32) tensor.Tensor {
		return tensor.Tensor{Datatype: tensor.FP32, Shape: []int64{1, int64(len(v))}, FP32s: v}
	}
	a := of(1, 0.5, 1e-7)
	for _, tt := range []struct {
		b    tensor.Tensor
		want bool
	}{{of(1.0000001, 0.5, 2e-7), true}, {of(1, 0.6, 1e-7), false}, {of(1, 0.5), false}} {
		if got := equal(&a, &tt.b); got != tt.want {
			t.Errorf("%v and %v: %v", a.FP32s, tt.b.FP32s, got)
		}
	}
}
