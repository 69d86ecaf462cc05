package drift

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/stat"
)

// LeastReplay is the number of past windows that a calibration needs.
const LeastReplay = 10

// PastWindow is a closed window: its counts on the cells of one baseline.
type PastWindow struct {
	Name   string
	Strata []profile.Stratum
}

// Calibration says how often each tolerance would have alarmed in the past.
type Calibration struct {
	Windows    int          `json:"windows"`
	Rows       uint64       `json:"rows"`
	Tolerances []Calibrated `json:"tolerances"`
}

// Calibrated is the replay at one tolerance. Lo and Hi are the 95 % interval
// (Wilson) of the share of windows that alarm.
type Calibrated struct {
	Tolerance float64        `json:"tolerance"`
	Alarms    int            `json:"alarms"`
	Undecided int            `json:"undecided"`
	Lo        float64        `json:"lo"`
	Hi        float64        `json:"hi"`
	Windows   []string       `json:"windows"` // that alarm
	Columns   []ColumnAlarms `json:"columns"` // that alarm, most often first
}

// ColumnAlarms counts the windows in which a column alarms.
type ColumnAlarms struct {
	Name   string `json:"name"`
	Alarms int    `json:"alarms"`
}

// Calibrate replays windows: each is compared with all the others together, at
// each tolerance of the distances (numeric, score and categorical; the rest is the
// policy's). The baseline lends its cells alone: what the others hold is the
// reference, so a window is never compared with itself. Rows count alike, whatever
// share of them was captured.
//
// Errors: FailedPrecondition, fewer than LeastReplay windows have rows;
// InvalidArgument, a tolerance is not above 0 and below 1.
func Calibrate(b *profile.Baseline, windows []PastWindow, p Policy, tolerances []float64) (Calibration, error) {
	for _, tau := range tolerances {
		if !(tau > 0 && tau < 1) {
			return Calibration{}, fault.New(fault.InvalidArgument, "a tolerance must be above 0 and below 1")
		}
	}
	windows, out := filled(windows)
	if out.Windows < LeastReplay {
		return Calibration{}, fault.New(fault.FailedPrecondition, "%d windows have rows, a calibration needs %d: wait for more, or cut shorter ones", out.Windows, LeastReplay)
	}
	refs, err := others(b, windows)
	if err != nil {
		return Calibration{}, err
	}
	for _, tau := range tolerances {
		c := Calibrated{Tolerance: tau, Windows: []string{}, Columns: []ColumnAlarms{}}
		counts := map[string]int{}
		for i, w := range windows {
			result, err := replay(&refs[i], w, p, tau)
			if err != nil {
				return Calibration{}, fmt.Errorf("window %s: %w", w.Name, err)
			}
			switch result.Verdict {
			case Drifted:
				c.Alarms++
				c.Windows = append(c.Windows, w.Name)
			case NotEnoughData:
				c.Undecided++
			}
			for _, name := range result.Drifted() {
				counts[name]++
			}
		}
		iv := stat.Wilson(float64(c.Alarms), float64(len(windows)), stat.Z(0.975))
		c.Lo, c.Hi = iv.Lo, iv.Hi
		for name, n := range counts {
			c.Columns = append(c.Columns, ColumnAlarms{name, n})
		}
		sort.Slice(c.Columns, func(i, j int) bool {
			if c.Columns[i].Alarms != c.Columns[j].Alarms {
				return c.Columns[i].Alarms > c.Columns[j].Alarms
			}
			return c.Columns[i].Name < c.Columns[j].Name
		})
		out.Tolerances = append(out.Tolerances, c)
	}
	return out, nil
}

