package drift

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func windows(verdicts string) []WindowVerdict {
	var out []WindowVerdict
	for i, v := range verdicts {
		w := WindowVerdict{Window: fmt.Sprintf("2013-05-%02d", i+1), Rows: 10, Columns: map[string]Verdict{}}
		switch v {
		case 'D':
			w.Columns["x"] = Drifted
		case 'n':
			w.Columns["x"] = NoDrift
		case '?':
			w.Columns["x"] = NotEnoughData
		case '.':
			w.Rows = 0
		}
		out = append(out, w)
	}
	return out
}

func TestFold(t *testing.T) {
	tests := []struct {
		verdicts string
		want     State
	}{
		{"", StateUnknown},
		{"D", StateUnknown},
		{"DD", StateDrift},
		{"D.D", StateDrift},    // an empty window is skipped
		{"D?D", StateDrift},    // an undecided one keeps its place
		{"D??D", StateUnknown}, // and pushes out what is older
		{"nn", StateOK},
		{"nnD", StateOK},
		{"nnDD", StateDrift},
		{"DDn", StateDrift},
		{"DDnn", StateOK},
		{"DD?n", StateDrift}, // neither has two of three: unchanged
		{"DD???", StateUnknown},
		{"nn??n", StateOK},
	}
	for _, tt := range tests {
		t.Run(tt.verdicts, func(t *testing.T) {
			if got := Fold(windows(tt.verdicts), DefaultDebounce()); got.Model != tt.want {
				t.Errorf("%s, want %s", got.Model, tt.want)
			}
		})
	}
}

func TestFoldIgnoresOrderAndTakesTheLatest(t *testing.T) {
	ws := windows("nDDnD")
	want := Fold(ws, DefaultDebounce())
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		rng.Shuffle(len(ws), func(i, j int) { ws[i], ws[j] = ws[j], ws[i] })
		if got := Fold(ws, DefaultDebounce()); got.Model != want.Model {
			t.Fatalf("in another order %s, want %s", got.Model, want.Model)
		}
	}
	superseded := append(windows("nnDD"), WindowVerdict{Window: "2013-05-04", Rows: 12, Columns: map[string]Verdict{"x": NoDrift}})
	if got := Fold(superseded, DefaultDebounce()); got.Model != StateOK {
		t.Errorf("a superseding window that says no drift leaves %s", got.Model)
	}
}

func TestModelState(t *testing.T) {
	w := windows("DD")
	for i := range w {
		w[i].Columns["y"] = NotEnoughData
		w[i].Columns["z"] = NoDrift
	}
	got := Fold(w, DefaultDebounce())
	if got.Model != StateDrift || fmt.Sprint(got.Drifted()) != "[x]" || got.Columns["z"] != StateOK {
		t.Errorf("%+v", got)
	}
	delete(w[1].Columns, "x") // no longer gating
	if got := Fold(w, DefaultDebounce()); got.Model != StateUnknown {
		t.Errorf("with only y and z gating the model is %s, want unknown", got.Model)
	}
	w[1].Unscored = []string{"x"} // nothing is said of it
	if got := Fold(w, DefaultDebounce()); got.Columns["x"] != StateUnknown || len(got.Columns) != 3 {
		t.Errorf("a column that the last window holds nothing of: %+v", got)
	}
	w = append(windows("DD"), WindowVerdict{Window: "2013-06-01", Rows: 10, Columns: map[string]Verdict{"y": NoDrift}, Unscored: []string{"x"}})
	if got := Fold(w, DefaultDebounce()); got.Columns["x"] != StateDrift {
		t.Errorf("a batch without scores ends the drift of the score: %+v", got)
	}
	before := Standing{Model: StateDrift, Columns: map[string]State{"x": StateDrift}}
	after := Standing{Model: StateDrift, Columns: map[string]State{"x": StateDrift, "y": StateDrift}}
	if !after.Changed(&before) || after.Changed(&after) {
		t.Error("a change of the set of drifted columns must be told, and only that")
	}
}

func TestDebounceValid(t *testing.T) {
	for d, want := range map[Debounce]bool{{Need: 2, Of: 3}: true, {Need: 1, Of: 1}: true, {Need: 1, Of: 2}: false, {Need: 2, Of: 4}: false, {Need: 4, Of: 3}: false, {Need: 3, Of: 4}: true} {
		if d.Valid() != want {
			t.Errorf("%+v valid: %v, want %v", d, d.Valid(), want)
		}
	}
}
