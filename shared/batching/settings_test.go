package batching

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

func TestParseSettings(t *testing.T) {
	of, err := ParseSettings(`{"*": {"max_batch": 32}, "flights": {"max_batch": 128, "max_wait_ms": 2.5, "max_queue": 10, "instances": 2}, "slow": {"max_wait_ms": 0}}`)
	if err != nil {
		t.Fatal(err)
	}
	for model, want := range map[string]Settings{
		"flights": {MaxBatch: 128, MaxWait: 2500 * time.Microsecond, MaxQueue: 10, Instances: 2},
		"other":   {MaxBatch: 32},
		"slow":    {MaxWait: -1},
	} {
		if got := of(model); got != want {
			t.Errorf("%s: %+v, want %+v", model, got, want)
		}
	}
	for _, bad := range []string{`[]`, `{`, `{"m": {"max_batch": -1, "instances": 1000}}`, `{"m": {"max_bach": 1}}`, `{"m": {"max_wait_ms": -2}}`, `{} {}`} {
		if _, err := ParseSettings(bad); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := ParseSettings(`{"m": {"max_batch": -1, "instances": 1000}}`); len(fault.Public(err).Violations) != 2 {
		t.Errorf("not all faults at once: %v", err)
	}
	if of, err := ParseSettings(""); err != nil || of("m") != (Settings{}) {
		t.Errorf("no settings: %v", err)
	}
}

func FuzzParseSettings(f *testing.F) {
	for _, seed := range []string{"", `{"*": {"max_batch": 32}}`, `{"m": {"max_wait_ms": 1e308, "max_queue": 1}}`, `{"m": null}`, `null`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		of, err := ParseSettings(text)
		if err != nil {
			if !fault.Is(err, fault.InvalidArgument) {
				t.Errorf("%v", err)
			}
			return
		}
		s := of("m").withDefaults()
		if s.MaxBatch < 1 || s.MaxQueue < 1 || s.Instances < 1 || s.MaxWait > time.Minute {
			t.Errorf("%q gives %+v", text, s)
		}
	})
}
