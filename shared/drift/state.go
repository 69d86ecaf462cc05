package drift

import (
	"slices"

	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/standing"
)

// State is the standing of a column or a model over its last windows.
type State string

// The states.
const (
	StateUnknown State = "unknown"
	StateOK      State = "ok"
	StateDrift   State = "drift"
)

// Debounce says how many windows make a state.
type Debounce = standing.Debounce

// DefaultDebounce is two of the last three windows.
func DefaultDebounce() Debounce { return standing.Default() }

// WindowVerdict is what one closed window said of its gating columns.
type WindowVerdict struct {
	Window  string             `json:"window"` // its id; windows sort by it
	Rows    uint64             `json:"rows"`
	Columns map[string]Verdict `json:"columns"`
	// Unscored are columns of which the window holds nothing, as a batch without scores does: it says nothing of them,
	// and they stay as they are.
	Unscored []string `json:"unscored,omitempty"`
}

// Standing is the state of a model and of its gating columns.
type Standing struct {
	Model   State            `json:"model"`
	Columns map[string]State `json:"columns"`
}

// Drifted are the columns in the state drift, sorted.
func (s *Standing) Drifted() []string {
	var names []string
	for name, state := range s.Columns {
		if state == StateDrift {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Changed says whether the step from before to s is worth an event: the model's
// state or its set of drifted columns is another.
func (s *Standing) Changed(before *Standing) bool {
	return s.Model != before.Model || !slices.Equal(s.Drifted(), before.Drifted())
}

// Fold computes the standing after windows, in whatever order they are given; of
// windows with the same id the last given supersedes the others. A window without
// rows is skipped, an undecided one keeps its place. A column's state changes only
// when enough of its last windows agree.
func Fold(windows []WindowVerdict, d Debounce) Standing {
	ordered := standing.Closed(windows, func(w *WindowVerdict) (string, uint64) { return w.Window, w.Rows })
	history := map[string][]gate.Answer{}
	out := Standing{Model: StateUnknown, Columns: map[string]State{}}
	for _, w := range ordered {
		for name, v := range w.Columns {
			h := append(history[name], answers[v])
			if len(h) > d.Of {
				h = h[1:]
			}
			history[name] = h
			out.Columns[name] = states[d.Next(standings[out.Columns[name]], h)]
		}
	}
	if len(ordered) > 0 { // only the columns that the newest window gates on count
		newest := &ordered[len(ordered)-1]
		for name := range out.Columns {
			if _, ok := newest.Columns[name]; !ok && !slices.Contains(newest.Unscored, name) {
				delete(out.Columns, name)
			}
		}
	}
	out.Model = model(out.Columns)
	return out
}

// What a window and a state say of drift.
var (
	answers   = map[Verdict]gate.Answer{Drifted: gate.Yes, NoDrift: gate.No, NotEnoughData: gate.Unknown}
	states    = map[gate.Answer]State{gate.Yes: StateDrift, gate.No: StateOK, gate.Unknown: StateUnknown}
	standings = map[State]gate.Answer{StateDrift: gate.Yes, StateOK: gate.No, StateUnknown: gate.Unknown}
)

func model(columns map[string]State) State {
	ok := 0
	for _, s := range columns {
		switch s {
		case StateDrift:
			return StateDrift
		case StateOK:
			ok++
		}
	}
	if ok > 0 && ok == len(columns) {
		return StateOK
	}
	return StateUnknown
}
