package validate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/validate"
)

func TestObjectTellsAllFaultsAtOnce(t *testing.T) {
	a, b, kept := 1, "", 7
	into := validate.Fields{"a": &a, "kept": &kept, "inner": validate.Fields{"b": &b}}
	bad := validate.Object("drift policy", []byte(`{"a":2,"inner":{"b":3,"c":"secret"},"z":"secret"}`), "", into)
	want := []fault.Violation{{Path: "inner.b", Problem: "has the wrong type"}, {Path: "inner.c", Problem: "is not a field of a drift policy"}, {Path: "z", Problem: "is not a field of a drift policy"}}
	if d := cmp.Diff(want, bad); d != "" || a != 2 || kept != 7 {
		t.Errorf("%d %d %s", a, kept, d)
	}
	for raw, path := range map[string]string{"": "drift", "[]": "drift", "null": "drift", `{"inner":[]}`: "inner", `{"a":1}x`: "drift"} {
		if bad := validate.Object("drift policy", []byte(raw), "", into); len(bad) != 1 || bad[0].Path != path || bad[0].Problem != "must be a JSON object" {
			t.Errorf("%q: %+v", raw, bad)
		}
	}
	if bad := validate.Object("drift policy", []byte(`{"`+strings.Repeat("é", 100)+`":1}`), "steps[0]", into); len(bad) != 1 || len(bad[0].Path) > 150 || !strings.HasPrefix(bad[0].Path, "steps[0].é") {
		t.Errorf("%+v", bad)
	}
}
