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
	line    *scan.Line
	spec    *Spec
	classes *classes
	names   *Segments
	inputs  map[string]input // that are read
	inner   func(key string, i int) (int, wire.Code)
	outputs bool // the object that is being read

	values    []float64 // of the scores, row by row
	per       int       // of a row; 0 when there are none
	predicted []int32
	of        [][]uint32 // segment numbers by column and row
	given     []bool     // by segment column
	keys      []uint64   // hash of the key by row; 0 is none
	keyed     bool       // the key column is there
	scored    bool       // the score output is there
	classed   bool       // the prediction output is there
	err       error      // of a segment column
}

// input is what an input column is read for.
type input struct {
	segment int // −1 is none
	key     bool
}

func newColumns(line *scan.Line, spec *Spec, c *classes, names *Segments) *columns {
	r := &columns{line: line, spec: spec, classes: c, names: names, inputs: map[string]input{},
		of: make([][]uint32, len(spec.Segments)), given: make([]bool, len(spec.Segments))}
	if spec.Key != "" {
		r.inputs[spec.Key] = input{segment: -1, key: true}
	}
	for i, name := range spec.Segments {
		r.inputs[name] = input{segment: i, key: name == spec.Key}
	}
	r.inner = r.column
	line.Columns = r.read
	return r
}

func (r *columns) reset() {
	r.values, r.per, r.predicted, r.scored, r.classed = r.values[:0], 0, r.predicted[:0], false, false
	r.keys, r.keyed = r.keys[:0], false
	clear(r.given)
	for i := range r.of {
		r.of[i] = r.of[i][:0]
	}
}

// read reads inputs or outputs.
func (r *columns) read(key string, i int) (int, wire.Code) {
	r.outputs = key == "outputs"
	if !r.outputs && len(r.inputs) == 0 {
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
			if in, ok := r.inputs[key]; ok && !r.had(in) {
				return r.readInput(in, i)
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

// had says whether an input column was read: of one that is there twice, the first counts.
func (r *columns) had(in input) bool {
	if in.key {
		return r.keyed
	}
	return r.given[in.segment]
}

// readInput reads a list of values; numbers and truth values count by their text, lists and objects are missing.
func (r *columns) readInput(in input, i int) (int, wire.Code) {
	b := r.line.B
	if in.key {
		r.keyed = true
	}
	if in.segment >= 0 {
		r.given[in.segment] = true
	}
	return wire.Elements(b, i, func(_, i int) (int, wire.Code) {
		text, next, code := wire.String(b, i)
		if code != wire.OK {
			if next, code = wire.Skip(b, i, 3); code != wire.OK {
				return next, code
			}
			if c := b[i]; c == 't' || c == 'f' || c == '-' || c-'0' <= 9 {
				text = unsafe.String(&b[i], next-i) // a segment's number clones what is new
			} else {
				text = ""
			}
		}
		if in.key {
			r.keys = append(r.keys, keyHash(text))
		}
		if in.segment < 0 {
			return next, wire.OK
		}
		number, err := r.names.number(in.segment, text)
		if err != nil {
			r.err = err
			return r.line.Bad(i, "a segment has too many values")
		}
		r.of[in.segment] = append(r.of[in.segment], number)
		return next, wire.OK
	})
}

// keyHash is the cluster of a key, 0 of a missing one.
func keyHash(text string) uint64 {
	if text == "" {
		return 0
	}
	return max(KeyOf(text).Hash(), 1)
}

// fit checks that every column has as many values as the record has rows; unread says that the outputs are not there.
func (r *columns) fit(rows int) (unread bool, problem string) {
	for at := range r.of {
		if r.given[at] && len(r.of[at]) != rows {
			return false, "a segment column does not have one value a row"
		}
	}
	if r.keyed && len(r.keys) != rows {
		return false, "the key column does not have one value a row"
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
