package drift

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
)

var testDay = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

func drawRow(rng *rand.Rand, s profile.Sink, shift float64) {
	s.Number(0, rng.NormFloat64()*1e3+shift, 1)
	s.Text(1, fmt.Sprint("v", int(30*rng.Float64()*rng.Float64())), 1)
	if rng.Float64() < 0.1 {
		s.Missing(2, 1)
	} else {
		s.Number(2, rng.ExpFloat64()*1e-3, 1)
	}
}

func testBaseline(t *testing.T, rows int) *profile.Baseline {
	t.Helper()
	b, err := profile.NewBuilder([]profile.Spec{{Name: "x", Kind: profile.Numeric}, {Name: "c", Kind: profile.Categorical}, {Name: "y", Kind: profile.Numeric}})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range rows {
		drawRow(rng, b, 0)
	}
	return b.Freeze(uint64(rows))
}

// windowOf counts n rows, split over shards in any order, with two sampling rates.
func windowOf(t *testing.T, b *profile.Baseline, shards, n int, shift float64, order *rand.Rand) *profile.Window {
	t.Helper()
	const digest = "00000000000000000000000000000000000000000000000000000000000000aa"
	tallies := make([][2]*profile.Tally, shards)
	counts := make([][2]uint64, shards)
	for i := range tallies {
		tallies[i] = [2]*profile.Tally{profile.NewTally(b), profile.NewTally(b)}
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for i := range n {
		k := order.IntN(shards)
		drawRow(rng, tallies[k][i%2], shift)
		counts[k][i%2]++
	}
	w := profile.NewWindow(b, digest, profile.Selection{})
	for _, k := range order.Perm(shards) {
		d := profile.Document{V: profile.DocumentVersion, Model: "m", Source: profile.Source{Key: fmt.Sprint(k)}}
		for p, tally := range tallies[k] {
			d.Report.Rows += counts[k][p]
			d.Groups = append(d.Groups, profile.Group{Version: 1, Baseline: digest, Sampled: []float64{0.1, 1}[p], Rows: counts[k][p], Columns: tally.States})
		}
		if err := w.Add(&d); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func testJob(b *profile.Baseline, w *profile.Window) Job {
	return Job{Model: "m", Window: period.Window{ID: "2026-11-24", Start: testDay, End: testDay.AddDate(0, 0, 1)}, Version: 1, Baseline: b,
		Digest: "00000000000000000000000000000000000000000000000000000000000000aa", Policy: DefaultPolicy(), Strata: w.Strata(), Totals: w.Totals()}
}

// TestBytesDoNotDependOnSharding: for 1, 7 and 1,000 shards in random order the report is the same, to the byte.
func TestBytesDoNotDependOnSharding(t *testing.T) {
	b := testBaseline(t, 5000)
	var want []byte
	for i, shards := range []int{1, 7, 1000, 7, 1000} {
		job := testJob(b, windowOf(t, b, shards, 4000, 100, rand.New(rand.NewPCG(uint64(i), 3))))
		job.History = []Past{{Window: "2026-11-23", Report: "b", Revision: 1, Rows: 5, Verdict: NoDrift}, {Window: "2026-11-22", Report: "a", Revision: 1, Rows: 5, Verdict: NoDrift}}
		if i%2 == 1 {
			job.History[0], job.History[1] = job.History[1], job.History[0]
			job.Strata = []profile.Stratum{job.Strata[1], job.Strata[0]}
		}
		r, err := Judge(job)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = raw
		}
		if !bytes.Equal(raw, want) {
			t.Errorf("%d shards give another report", shards)
		}
		if _, err := ParseReport(raw); err != nil {
			t.Error(err)
		}
	}
}

func mustJudge(t *testing.T, job Job) *Report {
	t.Helper()
	r, err := Judge(job)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSupersede(t *testing.T) {
	b := testBaseline(t, 5000)
	order := rand.New(rand.NewPCG(1, 3))
	first := mustJudge(t, testJob(b, windowOf(t, b, 3, 3000, 0, order)))
	if first.Verdict != NoDrift || first.Revision != 1 || first.Supersedes != nil {
		t.Fatalf("%s, revision %d", first.Verdict, first.Revision)
	}
	job := testJob(b, windowOf(t, b, 3, 6000, 900, order))
	job.Supersedes = first
	job.History = []Past{first.Past(), {Window: "2026-11-23", Report: "b", Revision: 1, Rows: 5, Verdict: Drifted, Columns: map[string]Verdict{"x": Drifted, "c": NoDrift, "y": NoDrift}}}
	second := mustJudge(t, job)
	changes := strings.Join(second.Supersedes.Changes, "; ")
	for _, want := range []string{"6000 rows compared instead of 3000", "the verdict is drift instead of no drift", `column "x" is drift instead of no drift`} {
		if !strings.Contains(changes, want) {
			t.Errorf("%q lacks %q", changes, want)
		}
	}
	if second.Revision != 2 || second.Standing.Before.Model != StateUnknown || second.Standing.After.Model != StateDrift || !second.Standing.Changed {
		t.Errorf("revision %d, standing %+v", second.Revision, second.Standing)
	}
	job.Supersedes, job.History = second, append(job.History, second.Past())
	if again := mustJudge(t, job); again.ID != second.ID || again.Revision != 2 {
		t.Errorf("the same run again is %s, revision %d", again.ID, again.Revision)
	}
}

func TestJudgeRefuses(t *testing.T) {
	b := testBaseline(t, 500)
	w := windowOf(t, b, 1, 100, 0, rand.New(rand.NewPCG(1, 3)))
	job := testJob(b, w)
	job.Policy.Alpha = 0
	if _, err := Judge(job); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("alpha 0: %v", err)
	}
	other := *b
	other.Columns = b.Columns[:2]
	job = testJob(&other, w)
	if _, err := Judge(job); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("counts of another baseline: %v", err)
	}
}

// TestNothingToCompare: without rows, and without a baseline, there is a report that says so.
func TestNothingToCompare(t *testing.T) {
	b := testBaseline(t, 500)
	job := testJob(b, windowOf(t, b, 1, 0, 0, rand.New(rand.NewPCG(1, 3))))
	if r := mustJudge(t, job); r.Verdict != NotEnoughData || len(r.Columns) != 3 || !strings.Contains(r.Summary, "no rows") {
		t.Errorf("%s: %s", r.Verdict, r.Summary)
	}
	job = Job{Model: "m", Window: period.Window{ID: "w"}, Policy: DefaultPolicy(), LeftOut: []LeftOut{{Reason: LeftNoBaseline, Count: 12, Unit: UnitRows}}}
	if r := mustJudge(t, job); r.Verdict != NotEnoughData || r.Rows.In != 12 || !strings.Contains(r.Summary, "none of the 12 rows") {
		t.Errorf("%s: %s", r.Verdict, r.Summary)
	}
	for _, raw := range []string{``, `{}`, `{"v":2,"id":"x","window":{"id":"w"}}`, `{"v":1,"id":"x"}`} {
		if _, err := ParseReport([]byte(raw)); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// TestRowsWithoutScores: a batch of inputs has not been scored; its score columns are off, unless the policy lets
// them gate. An input that is gone is drift, and so is a score that is no number in every row.
func TestRowsWithoutScores(t *testing.T) {
	builder, err := profile.NewBuilder([]profile.Spec{{Name: "x", Kind: profile.Numeric}, {Name: "p", Kind: profile.Numeric, Score: true}})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	for range 5000 {
		builder.Number(0, rng.NormFloat64(), 1)
		builder.Number(1, rng.Float64(), 1)
	}
	b := builder.Freeze(5000)
	yes := true
	gates := DefaultPolicy()
	gates.Columns = map[string]ColumnPolicy{"p": {Gate: &yes, Tolerances: gates.Tolerances}}
	nothing := func(s profile.Sink, col int) { s.Missing(col, 1) }
	value := func(s profile.Sink, col int) { s.Number(col, rng.NormFloat64(), 1) }
	nan := func(s profile.Sink, col int) { s.Number(col, math.NaN(), 1) }
	for name, w := range map[string]struct {
		x, p    func(profile.Sink, int)
		absent  []string
		policy  Policy
		verdict Verdict
		drifted []string
		off     string
	}{
		"no scores":                      {value, nothing, nil, DefaultPolicy(), NoDrift, nil, offNoScores},
		"no column of scores":            {value, nothing, []string{"p"}, DefaultPolicy(), NoDrift, nil, offNoScores},
		"no scores, and the policy asks": {value, nothing, []string{"p"}, gates, Drifted, []string{"p"}, ""},
		"scores that are no numbers":     {value, nan, nil, DefaultPolicy(), Drifted, []string{"p"}, ""},
		"no input":                       {nothing, nothing, []string{"p", "x"}, DefaultPolicy(), Drifted, []string{"x"}, offNoScores},
	} {
		tally := profile.NewTally(b)
		for range 4000 {
			w.x(tally, 0)
			w.p(tally, 1)
		}
		job := Job{Model: "m", Window: period.Window{ID: "b", Batch: true}, Baseline: b, Digest: "d", Policy: w.policy,
			Strata: []profile.Stratum{{Sampled: 1, Rows: 4000, Columns: tally.States}}}
		job.Totals.Report.Rows, job.Totals.Report.Absent = 4000, w.absent
		r := mustJudge(t, job)
		p := &r.Columns[1]
		if r.Verdict != w.verdict || !slices.Equal(r.Drifted, w.drifted) || p.Off != w.off || p.Gating != (w.off == "") {
			t.Errorf("%s: %s in %v, scores gate: %v, off: %q", name, r.Verdict, r.Drifted, p.Gating, p.Off)
		}
		if !slices.Equal(r.Absent, w.absent) {
			t.Errorf("%s: absent columns %v", name, r.Absent)
		}
	}
	// Without a row nothing is known, and one row with a score makes them gate.
	if _, off := new(Policy).Rules(b, map[string][]Stratum{}); len(off) != 0 {
		t.Errorf("no rows: %v", off)
	}
	tally := profile.NewTally(b)
	tally.Missing(1, 99)
	tally.Number(1, 0.5, 1)
	if _, off := new(Policy).Rules(b, map[string][]Stratum{"p": {{&tally.States[1], 1}}}); len(off) != 0 {
		t.Errorf("one score of 100: %v", off)
	}
}

// TestDesignEffect: rows that repeat within a block count for one, independent ones for themselves.
func TestDesignEffect(t *testing.T) {
	b := testBaseline(t, 5000)
	c := &b.Columns[0]
	rng := rand.New(rand.NewPCG(5, 5))
	independent, repeated := make([][]float64, 200), make([][]float64, 200)
	for k := range independent {
		independent[k], repeated[k] = make([]float64, c.CellCount()), make([]float64, c.CellCount())
		for range 20 {
			independent[k][c.Bins.Index(rng.NormFloat64()*1e3)]++
		}
		repeated[k][c.Bins.Index(rng.NormFloat64()*1e3)] = 20
	}
	if e, ok := designEffect(c, independent); !ok || e > 2 {
		t.Errorf("independent rows: %g, %v", e, ok)
	}
	if e, ok := designEffect(c, repeated); !ok || e < 18 || e > 45 {
		t.Errorf("20 equal rows a block: %g, %v", e, ok)
	}
	if e, ok := designEffect(c, repeated[:9]); ok || e != 1 {
		t.Errorf("nine blocks: %g, %v", e, ok)
	}
}
