package command

import (
	"fmt"
	"io"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/profile"
)

// comparisonTable prints which of two tables is better, and on what that rests.
func comparisonTable(w io.Writer, r *evaluation.Report) {
	c := r.Comparison
	if c == nil {
		fmt.Fprintf(w, "Not enough data: %s.\n", r.Uncompared)
		leftOutLines(w, r)
		return
	}
	fmt.Fprintln(w, r.Summary)
	fmt.Fprintf(w, "champion %s, challenger %s; %d pairs, %d with the same answer\n\n", c.Champion.Name, c.Challenger.Name, c.Pairs.Pairs, c.Identical)
	var cells [][]string
	for i := range c.Metrics {
		cells = append(cells, differenceRow(c.Metrics[i].Metric, &c.Metrics[i]))
	}
	table(w, []string{"METRIC", "CHAMPION", "CHALLENGER", "GAIN", "95 % INTERVAL", "P-VALUE"}, cells)
	for i := range c.Metrics {
		if m := &c.Metrics[i]; m.Unknown != "" {
			fmt.Fprintf(w, "%s: %s\n", m.Metric, m.Unknown)
		} else if m.Resolution > 0.0005 {
			fmt.Fprintf(w, "%s: bins hold several scores; the gain of the scores themselves can differ by %.4f\n", m.Metric, m.Resolution)
		}
	}
	if m := c.McNemar; m != nil && c.Agreement != nil {
		fmt.Fprintf(w, "McNemar: %d rows right in the champion alone, %d in the challenger alone; exact p = %.4g\n", c.Agreement.ChampionOnly, c.Agreement.ChallengerOnly, m.Exact)
	}
	if len(c.Segments) > 0 {
		fmt.Fprintln(w)
		cells = cells[:0]
		for i := range c.Segments {
			s := &c.Segments[i]
			label := profile.Cut(s.Segment)
			if s.Missing {
				label = "(missing)"
			}
			cells = append(cells, append([]string{label, fmt.Sprint(s.Difference.Pairs)}, differenceRow("", &s.Difference)[1:]...))
		}
		table(w, []string{"SEGMENT", "PAIRS", "CHAMPION", "CHALLENGER", "GAIN", "95 % INTERVAL", "P-VALUE"}, cells)
	}
	for _, text := range c.Warnings {
		fmt.Fprintf(w, "warning: %s\n", text)
	}
	leftOutLines(w, r)
}

func differenceRow(label string, d *comparison.Difference) []string {
	if d.Unknown != "" {
		return []string{label, "", "", "", "", ""}
	}
	return []string{label, fmt.Sprintf("%.4f", d.Champion.Value), fmt.Sprintf("%.4f", d.Challenger.Value), fmt.Sprintf("%+.4f", d.Delta),
		fmt.Sprintf("%+.4f … %+.4f", d.Lo, d.Hi), fmt.Sprintf("%.4g", d.PValue)}
}
