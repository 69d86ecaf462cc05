package comparison

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
)

func small(t testing.TB, task Task) []byte { return smallOf(t, specOf(task)) }

func smallOf(t testing.TB, spec Spec) []byte {
	rng := rand.New(rand.NewPCG(2, 2))
	s := build(t, spec)
	for i := range 12 {
		r := drawRow(rng, s)
		count(t, s, &r, i)
	}
	return encoded(t, s)
}

// alter changes one field of a stored state, by its path.
func alter(t *testing.T, raw []byte, value any, path ...any) []byte {
	t.Helper()
	var d any
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	at := d
	for i, p := range path {
		last := i == len(path)-1
		switch p := p.(type) {
		case string:
			m := at.(map[string]any)
			if last {
				m[p] = value
			}
			at = m[p]
		case int:
			l := at.([]any)
			if last {
				l[p] = value
			}
			at = l[p]
		}
	}
	out, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDamagedStatesAreRefused(t *testing.T) {
	raw := small(t, Binary)
	if _, err := Decode(raw); err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{
		"empty":               nil,
		"not JSON":            []byte("pairs"),
		"two documents":       append(bytes.Clone(raw), raw...),
		"unknown field":       alter(t, raw, 1, "extra"),
		"another format":      alter(t, raw, 2, "v"),
		"other pairs":         alter(t, raw, 13, "pairs"),
		"too many pairs":      alter(t, raw, 1<<40, "pairs"),
		"one model":           alter(t, raw, "m@1", "spec", "challenger", "name"),
		"no time":             alter(t, raw, 0, "last"),
		"fewer segments":      alter(t, raw, []any{}, "segments"),
		"a bin beyond":        alter(t, raw, []any{9999, 0, 1}, "segments", 0, "cells", 0),
		"cells of two":        alter(t, raw, []any{1, 0}, "segments", 0, "cells", 0),
		"cells out of order":  alter(t, raw, []any{5, 0, 1, 4, 0, 1}, "segments", 0, "cells", 0),
		"agreement":           alter(t, raw, 12, "segments", 0, "agreement", "both_right"),
		"more alike":          alter(t, raw, 12, "segments", 0, "identical"),
		"other losses":        alter(t, raw, []any{"0"}, "segments", 0, "squares", 0),
		"not a sum":           alter(t, raw, []any{"0", "1.5"}, "segments", 0, "squares", 0),
		"key group 200":       alter(t, raw, 200, "keys", 0, "group"),
		"keys out of order":   alter(t, raw, 199, "keys", 0, "group"),
		"other rows":          alter(t, raw, []any{2, 1}, "keys", 0, "n"),
		"right beyond":        alter(t, raw, []any{9, 0}, "keys", 0, "right"),
		"other cells of keys": alter(t, raw, []any{[]any{[]any{}, []any{}}, []any{[]any{}, []any{}}}, "keys", 0, "cells"),
		"block beyond":        alter(t, raw, 1<<40, "blocks", 0, "group"),
		"traffic":             alter(t, raw, map[string]any{"requests": 1, "errors": 2, "slow": 0}, "traffic", 0, "champion"),
	} {
		if _, err := Decode(damaged); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCellsOfKeysAndPairsMustAgree(t *testing.T) {
	raw := string(small(t, Binary))
	i := strings.Index(raw, `"cells":[[[`) // of the first key group: one bin becomes another
	if i < 0 {
		t.Fatal("no cells")
	}
	moved := raw[:i+len(`"cells":[[[`)] + "1" + raw[i+len(`"cells":[[[`):]
	if _, err := Decode([]byte(moved)); !fault.Is(err, fault.Internal) {
		t.Errorf("a row in another bin of its key group: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, task := range []Task{Binary, Multiclass, Regression} {
		spec := specOf(task)
		if task == Binary { // few bins, or the fuzzer would change nothing else
			spec.Champion.Bins = score.Uniform(3)
			spec.Challenger.Bins = score.Freeze([]float64{0.2, 0.7})
		}
		f.Add(smallOf(f, spec))
	}
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Decode(raw)
		if err != nil {
			if !fault.Is(err, fault.Internal) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := Decode(encoded(t, s))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if !bytes.Equal(encoded(t, again), encoded(t, s)) {
			t.Error("what was read is written in two ways")
		}
		if r, err := NewReport(s, DefaultPolicy(), nil); err == nil {
			if _, err := json.Marshal(r); err != nil {
				t.Errorf("the report has no JSON: %v", err)
			}
		}
	})
}
