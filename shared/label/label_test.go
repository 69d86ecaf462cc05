package label

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/schema"
)

// id is the inference id of a prediction at 2026-04-06T14:31:15.123Z.
const id = "019d6334-73b3-7a44-9d0b-3f2f5a6b7c8d"

var (
	made = time.Date(2026, 4, 6, 14, 31, 15, 123e6, time.UTC)
	now  = time.Date(2026, 4, 7, 9, 0, 0, 0, time.UTC)
)

func TestTimeOf(t *testing.T) {
	for _, text := range []string{id, id + "#0", id + "#17", id + "#2147483647"} {
		if at, ok := TimeOf(text); !ok || !at.Equal(made) {
			t.Errorf("%s: %v, %v", text, at, ok)
		}
	}
	for _, text := range []string{"", "x", id[:35], id + "0", id + "#", id + "#-1", id + "#01", id + "#2147483648", id + "#99999999999", id + "#1#2", id + "# 1",
		strings.ToUpper(id), strings.Replace(id, "-7a44", "-4a44", 1), strings.Replace(id, "-9d0b", "-cd0b", 1), strings.Replace(id, "-", "_", 1), "g" + id[1:]} {
		if at, ok := TimeOf(text); ok {
			t.Errorf("%q: %v", text, at)
		}
	}
}

func TestSplitID(t *testing.T) {
	for text, want := range map[string]struct {
		base  string
		row   int
		found bool
	}{
		id: {id, 0, false}, id + "#0": {id, 0, true}, "order#7": {"order", 7, true}, "a#b#12": {"a#b", 12, true}, "a#b": {"a#b", 0, false}, "a#": {"a#", 0, false}, "#3": {"", 3, true},
	} {
		if base, row, found := SplitID(text); base != want.base || row != want.row || found != want.found {
			t.Errorf("%s: %q, %d, %v", text, base, row, found)
		}
	}
}

func TestKeys(t *testing.T) {
	east := time.Date(2026, 4, 7, 1, 15, 0, 0, time.FixedZone("", 2*3600))
	if got := Key("flights", east, "ab12"); got != "labels/filed/flights/2026-04-06/23/ab12.ndjson" {
		t.Error(got)
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		v           Value
		json, class string
	}{
		{NumberOf(1), "1", "1"}, {NumberOf(math.Copysign(0, -1)), "0", "-0"}, {NumberOf(0.1), "0.1", "0.1"}, {NumberOf(-1e300), "-1e+300", ""}, {NumberOf(1 << 50), "1125899906842624", "1125899906842624"},
		{TextOf(`a"b`), `"a\"b"`, `a"b`}, {BoolOf(true), "true", "true"}, {BoolOf(false), "false", "false"}, {Value{}, "null", ""},
	} {
		got := string(c.v.Append(nil))
		if got != c.json {
			t.Errorf("%+v is written %s, want %s", c.v, got, c.json)
		}
		if back := ValueOf([]byte(got)); c.v.Kind != None && Compare(back, c.v) != 0 {
			t.Errorf("%s is read as %+v", got, back)
		}
		if c.class != "" && c.class != "-0" && c.v.Class() != c.class {
			t.Errorf("%+v is class %s, want %s", c.v, c.v.Class(), c.class)
		}
	}
	if NumberOf(math.Copysign(0, -1)).Class() != NumberOf(0).Class() {
		t.Error("-0 and 0 are two classes")
	}
}

func TestNewerDoesNotLookAtTheOrder(t *testing.T) {
	later := &Record{Label: NumberOf(0), TS: made.Add(time.Millisecond)}
	one, other := &Record{Label: NumberOf(0), TS: made}, &Record{Label: NumberOf(1), TS: made}
	if !Newer(later, one) || Newer(one, later) || !Newer(other, one) || Newer(one, other) || Newer(one, one) {
		t.Error("the later label, and at the same moment the greater one, counts")
	}
}

func TestCheckByTask(t *testing.T) {
	tasks := []schema.Task{schema.Binary, schema.Multiclass, schema.Regression, schema.Unspecified}
	const F, W = Fine, WrongType
	for _, c := range []struct {
		v    Value
		want [4]Problem
	}{
		{NumberOf(1), [4]Problem{F, F, F, F}},
		{NumberOf(-3), [4]Problem{F, F, F, F}},
		{NumberOf(0.5), [4]Problem{W, W, F, F}},
		{NumberOf(1e300), [4]Problem{W, W, F, F}},
		{NumberOf(math.NaN()), [4]Problem{W, W, W, W}},
		{NumberOf(math.Inf(1)), [4]Problem{W, W, W, W}},
		{TextOf("late"), [4]Problem{F, F, W, F}},
		{TextOf(""), [4]Problem{W, W, W, W}},
		{TextOf(strings.Repeat("x", 257)), [4]Problem{W, W, W, W}},
		{TextOf("\xff"), [4]Problem{W, W, W, W}},
		{BoolOf(true), [4]Problem{F, F, W, F}},
		{Value{}, [4]Problem{NoLabel, NoLabel, NoLabel, NoLabel}},
	} {
		for i, task := range tasks {
			if got := Check(task, c.v); got != c.want[i] {
				t.Errorf("%+v as a label of %s: %q, want %q", c.v, task, got, c.want[i])
			}
		}
	}
}

