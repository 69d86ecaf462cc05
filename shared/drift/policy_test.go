package drift

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

func TestPolicyDefaults(t *testing.T) {
	for _, raw := range []string{"", " ", "null", "{}"} {
		got, err := ParsePolicy([]byte(raw))
		if diff := cmp.Diff(DefaultPolicy(), got); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", raw, err, diff)
		}
	}
}

func TestPolicyFields(t *testing.T) {
	got, err := ParsePolicy([]byte(`{"alpha":0.01,"tolerances":{"numeric":0.2},"columns":{"x":{"gate":false},"y":{"tolerances":{"missing":0.3}}},
		"window_minutes":10080,"lateness_minutes":0,"debounce":{"need":3,"of":4},"design_effect":2.5,"segments":["carrier","dest"],"max_segments":9}`))
	want := DefaultPolicy()
	want.Alpha, want.Tolerances.Numeric, want.WindowMinutes, want.LatenessMinutes, want.Debounce, want.DesignEffect = 0.01, 0.2, 10080, 0, Debounce{Need: 3, Of: 4}, 2.5
	want.Segments, want.MaxSegments = []string{"carrier", "dest"}, 9
	y := want.Tolerances
	y.Missing = 0.3
	no := false
	want.Columns = map[string]ColumnPolicy{"x": {Gate: &no, Tolerances: want.Tolerances}, "y": {Tolerances: y}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestPolicyFaults: all at once, by path, without a value.
func TestPolicyFaults(t *testing.T) {
	_, err := ParsePolicy([]byte(`{"alpha":7,"tolerances":{"numeric":"s3cret","psi":1},"columns":{"x":{"gate":"s3cret"},"y":3,"z":{"tolerances":{"missing":5}}},
		"window_minutes":7,"lateness_minutes":-1,"debounce":{"need":1,"of":2},"segments":["carrier","carrier"],"max_segments":51,"bins":20,"cluster":7}`))
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.InvalidArgument {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range f.Violations {
		got[v.Path] = v.Problem
		if strings.Contains(v.Problem, "s3cret") {
			t.Errorf("%+v repeats a value", v)
		}
	}
	for _, path := range []string{"alpha", "tolerances.numeric", "tolerances.psi", "columns[x].gate", "columns[y]", "columns[z].tolerances.missing", "window_minutes",
		"lateness_minutes", "debounce", "segments", "max_segments", "bins", "cluster"} {
		if got[path] == "" {
			t.Errorf("%s is not told: %v", path, got)
		}
	}
	for raw, want := range map[string]string{`[]`: "drift must be a JSON object", `{`: "drift must be a JSON object", `{"window_minutes":2000}`: "window_minutes",
		`{"cluster":"day"}`: "cluster", `{"cluster":"hour","design_effect":2}`: "design_effect", `{"debounce":{"need":20,"of":31}}`: "debounce", `{"cluster":"tailnum","design_effect":2}`: "design_effect",
		`{"segments":["a","b","c","d"]}`: "segments", `{"segments":[""]}`: "segments", `{"segments":"carrier"}`: "segments", `{"max_segments":5}`: "max_segments"} {
		if _, err := ParsePolicy([]byte(raw)); !fault.Is(err, fault.InvalidArgument) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// TestOffByDefault: times, identifiers and constant parts of the date, unless the policy says otherwise.
func TestOffByDefault(t *testing.T) {
	b := &profile.Baseline{V: profile.BaselineVersion}
	number := func(name string, values ...float64) {
		n := profile.NewNumbers()
		for _, x := range values {
			n.Add(x, 100)
		}
		b.Columns = append(b.Columns, n.Column(name))
	}
	text := func(name string, values ...string) {
		c := profile.NewCounter()
		for _, v := range values {
			c.Add(v, 100)
		}
		b.Columns = append(b.Columns, profile.CategoricalColumn(name, c, 0, 0))
	}
	number("x", 1, 2)
	number("month", 1, 2, 3)
	number("day", 1, 2, 3)
	number("dep_time", 517, 2359)
	number("created_at", 1.7e9, 1.8e9)
	number("priceAt", 3, 9)
	number("ts", 3, 9)
	text("departed", "2026-01-01", "2026-01-02T05:00:00Z")
	text("booking_date", "x", "y")
	text("candidate", "x", "y")
	b.Columns = append(b.Columns, profile.Column{Name: "id", Kind: profile.Categorical, Identifier: true, State: profile.NewState(profile.HashCells + 1)})
	current := map[string][]Stratum{}
	for i := range b.Columns {
		c := &b.Columns[i]
		s := profile.NewState(c.CellCount())
		s.Rows, s.Cells[1] = 10, 10
		if c.Name == "day" {
			s.Rows, s.Cells[3] = 20, 10
		}
		current[c.Name] = []Stratum{{&s, 1}}
	}
	p := DefaultPolicy()
	_, off := p.Rules(b, current)
	want := map[string]string{"month": offCalendar, "created_at": offTime, "ts": offTime, "departed": offTime, "booking_date": offTime, "id": offIdentifier}
	if diff := cmp.Diff(want, off); diff != "" {
		t.Error(diff)
	}
	yes, no := true, false
	p.Columns = map[string]ColumnPolicy{"month": {Gate: &yes, Tolerances: p.Tolerances}, "id": {Gate: &yes, Tolerances: p.Tolerances}, "x": {Gate: &no, Tolerances: p.Tolerances}}
	_, off = p.Rules(b, current)
	if off["month"] != "" || off["id"] != "" || off["x"] != offByPolicy {
		t.Errorf("%v", off)
	}
}
