package quality

import (
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/standing"
)

// Standing is the state of a model over its last windows. (A [State] is the counts
// of one.)
type Standing string

// The standings.
const (
	StandingUnknown  Standing = "unknown"
	StandingOK       Standing = "ok"
	StandingDegraded Standing = "degraded"
)

// Debounce says how many windows make a standing.
type Debounce = standing.Debounce

// DefaultDebounce is two of the last three windows.
func DefaultDebounce() Debounce { return standing.Default() }

// WindowVerdict is what one closed window said.
type WindowVerdict struct {
	Window  string  `json:"window"` // its id; windows sort by it
	Rows    uint64  `json:"rows"`   // predictions
	Verdict Verdict `json:"verdict"`
}

// Fold computes the standing after windows, in whatever order they are given; of
// windows with the same id the last given supersedes the others. A window without
// predictions is skipped, an undecided one keeps its place. The standing changes
// only when enough of the last windows agree.
func Fold(windows []WindowVerdict, d Debounce) Standing {
	closed := standing.Closed(windows, func(w *WindowVerdict) (string, uint64) { return w.Window, w.Rows })
	answers := make([]gate.Answer, len(closed))
	state := gate.Unknown
	for i := range closed {
		answers[i] = map[Verdict]gate.Answer{Degraded: gate.Yes, Fine: gate.No, NotEnoughData: gate.Unknown}[closed[i].Verdict]
		state = d.Next(state, answers[max(0, i+1-d.Of):i+1])
	}
	return map[gate.Answer]Standing{gate.Yes: StandingDegraded, gate.No: StandingOK, gate.Unknown: StandingUnknown}[state]
}
