package page

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/webpage/webpagetest"
)

var update = flag.Bool("update", false, "write the golden files")

var specs = []profile.Spec{{Name: "distance", Kind: profile.Numeric}, {Name: "dep_delay", Kind: profile.Numeric}, {Name: "engines", Kind: profile.Numeric},
	{Name: "carrier", Kind: profile.Categorical}, {Name: "tailnum", Kind: profile.Categorical}, {Name: "month", Kind: profile.Numeric},
	{Name: "probability", Kind: profile.Numeric, Score: true}, {Name: "a_rather_long_column_name_<b>with markup</b>_that_must_wrap_somewhere", Kind: profile.Numeric}}

// fill draws n rows; later moves what a later window moves.
func fill(rng *rand.Rand, s profile.Sink, n int, later bool) {
	carriers := []string{"UA", "B6", "EV", "DL", "AA", "MQ", "US", "WN"}
	for range n {
		s.Number(0, math.Exp(6.5+0.6*rng.NormFloat64()), 1)
		delay := rng.NormFloat64()*20 - 4
		if rng.Float64() < 0.2 {
			delay += rng.ExpFloat64() * 80
		}
		carrier := carriers[int(8*rng.Float64()*rng.Float64())]
		month := 1 + rng.IntN(3)
		if later {
			delay += 18
			month = 7
			if rng.Float64() < 0.04 {
				carrier = "<script>alert(1)</script>"
			}
		}
		if rng.Float64() < 0.02 {
			s.Missing(1, 1)
		} else {
			s.Number(1, math.Round(delay), 1)
		}
		s.Number(2, float64(2+2*rng.IntN(2)), 1)
		s.Text(3, carrier, 1)
		s.Text(4, fmt.Sprint("N", rng.IntN(1e6)), 1)
		s.Number(5, float64(month), 1)
		s.Number(6, 1/(1+math.Exp(2-delay/20)), 1)
		s.Number(7, rng.Float64(), 1)
	}
}

// job is a window with a bit of everything.
func job(t *testing.T) drift.Job {
	t.Helper()
	builder, err := profile.NewBuilder(specs)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 7))
	fill(rng, builder, 20000, false)
	baseline := builder.Freeze(20000)
	tally := profile.NewTally(baseline)
	fill(rng, tally, 3000, true)
	day := time.Date(2026, 7, 14, 0, 0, 0, 0, time.UTC)
	j := drift.Job{Model: "flights", Window: period.Window{ID: "2026-07-14", Start: day, End: day.AddDate(0, 0, 1)}, Version: 7,
		Baseline: baseline, Digest: strings.Repeat("ab", 32), Policy: drift.DefaultPolicy(),
		Strata: []profile.Stratum{{Sampled: 1, Requests: 310, Errors: 2, Rows: 3000, Columns: tally.States}}}
	j.Totals.Requests, j.Totals.Errors, j.Totals.Report.Rows = 310, 2, 3000
	j.Totals.Report.Malformed, j.Totals.Report.First = 3, "captures/2026-07-14/09/a.gz, line 12: not a JSON object"
	j.Totals.Report.Extra = []string{"gate"}
	j.Totals.Skewed = 4
	j.LeftOut = []drift.LeftOut{{Reason: drift.LeftNoProfile, Count: 2, Unit: drift.UnitObjects, Detail: "captures that were never profiled: see the dead-letter queue of profile",
		Examples: []string{"captures/2026-07-14/13/tidegate-1-2026-07-14-13-05-00-0f0e", "captures/2026-07-14/14/tidegate-1-2026-07-14-14-05-00-77aa"}},
		{Reason: drift.LeftPaired, Count: 1200, Unit: drift.UnitRows, Detail: "a shadow's answers to the same rows"}}
	verdicts := []drift.Verdict{drift.NoDrift, drift.NoDrift, drift.NotEnoughData, drift.NoDrift, drift.Drifted}
	for i := range 19 {
		p := drift.Past{Window: day.AddDate(0, 0, i-19).Format(time.DateOnly), Report: fmt.Sprint("r", i), Revision: 1, Rows: uint64(2500 + i), Verdict: verdicts[i*i%5]}
		p.Columns = map[string]drift.Verdict{"distance": drift.NoDrift, "dep_delay": p.Verdict}
		if i == 6 {
			p.Rows = 0
		}
		j.History = append(j.History, p)
	}
	return j
}

