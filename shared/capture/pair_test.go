package capture

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/registry"
)

// TestTakenIsWhatRecordDoes, for both records of a pair alike: they differ in version, slot and role, not in what decides.
func TestTakenIsWhatRecordDoes(t *testing.T) {
	share := 0.4
	s := &tape{}
	r := NewRecorder(Options{Stream: s})
	taken := 0
	for i := range 300 {
		served := prediction(t, 1)
		served.ID, served.Version.Capture.Sampling = fmt.Sprint("id", i), &share
		if served.Key = ""; i%2 == 0 {
			served.Key = fmt.Sprint("key", i)
		}
		paired := *served
		paired.Role, paired.Version.Number, paired.Version.Slot = Paired, 8, registry.Challenger
		before := len(s.lines)
		for _, p := range []*Prediction{served, &paired} {
			if err := r.Record(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		switch n := len(s.lines) - before; {
		case Taken(served) != Taken(&paired):
			t.Fatalf("request %d: one of the pair is taken", i)
		case Taken(served) && n != 2, !Taken(served) && n != 0:
			t.Fatalf("request %d: %d records, taken %v", i, n, Taken(served))
		case n == 2:
			taken++
			if a, b := s.lines[before], s.lines[before+1]; a.ID != b.ID || a.Role != Served || b.Role != Paired || b.Version != 8 {
				t.Fatalf("%+v and %+v", a, b)
			}
		}
	}
	if taken < 80 || taken > 160 { // 5 standard errors of 300 draws at 0.4 are 42
		t.Errorf("%d of 300 are taken", taken)
	}
	off := prediction(t, 1)
	off.Version.Capture.Mode = registry.CaptureOff
	if all := prediction(t, 1); Taken(off) || !Taken(all) {
		t.Errorf("off %v, by default %v", Taken(off), Taken(all))
	}
}

// TestAppendOutputsIsThatOfARecord, also of some rows, and with redaction.
func TestAppendOutputsIsThatOfARecord(t *testing.T) {
	p := prediction(t, 5)
	var whole struct{ Outputs json.RawMessage }
	if err := json.Unmarshal(appendRecord(nil, p, form{}, 0, 5), &whole); err != nil {
		t.Fatal(err)
	}
	if got := AppendOutputs(nil, "flights", p.Outputs, nil, 5, 0, 5); string(got) != string(whole.Outputs) {
		t.Errorf("%s, a record has %s", got, whole.Outputs)
	}
	if got := string(AppendOutputs([]byte("x"), "flights", p.Outputs, map[string]string{"label": "drop"}, 5, 3, 2)); got != `x{"probabilities":[[0.25,0.75],[0.25,0.75]]}` {
		t.Errorf("rows 3 and 4: %s", got)
	}
	if got := string(AppendOutputs(nil, "flights", p.Outputs, map[string]string{"label": "hash"}, 5, 0, 2)); strings.Contains(got, `"label":[0,1]`) {
		t.Errorf("hashed: %s", got)
	}
	if got := string(AppendOutputs(nil, "flights", nil, nil, 5, 0, 5)); got != "{}" {
		t.Errorf("no outputs: %s", got)
	}
}
