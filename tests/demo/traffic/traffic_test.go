package traffic

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/tensor"
)

func TestPlanHasEveryRowOnce(t *testing.T) {
	for _, n := range []int{0, 1, 99, 1303, 27_662} {
		plan := Plan(n, Mix{Singles: 30, Hundreds: 60}, 7)
		next, forms := 0, map[Form]map[int]int{JSON: {}, Binary: {}, Rows: {}}
		for _, r := range plan {
			if r.First != next || r.Rows < 1 {
				t.Fatalf("%d rows: request %+v where row %d is next", n, r, next)
			}
			next += r.Rows
			forms[r.Form][r.Rows]++
		}
		if next != n {
			t.Errorf("%d rows: %d are planned", n, next)
		}
		if n > 20_000 {
			for form, sizes := range forms {
				if sizes[1] != 10 || sizes[100] != 20 || sizes[1000] < 7 {
					t.Errorf("%s: %v", form, sizes)
				}
			}
		}
		if diff := cmp.Diff(plan, Plan(n, Mix{Singles: 30, Hundreds: 60}, 7)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAnswersOfEveryFormAreTheSame(t *testing.T) {
	rows, err := fromRows([]json.RawMessage{[]byte(`{"label":1,"probabilities":[0.1,0.9]}`), []byte(`{"label":0,"probabilities":[0.7,0.3]}`)})
	if err != nil {
		t.Fatal(err)
	}
	tensors, err := fromTensors([]tensor.Tensor{
		{Name: "label", Datatype: tensor.Int64, I64s: []int64{1, 0}},
		{Name: "probabilities", Datatype: tensor.FP32, FP32s: []float32{0.1, 0.9, 0.7, 0.3}},
	}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, tensors); diff != "" {
		t.Error(diff)
	}
	if _, err := fromTensors(nil, 2); err == nil {
		t.Error("an answer without outputs is taken")
	}
	if _, err := fromRows([]json.RawMessage{[]byte(`1`)}); err == nil {
		t.Error("a row without label is taken")
	}
}