func render(t *testing.T, j drift.Job) []byte {
	t.Helper()
	r, err := drift.Judge(j)
	if err != nil {
		t.Fatal(err)
	}
	out, err := HTML(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func superseding(t *testing.T) drift.Job {
	j := job(t)
	before := j
	before.LeftOut = append([]drift.LeftOut{{Reason: drift.LeftNoProfile, Count: 1, Unit: drift.UnitObjects, Detail: "captures that were never profiled"}}, j.LeftOut...)
	old, err := drift.Judge(before)
	if err != nil {
		t.Fatal(err)
	}
	j.Supersedes = old
	return j
}

func TestGolden(t *testing.T) {
	segmented := segments(t)
	empty := drift.Job{Model: "flights", Window: period.Window{ID: "2026-07-15"}, Policy: drift.DefaultPolicy()}
	for name, j := range map[string]drift.Job{"window": superseding(t), "empty": empty, "segments": segmented} {
		got := render(t, j)
		file := "testdata/" + name + ".golden"
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			_ = os.WriteFile(strings.TrimSuffix(file, ".golden")+".got", got, 0o644)
			t.Errorf("%s: the page is another one; look at the .got beside it, then run with -update", file)
		}
	}
}

// segments is a window in which one carrier drifts, in part, and whose rows depend on the plane.
func segments(t *testing.T) drift.Job {
	t.Helper()
	table := func(seed uint64, n int, late float64) []byte {
		rng := rand.New(rand.NewPCG(5, seed))
		var out bytes.Buffer
		out.WriteString("carrier,dep_delay,distance,tailnum\n")
		for range n {
			carrier := []string{"UA", "B6", "EV", "<b>DL</b>"}[int(4*rng.Float64()*rng.Float64())]
			delay := rng.NormFloat64() * 20
			if carrier == "EV" {
				delay += late
			}
			fmt.Fprintf(&out, "%s,%.1f,%.0f,N%d\n", carrier, delay, math.Exp(6.5+0.6*rng.NormFloat64()), rng.IntN(1500))
		}
		return out.Bytes()
	}
	count := func(s profile.Sink, raw []byte) {
		if _, err := profile.CountCSV(t.Context(), bytes.NewReader(raw), s); err != nil {
			t.Fatal(err)
		}
	}
	builder, err := profile.NewBuilder([]profile.Spec{{Name: "carrier", Kind: profile.Categorical}, {Name: "dep_delay", Kind: profile.Numeric},
		{Name: "distance", Kind: profile.Numeric}, {Name: "tailnum", Kind: profile.Categorical}})
	if err != nil {
		t.Fatal(err)
	}
	before := table(1, 8000, 0)
	count(builder, before)
	b := builder.Freeze(8000)
	j := job(t)
	j.Policy.Segments, j.Policy.Cluster = []string{"carrier"}, "tailnum"
	if err := b.SplitBy(j.Policy.By()); err != nil {
		t.Fatal(err)
	}
	own := b.Splitter()
	count(own, before)
	b.Keep(own)
	now := profile.NewTally(b)
	count(now, table(2, 4000, 30))
	j.Baseline, j.Strata = b, []profile.Stratum{{Sampled: 1, Requests: 400, Rows: 4000, Columns: now.States, Split: now.Split}}
	j.Totals.Report.Rows = 4000
	return j
}

// TestSelfContained: nothing of the page comes from elsewhere, and no text of a report becomes markup.
func TestSelfContained(t *testing.T) {
	html := string(render(t, superseding(t)))
	for _, bad := range []string{"http:", "https:", "<script", "@import", "url(", "<link rel=\"stylesheet", "<b>with", "<iframe"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for _, want := range []string{"▲", "Drift in", "&lt;b&gt;with markup", "prefers-color-scheme", "Baseline (filled)", "Replaces an earlier report"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Index(html, "class=\"verdict") > strings.Index(html, "<table") {
		t.Error("the verdict must come first")
	}
}

func TestInABrowser(t *testing.T) {
	webpagetest.Look(t, render(t, superseding(t)), "Drift: flights")
	webpagetest.Look(t, render(t, segments(t)), "Drift: flights")
}

// TestSegments: the segment that drifts comes first, with the column that does.
func TestSegments(t *testing.T) {
	html := string(render(t, segments(t)))
	from := strings.Index(html, "Segments by carrier")
	if from < 0 {
		t.Fatal("no segments")
	}
	html = html[from:]
	first, next := strings.Index(html, ">EV<"), strings.Index(html, ">UA<")
	if first < 0 || next < first || !strings.Contains(html[first:next], "Drift") || !strings.Contains(html[first:next], "dep_delay: Distribution") {
		t.Errorf("the segment that drifts is not told first: %.600s", html)
	}
	if strings.Contains(html, "<b>DL") || !strings.Contains(html, "&lt;b&gt;DL") {
		t.Error("a value becomes markup")
	}
}
