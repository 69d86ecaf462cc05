package drift

import (
	"encoding/json"
	"testing"
)

// FuzzPolicy: whatever a policy holds, it is refused or valid, and a valid one
// written and read again is the same.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(`{"alpha":0.01,"columns":{"x":{"gate":false,"tolerances":{"missing":0.3}}},"debounce":{"need":3,"of":4}}`))
	f.Add([]byte(`{"window_minutes":60,"cluster":"hour","segments":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParsePolicy(raw)
		if err != nil {
			return
		}
		stored, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePolicy(stored)
		if err != nil {
			t.Fatalf("%s: %v", stored, err)
		}
		if third, _ := json.Marshal(again); string(third) != string(stored) {
			t.Errorf("%s\n%s", stored, third)
		}
	})
}

// FuzzReport: a stored report is refused or read, and never ends the program.
func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":"x","window":{"id":"2026-11-24"},"columns":[{"name":"x","gates":[{"name":"missing","value":1}]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := ParseReport(raw); err == nil {
			r.Past()
		}
	})
}
