package comparison

import (
	"math"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/stat"
)

const (
	clip = 1e-6 // of probabilities in the log loss
	// mostError keeps the square of a squared error finite.
	mostError = 1e75
)

// KeyGroup is the group of a row's key (its routing key, else its inference id):
// rows of one key are in one group, so that their dependence shows.
func KeyGroup(key string) int {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h ^= h >> 32
	return int(h % stat.KeyGroups)
}

// Answer is what one version said of a row.
type Answer struct {
	// Score is the probability of the positive class (binary), that of the true class (multiclass
	// with probabilities), or the predicted value (regression).
	Score float64
	Class int // the predicted class: 0 or 1 (binary), or its index
}

// Row is a row that both versions answered and whose label is known.
type Row struct {
	Time    time.Time // of the prediction
	Group   int       // KeyGroup of its key
	Segment int       // State.Segment of its value
	Label   int       // the true class: 0 or 1 (binary), or its index
	Target  float64   // the true value (regression)

	Champion, Challenger Answer
}

// The refusals of rows, made once: they are returned per row.
var (
	errGroup   = fault.Invalid(fault.Violation{Path: "group", Problem: "must be a KeyGroup, 0 to 199"})
	errSegment = fault.Invalid(fault.Violation{Path: "segment", Problem: "must come from State.Segment"})
	errLabel   = fault.Invalid(fault.Violation{Path: "label", Problem: "must be 0 or 1 in a binary task, else at least 0"})
	errClass   = fault.Invalid(fault.Violation{Path: "class", Problem: "must be 0 or 1 in a binary task, else at least 0"})
	errScore   = fault.Invalid(fault.Violation{Path: "score", Problem: "must be a probability, 0 to 1"})
	errValue   = fault.Invalid(fault.Violation{Path: "score", Problem: "must be a finite number within 1e75 of the true value"})
	errTime    = fault.Invalid(fault.Violation{Path: "time", Problem: "must be between 1970 and the year 3880, or block none"})
	errTraffic = fault.Invalid(fault.Violation{Path: "traffic", Problem: "must not have more failed and slow requests than requests"})
	errFull    = fault.New(fault.FailedPrecondition, "a comparison holds at most 2³¹ − 1 pairs: compare a shorter time")
)

// measure checks one answer and returns its losses, whether its class is right, and
// its bin.
func (s *State) measure(side Side, label int, target float64, a *Answer) (losses [maxLosses]float64, right bool, bin int, err *fault.Error) {
	if s.spec.Task == Regression {
		e := a.Score - target
		if !(math.Abs(e) <= mostError) || math.IsInf(a.Score, 0) {
			return losses, false, 0, errValue
		}
		return [maxLosses]float64{math.Abs(e), e * e}, false, 0, nil
	}
	most := math.MaxInt
	if s.spec.Task == Binary {
		most = 1
	}
	switch {
	case label < 0 || label > most:
		return losses, false, 0, errLabel
	case a.Class < 0 || a.Class > most:
		return losses, false, 0, errClass
	}
	right = a.Class == label
	if s.losses == 0 {
		return losses, right, 0, nil
	}
	if !(a.Score >= 0 && a.Score <= 1) {
		return losses, false, 0, errScore
	}
	truth := a.Score // the probability of what happened
	if s.spec.Task == Binary {
		bin = s.bins[side].Index(a.Score)
		if label == 0 {
			truth = 1 - truth
		}
		losses[1] = (1 - truth) * (1 - truth)
	}
	losses[0] = -math.Log(min(max(truth, clip), 1-clip))
	return losses, right, bin, nil
}

// Add counts a pair. A row that cannot be is counted as refused; the error is
// InvalidArgument and names its field, and the comparison goes on.
func (s *State) Add(r *Row) error {
	if err := s.add(r); err != nil {
		s.refused++
		return err
	}
	return nil
}

func (s *State) add(r *Row) *fault.Error {
	switch {
	case s.pairs >= MaxPairs:
		return errFull
	case r.Group < 0 || r.Group >= stat.KeyGroups:
		return errGroup
	case r.Segment < 0 || r.Segment >= len(s.segments):
		return errSegment
	}
	second, block, ok := s.clock(r.Time)
	if !ok {
		return errTime
	}
	a, rightA, binA, err := s.measure(Champion, r.Label, r.Target, &r.Champion)
	if err != nil {
		return err
	}
	b, rightB, binB, err := s.measure(Challenger, r.Label, r.Target, &r.Challenger)
	if err != nil {
		return err
	}
	seg := &s.segments[r.Segment]
	key, at := s.keys.number(uint32(r.Group)), s.blocks.number(blockID(block, r.Segment))
	for _, t := range [...]*tally{s.keys.tallies[key], s.blocks.tallies[at]} {
		t.add(Champion, rightA, a, s.losses)
		t.add(Challenger, rightB, b, s.losses)
	}
	for l := range s.losses {
		seg.squares[0][l].AddSquare(a[l])
		seg.squares[1][l].AddSquare(b[l])
		seg.squares[2][l].AddSquare(b[l] - a[l])
	}
	seg.agree(s.spec.Task, r, rightA, rightB)
	if s.bins[Champion] != nil {
		s.joint.add(jointKey(r.Segment, r.Label, binA, binB), 1)
		for _, m := range [...]struct {
			side Side
			bin  int
		}{{Champion, binA}, {Challenger, binB}} {
			s.keys.margins.add(marginKey(key, m.side, r.Label, m.bin), 1)
			s.blocks.margins.add(marginKey(at, m.side, r.Label, m.bin), 1)
		}
	}
	s.seen(second, second)
	s.pairs++
	return nil
}

// agree counts the label, whether the answers are the same, and which is right.
func (s *segmentSums) agree(task Task, r *Row, rightA, rightB bool) {
	if r.Champion == r.Challenger || task == Regression && r.Champion.Score == r.Challenger.Score {
		s.identical++
	}
	if task == Regression {
		return
	}
	if task == Binary && r.Label == 1 {
		s.positives++
	}
	if r.Champion.Class == r.Challenger.Class {
		s.agreement.SameClass++
	}
	switch {
	case rightA && rightB:
		s.agreement.BothRight++
	case rightA:
		s.agreement.ChampionOnly++
	case rightB:
		s.agreement.ChallengerOnly++
	default:
		s.agreement.BothWrong++
	}
}

// AddServed counts the answer of the version that served a row, paired or not, for
// the differences between slots that are for reading. A row that cannot be counted
// is refused as in Add.
func (s *State) AddServed(side Side, t time.Time, label int, target float64, a Answer) error {
	_, block, ok := s.clock(t)
	if !ok {
		s.refused++
		return errTime
	}
	losses, right, bin, err := s.measure(side, label, target, &a)
	if err != nil {
		s.refused++
		return err
	}
	at := s.served.number(blockID(block, 0))
	s.served.tallies[at].add(side, right, losses, s.losses)
	if s.bins[side] != nil {
		s.served.margins.add(marginKey(at, side, label, bin), 1)
	}
	return nil
}

// AddUnmatched counts n rows with a label that only one side answered.
func (s *State) AddUnmatched(side Side, n uint64) { s.unmatched[side] += n }

// clock is a time in seconds and the block it is in.
func (s *State) clock(t time.Time) (second, block int64, ok bool) {
	length := s.spec.Block.seconds()
	if length == 0 {
		return 0, 0, true
	}
	second = t.Unix()
	block = second / length
	return second, block, second >= 0 && block <= maxBlock
}
