package comparison

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/stat"
)

var base = time.Date(2013, 4, 1, 0, 0, 0, 0, time.UTC)

func specOf(task Task) Spec {
	s := Spec{Task: task, Block: Hour, SlowMicros: 30000, Segments: []string{"UA", "", "AA"},
		Champion:   Version{Name: "m@1", Digest: "a", Dataset: "rows", TrainedUntil: base.Add(-time.Hour)},
		Challenger: Version{Name: "m@2", Digest: "b", Dataset: "rows", TrainedUntil: base.Add(-time.Minute)}}
	switch task {
	case Binary:
		scores := make([]float64, 5000)
		rng := rand.New(rand.NewPCG(3, 3))
		for i := range scores {
			scores[i] = rng.Float64()
		}
		s.Champion.Bins, s.Challenger.Bins = score.Freeze(scores), score.Freeze(scores[:20])
	case Multiclass:
		s.Probabilities = true
	}
	return s
}

// drawRow is a row of any task; about every seventh pair is identical.
func drawRow(rng *rand.Rand, s *State) Row {
	r := Row{Time: base.Add(time.Duration(rng.IntN(30*3600)) * time.Second), Group: rng.IntN(stat.KeyGroups),
		Segment: s.Segment([]string{"UA", "AA", "", "B6", "DL"}[rng.IntN(5)]), Label: rng.IntN(2)}
	switch s.spec.Task {
	case Regression:
		r.Target = rng.NormFloat64() * 100
		r.Champion.Score, r.Challenger.Score = r.Target+rng.NormFloat64()*3, r.Target+rng.NormFloat64()*2
	case Multiclass:
		r.Label = rng.IntN(4)
		r.Champion, r.Challenger = Answer{rng.Float64(), rng.IntN(4)}, Answer{rng.Float64(), rng.IntN(4)}
	default:
		r.Champion = answerOf(0.3*rng.Float64() + 0.5*float64(r.Label))
		r.Challenger = answerOf(0.4*rng.Float64() + 0.5*float64(r.Label))
	}
	if rng.IntN(7) == 0 {
		r.Challenger = r.Champion
	}
	return r
}

func answerOf(p float64) Answer {
	if p >= 0.5 {
		return Answer{p, 1}
	}
	return Answer{p, 0}
}

// count puts what belongs to one row into s: the pair, who served it, the request.
func count(t testing.TB, s *State, r *Row, i int) {
	t.Helper()
	side, served := Champion, r.Champion
	if i%4 == 0 {
		side, served = Challenger, r.Challenger
	}
	for _, err := range []error{
		s.Add(r),
		s.AddServed(side, r.Time, r.Label, r.Target, served),
		s.AddRequest(side, r.Time, i%100 == 0, time.Duration(i%40)*time.Millisecond),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if i%50 == 0 {
		s.AddUnmatched(side, 1)
	}
}

func build(t testing.TB, spec Spec) *State {
	t.Helper()
	s, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func encoded(t testing.TB, s *State) []byte {
	t.Helper()
	raw, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestStateDoesNotDependOnSharding(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and the same for long")
	}
	for _, task := range []Task{Binary, Multiclass, Regression} {
		t.Run(string(task), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			whole := build(t, specOf(task))
			rows := make([]Row, 4000)
			for i := range rows {
				rows[i] = drawRow(rng, whole)
				count(t, whole, &rows[i], i)
			}
			want, report := encoded(t, whole), reported(t, whole)
			for _, shards := range []int{1, 7, 100} {
				parts := make([]*State, shards)
				for i := range parts {
					parts[i] = build(t, specOf(task))
				}
				for _, i := range rng.Perm(len(rows)) {
					count(t, parts[rng.IntN(shards)], &rows[i], i)
				}
				merged := build(t, specOf(task))
				for _, i := range rng.Perm(shards) {
					part, err := Decode(encoded(t, parts[i]))
					if err != nil {
						t.Fatal(err)
					}
					if err := merged.Merge(part); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(encoded(t, merged), want) {
					t.Errorf("%d shards give other bytes", shards)
				}
				if got := reported(t, merged); !bytes.Equal(got, report) {
					t.Errorf("%d shards give another report:\n%s\nwant\n%s", shards, got, report)
				}
			}
		})
	}
}

func reported(t testing.TB, s *State) []byte {
	t.Helper()
	r, err := NewReport(s, DefaultPolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestCloneSharesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	s := build(t, specOf(Binary))
	r := drawRow(rng, s)
	count(t, s, &r, 1)
	before := encoded(t, s)
	c, err := s.Clone()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded(t, c), before) {
		t.Error("the copy is another")
	}
	r = drawRow(rng, s)
	count(t, c, &r, 1)
	if !bytes.Equal(encoded(t, s), before) {
		t.Error("a row of the copy is in the original")
	}
}

func TestMergeRefusesAnotherComparison(t *testing.T) {
	a := build(t, specOf(Binary))
	other := specOf(Binary)
	other.Segments = other.Segments[:2]
	if err := a.Merge(build(t, other)); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("other segments: %v", err)
	}
}

func TestRefusedRowsAreCounted(t *testing.T) {
	good := Row{Time: base, Label: 1, Champion: Answer{0.2, 0}, Challenger: Answer{0.7, 1}}
	for name, c := range map[string]struct {
		task   Task
		change func(*Row)
	}{
		"score above 1":       {Binary, func(r *Row) { r.Champion.Score = 1.01 }},
		"score below 0":       {Binary, func(r *Row) { r.Challenger.Score = -0.1 }},
		"NaN":                 {Binary, func(r *Row) { r.Challenger.Score = math.NaN() }},
		"label 2":             {Binary, func(r *Row) { r.Label = 2 }},
		"label before 0":      {Multiclass, func(r *Row) { r.Label = -1 }},
		"class 2":             {Binary, func(r *Row) { r.Champion.Class = 2 }},
		"key group 200":       {Binary, func(r *Row) { r.Group = stat.KeyGroups }},
		"segment beyond":      {Binary, func(r *Row) { r.Segment = 4 }},
		"before 1970":         {Binary, func(r *Row) { r.Time = time.Time{} }},
		"infinite prediction": {Regression, func(r *Row) { r.Champion.Score = math.Inf(1) }},
		"NaN target":          {Regression, func(r *Row) { r.Target = math.NaN() }},
		"error beyond":        {Regression, func(r *Row) { r.Target = 1e200 }},
	} {
		s := build(t, specOf(c.task))
		r := good
		c.change(&r)
		if err := s.Add(&r); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
		if s.Refused() != 1 || s.Pairs() != 0 || len(s.blocks.ids) != 0 {
			t.Errorf("%s: %d refused, %d pairs; nothing of the row may be counted", name, s.Refused(), s.Pairs())
		}
	}
	s := build(t, specOf(Binary))
	if err := s.AddTraffic(Champion, base, Traffic{Requests: 3, Errors: 2, Slow: 2}); !fault.Is(err, fault.InvalidArgument) || s.Refused() != 3 {
		t.Errorf("more failed and slow requests than requests: %v", err)
	}
}
