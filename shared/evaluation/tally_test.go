package evaluation

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/registry"
)

// TestAnySharding: the same bytes for any number of shards, order of rows and of
// merges, with few segments, with more than are kept, with chosen ones, and with too many.
func TestAnySharding(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and the same for long")
	}
	ref := testReference(t, 6000)
	few, many := day(rand.New(rand.NewPCG(1, 1)), 1500, 8, 0.05, 0.9), day(rand.New(rand.NewPCG(1, 2)), 1500, 40, 0.05, 0.9)
	for name, tt := range map[string]struct {
		rows   []*testRow
		chosen []string
	}{"few": {few, nil}, "many": {many, nil}, "chosen": {many, []string{"s00", "s03", "never"}}} {
		t.Run(name, func(t *testing.T) {
			s := testSetup(ref)
			if tt.chosen != nil {
				s.Chosen = map[string][]string{"carrier": tt.chosen}
			}
			whole := tallyOf(t, s, tt.rows, 1, nil)
			want := encoded(t, whole)
			report, err := Judge(Job{Model: "m", Window: testWindow, Tally: whole, References: map[int]Reference{1: ref}})
			if err != nil {
				t.Fatal(err)
			}
			wantReport, _ := report.Encode()
			for i := range 6 {
				order := rand.New(rand.NewPCG(uint64(i), 7))
				x := tallyOf(t, s, tt.rows, 1+i*3, order)
				if !bytes.Equal(encoded(t, x), want) {
					t.Fatalf("%d shards: the bytes differ", 1+i*3)
				}
				if i%3 != 0 {
					continue
				}
				again, err := DecodeTally(s, want)
				if err != nil {
					t.Fatal(err)
				}
				for _, one := range []*Tally{x, again} {
					r, err := Judge(Job{Model: "m", Window: testWindow, Tally: one, References: map[int]Reference{1: ref}})
					if err != nil {
						t.Fatal(err)
					}
					if got, _ := r.Encode(); !bytes.Equal(got, wantReport) {
						t.Fatal("the report differs")
					}
				}
			}
		})
	}
}

// TestMergeAfterDecode: a stored part goes on as if it had never been stored.
func TestMergeAfterDecode(t *testing.T) {
	ref := testReference(t, 6000)
	s := testSetup(ref)
	rows := day(rand.New(rand.NewPCG(3, 3)), 2000, 8, 0, 0.5)
	a, b := tallyOf(t, s, rows[:900], 2, nil), tallyOf(t, s, rows[900:], 3, nil)
	total, err := DecodeTally(s, encoded(t, a))
	if err != nil {
		t.Fatal(err)
	}
	if err := total.Merge(b); err != nil {
		t.Fatal(err)
	}
	want := tallyOf(t, s, rows, 1, nil)
	if !bytes.Equal(encoded(t, total), encoded(t, want)) {
		t.Error("the bytes differ")
	}
}

func TestTallyCounts(t *testing.T) {
	ref := testReference(t, 6000)
	s := testSetup(ref)
	rows := day(rand.New(rand.NewPCG(4, 4)), 2000, 8, 0, 0.5)
	var served, failed, pairs, young uint64
	for _, r := range rows {
		if r.origin.Failed() {
			failed++
			continue
		}
		served++
		if r.label == r.label {
			if r.at < s.MatureBefore.UnixMilli() {
				pairs++
			} else {
				young++
			}
		}
	}
	x := tallyOf(t, s, rows, 3, rand.New(rand.NewPCG(1, 1)))
	c := x.cells[cellKey{1, registry.Champion, capture.Served, 0.5}]
	if c.state.Counts.Predictions != served || c.errors != failed || c.requests != served+failed {
		t.Errorf("%d rows, %d requests, %d errors", c.state.Counts.Predictions, c.requests, c.errors)
	}
	if x.Pairs().Pairs() != pairs || x.notes.YoungPairs != young || young == 0 {
		t.Errorf("%d pairs and %d young ones, want %d and %d", x.Pairs().Pairs(), x.notes.YoungPairs, pairs, young)
	}
	if got := x.Pairs().Requests(0); got != served+failed {
		t.Errorf("%d requests", got)
	}
	if d, n := x.LabelDelay(); n == 0 || d < 55*time.Minute || d > 64*time.Minute {
		t.Errorf("delay %v of %d", d, n)
	}
}

