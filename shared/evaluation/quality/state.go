package quality

import (
	"math"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/stat"
)

// NoClass stands for a predicted class that a row does not have.
const NoClass = -1

// Row is one prediction, with its label where it is known.
type Row struct {
	Score  float64   // binary: of the positive class; NaN where there is none
	Scores []float64 // multiclass: by class; nil where there are none
	// Class is the predicted class. NoClass is that of the scores: the positive one from 0.5 on, if the score
	// is in [0, 1]; the first of the largest scores of several classes.
	Class int
	Value float64 // regression: the prediction

	Labelled bool
	Label    int     // class; one outside of the classes is counted and taken as no label
	Truth    float64 // regression; one that is not finite is counted and taken as no label
	// Mature says that the prediction is old enough for its label to be expected: only such labels are
	// judged, since the early ones are no random part.
	Mature bool
	Key    uint64 // HashKey of what dependent rows have in common
	Block  int64  // number of the block of time, such as hours since 1970
}

// Counts are the rows of a state. Predictions = Unusable + those that a metric of
// unlabelled rows counts; Judged ≤ Labelled.
type Counts struct {
	Predictions uint64 `json:"predictions"`
	Labelled    uint64 `json:"labelled"`        // with a usable label
	Mature      uint64 `json:"mature"`          // predictions old enough
	MatureLabel uint64 `json:"mature_labelled"` // of them, with a usable label
	Judged      uint64 `json:"judged"`          // of them, with a usable prediction: what the metrics are of

	Unusable   uint64 `json:"unusable,omitempty"`     // neither score nor class, or a value that is not finite
	NoScore    uint64 `json:"no_score,omitempty"`     // usable, but without finite scores
	OutOfRange uint64 `json:"out_of_range,omitempty"` // with a score outside [0, 1]
	NoClass    uint64 `json:"no_class,omitempty"`     // of them, binary, without a predicted class
	BadLabels  uint64 `json:"bad_labels,omitempty"`   // outside of the classes, or not finite
	ZeroLabels uint64 `json:"zero_labels,omitempty"`  // judged, regression: |error/label| is undefined, or beyond 1e140
}

// Coverage is the share of mature predictions whose label is known; 0 of none.
func (c *Counts) Coverage() float64 {
	if c.Mature == 0 {
		return 0
	}
	return float64(c.MatureLabel) / float64(c.Mature)
}

func (c *Counts) fields() []*uint64 {
	return []*uint64{&c.Predictions, &c.Labelled, &c.Mature, &c.MatureLabel, &c.Judged,
		&c.Unusable, &c.NoScore, &c.OutOfRange, &c.NoClass, &c.BadLabels, &c.ZeroLabels}
}

func (c *Counts) merge(o *Counts) {
	from := o.fields()
	for i, f := range c.fields() {
		*f += *from[i]
	}
}

// cell is what one cell of a histogram of scores holds.
type cell struct {
	n   uint64
	sum fixed // of the scores
}

// State is the mergeable state of one version, slot and segment of a window, at
// one sampling probability. Its bytes do not depend on how rows were split or
// ordered. It is not safe for concurrent use.
//
// Memory: a binary state takes 24 bytes × 6 × (bins+1) and at most 16 bytes ×
// (bins+1) for each key group and time block with rows, so 0.14 MB + 3.2 MB + 0.4 MB
// with 1,000 bins and a day of hours; less where rows are few.
type State struct {
	Counts Counts

	layout      *Layout
	hist        []cell        // see Layout.width; labels are 0, 1 and none
	lossSquares [losses]fixed // of the judged rows
	keys        groups
	blocks      groups
}

// NewState is an empty state.
func NewState(l *Layout) *State {
	return &State{layout: l, hist: make([]cell, l.offsets[len(l.offsets)-1]), keys: make(groups, stat.KeyGroups), blocks: make(groups, BlockSlots)}
}

// Layout is what the state was made of.
func (s *State) Layout() *Layout { return s.layout }

// Add counts a row.
func (s *State) Add(r *Row) {
	s.Counts.Predictions++
	if r.Mature {
		s.Counts.Mature++
	}
	labelled := r.Labelled
	if labelled {
		if s.layout.Task == Regression {
			labelled = usable(r.Truth)
		} else {
			labelled = uint(r.Label) < uint(len(s.layout.Classes))
		}
		if labelled {
			s.Counts.Labelled++
		} else {
			s.Counts.BadLabels++
		}
	}
	judged := labelled && r.Mature
	if judged {
		s.Counts.MatureLabel++
	}
	switch s.layout.Task {
	case Binary:
		s.binary(r, judged)
	case Multiclass:
		s.multiclass(r, judged)
	default:
		s.regression(r, judged)
	}
}

// usable says whether squares of a regression's number can be added up without overflow.
func usable(x float64) bool { return math.Abs(x) < 1e140 }

// groupsOf are the groups that a judged row belongs to.
func (s *State) groupsOf(r *Row) (key, block *group) {
	w := s.layout.groupWidth()
	s.Counts.Judged++
	key = s.keys.at(int(r.Key%stat.KeyGroups), w)
	block = s.blocks.at(int(uint64(r.Block)%BlockSlots), w)
	key.rows++
	block.rows++
	return key, block
}

// Merge adds o, which stays as it is. Of another layout it is FailedPrecondition:
// the rows have to be counted again.
func (s *State) Merge(o *State) error {
	if !s.layout.Equal(o.layout) {
		return fault.New(fault.FailedPrecondition, "the counts are of another task, other classes or other score bins; count the rows again on the same reference")
	}
	s.Counts.merge(&o.Counts)
	for i := range s.hist {
		s.hist[i].n += o.hist[i].n
		s.hist[i].sum.merge(o.hist[i].sum)
	}
	for i := range s.lossSquares {
		s.lossSquares[i].merge(o.lossSquares[i])
	}
	if s.keys == nil || o.keys == nil {
		s.keys, s.blocks = nil, nil // a part is not known
		return nil
	}
	w := s.layout.groupWidth()
	if err := s.keys.merge(o.keys, w); err != nil {
		return err
	}
	return s.blocks.merge(o.blocks, w)
}
