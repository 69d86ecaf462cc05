package evaluation

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/registry"
)

var update = flag.Bool("update", false, "write the golden files")

func judged(t testing.TB, job Job) *Report {
	t.Helper()
	r, err := Judge(job)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseReport(raw)
	if err != nil {
		t.Fatal(err)
	}
	if back, _ := again.Encode(); !bytes.Equal(back, raw) {
		t.Error("a stored report does not read back to the same bytes")
	}
	return r
}

// labelledJob is a day of which all labels are there.
func labelledJob(t testing.TB, noise float64, seed uint64) Job {
	ref := testReference(t, 20_000)
	s := testSetup(ref)
	s.MatureBefore = testWindow.End
	rows := day(rand.New(rand.NewPCG(seed, seed)), 6000, 8, 0.05, 1)
	for _, r := range rows {
		if !r.origin.Failed() && noise > 0 {
			r.score = squash(r.score + noise*math.Sin(float64(r.cluster)))
		}
	}
	return Job{Model: "flights", Window: testWindow, Tally: tallyOf(t, s, rows, 2, nil), References: map[int]Reference{1: ref}}
}

// TestReportGolden pins the format. Numbers are compared to 1e-6: processors multiply and add with one rounding or
// two. So the id, a digest of exact sums, is not compared.
func TestReportGolden(t *testing.T) {
	job := labelledJob(t, 0, 11)
	job.LeftOut = []LeftOut{{Reason: "unreadable", Count: 1, Unit: UnitObjects, Detail: "a caller's finding"}}
	job.History = []Past{{Window: "2026-11-23", Report: "x", Revision: 1, Version: 1, Rows: 10, Verdict: quality.Fine, Delay: 3600}}
	raw, err := judged(t, job).Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", raw)
	counts, err := job.Tally.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeTally(job.Tally.Setup(), counts); err != nil {
		t.Error(err)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var x, y any
	if err := json.Unmarshal(got, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want, &y); err != nil {
		t.Fatal(err)
	}
	if diff := differs("", x, y); diff != "" {
		if err := os.WriteFile(filepath.Join("testdata", name+".got"), got, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s differs at %s; see %s.got, and run with -update if it should", path, diff, name)
	}
}

// differs is the path of the first difference of two documents.
func differs(at string, x, y any) string {
	switch x := x.(type) {
	case map[string]any:
		y, ok := y.(map[string]any)
		if !ok || !slices.Equal(slices.Sorted(maps.Keys(x)), slices.Sorted(maps.Keys(y))) {
			return at
		}
		for _, k := range slices.Sorted(maps.Keys(x)) {
			if diff := differs(at+"."+k, x[k], y[k]); diff != "" {
				return diff
			}
		}
		return ""
	case []any:
		y, ok := y.([]any)
		if !ok || len(x) != len(y) {
			return at
		}
		for i := range x {
			if diff := differs(fmt.Sprintf("%s[%d]", at, i), x[i], y[i]); diff != "" {
				return diff
			}
		}
		return ""
	case float64:
		if y, ok := y.(float64); ok && math.Abs(x-y) <= 1e-6*math.Max(1, math.Abs(x)) {
			return ""
		}
		return at
	}
	if x == y || at == ".id" || strings.HasSuffix(at, ".report") {
		return ""
	}
	return at
}

func TestVerdicts(t *testing.T) {
	fine := judged(t, labelledJob(t, 0, 12))
	if fine.Verdict != quality.Fine || fine.Champion != 1 || fine.Incomplete {
		t.Errorf("%s: %s", fine.Verdict, fine.Summary)
	}
	v := fine.Version(1)
	if v.Estimate == nil || len(v.Realised) == 0 || v.EstimatedLow != "" {
		t.Errorf("no realised estimate: %+v", v.Estimate)
	}
	if fine.Comparison == nil || fine.Better.Answer != gate.Yes {
		t.Errorf("the challenger: %+v", fine.Better)
	}
	if fine.Versions[0].Version != 1 || fine.Versions[1].Version != 2 || fine.Versions[1].Role != capture.Paired {
		t.Error("the versions are not in order")
	}
	bad := judged(t, labelledJob(t, 0.4, 12))
	if bad.Verdict != quality.Degraded {
		t.Errorf("%s: %s", bad.Verdict, bad.Summary)
	}
	if p := bad.Past(); p.Verdict != quality.Degraded || p.Delay == 0 || len(p.Points) != 1 || p.Points[0].Reference == nil || p.Points[0].EstimateHi == nil {
		t.Errorf("%+v", p)
	}
}

// TestWindowsThatSayNothing: each gives a report that says what is missing.
func TestWindowsThatSayNothing(t *testing.T) {
	ref := testReference(t, 20_000)
	one := func(change func(i int, r *testRow)) Job {
		s := testSetup(ref)
		s.Pairing, s.MatureBefore = nil, testWindow.End
		rows := day(rand.New(rand.NewPCG(1, 1)), 1000, 8, 0, 1)
		for i, r := range rows {
			r.pair = nil
			change(i, r)
		}
		return Job{Window: testWindow, Tally: tallyOf(t, s, rows, 1, nil), References: map[int]Reference{1: ref}}
	}
	for name, tt := range map[string]struct {
		job  Job
		want string
	}{
		"no rows":     {Job{Window: testWindow, Tally: tallyOf(t, testSetup(ref), nil, 1, nil)}, "there are no predictions"},
		"no rows, 1":  {Job{Window: testWindow, Tally: tallyOf(t, testSetup(ref), nil, 1, nil), Champion: 1, References: map[int]Reference{1: ref}}, "there are no predictions"},
		"no labels":   {one(func(_ int, r *testRow) { r.label = math.NaN() }), "have a label (0.0 %)"},
		"few labels":  {one(func(i int, r *testRow) { r.label = r.label + 0/map[bool]float64{true: 1, false: 0}[i%10 < 8] }), "95.0 % are needed"},
		"one label":   {one(func(i int, r *testRow) { r.label = r.label + 0/map[bool]float64{true: 1, false: 0}[i == 5] }), "have a label"},
		"one class":   {one(func(_ int, r *testRow) { r.label = 0 }), `of class "1"`},
		"no scores":   {one(func(_ int, r *testRow) { r.score = math.NaN() }), "rows are judged"},
		"constant":    {one(func(_ int, r *testRow) { r.score = 0.5 }), ""},
		"no maturity": {judgeAt(t, ref, testDay), "no prediction is old enough"},
	} {
		r := judged(t, tt.job)
		if tt.want != "" && (r.Verdict != quality.NotEnoughData || !strings.Contains(r.Summary, tt.want)) {
			t.Errorf("%s: %s: %s", name, r.Verdict, r.Summary)
		}
	}
	r := judged(t, one(func(_ int, r *testRow) { r.label = 0 }))
	if m := r.Version(1).Quality.Metric(quality.ROCAUC); m.Value != nil || m.Reason == "" {
		t.Errorf("one class only: %+v", m)
	}
	if m := r.Version(1).Quality.Metric(quality.BrierScore); m.Value == nil {
		t.Error("one class only: the other metrics are lost")
	}
	noRef := one(func(int, *testRow) {})
	noRef.References = map[int]Reference{1: {Why: "version 1 was registered without labelled rows"}}
	if r := judged(t, noRef); r.Verdict != quality.NotEnoughData || r.Versions[0].NoReference != "version 1 was registered without labelled rows" {
		t.Errorf("%s: %+v", r.Verdict, r.Versions[0].NoReference)
	}
}

// judgeAt is a window whose predictions from mature on are too young.
func judgeAt(t *testing.T, ref Reference, mature time.Time) Job {
	s := testSetup(ref)
	s.MatureBefore, s.Pairing = mature, nil
	return Job{Window: testWindow, Tally: tallyOf(t, s, day(rand.New(rand.NewPCG(1, 1)), 500, 3, 0, 1), 1, nil), References: map[int]Reference{1: ref}}
}

// TestSupersede: late labels give a newer report that says what changed, and the standing is folded anew.
func TestSupersede(t *testing.T) {
	ref := testReference(t, 20_000)
	at := func(labelled float64) Job {
		s := testSetup(ref)
		s.MatureBefore = testWindow.End
		rows := day(rand.New(rand.NewPCG(2, 2)), 4000, 8, 0.05, 1)
		keep := rand.New(rand.NewPCG(3, 3))
		for _, r := range rows {
			if keep.Float64() > labelled {
				r.label = math.NaN()
			}
		}
		return Job{Window: testWindow, Tally: tallyOf(t, s, rows, 1, nil), References: map[int]Reference{1: ref}}
	}
	first := judged(t, at(0.6))
	if first.Verdict != quality.NotEnoughData || first.Revision != 1 {
		t.Fatalf("%s %d", first.Verdict, first.Revision)
	}
	yesterday := Past{Window: "2026-11-23", Report: "y", Revision: 1, Version: 1, Rows: 100, Verdict: quality.Fine}
	second := at(1)
	second.Supersedes, second.History = first, []Past{yesterday, first.Past()}
	r := judged(t, second)
	if r.Revision != 2 || r.Supersedes == nil || r.Supersedes.Report != first.ID {
		t.Fatalf("%+v", r.Supersedes)
	}
	text := strings.Join(r.Supersedes.Changes, "; ")
	for _, want := range []string{"mature predictions have a label instead of", "the verdict is fine instead of not enough data", "roc_auc is 0."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if r.Standing.Before != quality.StandingUnknown || r.Standing.After != quality.StandingOK || !r.Standing.Changed || len(r.History) != 2 {
		t.Errorf("%+v, %d windows", r.Standing, len(r.History))
	}
	again := at(1)
	again.Supersedes, again.History = r, []Past{yesterday, r.Past()}
	if same := judged(t, again); same.ID != r.ID || same.Revision != 2 || !reflect.DeepEqual(same.Supersedes, r.Supersedes) {
		t.Errorf("the same run again: %s, revision %d", same.ID, same.Revision)
	}
}

// TestNewChampion: a version that took over begins with no standing.
func TestNewChampion(t *testing.T) {
	past := func(day string, version int, v quality.Verdict) Past {
		return Past{Window: "2026-11-" + day, Version: version, Rows: 10, Verdict: v}
	}
	windows := []Past{past("01", 1, quality.Degraded), past("02", 1, quality.Degraded)}
	if got := Fold(windows, quality.DefaultDebounce()); got != quality.StandingDegraded {
		t.Error(got)
	}
	windows = append(windows, past("03", 2, quality.Fine))
	if got := Fold(windows, quality.DefaultDebounce()); got != quality.StandingUnknown {
		t.Error(got)
	}
	windows = append(windows, Past{Window: "2026-11-04"}, past("05", 2, quality.Fine))
	if got := Fold(windows, quality.DefaultDebounce()); got != quality.StandingOK {
		t.Error(got)
	}
}

func TestLeftOutAndWarnings(t *testing.T) {
	ref := testReference(t, 20_000)
	trained := *ref.Reference
	trained.TrainingEnd = testDay.Add(time.Hour)
	ref.Reference = &trained
	s := testSetup(ref)
	s.Policy.Key = "tail"
	pinned := origin(3, registry.Pinned, capture.Served, 1)
	rows := day(rand.New(rand.NewPCG(2, 2)), 300, 8, 0, 0.5)
	other := origin(4, registry.Champion, capture.Served, 1)
	rows = append(rows, &testRow{origin: pinned, at: testDay.UnixMilli(), weight: 1, score: 0.1, label: 1}, &testRow{origin: other, at: testDay.UnixMilli(), weight: 1, score: 0.1, label: 1})
	x := tallyOf(t, s, rows, 2, nil)
	x.Join = outcome.Counts{Malformed: 2, LabelsUnmatched: 7, LabelConflicts: 1, SegmentAbsent: map[string]uint64{"carrier": 3}, First: outcome.Problems{Malformed: "a.csv: line 3"}}
	r := judged(t, Job{Window: testWindow, Tally: x, References: map[int]Reference{1: ref}})
	reasons := map[string]uint64{}
	for _, l := range r.LeftOut {
		reasons[l.Reason] = l.Count
		if l.Detail == "" || l.Unit == "" {
			t.Errorf("%+v", l)
		}
	}
	if reasons[LeftMalformed] != 2 || reasons[LeftUnmatched] != 7 || reasons[LeftPinned] != 1 || reasons[LeftYoungPair] == 0 {
		t.Errorf("%v", reasons)
	}
	if r.Version(3) != nil {
		t.Error("pinned rows are measured")
	}
	text := strings.Join(r.Warnings, "; ")
	for _, want := range []string{"not yet due", "1 row have labels that differ", `"carrier" is not in 3 rows`, `key column "tail"`, "before the end of the training of version 1", "2 versions were champion"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
}

func TestMeasuredDelay(t *testing.T) {
	if got := MeasuredDelay([]Past{{Delay: 60}, {Delay: 3600}, {}}); got != time.Hour {
		t.Error(got)
	}
}

func TestRefusedReports(t *testing.T) {
	for _, raw := range []string{"", "{}", `{"v":99,"id":"x","window":{"id":"y"}}`, `{"v":1}`, `{"v":1,"id":"x","window":{"id":"y"},"versions":[{"version":1}]}`} {
		if _, err := ParseReport([]byte(raw)); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	s := testSetup(testReference(t, 1000))
	s.Policy.Metrics = []string{"mae"}
	if _, err := Judge(Job{Window: testWindow, Tally: tallyOf(t, s, nil, 1, nil)}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("%v", err)
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":"x","window":{"id":"2026-11-24"},"versions":[]}`))
	f.Add([]byte(`{"v":1,"id":"x","window":{"id":"y"},"versions":[{"version":1,"quality":{}}],"champion":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := ParseReport(raw)
		if err != nil {
			return
		}
		r.Past()
		if _, err := r.Encode(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestWindowOrder: what is said of a window does not depend on the order of the history.
func TestWindowOrder(t *testing.T) {
	job := judgeAt(t, testReference(t, 20_000), testWindow.End)
	for i := range 40 {
		w := period.At(period.Day, testDay.AddDate(0, 0, -i-1))
		job.History = append(job.History, Past{Window: w.ID, Report: w.ID, Revision: 1, Version: 1, Rows: 5, Verdict: quality.Fine})
	}
	a, _ := judged(t, job).Encode()
	slices.Reverse(job.History)
	if b, _ := judged(t, job).Encode(); !bytes.Equal(a, b) {
		t.Error("the order of the history decides")
	}
}
