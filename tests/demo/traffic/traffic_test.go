package traffic

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/tensor"
	"github.com/tidegate/tidegate/tests/demo/flights"
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

func TestDaysAreTheirOwnKeys(t *testing.T) {
	var fs []flights.Flight
	for day, n := range []int{3, 5, 1} {
		for range n {
			fs = append(fs, flights.Flight{Month: 9, Day: day + 1})
		}
	}
	want := []Request{
		{Form: JSON, First: 0, Rows: 3, Key: "2013-09-01"},
		{Form: Binary, First: 3, Rows: 4, Key: "2013-09-02"},
		{Form: Rows, First: 7, Rows: 1, Key: "2013-09-02"},
		{Form: JSON, First: 8, Rows: 1, Key: "2013-09-03"},
	}
	if diff := cmp.Diff(want, Days(fs, 4)); diff != "" {
		t.Error(diff)
	}
	if got := Days(nil, 4); len(got) != 0 {
		t.Errorf("%v of no flights", got)
	}
}
