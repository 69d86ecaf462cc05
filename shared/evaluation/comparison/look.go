package comparison

import (
	"fmt"

	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/validate"
)

// look is what one look at the pairs shows, measured once for all gates.
type look struct {
	s      *State
	p      *Policy
	all    Difference // the primary metric over all pairs
	parts  []Difference
	checks int

	primary    Bound
	errors     *Bound // nil where a guardrail is off, or not for this task
	latency    *Bound
	logLoss    *Bound
	logLossAll Difference
	segments   []Bound
}

func (p *Policy) look(s *State) (*look, error) {
	metric, err := p.primary(&s.spec)
	if err != nil {
		return nil, err
	}
	l := &look{s: s, p: p, checks: p.checks(s, metric)}
	l.parts = s.differences(metric)
	l.all = l.parts[s.all()]
	l.primary = p.ofPairs(&l.all, p.margin(metric, l.all.Champion.Value), l.checks)
	if !p.Guardrails.ErrorRatio.Off {
		b := p.ofRequests(s, ErrorRatio, l.checks)
		l.errors = &b
	}
	if !p.Guardrails.Latency.Off {
		b := p.ofRequests(s, SlowShare, l.checks)
		l.latency = &b
	}
	if p.guardsLogLoss(s, metric) {
		l.logLossAll = s.Difference(LogLoss)
		b := p.ofPairs(&l.logLossAll, p.Guardrails.LogLoss.Margin*l.logLossAll.Champion.Value, l.checks)
		l.logLoss = &b
	}
	for i := range s.spec.Segments {
		d := &l.parts[i]
		b := p.ofPairs(d, p.segmentMargin(metric, d.Champion.Value), l.checks)
		if !p.Segments.enough(&s.spec, d.Counts) {
			b = Bound{Metric: metric, Margin: b.Margin, Unknown: "too few pairs in this segment yet"}
		}
		b.Segment = &s.spec.Segments[i]
		l.segments = append(l.segments, b)
	}
	return l, nil
}

func (p *Policy) guardsLogLoss(s *State, primary string) bool {
	return !p.Guardrails.LogLoss.Off && primary != LogLoss && s.valueOf(LogLoss) != nil
}

// checks is how many harms are looked for. It depends on the policy and the spec
// only: it may not move between looks.
func (p *Policy) checks(s *State, primary string) int {
	n := 1 + len(s.spec.Segments)
	for _, on := range []bool{!p.Guardrails.ErrorRatio.Off, !p.Guardrails.Latency.Off, p.guardsLogLoss(s, primary)} {
		if on {
			n++
		}
	}
	return n
}

// enough says whether counts allow a look.
func (l Look) enough(spec *Spec, c Counts) bool {
	if c.Pairs < uint64(l.Pairs) {
		return false
	}
	return spec.Task != Binary || min(c.Positives, c.Negatives) >= uint64(l.PerClass)
}

// need says what a look is missing.
func (l Look) need(spec *Spec, name string, c Counts) gate.Result {
	r := gate.Result{Name: name, Value: float64(c.Pairs), Bound: float64(l.Pairs), N: int64(c.Pairs), Answer: gate.Unknown}
	switch {
	case l.enough(spec, c):
		r.Answer = gate.Yes
	case spec.Task == Binary:
		r.Reason = fmt.Sprintf("%d pairs (%d positive, %d negative) of the %d, and %d of each class, that a look needs", c.Pairs, c.Positives, c.Negatives, l.Pairs, l.PerClass)
	default:
		r.Reason = fmt.Sprintf("%d pairs of the %d that a look needs", c.Pairs, l.Pairs)
	}
	return r
}

// harms are the gates that abort.
func (l *look) harms() []gate.Result {
	var out []gate.Result
	if l.p.HarmLook.enough(&l.s.spec, l.all.Counts) {
		out = append(out, l.primary.harmed(l.primary.Metric))
		if l.logLoss != nil {
			out = append(out, l.logLoss.harmed(LogLoss))
		}
		for i := range l.segments {
			out = append(out, l.segments[i].harmed(l.primary.Metric+".segment."+validate.Cut(*l.segments[i].Segment)))
		}
	}
	for _, b := range []*Bound{l.errors, l.latency} {
		if b != nil {
			out = append(out, b.harmed(b.Metric))
		}
	}
	return out
}

// kept are the gates on errors and latency, and on log loss where it is asked for.
func (l *look) kept(logLoss bool) []gate.Result {
	var out []gate.Result
	for _, b := range []*Bound{l.errors, l.latency} {
		if b != nil {
			out = append(out, b.kept(b.Metric))
		}
	}
	if logLoss && l.logLoss != nil {
		out = append(out, l.logLoss.kept(LogLoss))
	}
	return out
}

// bounds are all that was measured, for the report.
func (l *look) bounds() []Bound {
	out := []Bound{l.primary}
	for _, b := range []*Bound{l.errors, l.latency, l.logLoss} {
		if b != nil {
			out = append(out, *b)
		}
	}
	return out
}

// same says whether all answers are the same, over enough pairs to say so.
func (l *look) same() bool {
	return l.s.pairs > 0 && l.s.Identical() == l.s.pairs && l.p.FirstLook.enough(&l.s.spec, l.all.Counts)
}

func (l *look) sameAnswers() gate.Result {
	return gate.Result{Name: "same_answers", Value: 1, Bound: 1, Answer: gate.Yes, N: int64(l.s.pairs),
		Reason: "no, same answers: the two versions answered every row alike, so neither can be better"}
}
