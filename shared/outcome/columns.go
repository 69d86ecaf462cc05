package outcome

import (
	"math"
	"unsafe"

	"github.com/tidegate/tidegate/shared/capture/scan"
	"github.com/tidegate/tidegate/shared/oip/wire"
)

// columns reads what a join needs of the inputs and outputs of a captured record,
// into buffers that are used again: the record is only stored once its line has
// been read to the end.
type columns struct {
	line     *scan.Line
	spec     *Spec
	classes  *classes
	names    *Segments
	segments map[string]int // by input column
	inner    func(key string, i int) (int, wire.Code)
	outputs  bool // the object that is being read

	values    []float64 // of the scores, row by row
	per       int       // of a row; 0 when there are none
	predicted []int32
	of        [][]uint32 // segment numbers by column and row
	given     []bool     // by segment column
	scored    bool       // the score output is there
	classed   bool       // the prediction output is there
	err       error      // of a segment column
}

func newColumns(line *scan.Line, spec *Spec, c *classes, names *Segments) *columns {
	r := &columns{line: line, spec: spec, classes: c, names: names, segments: map[string]int{},
		of: make([][]uint32, len(spec.Segments)), given: make([]bool, len(spec.Segments))}
	for i, name := range spec.Segments {
		r.segments[name] = i
	}
	r.inner = r.column
	line.Columns = r.read
	return r
}

func (r *columns) reset() {
	r.values, r.per, r.predicted, r.scored, r.classed = r.values[:0], 0, r.predicted[:0], false, false
	clear(r.given)
	for i := range r.of {
		r.of[i] = r.of[i][:0]
	}
}

// read reads inputs or outputs.
func (r *columns) read(key string, i int) (int, wire.Code) {
	r.outputs = key == "outputs"
	if !r.outputs && len(r.segments) == 0 {
		return wire.Skip(r.line.B, i, 1)
	}
	next, code := wire.Members(r.line.B, i, r.inner)
	if code == wire.WrongKind || code == wire.Null {
		return r.line.Bad(i, key+" is not an object")
	}
	return next, code
}

func (r *columns) column(key string, i int) (int, wire.Code) {
	b := r.line.B
	if wire.Is(b, i, '[') {
		switch {
		case !r.outputs:
			if at, ok := r.segments[key]; ok && !r.given[at] {
				return r.readSegment(at, i)
			}
		case key == r.spec.Score && !r.scored:
			r.scored = true
			return r.readScores(i)
		case key == r.spec.Prediction && !r.classed:
			r.classed = true
			return r.readPredicted(i)
		}
	}
	return wire.Skip(b, i, 2)
}

// readScores reads [v, …] or [[v, …], …].
func (r *columns) readScores(i int) (int, wire.Code) {
	b := r.line.B
	if !wire.Is(b, wire.Space(b, i+1), '[') {
		r.per = 1
		return r.numbers(i)
	}
	return wire.Elements(b, i, func(n, i int) (int, wire.Code) {
		before := len(r.values)
		next, code := r.numbers(i)
		switch per := len(r.values) - before; {
		case code != wire.OK:
			return next, code
		case n == 0:
			r.per = per
		case per != r.per:
			return r.line.Bad(i, "the rows of the scores have different numbers of values")
		}
		return next, wire.OK
	})
}

// numbers reads a list of numbers; what is none, or too large for one, is NaN.
func (r *columns) numbers(i int) (int, wire.Code) {
	b := r.line.B
	if !wire.Is(b, i, '[') {
		return r.line.Bad(i, "a row of the scores is not a list")
	}
	if i = wire.Space(b, i+1); wire.Is(b, i, ']') {
		return i + 1, wire.OK
	}
	for {
		v, next, code := wire.Float64(b, i)
		if code != wire.OK {
			v = math.NaN()
			if next, code = wire.Skip(b, i, 3); code != wire.OK {
				return next, code
			}
		}
		r.values = append(r.values, v)
		switch i = wire.Space(b, next); {
		case wire.Is(b, i, ','):
			i = wire.Space(b, i+1)
		case wire.Is(b, i, ']'):
			return i + 1, wire.OK
		default:
			return i, wire.Syntax
		}
	}
}

// readPredicted reads a list of classes.
func (r *columns) readPredicted(i int) (int, wire.Code) {
	b := r.line.B
	return wire.Elements(b, i, func(_, i int) (int, wire.Code) {
		class := int32(none)
		if v, next, code := wire.Float64(b, i); code == wire.OK {
			if v == v && r.classes != nil {
				class = r.classes.num(v)
			}
			r.predicted = append(r.predicted, class)
			return next, wire.OK
		}
		next, code := wire.Skip(b, i, 3)
		if code != wire.OK {
			return next, code
		}
		if r.classes != nil {
			if v, _, code := wire.String(b, i); code == wire.OK {
				class = r.classes.text(v)
			} else if v, _, code := wire.Bool(b, i); code == wire.OK {
				class = r.classes.truthValue(v)
			}
		}
		r.predicted = append(r.predicted, class)
		return next, wire.OK
	})
}

// readSegment reads a list of values; numbers and truth values are segments by their text, lists and objects are missing.
func (r *columns) readSegment(at, i int) (int, wire.Code) {
	r.given[at] = true
	b := r.line.B
	return wire.Elements(b, i, func(_, i int) (int, wire.Code) {
		text, next, code := wire.String(b, i)
		if code != wire.OK {
			if next, code = wire.Skip(b, i, 3); code != wire.OK {
				return next, code
			}
			if c := b[i]; c == 't' || c == 'f' || c == '-' || c-'0' <= 9 {
				text = unsafe.String(&b[i], next-i) // number clones what is new
			} else {
				text = ""
			}
		}
		number, err := r.names.number(at, text)
		if err != nil {
			r.err = err
			return r.line.Bad(i, "a segment has too many values")
		}
		r.of[at] = append(r.of[at], number)
		return next, wire.OK
	})
}

// fit checks that every column has as many values as the record has rows; unread says that the outputs are not there.
func (r *columns) fit(rows int) (unread bool, problem string) {
	for at := range r.of {
		if r.given[at] && len(r.of[at]) != rows {
			return false, "a segment column does not have one value a row"
		}
	}
	if r.classed && len(r.predicted) != rows {
		return false, "the predictions do not have one value a row"
	}
	if !r.scored {
		return r.spec.Score != "" || !r.classed, ""
	}
	if rows > 0 && (r.per == 0 || len(r.values) != rows*r.per) {
		return false, "the scores do not have one value a row"
	}
	if rows > 0 && r.place() < 0 {
		return true, "" // of another shape than the task asks for
	}
	return false, ""
}

// place is where the scores that count begin in a row of values, −1 when their number is not that of the task.
func (r *columns) place() int {
	switch want := r.spec.width(); {
	case r.per == want:
		return 0
	case want == 1 && r.classes != nil && r.per == 2:
		return 1
	}
	return -1
}

// usable says whether scores can be counted: numbers, and of classes probabilities.
func usable(scores []float64, probability bool) bool {
	for _, s := range scores {
		if !(s >= -math.MaxFloat64 && s <= math.MaxFloat64) || probability && !(s >= 0 && s <= 1) {
			return false
		}
	}
	return true
}
