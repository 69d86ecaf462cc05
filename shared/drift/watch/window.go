package watch

import (
	"time"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

const (
	day = 24 * time.Hour
	// shortID is the id of a window that does not begin with a day, and of the time in a batch's.
	shortID = "2006-01-02T15-04"
	batchID = "2006-01-02T15-04-05Z"
	// early is how much before its records' time an object may arrive: by clock skew.
	early = time.Hour
	// settle is the time that profile has after the last capture.
	settle = 5 * time.Minute
	// lookBack is how long after its end a window is looked at again; its late captures supersede.
	lookBack = 7 * day
	// maxWindows bounds what one tick looks at.
	maxWindows = 300
)

// monday is where windows of several days begin.
var monday = time.Date(1970, 1, 5, 0, 0, 0, 0, time.UTC)

// windowAt is the window that holds t: days and parts of them by UTC, several days
// counted from a Monday.
func windowAt(p *drift.Policy, t time.Time) drift.Window {
	origin := monday
	if p.Window() <= day {
		origin = t.UTC().Truncate(day)
	}
	n := t.Sub(origin) / p.Window()
	if t.Before(origin.Add(n * p.Window())) {
		n--
	}
	start := origin.Add(n * p.Window()).UTC()
	id := start.Format(time.DateOnly)
	if p.Window() < day {
		id = start.Format(shortID)
	}
	return drift.Window{ID: id, Start: start, End: start.Add(p.Window())}
}

// parseWindow reads the id of a window; it must be one of the policy's.
func parseWindow(p *drift.Policy, id string) (drift.Window, error) {
	layout := time.DateOnly
	if p.Window() < day {
		layout = shortID
	}
	start, err := time.Parse(layout, id)
	if err != nil {
		return drift.Window{}, fault.Invalid(fault.Violation{Path: "window", Problem: "must be the begin of a window of this model, in UTC, in the form " + layout})
	}
	win := windowAt(p, start)
	if win.ID != id {
		return drift.Window{}, fault.Invalid(fault.Violation{Path: "window", Problem: "is not the begin of a window; the one around it begins at " + win.ID})
	}
	return win, nil
}

// due are the windows to look at, oldest first: closed, late captures and their
// profiles had their time, and not longer ago than lookBack.
func due(p *drift.Policy, now time.Time) []drift.Window {
	back := max(lookBack, 3*p.Window())
	var out []drift.Window
	win := windowAt(p, now.Add(-p.Lateness()-settle))
	for win = windowAt(p, win.Start.Add(-time.Second)); now.Sub(win.End) < back && len(out) < maxWindows; win = windowAt(p, win.Start.Add(-time.Second)) {
		out = append([]drift.Window{win}, out...)
	}
	return out
}

// core are the hours of arrival that a window's captures normally have: [from, to).
func core(p *drift.Policy, win drift.Window) (from, to time.Time) {
	return win.Start.Add(-early).Truncate(time.Hour), win.End.Add(p.Lateness() + time.Hour - 1).Truncate(time.Hour)
}

// within says whether an interval of captured rows is in the window.
func within(win *drift.Window, g *profile.Group) bool {
	return win.Batch || !g.Interval.Before(win.Start) && g.Interval.Before(win.End)
}
