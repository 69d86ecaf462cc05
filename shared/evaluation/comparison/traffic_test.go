package comparison

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// traffic fills hours with requests of a challenger of the given weight.
func traffic(t *testing.T, rng *rand.Rand, hours, perHour int, weight float64, errors [2]func(hour int) float64) *State {
	t.Helper()
	s := build(t, specOf(Binary))
	for hour := range hours {
		for range perHour {
			side := Champion
			if rng.Float64() < weight {
				side = Challenger
			}
			failed := rng.Float64() < errors[side](hour)
			if err := s.AddRequest(side, base.Add(time.Duration(hour)*time.Hour), failed, 20*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

func always(p float64) func(int) float64 { return func(int) float64 { return p } }

// TestErrorRatioOfAlikeSlots: with few requests of the challenger in an hour and few
// errors, and with an hour of errors on both sides, harm is shown in at most 5 % of
// rollouts, and nothing is far from 0.
func TestErrorRatioOfAlikeSlots(t *testing.T) {
	p := DefaultPolicy()
	const runs = 100
	for name, rate := range map[string]func(int) float64{
		"no errors": always(0), "few": always(0.002), "many": always(0.05),
		"an outage of both": func(hour int) float64 { return map[bool]float64{true: 0.5, false: 0.001}[hour == 7] },
	} {
		rng := rand.New(rand.NewPCG(4, 4))
		harmed := 0
		for range runs {
			s := traffic(t, rng, 48, 200, 0.05, [2]func(int) float64{rate, rate})
			b := p.ofRequests(s, ErrorRatio, 4)
			if b.Unknown != "" {
				t.Fatalf("%s: %s", name, b.Unknown)
			}
			if b.Harm < -b.Margin {
				harmed++
			}
			if math.Abs(b.Delta) > 0.04 {
				t.Errorf("%s: difference %.4f between alike slots", name, b.Delta)
			}
		}
		if harmed > runs*5/100 {
			t.Errorf("%s: harm in %d of %d rollouts of alike slots", name, harmed, runs)
		}
	}
}

func TestErrorRatioOfAWorseSlot(t *testing.T) {
	p := DefaultPolicy()
	rng := rand.New(rand.NewPCG(4, 5))
	s := traffic(t, rng, 24, 400, 0.25, [2]func(int) float64{always(0.002), always(0.06)})
	if b := p.ofRequests(s, ErrorRatio, 4); b.Harm >= -b.Margin {
		t.Errorf("6 %% errors instead of 0.2 %%: %+v", b)
	}
	s = traffic(t, rng, 24, 400, 0.5, [2]func(int) float64{always(0.002), always(0.002)})
	if b := p.ofRequests(s, ErrorRatio, 4); b.Lower <= -b.Margin {
		t.Errorf("as few errors over 4,800 requests of either side: %+v", b)
	}
	if b := p.ofRequests(s, SlowShare, 4); b.Delta != 0 || b.Lower <= -b.Margin {
		t.Errorf("no slow request: %+v", b)
	}
}

func TestRequestsThatDoNotDecide(t *testing.T) {
	p := DefaultPolicy()
	s := build(t, specOf(Binary))
	if b := p.ofRequests(s, ErrorRatio, 4); b.Unknown == "" {
		t.Error("without requests")
	}
	for side, hour := range [2]int{0, 1} {
		if err := s.AddTraffic(Side(side), base.Add(time.Duration(hour)*time.Hour), Traffic{Requests: 1000}); err != nil {
			t.Fatal(err)
		}
	}
	if b := p.ofRequests(s, ErrorRatio, 4); b.Unknown == "" {
		t.Error("slots that never answered in the same hour")
	}
	spec := specOf(Binary)
	spec.SlowMicros = 0
	s = build(t, spec)
	if b := p.ofRequests(s, SlowShare, 4); b.Unknown == "" {
		t.Error("a latency that was not measured before")
	}
}

func TestLatencies(t *testing.T) {
	var a, b Latencies
	for i := range 10000 {
		d := time.Duration(i+1) * time.Microsecond
		if i%3 == 0 {
			a.Add(d)
		} else {
			b.Add(d)
		}
	}
	a.Merge(&b)
	if got := a.SlowMicros(1.5); got < 14250 || got > 15200 {
		t.Errorf("1.5 times the 95th percentile of 1…10,000 µs is %d µs", got)
	}
	var none Latencies
	none.Merge(&none)
	if none.SlowMicros(1.5) != 0 {
		t.Error("no latencies have no bound")
	}
	none.Add(-time.Second)
	if got := none.SlowMicros(2); got != 2 {
		t.Errorf("below a microsecond counts as one: %d", got)
	}
}
