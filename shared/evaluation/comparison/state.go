package comparison

import (
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
)

// MaxPairs is the number of pairs up to which sums are exact.
const MaxPairs = 1<<31 - 1

// State is what is kept of pairs. It is made by [New] or [Decode] and not safe for
// several goroutines. Its size depends on the bins, the hours and the segments, not
// on the rows: tens of megabytes at most for a week of hours with bins of 1,000 values.
type State struct {
	spec   Spec
	text   string // of the spec, to compare it
	bins   [2]*score.Bins
	losses int // how many losses have sums

	pairs     uint64
	refused   uint64
	unmatched [2]uint64
	first     int64 // seconds, where there are pairs
	latest    int64

	segments []segmentSums // of Spec.Segments, and the rest
	joint    cells         // (segment, label, champion bin, challenger bin)
	keys     groups        // by hash group of the key
	blocks   groups        // by time block and segment
	served   groups        // by time block, of the slot that answered
	traffic  map[int64]*[2]Traffic
}

// New returns a state without pairs. The errors are those of [Spec.Check].
func New(spec Spec) (*State, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	text, err := spec.text()
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the spec of the comparison cannot be encoded")
	}
	spec.Segments = slices.Clone(spec.Segments)
	return &State{spec: spec, text: text, bins: [2]*score.Bins{spec.Champion.Bins, spec.Challenger.Bins},
		losses: len(spec.losses()), segments: make([]segmentSums, len(spec.Segments)+1), traffic: map[int64]*[2]Traffic{}}, nil
}

// Spec is what the state was made with; it must not be changed.
func (s *State) Spec() *Spec { return &s.spec }

// Segment is the number of a segment's value for [Row]: that of "other" where the
// value is not looked at apart.
func (s *State) Segment(value string) int {
	if i := slices.Index(s.spec.Segments, value); i >= 0 {
		return i
	}
	return len(s.spec.Segments)
}

// Pairs is the number of pairs.
func (s *State) Pairs() uint64 { return s.pairs }

// Identical is the number of pairs whose answers are the same.
func (s *State) Identical() uint64 {
	var n uint64
	for i := range s.segments {
		n += s.segments[i].identical
	}
	return n
}

// Unmatched are the rows that only the champion, and only the challenger, answered.
func (s *State) Unmatched() [2]uint64 { return s.unmatched }

// Refused is the number of rows that could not be counted.
func (s *State) Refused() uint64 { return s.refused }

// Span is the time of the first and the last pair; zero without pairs or times.
func (s *State) Span() (first, last time.Time) {
	if s.pairs == 0 || s.spec.Block == NoTime {
		return time.Time{}, time.Time{}
	}
	return time.Unix(s.first, 0).UTC(), time.Unix(s.latest, 0).UTC()
}

// Blocks is the number of time blocks with pairs.
func (s *State) Blocks() int {
	n, before := 0, int64(-1)
	for _, i := range s.blocks.order() {
		if block, _ := splitBlock(s.blocks.ids[i]); block != before {
			n, before = n+1, block
		}
	}
	return n
}

// Agreement counts all pairs by which side has the class right.
func (s *State) Agreement() Agreement {
	var a Agreement
	for i := range s.segments {
		a.add(s.segments[i].agreement)
	}
	return a
}

// seen extends the span; it is called before pairs grows.
func (s *State) seen(first, last int64) {
	if s.pairs == 0 {
		s.first, s.latest = first, last
		return
	}
	s.first, s.latest = min(s.first, first), max(s.latest, last)
}

// Merge adds the pairs of o, which stays as it is. FailedPrecondition: o was counted
// under another spec, or there would be too many pairs.
func (s *State) Merge(o *State) error {
	if s.text != o.text {
		return fault.New(fault.FailedPrecondition, "pairs of another comparison cannot be added: versions, data, bins, segments and blocks must be the same")
	}
	if s.pairs+o.pairs > MaxPairs {
		return fault.New(fault.FailedPrecondition, "a comparison holds at most %d pairs: compare a shorter time", MaxPairs)
	}
	if o.pairs > 0 {
		s.seen(o.first, o.latest)
	}
	s.pairs += o.pairs
	s.refused += o.refused
	for side := range s.unmatched {
		s.unmatched[side] += o.unmatched[side]
	}
	for i := range s.segments {
		s.segments[i].merge(&o.segments[i])
	}
	s.joint.merge(&o.joint)
	s.keys.merge(&o.keys)
	s.blocks.merge(&o.blocks)
	s.served.merge(&o.served)
	for hour, t := range o.traffic {
		mine := s.hour(hour)
		mine[0].add(t[0])
		mine[1].add(t[1])
	}
	return nil
}

// Admissible refuses pairs that prove nothing. FailedPrecondition: a pair from
// before the end of either version's training, or other rows on the two sides of a
// pinned comparison.
func (s *State) Admissible() error {
	if s.spec.Pinned && (s.unmatched[0] > 0 || s.unmatched[1] > 0) {
		return fault.New(fault.FailedPrecondition, "the versions were scored on other rows (%d rows have only the champion's answer, %d only the challenger's): score both on the same rows", s.unmatched[0], s.unmatched[1])
	}
	first, _ := s.Span()
	if first.IsZero() {
		return nil
	}
	for i, v := range []*Version{&s.spec.Champion, &s.spec.Challenger} {
		if first.Before(v.TrainedUntil.Truncate(time.Second)) {
			return fault.New(fault.FailedPrecondition, "the evidence begins at %s, before the end of the %s's training at %s: use later rows only",
				first.Format(time.RFC3339), Side(i), v.TrainedUntil.UTC().Format(time.RFC3339))
		}
	}
	return nil
}