// TestAddAllocatesNothing: nor searches, a row.
func TestAddAllocatesNothing(t *testing.T) {
	ref := testReference(t, 6000)
	s := testSetup(ref)
	x, err := NewTally(s)
	if err != nil {
		t.Fatal(err)
	}
	names := newNames()
	b := batchOf(day(rand.New(rand.NewPCG(5, 5)), 1000, 8, 0, 0.5), names)
	for range 5 { // until the groups have their cells
		if err := x.Add(b, names); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(5, func() { _ = x.Add(b, names) }); n > 2 {
		t.Errorf("%v allocations a batch of %d rows", n, b.Rows)
	}
}

func TestWeights(t *testing.T) {
	ref := testReference(t, 6000)
	s := &Setup{Task: quality.Binary, Policy: quality.DefaultPolicy(), Versions: []Version{{1, ref.Reference.Layout}}}
	from := origin(1, registry.Champion, capture.Served, 1)
	var rows []*testRow
	for i, w := range []float64{1, 2, 0.25, 0, -1, math.NaN(), math.Inf(1), 3} {
		rows = append(rows, &testRow{origin: from, at: int64(i + 1), weight: w, score: 0.5, label: 1})
	}
	x := tallyOf(t, s, rows, 2, nil)
	if x.notes.ZeroWeights != 1 || x.notes.BadWeights != 3 || x.Rows() != 4 {
		t.Errorf("%+v, %d rows", x.notes, x.Rows())
	}
	r, err := Judge(Job{Window: testWindow, Tally: x, References: map[int]Reference{1: ref}})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Version(1).Quality.Confusion.Rows[1][1]; math.Abs(got-25) > 1e-9 { // Σ of the weights, the least being 1
		t.Errorf("the rows weigh %v", got)
	}
	x, err = NewTally(s)
	if err != nil {
		t.Fatal(err)
	}
	rows = rows[:0]
	for i := range 300 {
		rows = append(rows, &testRow{origin: from, weight: 1 + float64(i)/7, score: 0.5, label: 1})
	}
	if err := x.Add(batchOf(rows, newNames()), newNames()); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("%v", err)
	}
}

func TestChoose(t *testing.T) {
	ref := testReference(t, 6000)
	s := testSetup(ref)
	rows := day(rand.New(rand.NewPCG(6, 6)), 4000, 40, 0, 0.5)
	x := tallyOf(t, s, rows, 3, nil)
	chosen, again := x.Choose()
	if !again || len(chosen["carrier"]) != 5 || chosen["carrier"][0] != "s00" {
		t.Fatalf("%v %v", chosen, again)
	}
	s.Chosen = chosen
	x = tallyOf(t, s, rows, 3, nil)
	if _, again := x.Choose(); again {
		t.Error("chosen again")
	}
	r, err := Judge(Job{Window: testWindow, Tally: x, References: map[int]Reference{1: ref}})
	if err != nil {
		t.Fatal(err)
	}
	seg := r.Version(1).Segments[0]
	var n uint64
	for _, v := range seg.Segments {
		n += v.Counts.Predictions
	}
	if len(seg.Segments) != 5 || seg.Values < 30 || seg.Other == nil || n+seg.Other.Counts.Predictions != r.Version(1).Quality.Counts.Predictions {
		t.Errorf("%d segments of %d values, with %d rows", len(seg.Segments), seg.Values, n)
	}
}

// TestTooManyValues: a column of ids is no segment, whatever comes first.
func TestTooManyValues(t *testing.T) {
	s := &Setup{Task: quality.Regression, Policy: testPolicy()}
	from := origin(1, registry.Champion, capture.Served, 1)
	part := func(first, n int) *Tally {
		x, err := NewTally(s)
		if err != nil {
			t.Fatal(err)
		}
		names := newNames()
		var rows []*testRow
		for i := range n {
			rows = append(rows, &testRow{origin: from, at: 1, weight: 1, score: 1, label: 2, segment: fmt.Sprint(first + i)})
		}
		if err := x.Add(batchOf(rows, names), names); err != nil {
			t.Fatal(err)
		}
		return x
	}
	merge := func(parts ...*Tally) []byte {
		x, err := NewTally(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if err := x.Merge(p); err != nil {
				t.Fatal(err)
			}
		}
		if _, again := x.Choose(); again {
			t.Error("nothing can be chosen")
		}
		r, err := Judge(Job{Window: testWindow, Tally: x})
		if err != nil {
			t.Fatal(err)
		}
		if note := r.Version(1).Segments[0].Note; note == "" {
			t.Error("the report does not say why there are no segments")
		}
		return encoded(t, x)
	}
	a, b, c := part(0, 60_000), part(40_000, 60_000), part(100_000, 1)
	if !bytes.Equal(merge(a, b, c), merge(c, b, a)) {
		t.Error("the order decides")
	}
}

