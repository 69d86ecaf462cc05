package dataset

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// layouts are the forms of times that every trainer of ours reads; without a zone they are UTC.
var layouts = []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly}

// Moment is a place in time: seconds since 1970, or a plain number of which only the
// order is known. The zero value is none that a training ends at.
type Moment struct {
	at    float64
	clock bool
}

// ParseMoment reads a field of the time column as the trainer does: a number, else a time.
func ParseMoment(text string) (Moment, bool) {
	text = strings.TrimSpace(text)
	if strings.ContainsAny(text, "_xX") { // Go and Python each read some of these as numbers, and not the same ones
		return Moment{}, false
	}
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		return Moment{at: v}, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return Moment{at: float64(t.Unix()) + float64(t.Nanosecond())/1e9, clock: true}, true
		}
	}
	return Moment{}, false
}

// Comparable says whether m and o are of one kind, and both are known.
func (m Moment) Comparable(o Moment) bool {
	return m.clock == o.clock && m != (Moment{}) && o != (Moment{})
}

// After says whether m is later than o.
func (m Moment) After(o Moment) bool { return m.at > o.at }

// Time is the moment as a time; ok is false for a plain number.
func (m Moment) Time() (t time.Time, ok bool) {
	whole := math.Floor(m.at)
	return time.Unix(int64(whole), int64((m.at-whole)*1e9)).UTC().Round(time.Microsecond), m.clock
}

// Text writes the moment as trainers do: RFC 3339 in UTC to the microsecond, or the number.
func (m Moment) Text() string {
	if !m.clock {
		return strconv.FormatFloat(m.at, 'g', -1, 64)
	}
	t, _ := m.Time()
	return t.Format(time.RFC3339Nano)
}

// Texts that stand for a missing value, as the trainer has them.
var missingTimes = map[string]bool{"": true, "nan": true, "na": true, "n/a": true, "null": true, "none": true}

func missingTime(text string) bool   { return missingTimes[strings.ToLower(strings.TrimSpace(text))] }
func missingTarget(text string) bool { return text == "" || text == "nan" || text == "NaN" }
