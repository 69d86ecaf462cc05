// Package period cuts time into the windows that reports are about, and finds the
// objects of a window by the hour in their keys. All times are UTC.
//
//	win := period.At(24*time.Hour, now)
//	infos, err := period.Hours(ctx, store, "profiles/flights/", win.Start, win.End)
package period

import (
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
)

// Day is 24 hours: UTC has no others.
const Day = 24 * time.Hour

const (
	// shortID is the id of a window that does not begin with a day.
	shortID = "2006-01-02T15-04"
	// maxDue bounds what one look at what is due returns: a week of the shortest windows, five minutes.
	maxDue = int(7 * Day / (5 * time.Minute))
)

// Window is what a report is about: a stretch of time, or a batch.
type Window struct {
	ID    string    `json:"id"` // "2026-11-24", "2026-11-24T13-00", "2026-11-24T13-05-12Z-<digest>" of a batch
	Batch bool      `json:"batch,omitempty"`
	Start time.Time `json:"start,omitzero"` // of a time window, inclusive
	End   time.Time `json:"end,omitzero"`   // exclusive
}

// monday is where windows of several days begin.
var monday = time.Date(1970, 1, 5, 0, 0, 0, 0, time.UTC)

// At is the window of the given length that holds t: days and parts of them by
// UTC, several days counted from a Monday. A length below a day divides it.
func At(length time.Duration, t time.Time) Window {
	origin := monday
	if length <= Day {
		origin = t.UTC().Truncate(Day)
	}
	n := t.Sub(origin) / length
	if t.Before(origin.Add(n * length)) {
		n--
	}
	start := origin.Add(n * length).UTC()
	id := start.Format(time.DateOnly)
	if length < Day {
		id = start.Format(shortID)
	}
	return Window{ID: id, Start: start, End: start.Add(length)}
}

// Parse reads the id of a window; it must be one of that length. InvalidArgument otherwise.
func Parse(length time.Duration, id string) (Window, error) {
	layout := time.DateOnly
	if length < Day {
		layout = shortID
	}
	start, err := time.Parse(layout, id)
	if err != nil {
		return Window{}, fault.Invalid(fault.Violation{Path: "window", Problem: "must be the begin of a window of this model, in UTC, in the form " + layout})
	}
	win := At(length, start)
	if win.ID != id {
		return Window{}, fault.Invalid(fault.Violation{Path: "window", Problem: "is not the begin of a window; the one around it begins at " + win.ID})
	}
	return win, nil
}

// Due are the windows to look at, oldest first: closed for at least wait, and for
// less than back, a week of the shortest windows at most.
func Due(length, wait, back time.Duration, now time.Time) []Window {
	var out []Window
	win := At(length, now.Add(-wait))
	for win = At(length, win.Start.Add(-time.Second)); now.Sub(win.End) < back && len(out) < maxDue; win = At(length, win.Start.Add(-time.Second)) {
		out = append(out, win)
	}
	slices.Reverse(out)
	return out
}
