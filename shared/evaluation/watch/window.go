package watch

import (
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/period"
)

const (
	// lateness is the time that captures have after the end of a window, until it is closed.
	lateness = outcome.DefaultLateness
	// settle is the time that the last capture has to be stored.
	settle = 5 * time.Minute
	// A window is looked at again for lookBack after its end, three times its length, or after until its labels are due.
	lookBack = 7 * period.Day
	after    = 2 * period.Day
	// mostWindows bounds one look at what is due.
	mostWindows = 2000
)

// back is how long after its end a window is looked at. Delays that are measured are
// of windows that were complete within that time; longer ones need the policy's word.
func back(p *quality.Policy) time.Duration {
	return max(lookBack, 3*p.Window(), p.LabelDelay(0)+after)
}

// closedAt is when a window is looked at first.
func closedAt(win period.Window) time.Time { return win.End.Add(lateness + settle) }

// due are the windows to look at, oldest first: closed, and not longer ago than
// labels are looked for.
func due(p *quality.Policy, now time.Time) []period.Window {
	var out []period.Window
	win := period.At(p.Window(), now)
	for len(out) < mostWindows {
		if win = period.At(p.Window(), win.Start.Add(-time.Second)); now.Sub(win.End) >= back(p) {
			break
		}
		if !now.Before(closedAt(win)) {
			out = append(out, win)
		}
	}
	slices.Reverse(out)
	return out
}

// matureBefore is the time of prediction from which on the labels of a window are
// not yet expected: its end, when all are. Else it is the begin of a day, since part
// of a day is not like the whole, and in shorter windows their begin. A closed
// window has two such times in its life, and not one for each hour that passes.
func matureBefore(win period.Window, delay time.Duration, now time.Time) time.Time {
	if !now.Before(win.End.Add(delay)) {
		return win.End
	}
	if first := win.End.Add(lateness); now.After(first) {
		now = first
	}
	cut := now.Add(-delay).UTC().Truncate(period.Day)
	if !cut.Before(win.End) {
		return win.End
	}
	if cut.Before(win.Start) || win.End.Sub(win.Start) < period.Day {
		return win.Start
	}
	return cut
}

// pause is how long a window that has been looked at is left alone, however many
// labels come: labels come all the time, and each look makes a report.
func pause(win period.Window) time.Duration {
	return min(time.Hour, win.End.Sub(win.Start)/48)
}