// filled are the windows with rows, by name.
func filled(windows []PastWindow) ([]PastWindow, Calibration) {
	var out Calibration
	kept := []PastWindow{}
	for _, w := range windows {
		var rows uint64
		for _, s := range w.Strata {
			rows += s.Rows
		}
		if rows > 0 {
			kept = append(kept, w)
			out.Rows += rows
		}
	}
	slices.SortStableFunc(kept, func(a, b PastWindow) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
	out.Windows = len(kept)
	return kept, out
}

func replay(ref *profile.Baseline, w PastWindow, p Policy, tau float64) (Result, error) {
	current := map[string][]Stratum{}
	for i := range ref.Columns {
		for k := range w.Strata {
			s := &w.Strata[k]
			current[ref.Columns[i].Name] = append(current[ref.Columns[i].Name], Stratum{State: &s.Columns[i], P: s.Sampled})
		}
	}
	rules, _ := p.Rules(ref, current)
	for i := range ref.Columns {
		c := &ref.Columns[i]
		if set := p.Columns[c.Name]; set.Gate == nil && isCalendar(c.Name) && mostlyOne(current[c.Name]) && !rules.off(c.Name) {
			rules.Off = append(rules.Off, c.Name)
		}
	}
	set := func(t Tolerances) Tolerances {
		t.Numeric, t.Score, t.Categorical = tau, tau, tau
		return t
	}
	rules.Tolerances = set(rules.Tolerances)
	for name, t := range rules.Columns {
		rules.Columns[name] = set(t)
	}
	return Compare(ref, current, rules)
}

// mostlyOne says whether one cell holds at least half of the values. A window cut
// by UTC holds a second day or month of a local calendar: not constant, but moving
// with every window all the same.
func mostlyOne(strata []Stratum) bool {
	var sum []uint64
	var all, most uint64
	for _, s := range strata {
		if sum == nil {
			sum = make([]uint64, len(s.State.Cells))
		}
		for i, n := range s.State.Cells {
			sum[i] += n
			all += n
			most = max(most, sum[i])
		}
	}
	return all > 0 && 2*most >= all
}

// others are, for each window, the baseline refitted on all the others: running
// sums from both ends, as counts of sets that overlap cannot be subtracted.
func others(b *profile.Baseline, windows []PastWindow) ([]profile.Baseline, error) {
	n := len(windows)
	before := make([][]profile.State, n+1)
	after := make([][]profile.State, n+1)
	var err error
	before[0], after[n] = empty(b), empty(b)
	for i := range n {
		if before[i+1], err = plus(b, before[i], windows[i].Strata); err != nil {
			return nil, err
		}
		if after[n-1-i], err = plus(b, after[n-i], windows[n-1-i].Strata); err != nil {
			return nil, err
		}
	}
	refs := make([]profile.Baseline, n)
	for i := range n {
		sum, err := plus(b, before[i], []profile.Stratum{{Columns: after[i+1]}})
		if err != nil {
			return nil, err
		}
		refs[i] = refitted(b, sum)
	}
	return refs, nil
}

func empty(b *profile.Baseline) []profile.State { return profile.NewTally(b).States }

func plus(b *profile.Baseline, states []profile.State, strata []profile.Stratum) ([]profile.State, error) {
	sum := empty(b)
	for i := range sum {
		if err := sum[i].Merge(&states[i]); err != nil {
			return nil, err
		}
		for _, s := range strata {
			if len(s.Columns) != len(sum) {
				return nil, fault.New(fault.FailedPrecondition, "a window has %d columns, the baseline %d: it was counted on another baseline", len(s.Columns), len(sum))
			}
			if err := sum[i].Merge(&s.Columns[i]); err != nil {
				return nil, err
			}
		}
	}
	return sum, nil
}

// refitted is b with the counts of states. What the baseline predicted of unseen
// values is replaced by what was seen: the share in the unseen cell, with its
// Poisson error (N1 as the count, nothing taken from the hash cells).
func refitted(b *profile.Baseline, states []profile.State) profile.Baseline {
	out := profile.Baseline{V: b.V, Rows: b.Rows, Columns: slices.Clone(b.Columns)}
	for i := range out.Columns {
		c := &out.Columns[i]
		c.State = states[i]
		c.N2, c.HashDistinct = 0, [profile.HashCells]int{}
		c.N1 = 0
		switch {
		case c.Kind == profile.Categorical:
			c.N1 = c.State.Cells[c.Cells.Unseen()]
		case c.Few:
			for k, n := range c.State.Cells {
				if !c.Bins.Atom(k) {
					c.N1 += n
				}
			}
		}
		c.N1 = uint64(math.Min(float64(c.N1), float64(c.State.Values())))
	}
	return out
}