func TestSetupRefused(t *testing.T) {
	ref := testReference(t, 6000)
	three, err := UniformLayout(quality.Multiclass, []string{"a", "b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*Setup)
		kind   fault.Kind
	}{
		"task":         {func(s *Setup) { s.Task = "ranking" }, fault.InvalidArgument},
		"policy":       {func(s *Setup) { s.Policy.Alpha = 2 }, fault.InvalidArgument},
		"no classes":   {func(s *Setup) { s.Task, s.Versions = quality.Multiclass, nil }, fault.InvalidArgument},
		"other task":   {func(s *Setup) { s.Versions[0].Layout = three }, fault.FailedPrecondition},
		"classes":      {func(s *Setup) { s.Classes = []string{"no", "yes"} }, fault.FailedPrecondition},
		"twice":        {func(s *Setup) { s.Versions[1].Version = 1 }, fault.InvalidArgument},
		"no layout":    {func(s *Setup) { s.Versions[1].Layout = nil }, fault.InvalidArgument},
		"same version": {func(s *Setup) { s.Pairing.Challenger = 1 }, fault.FailedPrecondition},
		"same digest":  {func(s *Setup) { s.Pairing.Spec.Challenger.Digest = "sha256:1" }, fault.FailedPrecondition},
		"other rows":   {func(s *Setup) { s.Pairing.Spec.Challenger.Dataset = "other" }, fault.FailedPrecondition},
	} {
		s := testSetup(ref)
		tt.change(s)
		if _, err := NewTally(s); !fault.Is(err, tt.kind) {
			t.Errorf("%s: %v, want %s", name, err, tt.kind)
		}
	}
	a, b := testSetup(ref), testSetup(ref)
	b.MatureBefore = testDay
	x, y := tallyOf(t, a, nil, 1, nil), tallyOf(t, b, nil, 1, nil)
	if err := x.Merge(y); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("%v", err)
	}
	if _, err := DecodeTally(b, encoded(t, x)); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("%v", err)
	}
	if err := x.Add(&outcome.Batch{}, newNames()); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("%v", err)
	}
}

func TestDelayCells(t *testing.T) {
	last := -1
	for _, ms := range []int64{-5, 0, 1, 2, 3, 17, 1000, 3_600_000, 86_400_000, 31 * 86_400_000, math.MaxInt64} {
		c := delayCell(ms)
		if c < last || c >= delayCells {
			t.Errorf("%d ms is in cell %d after %d", ms, c, last)
		}
		last = c
		if up := upper(c); ms > 0 && ms < 1<<46 && (up <= ms || float64(up) > float64(ms)*17/16+1) {
			t.Errorf("%d ms: a cell up to %d", ms, up)
		}
	}
}

func FuzzDecodeTally(f *testing.F) {
	layout, err := quality.NewBinary(score.Uniform(3))
	if err != nil {
		f.Fatal(err)
	}
	s := testSetup(testReference(f, 1000))
	s.Versions = []Version{{1, layout}, {2, layout}}
	s.Pairing.Spec.Champion.Bins, s.Pairing.Spec.Challenger.Bins = layout.Bins[0], layout.Bins[0]
	f.Add(encoded(f, tallyOf(f, s, nil, 1, nil)))
	f.Add(encoded(f, tallyOf(f, s, day(rand.New(rand.NewPCG(1, 1)), 4, 3, 0, 0.5), 1, nil)))
	of := tallyOf(f, s, nil, 1, nil)
	f.Add([]byte(`{"v":1,"setup":"x"}`))
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := of.Decode(raw)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Internal && k != fault.FailedPrecondition {
				t.Fatalf("%v", err)
			}
			return
		}
		if !bytes.Equal(encoded(t, x), raw) {
			t.Fatal("a stored tally is not in its one form")
		}
	})
}
