package dataset

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// layouts are the forms of times that every trainer of ours reads; without a zone they are UTC.
var layouts = []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly}

// moment is a place in time: seconds since 1970, or a plain number of which only the order is known.
type moment struct {
	at    float64
	clock bool
}

// momentOf reads a field of the time column as the trainer does: a number, else a time.
func momentOf(text string) (moment, bool) {
	text = strings.TrimSpace(text)
	if strings.ContainsAny(text, "_xX") { // Go and Python each read some of these as numbers, and not the same ones
		return moment{}, false
	}
	if v, err := strconv.ParseFloat(text, 64); err == nil {
		return moment{at: v}, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return moment{at: float64(t.Unix()) + float64(t.Nanosecond())/1e9, clock: true}, true
		}
	}
	return moment{}, false
}

// text writes the moment as trainers do: RFC 3339 in UTC to the microsecond, or the number.
func (m moment) text() string {
	if !m.clock {
		return strconv.FormatFloat(m.at, 'g', -1, 64)
	}
	whole := math.Floor(m.at)
	return time.Unix(int64(whole), int64((m.at-whole)*1e9)).UTC().Round(time.Microsecond).Format(time.RFC3339Nano)
}

// Texts that stand for a missing value, as the trainer has them.
var missingTimes = map[string]bool{"": true, "nan": true, "na": true, "n/a": true, "null": true, "none": true}

func missingTime(text string) bool   { return missingTimes[strings.ToLower(strings.TrimSpace(text))] }
func missingTarget(text string) bool { return text == "" || text == "nan" || text == "NaN" }
