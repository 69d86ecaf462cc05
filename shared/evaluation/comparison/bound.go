package comparison

import (
	"math"

	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/stat"
)

// Names of the checks of requests; that of pairs is LogLoss.
const (
	ErrorRatio = "error_ratio"
	SlowShare  = "latency"
)

// Bound is a gain (more is better) between two bounds, each of which holds at every
// look with the policy's alpha.
type Bound struct {
	Metric  string  `json:"metric"`
	Segment *string `json:"segment,omitempty"` // nil: all pairs
	// Unknown says why there is no value. The rest is then 0.
	Unknown string  `json:"unknown,omitempty"`
	N       float64 `json:"n"` // pairs; of requests the effective number Σ n₁n₂/(n₁+n₂)
	Delta   float64 `json:"delta"`
	SE      float64 `json:"se"`
	Lower   float64 `json:"lower"`
	Upper   float64 `json:"upper"`
	// Harm is the upper bound at alpha over the number of checks, from the errors by row and by block
	// alone: below −Margin harm is shown.
	Harm   float64 `json:"harm"`
	Margin float64 `json:"margin"` // in the units of Delta
}

// bound of a gain from its errors. The harm is looked for at alpha over the number of checks, so that
// all of them together abort a harmless challenger in at most alpha of rollouts.
func (p *Policy) bound(metric string, n, delta, se, harmSE, margin float64, checks int) Bound {
	within := stat.Sequential{Alpha: p.Alpha, Expected: float64(p.ExpectedPairs)}
	harm := stat.Sequential{Alpha: p.Alpha / float64(checks), Expected: float64(p.ExpectedPairs)}
	z := within.Z(n)
	return Bound{Metric: metric, N: n, Delta: delta, SE: se, Margin: margin,
		Lower: delta - z*se, Upper: delta + z*se, Harm: delta + harm.Z(n)*harmSE}
}

// ofPairs bounds a difference over pairs.
func (p *Policy) ofPairs(d *Difference, margin float64, checks int) Bound {
	if d.Unknown != "" {
		return Bound{Metric: d.Metric, Unknown: d.Unknown}
	}
	b := p.bound(d.Metric, float64(d.Pairs), d.Delta, d.SE.Largest(), math.Max(d.SE.Row, d.SE.Block), margin, checks)
	// Coarse bins on one side alone make that side look worse, identical answers included: what
	// they may hide is not held against either version.
	b.Lower, b.Upper, b.Harm = b.Lower-d.Resolution, b.Upper+d.Resolution, b.Harm+d.Resolution
	return b
}

// ofRequests bounds the difference of a share of the slots' requests.
func (p *Policy) ofRequests(s *State, metric string, checks int) Bound {
	share, margin := errorShare, p.Guardrails.ErrorRatio.Margin
	if metric == SlowShare {
		share, margin = slowShare, p.Guardrails.Latency.Margin
		if s.spec.SlowMicros == 0 {
			return Bound{Metric: metric, Margin: margin, Unknown: "no latency of the champion was frozen to compare with"}
		}
	}
	a := s.shares(share)
	switch {
	case s.Requests(Challenger) < uint64(p.Guardrails.FirstLook):
		return Bound{Metric: metric, Margin: margin, Unknown: "the challenger has answered too few requests"}
	case a.Strata == 0:
		return Bound{Metric: metric, Margin: margin, Unknown: "no hour has requests of both slots"}
	}
	return p.bound(metric, a.Effective, a.Difference+0, a.Error, a.Error, margin, checks)
}

// harmed is the gate that says yes where harm is shown.
func (b *Bound) harmed(name string) gate.Result {
	r := gate.Result{Name: "harm." + name, Value: b.Harm, Bound: -b.Margin, N: int64(b.N), Answer: gate.No}
	switch {
	case b.Unknown != "":
		r.Value, r.Answer, r.Reason = 0, gate.Unknown, b.Unknown
	case b.Harm < -b.Margin:
		r.Answer, r.Reason = gate.Yes, "the challenger is worse by more than the margin"
	}
	return r
}

// kept is the gate that says yes where more harm than the margin is ruled out.
func (b *Bound) kept(name string) gate.Result {
	r := gate.Result{Name: "not_inferior." + name, Value: b.Lower, Bound: -b.Margin, N: int64(b.N), Answer: gate.Unknown}
	switch {
	case b.Unknown != "":
		r.Value, r.Reason = 0, b.Unknown
	case b.Lower > -b.Margin:
		r.Answer = gate.Yes
	case b.Upper < -b.Margin:
		r.Answer, r.Reason = gate.No, "the challenger is worse by more than the margin"
	default:
		r.Reason = "too few data to rule out that the challenger is worse by more than the margin"
	}
	return r
}
