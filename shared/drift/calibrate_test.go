package drift

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/profile"
)

// past makes w windows of n rows of two columns; shift is added to the numbers of
// window at, where every category is new as well.
func past(t *testing.T, w, n, at int, shift float64) (*profile.Baseline, []PastWindow) {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 6))
	builder, err := profile.NewBuilder([]profile.Spec{{Name: "x", Kind: profile.Numeric}, {Name: "c", Kind: profile.Categorical}})
	if err != nil {
		t.Fatal(err)
	}
	draw := func(s profile.Sink, n int, shift float64) {
		for range n {
			s.Number(0, rng.NormFloat64()+shift, 1)
			c := string(rune('a' + rng.IntN(5)))
			if shift != 0 {
				c = "new " + c
			}
			s.Text(1, c, 1)
		}
	}
	draw(builder, n, 0)
	b := builder.Freeze(uint64(n))
	windows := make([]PastWindow, w)
	for i := range windows {
		tally := profile.NewTally(b)
		d := 0.0
		if i == at {
			d = shift
		}
		draw(tally, n, d)
		windows[i] = PastWindow{Name: fmt.Sprintf("%02d", i), Strata: []profile.Stratum{{Sampled: 1, Rows: uint64(n), Columns: tally.States}}}
	}
	return b, windows
}

func TestCalibrateCountsTheWindowThatIsOff(t *testing.T) {
	b, windows := past(t, 12, 4000, 7, 0.6)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(windows), func(i, j int) { windows[i], windows[j] = windows[j], windows[i] })
	got, err := Calibrate(b, windows, DefaultPolicy(), []float64{0.1, 0.99})
	if err != nil {
		t.Fatal(err)
	}
	at := got.Tolerances[0]
	if got.Windows != 12 || at.Alarms != 1 || at.Windows[0] != "07" || len(at.Columns) != 2 {
		t.Errorf("%+v", got)
	}
	// Wilson's interval of 1 in 12.
	if at.Lo < 0.014 || at.Lo > 0.015 || at.Hi < 0.353 || at.Hi > 0.355 {
		t.Errorf("interval %g … %g", at.Lo, at.Hi)
	}
	// The new categories have a gate of their own, which the tried tolerances leave alone.
	if last := got.Tolerances[1]; last.Alarms != 1 || len(last.Columns) != 1 || last.Columns[0].Name != "c" {
		t.Errorf("%+v", last)
	}
}

func TestCalibrateNeedsTenWindows(t *testing.T) {
	b, windows := past(t, 10, 100, -1, 0)
	for i := range windows[9].Strata {
		windows[9].Strata[i].Rows = 0
	}
	if _, err := Calibrate(b, windows, DefaultPolicy(), []float64{0.1}); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("nine windows: %v", err)
	}
	b, windows = past(t, 10, 100, -1, 0)
	if _, err := Calibrate(b, windows, DefaultPolicy(), []float64{1}); !fault.Is(err, fault.InvalidArgument) {
		t.Errorf("tolerance 1: %v", err)
	}
	if got, err := Calibrate(b, windows, DefaultPolicy(), []float64{0.1}); err != nil || got.Tolerances[0].Alarms != 0 {
		t.Errorf("clean windows: %+v, %v", got, err)
	}
	windows[3].Strata[0].Columns = windows[3].Strata[0].Columns[:1]
	if _, err := Calibrate(b, windows, DefaultPolicy(), []float64{0.1}); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("another baseline: %v", err)
	}
}
