package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
)

func TestStepsOfTheRetraining(t *testing.T) {
	var told bytes.Buffer
	d := &demo{out: &told, windows: map[string]time.Month{"2026-11-27T20-36-10Z-3483": time.July}}
	var r Retrained
	for _, s := range []struct{ state, output string }{
		{"ClaimTrigger", `{"trigger":"drift 2026-11-27T20-36-10Z-3483","claim":{"out":{"status":"acquired","run":"5da63b2f3af8ffff"}}}`},
		{"TakeSnapshot", `{"snapshot":{"out":{"action":"train","why":["the first"],"dataset":{"name":"flights","number":1,"rows":188971}}}}`},
		{"ReadCache", `{}`},
		{"TakeTrained", `{"trained":{"out":{"ready":true,"metrics":{"roc_auc":0.91764,"task":"binary"},"rows":{"train":151177,"holdout":37794}}}}`},
		{"RegisterVersion", `{"registered":{"out":{"version":2}}}`},
	} {
		if err := d.tellStep(stack.Step{State: s.state, Output: []byte(s.output)}, &r); err != nil {
			t.Errorf("%s: %v", s.state, err)
		}
	}
	if r.Trigger != "drift 2026-11-27T20-36-10Z-3483" || r.Rows != 188971 || r.Version != 2 {
		t.Errorf("%+v", r)
	}
	for _, part := range []string{"drift of July", "run 5da63b2f3af8)", "pins 188971 rows", "the first", "ROC AUC 0.9176"} {
		if !strings.Contains(told.String(), part) {
			t.Errorf("%q is not told:\n%s", part, told.String())
		}
	}
	if err := d.tellStep(stack.Step{State: "AskNobody", Output: []byte(`{}`)}, &r); !errors.Is(err, errHandedOver) {
		t.Errorf("at the rollout: %v", err)
	}
	if err := d.tellStep(stack.Step{State: "TakeSnapshot", Output: []byte(`[]`)}, &r); err == nil {
		t.Error("an output that is no object is taken")
	}
}

func TestOnlyDebouncedRetrainingsAreWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		ending stack.Ending
		fails  bool
	}{
		"debounced": {stack.Ending{Succeeded: true, Output: []byte(`{"trigger":"drift w","outcome":"debounced","reason":"1 of the 2 signals"}`)}, false},
		"refused":   {stack.Ending{Succeeded: true, Output: []byte(`{"trigger":"drift w","outcome":"refused","reason":"no rows"}`)}, true},
		"failed":    {stack.Ending{Status: "FAILED", Error: "Internal", Cause: "a bug"}, true},
		"no output": {stack.Ending{Succeeded: true, Output: []byte(`x`)}, true},
	} {
		var told bytes.Buffer
		var r Retrained
		err := (&demo{out: &told}).notYet(&c.ending, &r)
		if (err != nil) != c.fails || !c.fails && r.Debounced != 1 {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
	}
}
