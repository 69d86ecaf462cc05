// Package standing says what the last windows of something say together: a state
// that changes only when enough of them agree, so that one odd window changes nothing.
//
// It knows no kind of report: a window's verdict is a gate's answer, yes for what is
// looked for (drift, degraded).
//
//	state := gate.Unknown
//	for i := range answers {
//		state = d.Next(state, answers[max(0, i+1-d.Of):i+1])
//	}
package standing

import (
	"cmp"
	"slices"

	"github.com/tidegate/tidegate/shared/gate"
)

// Debounce says how many windows make a state: Of ≥ 1 windows looked back on, at
// least Need of them alike, more than half.
type Debounce struct {
	Need int `json:"need" validate:"gte=1"`
	Of   int `json:"of" validate:"gte=1"`
}

// Default is two of the last three windows.
func Default() Debounce { return Debounce{Need: 2, Of: 3} }

// Valid says whether no two states can hold at once.
func (d Debounce) Valid() bool { return d.Need <= d.Of && 2*d.Need > d.Of }

// Next is the state after the last windows, at most d.Of of them, the newest among
// them. It was before; "" of the first window.
func (d Debounce) Next(before gate.Answer, last []gate.Answer) gate.Answer {
	counts := map[gate.Answer]int{}
	for _, a := range last {
		counts[a]++
	}
	switch {
	case counts[gate.Yes] >= d.Need:
		return gate.Yes
	case counts[gate.No] >= d.Need:
		return gate.No
	case before == "" || counts[gate.Unknown] == d.Of:
		return gate.Unknown
	}
	return before
}

// Closed are the windows that count, in the order of their ids: of windows with the
// same id the last given one, and none without rows.
func Closed[W any](windows []W, of func(*W) (id string, rows uint64)) []W {
	latest := map[string]W{}
	for i := range windows {
		id, _ := of(&windows[i])
		latest[id] = windows[i]
	}
	var out []W
	for _, w := range latest {
		if _, rows := of(&w); rows > 0 {
			out = append(out, w)
		}
	}
	slices.SortFunc(out, func(a, b W) int {
		x, _ := of(&a)
		y, _ := of(&b)
		return cmp.Compare(x, y)
	})
	return out
}
