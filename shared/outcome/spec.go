package outcome

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/label"
	"github.com/tidegate/tidegate/shared/schema"
	"github.com/tidegate/tidegate/shared/tensor"
)

const (
	// MaxClasses bounds the classes: each has a score a row.
	MaxClasses = 1000
	// MaxSegments bounds the segment columns of one join.
	MaxSegments = 32
)

// Spec says what a model's outcomes consist of.
type Spec struct {
	Task schema.Task
	// Classes are the names of the classes, in the order of their scores; of two classes the last one is
	// the positive one. Empty stands for "0" and "1" of a binary task, where true and false are taken too.
	Classes []string
	// Score is the output that holds the scores (binary: of the positive class, or of both; multiclass: of each
	// class; regression: the value), Prediction the one that holds the predicted class. Either may be "".
	Score, Prediction string
	// Segments are input columns whose values come along with every outcome.
	Segments []string
	// Key is an input column of captured records whose rows depend on each other: [Batch].Cluster is then of
	// its value, where a row has one. [Names].Key is that of a file.
	Key string `json:",omitempty"`
}

// SpecOf finds the outputs of a model: the first output of floats holds the scores,
// the first one of anything else the predicted class.
func SpecOf(task schema.Task, sig schema.Signature, classes, segments []string) (Spec, error) {
	s := Spec{Task: task, Classes: classes, Segments: segments}
	for _, out := range sig.Outputs {
		switch out.Datatype {
		case tensor.FP16, tensor.FP32, tensor.FP64:
			if s.Score == "" {
				s.Score = out.Name
			}
		default:
			if s.Prediction == "" && task != schema.Regression {
				s.Prediction = out.Name
			}
		}
	}
	return s, s.Check()
}

// Check finds what is wrong with the spec. Errors: InvalidArgument.
func (s *Spec) Check() error {
	var faults []fault.Violation
	add := func(field, problem string) { faults = append(faults, fault.Violation{Path: field, Problem: problem}) }
	switch s.Task {
	case schema.Binary:
		if n := len(s.Classes); n != 0 && n != 2 {
			add("classes", "must be two for a binary task, or none for 0 and 1")
		}
	case schema.Multiclass:
		if n := len(s.Classes); n < 2 || n > MaxClasses {
			add("classes", "must be named for a multiclass task, at least 2 and at most 1000, in the order of the scores")
		}
	case schema.Regression:
		if len(s.Classes) > 0 {
			add("classes", "must be empty for a regression")
		}
	default:
		add("task", "must be binary_classification, multiclass_classification or regression")
	}
	if s.Score == "" && s.Prediction == "" {
		add("score", "neither scores nor predictions are named; name the column of one of them")
	}
	if s.Task == schema.Regression && s.Score == "" {
		add("score", "must name the predicted value of a regression")
	}
	if len(s.Segments) > MaxSegments {
		add("segments", "must be at most "+strconv.Itoa(MaxSegments)+" columns")
	}
	for what, names := range map[string][]string{"classes": s.Classes, "segments": s.Segments} {
		sorted := slices.Sorted(slices.Values(names))
		if len(slices.Compact(sorted)) != len(names) {
			add(what, "must not name one twice")
		}
	}
	slices.SortFunc(faults, func(a, b fault.Violation) int { return strings.Compare(a.Path, b.Path) })
	if faults != nil {
		return fault.Invalid(faults...)
	}
	return nil
}

// width is the number of scores of a row in a batch.
func (s *Spec) width() int {
	switch {
	case s.Score == "":
		return 0
	case s.Task == schema.Multiclass:
		return len(s.Classes)
	}
	return 1
}

// classes finds the class of a value. Classes are numbered in the order of their scores.
type classes struct {
	names  map[string]int32
	number map[float64]int32
	rank   []int // by class, in the order of label.Compare: what decides between labels of the same moment
	truth  bool  // 0 and 1: true and false are classes
}

// none is no class.
const none = -1

func (s *Spec) classes() *classes {
	if s.Task == schema.Regression {
		return nil
	}
	names := s.Classes
	if len(names) == 0 {
		names = []string{"0", "1"}
	}
	c := &classes{names: map[string]int32{}, number: map[float64]int32{}, rank: make([]int, len(names)), truth: len(names) == 2 && names[0] == "0" && names[1] == "1"}
	values := make([]label.Value, len(names))
	for i, name := range names {
		c.names[name] = int32(i)
		values[i] = label.TextOf(name)
		if v, err := strconv.ParseFloat(name, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			values[i] = label.NumberOf(v)
			if _, taken := c.number[v]; !taken {
				c.number[v] = int32(i)
			}
		}
	}
	if c.truth {
		c.names["false"], c.names["true"] = 0, 1
		c.names["False"], c.names["True"] = 0, 1 // pandas writes them so
	}
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(label.Compare(values[a], values[b]), cmp.Compare(a, b))
	})
	for r, i := range order {
		c.rank[i] = r
	}
	return c
}

// text finds the class of a text: by its name, else as a number ("1.0" is 1).
func (c *classes) text(v string) int32 {
	if c.truth && len(v) == 1 && (v[0] == '0' || v[0] == '1') {
		return int32(v[0] - '0')
	}
	if i, ok := c.names[v]; ok {
		return i
	}
	if len(v) > 0 && len(v) <= 24 && (v[0] == '-' || v[0] == '+' || v[0] == '.' || v[0]-'0' <= 9) {
		if x, err := strconv.ParseFloat(v, 64); err == nil {
			return c.num(x)
		}
	}
	return none
}

func (c *classes) num(v float64) int32 {
	if c.truth && (v == 0 || v == 1) { // nearly always
		return int32(v)
	}
	if i, ok := c.number[v]; ok {
		return i
	}
	return none
}

func (c *classes) truthValue(v bool) int32 {
	text := "false"
	if v {
		text = "true"
	}
	if i, ok := c.names[text]; ok {
		return i
	}
	return none
}

// label is the number that stands for a label: its class, or of a regression its value. NaN: it cannot be one.
func (s *Spec) label(c *classes, v label.Value) float64 {
	if c == nil {
		if v.Kind == label.Number && !math.IsInf(v.Number, 0) {
			return v.Number
		}
		return math.NaN()
	}
	i := int32(none)
	switch v.Kind {
	case label.Number:
		i = c.num(v.Number)
	case label.Bool:
		i = c.truthValue(v.Number != 0)
	case label.Text:
		i = c.text(v.Text)
	}
	if i == none {
		return math.NaN()
	}
	return float64(i)
}

// newer says whether label a, known at aAt, counts and not b: as label.Newer does.
func (c *classes) newer(a float64, aAt int64, b float64, bAt int64) bool {
	if aAt != bAt {
		return aAt > bAt
	}
	if c != nil {
		return c.rank[int(a)] > c.rank[int(b)]
	}
	return a > b
}

func (s *Spec) multiclass() bool { return s.Task == schema.Multiclass }

func (s *Spec) regression() bool { return s.Task == schema.Regression }
