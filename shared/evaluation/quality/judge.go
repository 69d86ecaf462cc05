package quality

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tidegate/tidegate/shared/gate"
	"github.com/tidegate/tidegate/shared/stat"
	"github.com/tidegate/tidegate/shared/validate"
)

// Verdict is what one window says of a version.
type Verdict string

// The verdicts.
const (
	Degraded      Verdict = "degraded"
	Fine          Verdict = "fine"
	NotEnoughData Verdict = "not_enough_data"
)

// Judgement is the verdict on a window, and what it rests on.
type Judgement struct {
	Verdict Verdict `json:"verdict"`
	Summary string  `json:"summary"` // a sentence
	// Gates ask whether a metric has degraded: Value is window less reference, signed so that less is worse,
	// Bound the tolerance below 0.
	Gates []Gate `json:"gates"`
}

// Gate is the comparison of one metric with the reference.
type Gate struct {
	gate.Result
	SE        float64 `json:"se"`        // of the difference
	Reference float64 `json:"reference"` // the reference's value
	Lo        float64 `json:"lo"`        // ends of the difference, each one-sided at alpha over the number of gates
	Hi        float64 `json:"hi"`
}

// Judge compares a window with the reference of the version, nil if it has none. A
// window is degraded if one gate is, fine if all are, and else not decided: so are
// windows with too few rows, and those whose mature predictions lack too many
// labels, since labels that come early are not a random part.
func (p *Policy) Judge(q *Quality, ref *Reference) Judgement {
	names := p.Gates(q.Task)
	var answers []gate.Answer
	var out Judgement
	why := p.insufficient(q, ref)
	z := stat.Z(1 - p.Alpha/float64(len(names)))
	for _, name := range names {
		g := p.compare(q, ref, name, z)
		if why != "" {
			g.Answer, g.Reason = gate.Unknown, why
		}
		out.Gates = append(out.Gates, g)
		answers = append(answers, g.Answer)
	}
	switch gate.Any(answers...) {
	case gate.Yes:
		out.Verdict = Degraded
	case gate.No:
		out.Verdict = Fine
	default:
		out.Verdict = NotEnoughData
	}
	out.Summary = out.sentence(why)
	return out
}

// insufficient says why there can be no verdict at all, or nothing.
func (p *Policy) insufficient(q *Quality, ref *Reference) string {
	c := &q.Counts
	switch {
	case ref == nil:
		return "the version has no reference quality"
	case ref.Layout.Task != q.Task:
		return fmt.Sprintf("the reference is of a %s task", ref.Layout.Task)
	case c.Mature == 0:
		return "no prediction is old enough for its label to be expected"
	case q.Coverage < p.Coverage:
		return fmt.Sprintf("%d of %d mature predictions have a label (%.1f %%), and %.1f %% are needed", c.MatureLabel, c.Mature, 100*q.Coverage, 100*p.Coverage)
	case c.Judged < p.MinRows:
		return fmt.Sprintf("%d rows are judged, and %d are needed", c.Judged, p.MinRows)
	}
	if q.Task != Binary {
		return ""
	}
	for k, share := range q.BaseRates {
		if n := share * float64(c.Judged); math.Round(n) < float64(p.MinClass) {
			return fmt.Sprintf("%.0f rows are of class %q, and %d are needed", n, validate.Cut(ref.Layout.Classes[k]), p.MinClass)
		}
	}
	return ""
}

// compare is the gate of one metric.
func (p *Policy) compare(q *Quality, ref *Reference, name string, z float64) Gate {
	g := Gate{Result: gate.Result{Name: name, Answer: gate.Unknown}}
	m := q.Metric(name)
	if m == nil {
		g.Reason = fmt.Sprintf("a %s task has no such metric", q.Task)
		return g
	}
	g.N = int64(m.N)
	if ref == nil {
		g.Reason = "the version has no reference quality"
		return g
	}
	was := ref.Metric(name)
	if m.Value == nil || m.SE == nil {
		g.Reason = "of the window: " + m.Reason
		return g
	}
	if was == nil || was.Value == nil || was.SE == nil {
		g.Reason = "the reference does not have the metric, or no standard error of it"
		return g
	}
	g.Reference = *was.Value
	tolerance := p.Tolerance(name)
	g.Value = *m.Value - *was.Value
	if LowerIsBetter(name) {
		g.Value = -g.Value
		tolerance *= math.Abs(*was.Value)
	}
	g.Bound = -tolerance
	g.SE = math.Hypot(*m.SE, *was.SE)
	g.Lo, g.Hi = g.Value-z*g.SE, g.Value+z*g.SE
	switch {
	case g.Hi < g.Bound:
		g.Answer = gate.Yes
		g.Reason = fmt.Sprintf("%.4g instead of %.4g: worse by more than the tolerance of %.3g", *m.Value, *was.Value, tolerance)
	case g.Lo > g.Bound:
		g.Answer = gate.No
		g.Reason = fmt.Sprintf("%.4g instead of %.4g: within the tolerance of %.3g", *m.Value, *was.Value, tolerance)
	default:
		g.Reason = fmt.Sprintf("%.4g instead of %.4g: with a standard error of %.2g the rows do not decide about the tolerance of %.3g", *m.Value, *was.Value, g.SE, tolerance)
	}
	return g
}

func (j *Judgement) sentence(why string) string {
	of := func(a gate.Answer) []string {
		var out []string
		for i := range j.Gates {
			if g := &j.Gates[i]; g.Answer == a {
				out = append(out, g.Name+" "+g.Reason)
			}
		}
		slices.Sort(out)
		return out
	}
	switch {
	case why != "":
		return "Not enough data: " + why + "."
	case j.Verdict == Degraded:
		return "Degraded: " + strings.Join(of(gate.Yes), "; ") + "."
	case j.Verdict == Fine:
		return "Fine: " + strings.Join(of(gate.No), "; ") + "."
	}
	return "Not enough data: " + strings.Join(of(gate.Unknown), "; ") + "."
}