func TestFieldsOfCSVHaveTypes(t *testing.T) {
	for cell, want := range map[string]Value{
		"1": NumberOf(1), "-2.50": NumberOf(-2.5), "1e3": NumberOf(1000), "007": TextOf("007"), "+1": TextOf("+1"), "true": BoolOf(true), "False": BoolOf(false),
		"late": TextOf("late"), "NaN": TextOf("NaN"), " 1 ": NumberOf(1), "": {}, " ": {}, "1 2": TextOf("1 2"),
	} {
		if got := typed(cell, schema.Binary); got != want {
			t.Errorf("%q is %+v, want %+v", cell, got, want)
		}
	}
	for cell, want := range map[string]Problem{"1.5": Fine, "+1": Fine, "007": Fine, "NaN": WrongType, "inf": WrongType, "0x10": WrongType, "1_0": WrongType, "late": WrongType, "true": WrongType} {
		if got := Check(schema.Regression, typed(cell, schema.Regression)); got != want {
			t.Errorf("%q as a number: %q, want %q", cell, got, want)
		}
	}
}

func TestRecord(t *testing.T) {
	ancient := "00000000-0000-7a44-9d0b-3f2f5a6b7c8d"
	for name, c := range map[string]struct {
		in   Input
		want []Problem
	}{
		"an id":             {Input{ID: id + "#3", Label: NumberOf(1)}, nil},
		"an id in capitals": {Input{ID: strings.ToUpper(id), Label: NumberOf(1)}, nil},
		"a request id":      {Input{RequestID: "order#7", PredictedAt: "2026-04-06T14Z", Label: NumberOf(1), TS: "2026-04-07T10:00:00+02:00"}, nil},
		"nothing":           {Input{}, []Problem{NoID, NoLabel}},
		"no id of ours":     {Input{ID: "4711", Label: NumberOf(1)}, []Problem{BadID}},
		"both ids":          {Input{ID: id, RequestID: "a", PredictedAt: "2026-04-06T14", Label: NumberOf(1)}, []Problem{TwoIDs}},
		"no predicted_at":   {Input{RequestID: "a", Label: NumberOf(1)}, []Problem{NoPredictedAt}},
		"a local time":      {Input{RequestID: "a", PredictedAt: "2026-04-06T14:30:00", Label: NumberOf(1)}, []Problem{BadPredictedAt}},
		"a long request id": {Input{RequestID: strings.Repeat("a", 257), PredictedAt: "2026-04-06T14", Label: NumberOf(1)}, []Problem{BadRequestID}},
		"tomorrow":          {Input{RequestID: "a", PredictedAt: "2026-04-07T10:00:01Z", Label: NumberOf(1)}, []Problem{Future}},
		"within the skew":   {Input{RequestID: "a", PredictedAt: "2026-04-07T10:00:00Z", Label: NumberOf(1)}, nil},
		"ages ago":          {Input{ID: ancient, Label: NumberOf(1)}, []Problem{TooOld}},
		"everything wrong":  {Input{ID: "x", Label: TextOf(""), TS: "yesterday"}, []Problem{BadID, WrongType, BadTS}},
		"ts of the future":  {Input{ID: id, Label: NumberOf(1), TS: "2026-04-07T10:00:00.001Z"}, []Problem{FutureTS}},
		"ts before Christ":  {Input{ID: id, Label: NumberOf(1), TS: "0001-01-01T00:00:00Z"}, []Problem{BadTS}},
	} {
		_, _, problems := c.in.Record(schema.Binary, now, now)
		if got := problems.list[:problems.n]; len(got) != len(c.want) || len(got) > 0 && strings.Join(names(got), " ") != strings.Join(names(c.want), " ") {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		for _, p := range problems.list[:problems.n] {
			if p.Text() == "" {
				t.Errorf("%s has no text", p)
			}
		}
	}
	in := Input{ID: strings.ToUpper(id) + "#3", Label: NumberOf(1)}
	rec, hour, _ := in.Record(schema.Binary, now, made.Add(1500*time.Microsecond))
	if rec.ID != id+"#3" || rec.Request || !hour.Equal(made.Truncate(time.Hour)) || !rec.TS.Equal(made.Add(time.Millisecond)) {
		t.Errorf("%+v of %v", rec, hour)
	}
}

func names(all []Problem) []string {
	out := make([]string, len(all))
	for i, p := range all {
		out[i] = string(p)
	}
	return out
}
