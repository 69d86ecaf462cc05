package label

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidegate/tidegate/shared/oip/wire"
	"github.com/tidegate/tidegate/shared/schema"
)

// Skew is how far the clocks of predict, of clients and of this program may differ:
// what lies further in the future is refused.
const Skew = time.Hour

// MaxAge is how old a prediction may be when its label comes.
const MaxAge = 3653 * 24 * time.Hour

// Input is one label as it arrived: what it says, unchecked. Texts may share
// memory with what it was read from. Absent members are empty.
type Input struct {
	Model       string // of lines that feedback wrote
	ID          string
	RequestID   string
	PredictedAt string
	TS          string
	Received    string // when feedback took it
	Label       Value  // of kind None when it is missing or null
	Cell        string // instead of Label: a field of CSV, which has no type

	wrong Problem // an id that is no text
	odd   bool    // the label is a list or an object
	late  bool    // the ts is no text
}

// Record checks in and makes the record of it. unknown is the time of a label that
// does not say when it became known. hour is the beginning of the hour of the
// prediction. The record's id shares memory with in, unless it had to be changed.
func (in *Input) Record(task schema.Task, now, unknown time.Time) (rec Record, hour time.Time, problems Problems) {
	at, problem := in.predicted(&rec)
	if problem == Fine {
		switch age := now.Sub(at); {
		case age < -Skew:
			problem = Future
		case age > MaxAge:
			problem = TooOld
		}
	}
	problems.add(problem)
	rec.Label, problem = in.value(task)
	problems.add(problem)
	rec.TS, problem = in.known(now, unknown)
	problems.add(problem)
	return rec, at.Truncate(time.Hour), problems
}

// predicted finds the id and the time of the prediction.
func (in *Input) predicted(rec *Record) (at time.Time, problem Problem) {
	switch {
	case in.wrong != Fine:
		return at, in.wrong
	case in.ID != "" && in.RequestID != "":
		return at, TwoIDs
	case in.ID != "":
		rec.ID = normalID(in.ID)
		at, ok := TimeOf(rec.ID)
		if !ok {
			return at, BadID
		}
		return at, Fine
	case in.RequestID == "":
		return at, NoID
	case checkRequestID(in.RequestID) != "":
		return at, BadRequestID
	case in.PredictedAt == "":
		return at, NoPredictedAt
	}
	rec.ID, rec.Request = in.RequestID, true
	at, ok := parseHour(in.PredictedAt)
	if !ok {
		return at, BadPredictedAt
	}
	return at, Fine
}

func (in *Input) known(now, unknown time.Time) (time.Time, Problem) {
	if in.late {
		return time.Time{}, BadTS
	}
	text := in.TS
	if text == "" {
		text = in.Received
	}
	if text == "" {
		return unknown.UTC().Truncate(time.Millisecond), Fine
	}
	ts, ok := parseTime(text)
	switch {
	case !ok:
		return ts, BadTS
	case ts.Sub(now) > Skew:
		return ts, FutureTS
	}
	return ts.Truncate(time.Millisecond), Fine
}

// value settles the value and its type.
func (in *Input) value(task schema.Task) (Value, Problem) {
	v := in.Label
	if in.Cell != "" {
		v = typed(in.Cell, task)
	}
	switch {
	case in.odd:
		return v, WrongType
	case v.Kind == None:
		return v, NoLabel
	}
	return v, Check(task, v)
}

// Check says whether v can be a label of a model with that task. The registry
// knows no list of a model's classes, so any class that is well-formed is taken;
// whether a model can predict it shows when the two are joined.
func Check(task schema.Task, v Value) Problem {
	const exact = 1 << 53 // above, a float64 does not tell neighbours apart
	class := task == schema.Binary || task == schema.Multiclass
	switch v.Kind {
	case Number:
		if v.Number-v.Number != 0 || class && (v.Number != math.Trunc(v.Number) || math.Abs(v.Number) > exact) {
			return WrongType
		}
		return Fine
	case Text:
		if task == schema.Regression || len(v.Text) > MaxText || v.Text == "" || !utf8.ValidString(v.Text) {
			return WrongType
		}
		return Fine
	case Bool:
		if task == schema.Regression {
			return WrongType
		}
		return Fine
	}
	return NoLabel
}

// Cell is the label that a field of CSV holds, when the task is not known: a number,
// true or false, or a text; of kind None when it is empty.
func Cell(text string) Value { return typed(text, schema.Unspecified) }

// typed gives a field of CSV the type that it would have in JSON: a number, true
// or false (in any case), else a text.
func typed(cell string, task schema.Task) Value {
	cell = strings.TrimSpace(cell)
	switch {
	case cell == "":
		return Value{}
	case task == schema.Regression:
		if v, err := strconv.ParseFloat(cell, 64); err == nil && !strings.ContainsAny(cell, "xX_") {
			return NumberOf(v)
		}
		return TextOf(cell)
	case strings.EqualFold(cell, "true"):
		return BoolOf(true)
	case strings.EqualFold(cell, "false"):
		return BoolOf(false)
	}
	if c := cell[0]; c == '-' || c >= '0' && c <= '9' {
		if v, end, code := wire.Float64([]byte(cell), 0); code == wire.OK && end == len(cell) {
			return NumberOf(v)
		}
	}
	return TextOf(cell)
}

// parseTime reads a time of RFC 3339; a space may stand for the T.
func parseTime(text string) (time.Time, bool) {
	if len(text) > 10 && text[10] == ' ' {
		text = text[:10] + "T" + text[11:]
	}
	t, err := time.Parse(time.RFC3339, text)
	t = t.UTC()
	return t, err == nil && plausibleYear(t.Year())
}

// parseHour reads a time, or only its hour in UTC: 2026-04-06T14Z, with or without the Z.
func parseHour(text string) (time.Time, bool) {
	if short := strings.TrimSuffix(text, "Z"); len(short) == len("2026-04-06T14") {
		t, err := time.Parse("2006-01-02T15", short)
		return t, err == nil && plausibleYear(t.Year())
	}
	return parseTime(text)
}
