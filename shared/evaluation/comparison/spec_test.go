package comparison

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/stat"
)

func TestSpecRefusesNonsense(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Spec)
		kind   fault.Kind
	}{
		"itself":           {func(s *Spec) { s.Challenger.Name = s.Champion.Name }, fault.FailedPrecondition},
		"the same digest":  {func(s *Spec) { s.Challenger.Digest = s.Champion.Digest }, fault.FailedPrecondition},
		"other data":       {func(s *Spec) { s.Challenger.Dataset = "others" }, fault.FailedPrecondition},
		"no task":          {func(s *Spec) { s.Task = "ranking" }, fault.InvalidArgument},
		"no block":         {func(s *Spec) { s.Block = "week" }, fault.InvalidArgument},
		"bins of one side": {func(s *Spec) { s.Challenger.Bins = nil }, fault.InvalidArgument},
		"no name":          {func(s *Spec) { s.Champion.Name = "" }, fault.InvalidArgument},
		"no digest":        {func(s *Spec) { s.Challenger.Digest = "" }, fault.InvalidArgument},
		"a segment twice":  {func(s *Spec) { s.Segments = []string{"x", "x"} }, fault.InvalidArgument},
		"21 segments":      {func(s *Spec) { s.Segments = names(21) }, fault.InvalidArgument},
		"bins elsewhere":   {func(s *Spec) { s.Task = Regression }, fault.InvalidArgument},
		"probabilities":    {func(s *Spec) { s.Probabilities = true }, fault.InvalidArgument},
		"slow before 0":    {func(s *Spec) { s.SlowMicros = -1 }, fault.InvalidArgument},
	} {
		s := specOf(Binary)
		c.change(&s)
		if _, err := New(s); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
		}
	}
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint("s", i)
	}
	return out
}

func TestAdmissible(t *testing.T) {
	s := build(t, specOf(Binary))
	if err := s.Add(&Row{Time: base.Add(-2 * time.Minute)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Admissible(); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("a row from before the challenger's training ended: %v", err)
	}
	pinned := specOf(Binary)
	pinned.Pinned = true
	s = build(t, pinned)
	s.AddUnmatched(Challenger, 1)
	if err := s.Admissible(); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("pinned rows that one side did not answer: %v", err)
	}
}

func TestKeyGroupsAreEven(t *testing.T) {
	var counts [stat.KeyGroups]int
	for i := range 200 * stat.KeyGroups {
		counts[KeyGroup(fmt.Sprintf("customer-%d", i))]++
	}
	for g, n := range counts {
		if n < 120 || n > 280 {
			t.Errorf("group %d holds %d of 40000 keys", g, n)
		}
	}
}

func TestChooseSegments(t *testing.T) {
	counts := map[string]Counts{"big": {5000, 100, 4900}, "": {900, 60, 840}, "twin b": {900, 60, 840}, "twin a": {900, 60, 840},
		"one class": {9000, 3, 8997}, "small": {499, 200, 299}}
	for i := range 10000 {
		counts[fmt.Sprint("tail", i)] = Counts{1, 0, 1}
	}
	if got, want := fmt.Sprintf("%q", ChooseSegments(counts, Binary, 3, 500, 50)), `["big" "" "twin a"]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := ChooseSegments(counts, Regression, 1, 500, 50); len(got) != 1 || got[0] != "one class" {
		t.Errorf("classes matter only to a binary task: %q", got)
	}
}
