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
	Unscored []string           `json:"unscored,omitempty"`
	Segments map[string]Verdict `json:"segments,omitempty"`
}

// Standing is the state of a model, of its gating columns, and of its segments.
type Standing struct {
	Model    State            `json:"model"`
	Columns  map[string]State `json:"columns"`
	Segments map[string]State `json:"segments,omitempty"`
}

// Drifted are the columns in the state drift, sorted.
func (s *Standing) Drifted() []string { return drifted(s.Columns) }

// DriftedSegments are the segments in the state drift, sorted.
func (s *Standing) DriftedSegments() []string { return drifted(s.Segments) }

func drifted(of map[string]State) (names []string) {
	for name, state := range of {
		if state == StateDrift {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Changed says whether the step from before to s is worth an event: the model's
// state or its set of drifted columns or segments is another.
func (s *Standing) Changed(before *Standing) bool {
	return s.Model != before.Model || !slices.Equal(s.Drifted(), before.Drifted()) ||
		!slices.Equal(s.DriftedSegments(), before.DriftedSegments())
}

// Fold computes the standing after windows, in whatever order they are given; of
// windows with the same id the last given supersedes the others. A window without
// rows is skipped, an undecided one keeps its place. A column's state changes only
// when enough of its last windows agree.
func Fold(windows []WindowVerdict, d Debounce) Standing {
	ordered := standing.Closed(windows, func(w *WindowVerdict) (string, uint64) { return w.Window, w.Rows })
	out := Standing{Columns: foldEach(ordered, d, func(w *WindowVerdict) map[string]Verdict { return w.Columns })}
	if segments := foldEach(ordered, d, func(w *WindowVerdict) map[string]Verdict { return w.Segments }); len(segments) > 0 {
		out.Segments = segments
	}
	out.Model = model(out.Columns, out.Segments)
	return out
}

// foldEach folds what the windows, in their order, say of each name. Only the names that the newest one has count.
func foldEach(ordered []WindowVerdict, d Debounce, of func(*WindowVerdict) map[string]Verdict) map[string]State {
	history, out := map[string][]gate.Answer{}, map[string]State{}
	for i := range ordered {
		for name, v := range of(&ordered[i]) {
			h := append(history[name], answers[v])
			if len(h) > d.Of {
				h = h[1:]
			}
			history[name] = h
			out[name] = states[d.Next(standings[out[name]], h)]
		}
	}
	if len(ordered) > 0 {
		newest := &ordered[len(ordered)-1]
		for name := range out {
			if _, ok := of(newest)[name]; !ok && !slices.Contains(newest.Unscored, name) {
				delete(out, name)
			}
		}
	}
	return out
}

// What a window and a state say of drift.
var (
	answers   = map[Verdict]gate.Answer{Drifted: gate.Yes, NoDrift: gate.No, NotEnoughData: gate.Unknown}
	states    = map[gate.Answer]State{gate.Yes: StateDrift, gate.No: StateOK, gate.Unknown: StateUnknown}
	standings = map[State]gate.Answer{StateDrift: gate.Yes, StateOK: gate.No, StateUnknown: gate.Unknown}
)

// model is drift where a column or a segment is, ok where all columns are: a segment does not have to prove it.
func model(columns, segments map[string]State) State {
	if len(drifted(segments)) > 0 {
		return StateDrift
	}
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
