package standing

import (
	"fmt"
	"testing"

	"github.com/tidegate/tidegate/shared/gate"
)

func TestNext(t *testing.T) {
	y, n, u := gate.Yes, gate.No, gate.Unknown
	for _, tt := range []struct {
		d       Debounce
		answers []gate.Answer
		want    gate.Answer
	}{
		{Default(), nil, ""},
		{Default(), []gate.Answer{y}, u},
		{Default(), []gate.Answer{y, y}, y},
		{Default(), []gate.Answer{y, u, y}, y},
		{Default(), []gate.Answer{y, y, n}, y},
		{Default(), []gate.Answer{y, y, n, n}, n},
		{Default(), []gate.Answer{y, y, u, u}, y},
		{Default(), []gate.Answer{y, y, u, u, u}, u},
		{Default(), []gate.Answer{n, u, u, n, y, n}, n},
		{Debounce{1, 1}, []gate.Answer{y, n}, n},
		{Debounce{3, 3}, []gate.Answer{y, y, n, y}, u},
	} {
		var state gate.Answer
		for i := range tt.answers {
			state = tt.d.Next(state, tt.answers[max(0, i+1-tt.d.Of):i+1])
		}
		if state != tt.want {
			t.Errorf("%v after %v: %s, want %s", tt.d, tt.answers, state, tt.want)
		}
	}
}

// TestAtMostOneState: no answers can hold two states at once.
func TestAtMostOneState(t *testing.T) {
	for of := 1; of <= 5; of++ {
		for need := 0; need <= 6; need++ {
			d := Debounce{need, of}
			if want := need <= of && need > of-need; d.Valid() != want {
				t.Errorf("%v: %v", d, d.Valid())
			}
		}
	}
}

func TestClosed(t *testing.T) {
	type window struct {
		id   string
		rows uint64
		n    int
	}
	got := Closed([]window{{"b", 1, 1}, {"a", 5, 2}, {"c", 0, 3}, {"b", 2, 4}, {"d", 7, 5}, {"d", 0, 6}},
		func(w *window) (string, uint64) { return w.id, w.rows })
	if fmt.Sprint(got) != "[{a 5 2} {b 2 4}]" {
		t.Error(got)
	}
}
