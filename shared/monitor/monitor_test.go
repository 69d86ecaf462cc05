package monitor

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func example(t testing.TB) (*profile.Baseline, *Statistics, *Constraints) {
	t.Helper()
	s, err := ParseStatistics(read(t, "statistics.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseConstraints(read(t, "constraints.json"))
	if err != nil {
		t.Fatal(err)
	}
	b, left, notes := s.Baseline()
	if len(left) != 1 || left[0].Column != "tail" {
		t.Errorf("left out: %v", left)
	}
	if len(notes) != 2 || !strings.Contains(notes[0], `"delay": its sketch of 5880 rows`) || !strings.Contains(notes[1], `"age": no sketch data`) {
		t.Errorf("notes: %q", notes)
	}
	return b, s, c
}

func TestBaselineOfStatistics(t *testing.T) {
	b, _, _ := example(t)
	if len(b.Columns) != 4 || b.Rows != 6000 {
		t.Fatalf("%d columns of %d rows", len(b.Columns), b.Rows)
	}
	delay, seats, age, carrier := &b.Columns[0], &b.Columns[1], &b.Columns[2], &b.Columns[3]
	// The error of a sketch of k = 512 is that of about 24,000 rows, beside that of the 5,880 themselves.
	if n := delay.State.Values(); n < 4700 || n > 4800 || delay.Few {
		t.Errorf("delay counts for %d rows", n)
	}
	if share := float64(delay.State.Missing) / float64(delay.State.Rows); math.Abs(share-0.02) > 1e-3 {
		t.Errorf("delay: %.4f missing", share)
	}
	// The distribution is a normal one around 10 with deviation 30: its median and quartile.
	for x, want := range map[float64]float64{10: 0.5, 10 - 0.6745*30: 0.25} {
		var below uint64
		for i, n := range delay.State.Cells {
			if delay.Bins.Upper[i] <= x {
				below += n
			}
		}
		if got := float64(below) / float64(delay.State.Values()); math.Abs(got-want) > 0.03 {
			t.Errorf("delay: %.3f of the values are below %.1f, want %.2f", got, x, want)
		}
	}
	if !seats.Few || seats.Distinct != 4 || seats.State.Rows != 6000 {
		t.Errorf("seats: %d distinct values of %d rows", seats.Distinct, seats.State.Rows)
	}
	if age.State.Values() > 6000 || age.Bins.Len() != 11 {
		t.Errorf("age: %d cells, %d values", age.Bins.Len(), age.State.Values())
	}
	if diff := cmp.Diff([]string{"UA", "AA", "B6", "DL"}, carrier.Cells.Named); diff != "" {
		t.Error(diff)
	}
}

func TestPolicyOfConstraints(t *testing.T) {
	b, _, c := example(t)
	p, notes := c.Policy(b, drift.DefaultPolicy())
	if len(notes) != 2 || !strings.Contains(notes[0], "1 values of its domain") || !strings.Contains(notes[1], `"tail"`) {
		t.Errorf("notes: %q", notes)
	}
	delay := p.Columns["delay"].Tolerances
	want := drift.Tolerances{Numeric: 0.1, Categorical: 0.1, Score: 0.05, Unseen: 0.01, Missing: 0.08, WrongType: 0.01}
	if diff := cmp.Diff(want, delay, cmp.Comparer(func(x, y float64) bool { return math.Abs(x-y) < 1e-3 })); diff != "" {
		t.Error(diff)
	}
	if got := p.Columns["age"].Tolerances.Numeric; got != 0.3 {
		t.Errorf("age: %g", got)
	}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	c.Config.Distribution.Perform = "Disabled"
	c.Features[1].Snake = &Config{Evaluate: "Disabled"}
	p, _ = c.Policy(b, drift.DefaultPolicy())
	if p.Columns["delay"].Tolerances.Numeric < 0.99 || p.Columns["seats"].Gate == nil || *p.Columns["seats"].Gate {
		t.Errorf("%+v", p.Columns)
	}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}

// TestViolations changes each thing that has a check of its own.
func TestViolations(t *testing.T) {
	b, s, c := example(t)
	policy, _ := c.Policy(b, drift.DefaultPolicy())
	tally := profile.NewTally(b)
	const n = 20_000
	for i := range n {
		x := float64(i%120) + 40 // far from the baseline
		if i%3 > 0 {
			tally.Number(0, x, 1)
		} else {
			tally.Missing(0, 1)
		}
		if i%10 == 0 {
			tally.WrongType(1, 1)
		} else {
			tally.Number(1, []float64{4, 50, 150, 180}[i%4], 1)
		}
		tally.Missing(2, 1) // the column is not there
		tally.Text(3, []string{"UA", "UA", "UA", "UA", "AA", "AA", "AA", "B6", "B6", "XX"}[i%10], 1)
	}
	d := profile.NewDocument("", 0, strings.Repeat("ab", 32), profile.Source{Key: "k"}, tally, profile.Report{Rows: n, Absent: []string{"age"}, Extra: []string{"gate", "weather"}})
	w := profile.NewWindow(b, strings.Repeat("ab", 32), profile.Selection{})
	if err := w.Add(&d); err != nil {
		t.Fatal(err)
	}
	r, err := drift.Judge(drift.Job{Window: period.Window{ID: "w", Batch: true}, Baseline: b, Digest: strings.Repeat("ab", 32), Policy: policy, Strata: w.Strata(), Totals: w.Totals()})
	if err != nil {
		t.Fatal(err)
	}
	got := Report(r, []string{"age"}, s.Types())
	var checks []string
	for _, v := range got.Violations {
		checks = append(checks, v.Feature+" "+v.Check+": "+v.Description)
	}
	want := []string{
		"Missing columns missing_column_check: There are missing columns in current dataset. Number of columns in current dataset: 5, Number of columns in baseline constraints: 4. Missing: age",
		"Extra columns extra_column_check: There are extra columns in current dataset. Number of columns in current dataset: 5, Number of columns in baseline constraints: 4. Extra: gate, weather",
		"delay baseline_drift_check: Baseline drift distance: # exceeds threshold: 0.1",
		"delay completeness_check: Value: # does not meet the constraint requirement!",
		"seats data_type_check: Data type match requirement is not met. Expected data type: Integral, Expected match: 100.0%. Observed: Only 90.0% of data is Integral.",
		"carrier categorical_values_check: Value: 0.9 does not meet the constraint requirement!",
	}
	for i := range checks {
		for _, prefix := range []string{"Baseline drift distance: ", "delay completeness_check: Value: "} {
			if at := strings.Index(checks[i], prefix); at >= 0 {
				end := at + len(prefix)
				checks[i] = checks[i][:end] + "#" + checks[i][end+strings.Index(checks[i][end:], " "):]
			}
		}
	}
	if diff := cmp.Diff(want, checks); diff != "" {
		t.Error(diff)
	}
}

func TestNothingDriftedIsNoViolation(t *testing.T) {
	b, _, _ := example(t)
	states := make([]profile.State, len(b.Columns))
	for i := range states {
		states[i] = b.Columns[i].State
	}
	r, err := drift.Judge(drift.Job{Window: period.Window{ID: "w", Batch: true}, Baseline: b, Policy: drift.DefaultPolicy(),
		Strata: []profile.Stratum{{Sampled: 1, Rows: 6000, Columns: states}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := Report(r, nil, nil); len(got.Violations) != 0 || got.Violations == nil {
		t.Errorf("%+v", got)
	}
	if r.Verdict == drift.Drifted {
		t.Errorf("the baseline has drifted from itself: %s", r.Summary)
	}
}

func TestRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "{", "an array": "[]", "no features": `{"features":[]}`, "constraints": `{"features":[{"name":"x","completeness":1}]}`,
		"named twice": `{"features":[{"name":"x"},{"name":"x"}]}`, "no name": `{"features":[{"inferred_type":"String"}]}`,
		"another type":  `{"features":[{"name":"x","inferred_type":"Blob","numerical_statistics":{}}]}`,
		"half a row":    `{"features":[{"name":"x","numerical_statistics":{"common":{"num_present":0.5}}}]}`,
		"below zero":    `{"features":[{"name":"x","string_statistics":{"common":{"num_missing":-1}}}]}`,
		"huge":          `{"features":[{"name":"x","string_statistics":{"common":{"num_missing":1e300}}}]}`,
		"bad bucket":    `{"features":[{"name":"x","numerical_statistics":{"common":{"num_present":1},"distribution":{"kll":{"buckets":[{"lower_bound":2,"upper_bound":1,"count":1}]}}}}]}`,
		"text in count": `{"features":[{"name":"x","numerical_statistics":{"common":{"num_present":"many"}}}]}`,
	} {
		if _, err := ParseStatistics([]byte(text)); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"no JSON": "", "share": `{"features":[{"name":"x","completeness":1.5}]}`, "threshold": `{"monitoring_config":{"datatype_check_threshold":-1}}`,
		"word": `{"monitoring_config":{"evaluate_constraints":"Perhaps"}}`, "override": `{"features":[{"name":"x","monitoringConfigOverrides":{"domain_content_threshold":2}}]}`,
	} {
		if _, err := ParseConstraints([]byte(text)); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInconsistentDistributions are left out or read otherwise, with the reason.
func TestInconsistentDistributions(t *testing.T) {
	text := `{"dataset":{"item_count":10},"features":[
	 {"name":"sketch","numerical_statistics":{"common":{"num_present":10},"distribution":{"kll":{"buckets":[{"lower_bound":0,"upper_bound":1,"count":10}],"sketch":{"parameters":{"k":2048},"data":[[0,1]]}}}}},
	 {"name":"buckets","numerical_statistics":{"common":{"num_present":10},"distribution":{"kll":{"buckets":[{"lower_bound":0,"upper_bound":1,"count":9}]}}}},
	 {"name":"none","numerical_statistics":{"common":{"num_present":10}}},
	 {"name":"empty","numerical_statistics":{"common":{"num_present":0,"num_missing":10}}},
	 {"name":"constant","numerical_statistics":{"common":{"num_present":10},"distribution":{"kll":{"buckets":[{"lower_bound":1,"upper_bound":1,"count":4},{"lower_bound":1,"upper_bound":1,"count":6}]}}}},
	 {"name":"part","string_statistics":{"common":{"num_present":10},"distribution":{"categorical":{"buckets":[{"value":"a","count":3}]}}}},
	 {"name":"blank","string_statistics":{"common":{"num_present":10},"distribution":{"categorical":{"buckets":[{"value":"","count":3},{"value":"a","count":7}]}}}},
	 {"name":"unknown","inferred_type":"Unknown"}]}`
	s, err := ParseStatistics([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b, left, notes := s.Baseline()
	var kept, dropped []string
	for _, c := range b.Columns {
		kept = append(kept, c.Name)
	}
	for _, l := range left {
		dropped = append(dropped, l.Column)
	}
	if diff := cmp.Diff([]string{"sketch", "empty", "constant", "blank"}, kept); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"buckets", "none", "part", "unknown"}, dropped); diff != "" {
		t.Error(diff)
	}
	if len(notes) != 2 || !strings.Contains(notes[0], "its buckets are used") {
		t.Errorf("%q", notes)
	}
	if blank, _ := b.Column("blank"); blank.State.Missing != 3 || blank.State.Rows != 10 {
		t.Errorf("%+v", blank.State)
	}
}

func FuzzStatistics(f *testing.F) {
	// Not the example: minimizing inputs of its size takes the fuzzer's time.
	f.Add([]byte(`{"version":0.0,"dataset":{"item_count":5},"features":[{"name":"y","inferred_type":"Integral","numerical_statistics":{"common":{"num_present":4,"num_missing":1},"mean":2,"min":1,"max":4,"distribution":{"kll":{"buckets":[{"lower_bound":1,"upper_bound":2,"count":1},{"lower_bound":2,"upper_bound":4,"count":3}],"sketch":{"parameters":{"c":0.64,"k":8},"data":[[1,4],[2]]}}}}}]}`))
	f.Add([]byte(`{"features":[{"name":"x","numerical_statistics":{"common":{"num_present":3},"distribution":{"kll":{"sketch":{"data":[[1],[2]]}}}}}]}`))
	f.Add([]byte(`{"features":[{"name":"x","string_statistics":{"common":{"num_present":3},"distribution":{"categorical":{"buckets":[{"value":"a","count":3}]}}}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := ParseStatistics(raw)
		if err != nil {
			return
		}
		b, left, _ := s.Baseline()
		if len(b.Columns)+len(left) != len(s.Features) {
			t.Fatalf("%d columns and %d left out of %d features", len(b.Columns), len(left), len(s.Features))
		}
		for i := range b.Columns {
			raw, err := b.Columns[i].MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			var c profile.Column
			if err := c.UnmarshalJSON(raw); err != nil { // checks that the counts fit together
				t.Fatalf("column %q: %v", b.Columns[i].Name, err)
			}
		}
	})
}

func FuzzConstraints(f *testing.F) {
	b, _, _ := example(f)
	f.Add(read(f, "constraints.json"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseConstraints(raw)
		if err != nil {
			return
		}
		if p, _ := c.Policy(b, drift.DefaultPolicy()); p.Check() != nil {
			t.Fatal(p.Check())
		}
	})
}
