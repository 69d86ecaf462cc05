package tensor

import (
	"math"
	"testing"
)

func TestElements(t *testing.T) {
	tests := []struct {
		name  string
		shape []int64
		limit int64
		want  int64
		fails bool
	}{
		{"scalar", nil, 10, 1, false},
		{"matrix", []int64{3, 4}, 12, 12, false},
		{"empty batch", []int64{0, 4}, 12, 0, false},
		{"over the limit", []int64{3, 5}, 12, 0, true},
		{"negative", []int64{3, -1}, 12, 0, true},
		{"negative behind zero", []int64{0, -1}, 12, 0, true},
		{"overflow", []int64{math.MaxInt64, 2}, math.MaxInt64, 0, true},
		{"overflow to a small number", []int64{1 << 32, 1 << 32}, math.MaxInt64, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Elements(tt.shape, tt.limit)
			if (err != nil) != tt.fails || got != tt.want {
				t.Errorf("Elements(%v, %d) = %d, %v; want %d, fails %v", tt.shape, tt.limit, got, err, tt.want, tt.fails)
			}
		})
	}
}

func TestResizeReusesMemory(t *testing.T) {
	for _, d := range []Datatype{Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, FP16, FP32, FP64, Bytes} {
		tr := Tensor{Datatype: d}
		tr.Resize(8)
		if tr.Len() != 8 {
			t.Errorf("%s: Len %d after Resize(8)", d, tr.Len())
		}
		if n := testing.AllocsPerRun(10, func() { tr.Resize(3); tr.Resize(8) }); n != 0 {
			t.Errorf("%s: %v allocations to shrink and grow again", d, n)
		}
	}
}

func TestSize(t *testing.T) {
	if Datatype("FP8").Size() != -1 {
		t.Error("an unknown datatype must have size -1")
	}
	if Bytes.Size() != 0 || FP16.Size() != 2 || Int64.Size() != 8 || Bool.Size() != 1 {
		t.Error("wrong element size")
	}
}
