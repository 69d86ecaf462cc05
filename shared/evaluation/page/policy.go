package page

import (
	"fmt"
	"strings"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/webpage"
)

// policyOf is what was asked of the model, and how strictly.
func policyOf(r *evaluation.Report) []fact {
	p := &r.Policy
	var gates []string
	for _, name := range p.Gates(r.Task) {
		gates = append(gates, metricName(name)+" "+toleranceOf(p, name))
	}
	facts := []fact{
		{"Gates, and how much worse is tolerated", strings.Join(gates, ", ")},
		{"Wrong in at most", fmt.Sprintf("%s of windows, one-sided, over all gates", webpage.Percent(p.Alpha))},
		{"Least rows", atLeast(p, r.Task)},
		{"Labels needed", webpage.Percent(p.Coverage) + " of the predictions that are old enough"},
		{"Old enough", delayOf(&r.Delay)},
		{"Window", span(int64(p.WindowMinutes) * 60)},
		{"Model state changes", fmt.Sprintf("at %d of %d windows alike", p.Debounce.Need, p.Debounce.Of)},
		{"Rows that depend on each other", dependence(p)},
	}
	if len(p.Segments) > 0 {
		facts = append(facts, fact{"Segments", fmt.Sprintf("%s; the %d largest values of each", strings.Join(p.Segments, ", "), p.MaxSegments)})
	}
	if r.Comparison != nil {
		facts = append(facts, comparisonPolicy(r.Comparison)...)
	}
	return facts
}

func toleranceOf(p *quality.Policy, metric string) string {
	t := p.Tolerance(metric)
	if quality.LowerIsBetter(metric) {
		return webpage.Percent(t) + " of the reference"
	}
	return webpage.Short(t)
}

func atLeast(p *quality.Policy, task quality.Task) string {
	text := webpage.Whole(p.MinRows) + " judged"
	if task == quality.Binary {
		text += ", " + webpage.Whole(p.MinClass) + " of each class"
	}
	return text
}

// delayOf is the label delay in force, where it is from, and what this window's labels took.
func delayOf(d *evaluation.LabelDelay) string {
	var text string
	switch d.Source {
	case "none":
		text = "every prediction: the rows have no time"
	case "measured":
		text = span(d.Seconds) + ", from the labels of earlier windows"
	case "policy":
		text = span(d.Seconds) + ", as set"
	default:
		text = span(d.Seconds) + ", until labels show more"
	}
	if d.Labels > 0 {
		text += fmt.Sprintf("; 99 %% of this window's %s labels with a time came within %s", webpage.Whole(d.Labels), span(d.Measured))
	}
	return text
}

func dependence(p *quality.Policy) string {
	key := "of one routing key, else one request"
	if p.Key != "" {
		key = "of one " + p.Key
	}
	return fmt.Sprintf("%s; of one %s", key, p.Cluster)
}

// comparisonPolicy is what a challenger must show; the margin is that of the primary metric, in its units.
func comparisonPolicy(c *comparison.Report) []fact {
	p := &c.Policy
	must := "better"
	if p.Delta > 0 {
		must = "better by more than " + webpage.Short(p.Delta)
	}
	must += " in " + metricName(c.Primary)
	if len(c.Bounds) > 0 && c.Bounds[0].Margin > 0 {
		must += "; it does harm where it is worse by more than " + webpage.Short(c.Bounds[0].Margin)
	}
	return []fact{
		{"The challenger must be", must},
		{"Wrong over all looks in at most", webpage.Percent(p.Alpha)},
		{"Bounds are tightest at", webpage.Whole(uint64(p.ExpectedPairs)) + " pairs"},
	}
}
