package quality

import (
	"cmp"
	"slices"
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

// Debounce says how many windows make a standing: Of ≥ 1 windows looked back on, at
// least Need of them alike, more than half.
type Debounce struct {
	Need int `json:"need" validate:"gte=1"`
	Of   int `json:"of" validate:"gte=1"`
}

// DefaultDebounce is two of the last three windows.
func DefaultDebounce() Debounce { return Debounce{Need: 2, Of: 3} }

// Valid says whether no two standings can hold at once.
func (d Debounce) Valid() bool { return d.Need <= d.Of && 2*d.Need > d.Of }

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
	latest := map[string]WindowVerdict{}
	for _, w := range windows {
		latest[w.Window] = w
	}
	var ordered []WindowVerdict
	for _, w := range latest {
		if w.Rows > 0 {
			ordered = append(ordered, w)
		}
	}
	slices.SortFunc(ordered, func(a, b WindowVerdict) int { return cmp.Compare(a.Window, b.Window) })
	out := StandingUnknown
	for i := range ordered {
		last := ordered[max(0, i+1-d.Of) : i+1]
		counts := map[Verdict]int{}
		for _, w := range last {
			counts[w.Verdict]++
		}
		switch {
		case counts[Degraded] >= d.Need:
			out = StandingDegraded
		case counts[Fine] >= d.Need:
			out = StandingOK
		case counts[NotEnoughData] == d.Of:
			out = StandingUnknown
		}
	}
	return out
}
