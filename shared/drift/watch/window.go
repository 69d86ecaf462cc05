package watch

import (
	"time"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
)

const (
	// batchID is the id of the time in a batch's.
	batchID = "2006-01-02T15-04-05Z"
	// early is how much before its records' time an object may arrive: by clock skew.
	early = time.Hour
	// settle is the time that profile has after the last capture.
	settle = 5 * time.Minute
	// lookBack is how long after its lateness a window is looked at again; its late captures supersede.
	lookBack = 7 * period.Day
)

func profilePrefix(model string) string { return "profiles/" + model + "/" }

// due are the windows to look at, oldest first: closed, late captures and their
// profiles had their time, and not longer ago than lookBack.
func due(p *drift.Policy, now time.Time) []period.Window {
	return period.Due(p.Window(), p.Lateness()+settle, lookedAtFor(p), now)
}

// lookedAtFor is how long after its end a window is looked at.
func lookedAtFor(p *drift.Policy) time.Duration { return p.Lateness() + max(lookBack, 3*p.Window()) }

// core are the hours of arrival that a window's captures normally have: [from, to).
func core(p *drift.Policy, win period.Window) (from, to time.Time) {
	return win.Start.Add(-early).Truncate(time.Hour), win.End.Add(p.Lateness() + time.Hour - 1).Truncate(time.Hour)
}

// within says whether an interval of captured rows is in the window.
func within(win *period.Window, g *profile.Group) bool {
	return win.Batch || !g.Interval.Before(win.Start) && g.Interval.Before(win.End)
}
