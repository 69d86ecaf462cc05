package quality

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/tidegate/tidegate/shared/evaluation/score"
	"github.com/tidegate/tidegate/shared/fault"
)

// Task is what a model predicts.
type Task string

// The tasks.
const (
	Binary     Task = "binary"
	Multiclass Task = "multiclass"
	Regression Task = "regression"
)

const (
	// MaxClasses is the most classes that are counted: a confusion matrix has their square of cells.
	MaxClasses = 100
	// BlockSlots is the number of time blocks that are told apart. Blocks whose numbers differ by a multiple
	// of it are taken as one, which makes a standard error larger at most.
	BlockSlots = 1024
)

// Layout is what states of one window must have in common to be added: the task,
// the classes and the bins. It is not changed once a state was made of it.
type Layout struct {
	Task    Task     `json:"task"`
	Classes []string `json:"classes,omitempty"` // of binary: the negative one, the positive one
	// Bins of the scores: one of a binary task, one a class of a multiclass task.
	Bins []*score.Bins `json:"bins,omitempty"`

	digest  [sha256.Size]byte
	offsets []int // of each class's cells in the histogram of a state, and their end
}

// NewBinary is the layout of a binary task. Without classes they are called "0" and "1".
func NewBinary(bins *score.Bins, classes ...string) (*Layout, error) {
	if len(classes) == 0 {
		classes = []string{"0", "1"}
	}
	l := &Layout{Task: Binary, Classes: classes, Bins: []*score.Bins{bins}}
	return l, l.seal()
}

// NewMulticlass is the layout of a task of several classes, bins by class.
func NewMulticlass(classes []string, bins []*score.Bins) (*Layout, error) {
	l := &Layout{Task: Multiclass, Classes: classes, Bins: bins}
	return l, l.seal()
}

// NewRegression is the layout of a regression.
func NewRegression() *Layout {
	l := &Layout{Task: Regression}
	if err := l.seal(); err != nil {
		panic(err) // a constant
	}
	return l
}

// Equal says whether states of both layouts can be added.
func (l *Layout) Equal(o *Layout) bool { return l == o || l.digest == o.digest }

// UnmarshalJSON reads a stored layout and refuses what does not fit together.
func (l *Layout) UnmarshalJSON(raw []byte) error {
	type plain Layout
	var p plain
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	*l = Layout(p)
	return l.seal()
}

// seal checks the layout, InvalidArgument, and computes what is derived from it.
func (l *Layout) seal() error {
	classes, bins := 0, 0
	switch l.Task {
	case Binary:
		classes, bins = 2, 1
	case Multiclass:
		classes = len(l.Classes)
		bins = classes
		if classes < 2 || classes > MaxClasses {
			return fault.New(fault.InvalidArgument, "classes must be 2 to %d, and are %d", MaxClasses, classes)
		}
	case Regression:
	default:
		return fault.New(fault.InvalidArgument, "task must be one of: binary, multiclass, regression")
	}
	if len(l.Classes) != classes || len(l.Bins) != bins {
		return fault.New(fault.InvalidArgument, "a %s task needs %d classes and %d sets of score bins, and has %d and %d", l.Task, classes, bins, len(l.Classes), len(l.Bins))
	}
	seen := map[string]bool{}
	for i, c := range l.Classes {
		if seen[c] {
			return fault.New(fault.InvalidArgument, "classes[%d] is there twice", i)
		}
		seen[c] = true
	}
	l.offsets = []int{0}
	for i, b := range l.Bins {
		if b == nil {
			return fault.New(fault.InvalidArgument, "bins[%d] is missing", i)
		}
		l.offsets = append(l.offsets, l.offsets[i]+l.width(b))
	}
	raw, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("quality: layout: %w", err)
	}
	l.digest = sha256.Sum256(raw)
	return nil
}

// width is the number of histogram cells on b. Binary: bin × label × predicted
// class, and one bin more for rows without a score. Multiclass: bin × label.
func (l *Layout) width(b *score.Bins) int {
	if l.Task == Binary {
		return 6 * (b.Len() + 1)
	}
	return 3 * b.Len()
}

// groupWidth is the number of cells of a key group or time block. Binary: bin ×
// label × predicted class. Multiclass: label × predicted class.
func (l *Layout) groupWidth() int {
	switch l.Task {
	case Binary:
		return 4 * (l.Bins[0].Len() + 1)
	case Multiclass:
		return len(l.Classes) * len(l.Classes)
	}
	return 0
}

// HashKey hashes the key that dependent rows have in common, such as an entity's
// name; the inference id where there is none. (FNV-1a with a final mix, so that the
// group is not decided by the last bytes alone.)
func HashKey(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}
