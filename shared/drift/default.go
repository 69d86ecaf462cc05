package drift

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tidegate/tidegate/shared/profile"
)

// Why a column does not gate.
const (
	offByPolicy   = "off by policy"
	offIdentifier = "an identifier: its values hardly repeat"
	offTime       = "a time: it moves with every window"
	offCalendar   = "a part of the date that is the same in the whole window"
	offNoScores   = "the rows hold no scores"
)

// Rules are the policy's rules for one job, and why each column that does not
// gate is off. Where the policy does not say, times, identifiers, parts of the date
// that are constant in the window, and scores that no row of it has are off.
func (p *Policy) Rules(b *profile.Baseline, current map[string][]Stratum) (Rules, map[string]string) {
	r := Rules{Alpha: p.Alpha, Tolerances: p.Tolerances, DesignEffect: p.DesignEffect}
	off := map[string]string{}
	for i := range b.Columns {
		c := &b.Columns[i]
		set := p.Columns[c.Name]
		if _, ok := p.Columns[c.Name]; ok {
			if r.Columns == nil {
				r.Columns = map[string]Tolerances{}
			}
			r.Columns[c.Name] = set.Tolerances
		}
		var why string
		switch {
		case set.Gate != nil && *set.Gate:
		case set.Gate != nil:
			why = offByPolicy
		case c.Identifier:
			why = offIdentifier
		case isTime(c):
			why = offTime
		case isCalendar(c.Name) && constant(current[c.Name]):
			why = offCalendar
		case c.Score && allMissing(current[c.Name]):
			why = offNoScores
		}
		if why != "" {
			off[c.Name] = why
			r.Off = append(r.Off, c.Name)
		}
	}
	return r, off
}

// timeNames are names that hold nothing but a time; timeEnds are last parts of such names.
var (
	timeNames     = []string{"ts", "time", "timestamp", "date", "datetime", "epoch", "event_time", "time_hour"}
	timeEnds      = []string{"ts", "timestamp", "date", "datetime", "epoch", "at"}
	calendarParts = []string{"year", "quarter", "month", "week", "weekday", "dayofweek", "dow", "day", "hour", "minute", "date"}
)

// isTime tells a column of times. A name alone is not enough for numbers with a
// common last part (a price "at"): their range must be that of times since 1970.
func isTime(c *profile.Column) bool {
	parts := words(c.Name)
	if len(parts) == 0 {
		return false
	}
	if slices.Contains(timeNames, strings.Join(parts, "_")) {
		return true
	}
	named := slices.Contains(timeEnds, parts[len(parts)-1])
	if c.Kind == profile.Numeric {
		return named && sinceEpoch(&c.State)
	}
	return named && len(parts) > 1 || datesOnly(c.Cells.Named)
}

// sinceEpoch says whether all values are between 2001 and 2100 in seconds, milli-,
// micro- or nanoseconds since 1970.
func sinceEpoch(s *profile.State) bool {
	if s.Min == nil {
		return false
	}
	for unit := 1.0; unit <= 1e9; unit *= 1e3 {
		if *s.Min >= 1e9*unit && *s.Max <= 4.1e9*unit {
			return true
		}
	}
	return false
}

// datesOnly says whether every named value is a date or a time.
func datesOnly(values []string) bool {
	for _, v := range values {
		if len(v) < len(time.DateOnly) {
			return false
		}
		if _, err := time.Parse(time.DateOnly, v[:len(time.DateOnly)]); err != nil {
			return false
		}
	}
	return len(values) > 0
}

func isCalendar(name string) bool {
	parts := words(name)
	return len(parts) > 0 && (slices.Contains(calendarParts, parts[len(parts)-1]) || slices.Contains(calendarParts, strings.Join(parts, "")))
}

// allMissing says whether there are rows and each lacks the column's value: inputs
// that have not been scored. A NaN, and a value of another type, is an answer.
func allMissing(strata []Stratum) bool {
	var rows, missing uint64
	for _, s := range strata {
		rows, missing = rows+s.State.Rows, missing+s.State.Missing
	}
	return rows > 0 && missing == rows
}

// constant says whether all rows of the strata that have a value are in one cell.
func constant(strata []Stratum) bool {
	at := -1
	for _, s := range strata {
		for i, n := range s.State.Cells {
			if n > 0 && at >= 0 && i != at {
				return false
			}
			if n > 0 {
				at = i
			}
		}
	}
	return at >= 0
}

// words takes a name apart: "dep_time", "depTime" and "dep-time" are dep, time.
func words(name string) []string {
	var out []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			out = append(out, string(word))
		}
		word = nil
	}
	lower := false
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
		default:
			if unicode.IsUpper(r) && lower {
				flush()
			}
			word = append(word, unicode.ToLower(r))
		}
		lower = unicode.IsLower(r)
	}
	flush()
	return out
}
