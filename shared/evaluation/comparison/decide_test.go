package comparison

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/stat"
)

// scene is evidence that is made up: gain moves the challenger's scores towards (or
// away from) the label.
type scene struct {
	pairs, hours   int
	gain           float64
	same           bool    // identical answers
	errors, slow   float64 // of the challenger's requests
	noTraffic      bool
	pinned         bool
	segmentGain    float64 // in the segment UA
	overconfidence bool    // of the challenger: the order stays, the log loss does not
	task           Task
	coarse         bool // bins of the challenger
	every          int  // one row of so many is positive; 0 = 4
}

func (sc scene) state(t testing.TB) *State {
	t.Helper()
	if sc.task == "" {
		sc.task = Binary
	}
	spec := specOf(sc.task)
	spec.Pinned, spec.Segments = sc.pinned, []string{"UA"}
	if !sc.coarse {
		spec.Challenger.Bins = spec.Champion.Bins
	}
	s := build(t, spec)
	rng := rand.New(rand.NewPCG(11, 11))
	for i := range sc.pairs {
		r := Row{Time: base.Add(time.Duration(i*sc.hours/sc.pairs) * time.Hour), Group: rng.IntN(stat.KeyGroups), Segment: 1}
		gain := sc.gain
		if rng.IntN(4) == 0 {
			r.Segment, gain = 0, gain+sc.segmentGain
		}
		if rng.IntN(cmp.Or(sc.every, 4)) == 0 {
			r.Label = 1
		}
		a, x := 0.3+0.15*float64(r.Label)+0.5*(rng.Float64()-0.5), 0.04*(rng.Float64()-0.5)
		b := a + x + gain*(float64(r.Label)-0.5)
		if sc.overconfidence {
			b = 1 / (1 + 1e3*(1-b)*(1-b)/(b*b+1e-9))
		}
		if sc.same {
			b = a
		}
		r.Champion, r.Challenger = answerOf(min(max(a, 0), 1)), answerOf(min(max(b, 0), 1))
		if sc.task == Regression {
			r.Champion.Score, r.Challenger.Score = rng.NormFloat64(), (1-gain)*rng.NormFloat64()
		}
		if err := s.Add(&r); err != nil {
			t.Fatal(err)
		}
		if sc.noTraffic {
			continue
		}
		side, failed, slow := Side(i%2), 0.001, 0.01
		if side == Challenger {
			failed, slow = failed+sc.errors, slow+sc.slow
		}
		latency := 20 * time.Millisecond
		if rng.Float64() < slow {
			latency = time.Second
		}
		if err := s.AddRequest(side, r.Time, rng.Float64() < failed, latency); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestDecide(t *testing.T) {
	const hour = 3600
	for _, c := range []struct {
		name   string
		scene  scene
		step   Step
		want   Action
		reject bool
		reason string // a gate that is not yes, or the one that aborts
	}{
		{"advance", scene{pairs: 6000, hours: 20}, Step{Elapsed: 2 * hour}, Advance, false, ""},
		{"bake not passed", scene{pairs: 6000, hours: 20}, Step{Elapsed: hour - 1}, Wait, false, "bake"},
		{"too few new pairs", scene{pairs: 6000, hours: 20}, Step{Elapsed: 2 * hour, PairsBefore: 5501}, Wait, false, "step_pairs"},
		{"too few positives to look for harm", scene{pairs: 6000, hours: 20, every: 150}, Step{Elapsed: 2 * hour}, Wait, false, "abort_first_look"},
		{"no requests", scene{pairs: 6000, hours: 20, noTraffic: true}, Step{Elapsed: 2 * hour}, Wait, false, "not_inferior.error_ratio"},
		{"waited for ever", scene{pairs: 6000, hours: 20, noTraffic: true}, Step{Elapsed: 7 * hour}, Pause, false, "not_inferior.error_ratio"},
		{"nothing yet", scene{}, Step{Elapsed: 2 * hour}, Wait, false, "step_pairs"},
		{"worse", scene{pairs: 1000, hours: 3, gain: -0.2}, Step{}, Abort, true, "harm.roc_auc"},
		{"worse, but too early", scene{pairs: 290, hours: 3, gain: -0.2, noTraffic: true}, Step{}, Wait, false, "abort_first_look"},
		{"errors", scene{pairs: 4000, hours: 10, errors: 0.05}, Step{}, Abort, true, "harm.error_ratio"},
		{"slow", scene{pairs: 4000, hours: 10, slow: 0.2}, Step{}, Abort, true, "harm.latency"},
		{"one segment", scene{pairs: 6000, hours: 20, gain: 0.1, segmentGain: -0.3}, Step{}, Abort, true, "harm.roc_auc.segment.UA"},
		{"log loss", scene{pairs: 4000, hours: 10, overconfidence: true}, Step{}, Abort, true, "harm.log_loss"},
		{"same answers", scene{pairs: 2000, hours: 10, same: true}, Step{Elapsed: 2 * hour}, Futility, false, "same_answers"},
		{"coarse bins of one side", scene{pairs: 6000, hours: 20, coarse: true}, Step{Last: true, Elapsed: 2 * hour}, Wait, false, "better.roc_auc"},
		{"better", scene{pairs: 6000, hours: 20, gain: 0.05}, Step{Last: true, Elapsed: 2 * hour}, Promote, false, ""},
		{"better in too few hours", scene{pairs: 6000, hours: 9, gain: 0.05}, Step{Last: true, Elapsed: 2 * hour}, Wait, false, "time_blocks"},
		{"better before the first look", scene{pairs: 900, hours: 12, gain: 0.05}, Step{Last: true, Elapsed: 2 * hour}, Wait, false, "first_look"},
		{"alike", scene{pairs: 6000, hours: 20}, Step{Last: true, Elapsed: 2 * hour}, Wait, false, "better.roc_auc"},
		{"not better", scene{pairs: 40000, hours: 60, gain: -0.004}, Step{Last: true, Elapsed: 2 * hour}, Futility, true, "better.roc_auc"},
		{"regression, better", scene{pairs: 6000, hours: 20, gain: 0.2, task: Regression}, Step{Last: true, Elapsed: 2 * hour}, Promote, false, ""},
		{"regression, worse", scene{pairs: 2000, hours: 20, gain: -0.3, task: Regression}, Step{}, Abort, true, "harm.mae"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.step.Bake = hour
			d, err := Decide(c.scene.state(t), DefaultPolicy(), c.step)
			if err != nil {
				t.Fatal(err)
			}
			if d.Action != c.want || d.Reject != c.reject || d.Summary == "" {
				t.Fatalf("%s (reject %v): %s\n%s, want %s", d.Action, d.Reject, d.Summary, told(d.Reasons), c.want)
			}
			if c.reason != "" && !strings.Contains(told(d.Reasons), "\n"+c.reason+" ") {
				t.Errorf("reasons lack %s:%s", c.reason, told(d.Reasons))
			}
		})
	}
}

// TestAdvanceSaysWhatWasLookedAt: a guard that is off was not passed.
func TestAdvanceSaysWhatWasLookedAt(t *testing.T) {
	for want, off := range map[string][2]bool{
		"Advance: no harm is shown, and errors and latency are within their margins.": {},
		"Advance: no harm is shown, and latency is within its margin.":                {true, false},
		"Advance: no harm is shown, and errors are within their margin.":              {false, true},
		"Advance: no harm is shown.":                                                  {true, true},
	} {
		p := DefaultPolicy()
		p.Guardrails.ErrorRatio.Off, p.Guardrails.Latency.Off = off[0], off[1]
		d, err := Decide(scene{pairs: 6000, hours: 20}.state(t), p, Step{Bake: 3600, Elapsed: 7200})
		if err != nil || d.Summary != want {
			t.Errorf("%q, %v, want %q", d.Summary, err, want)
		}
	}
}

func told(gates []gate.Result) string {
	var b strings.Builder
	for _, g := range gates {
		fmt.Fprintf(&b, "\n%s %s: %.5f against %.5f, n %d %s", g.Name, g.Answer, g.Value, g.Bound, g.N, g.Reason)
	}
	return b.String()
}

func TestDecideStart(t *testing.T) {
	for _, c := range []struct {
		name  string
		scene scene
		want  Action
		gate  gate.Answer
	}{
		{"as good", scene{pairs: 20000, hours: 20, gain: 0.001}, Start, gate.Yes},
		{"worse", scene{pairs: 4000, hours: 20, gain: -0.1}, NoStart, gate.No},
		{"not shown", scene{pairs: 400, hours: 20, gain: -0.001}, NoStart, gate.Unknown},
		{"too few", scene{pairs: 200, hours: 20, gain: 0.1}, NoStart, gate.Unknown},
		{"the same answers", scene{pairs: 400, hours: 20, same: true}, NoStart, gate.Yes},
	} {
		c.scene.pinned = true
		d, err := DecideStart(c.scene.state(t), DefaultPolicy())
		if err != nil {
			t.Fatal(err)
		}
		if last := d.Reasons[len(d.Reasons)-1]; d.Action != c.want || last.Answer != c.gate || d.Summary == "" {
			t.Errorf("%s: %s, %s%s", c.name, d.Action, d.Summary, told(d.Reasons))
		}
	}
	if _, err := DecideStart(scene{pairs: 400, hours: 2}.state(t), DefaultPolicy()); !fault.Is(err, fault.FailedPrecondition) {
		t.Errorf("rows that are not pinned: %v", err)
	}
}

func TestDecideRefuses(t *testing.T) {
	s := scene{pairs: 400, hours: 2}.state(t)
	bad := DefaultPolicy()
	bad.Alpha = 0.7
	early := build(t, specOf(Binary))
	if err := early.Add(&Row{Time: base.Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		s    *State
		p    Policy
		step Step
		kind fault.Kind
	}{
		"no bake":                 {s, DefaultPolicy(), Step{}, fault.InvalidArgument},
		"a time before the start": {s, DefaultPolicy(), Step{Bake: 1, Elapsed: -1}, fault.InvalidArgument},
		"fewer pairs than before": {s, DefaultPolicy(), Step{Bake: 1, PairsBefore: 401}, fault.FailedPrecondition},
		"a policy that cannot be": {s, bad, Step{Bake: 1}, fault.InvalidArgument},
		"evidence from training":  {early, DefaultPolicy(), Step{Bake: 1}, fault.FailedPrecondition},
	} {
		if d, err := Decide(c.s, c.p, c.step); !fault.Is(err, c.kind) {
			t.Errorf("%s: %+v, %v; want %s", name, d, err, c.kind)
		}
	}
}

// TestGuardrailsCanBeOff: what is off neither blocks nor counts as a check.
func TestGuardrailsCanBeOff(t *testing.T) {
	p := DefaultPolicy()
	p.Guardrails.ErrorRatio.Off, p.Guardrails.Latency.Off, p.Guardrails.LogLoss.Off = true, true, true
	s := scene{pairs: 6000, hours: 20, noTraffic: true}.state(t)
	d, err := Decide(s, p, Step{Bake: 1, Elapsed: 1})
	if err != nil || d.Action != Advance {
		t.Errorf("%+v, %v", d, err)
	}
	if n := p.checks(s, ROCAUC); n != 2 {
		t.Errorf("%d checks of the primary metric and one segment", n)
	}
}

func TestBetter(t *testing.T) {
	for _, c := range []struct {
		scene scene
		want  gate.Answer
	}{
		{scene{pairs: 4000, hours: 1, gain: 0.1, noTraffic: true}, gate.Yes},
		{scene{pairs: 4000, hours: 1, gain: -0.1, noTraffic: true}, gate.No},
		{scene{pairs: 4000, hours: 1, noTraffic: true}, gate.Unknown},
		{scene{pairs: 200, hours: 1, gain: 0.1, noTraffic: true}, gate.Unknown},
		{scene{pairs: 20, hours: 1, same: true, noTraffic: true}, gate.No},
		{scene{}, gate.Unknown},
	} {
		g, err := Better(c.scene.state(t), DefaultPolicy())
		if err != nil || g.Answer != c.want || (g.Answer == gate.Yes) != (g.Reason == "") {
			t.Errorf("%+v: %+v, %v", c.scene, g, err)
		}
	}
}
