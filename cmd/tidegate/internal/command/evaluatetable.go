package command

import (
	"fmt"
	"io"
	"strings"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/stat"
)

// evaluationTable prints a report: the verdict first, then metrics, segments and
// chunks, then what was left out.
func evaluationTable(w io.Writer, r *evaluation.Report) {
	fmt.Fprintln(w, r.Summary)
	if len(r.Chunks) > 0 {
		fmt.Fprintf(w, "Standing over the chunks: %s.\n", r.Standing.After)
	}
	v := r.Version(r.Champion)
	if v == nil {
		leftOutLines(w, r)
		return
	}
	c := &v.Quality.Counts
	fmt.Fprintf(w, "%d predictions, %d with a label (%.1f %%), %d judged", c.Predictions, c.Labelled, 100*v.Quality.Coverage, c.Judged)
	if v.Reference != nil {
		fmt.Fprintf(w, "; reference %d rows", v.Reference.Rows)
	}
	fmt.Fprintf(w, "\n%s\n", baseRates(r.Classes, v.Quality.BaseRates))
	metricTable(w, v)
	if len(r.Chunks) > 0 {
		fmt.Fprintln(w)
		chunkTable(w, r)
	}
	for i := range v.Segments {
		fmt.Fprintln(w)
		segmentTable(w, r, &v.Segments[i])
	}
	if v.Estimate != nil && v.Estimate.Reason != "" {
		fmt.Fprintf(w, "no estimate without labels: %s\n", v.Estimate.Reason)
	}
	if v.EstimatedLow != "" && r.Verdict != quality.NotEnoughData {
		fmt.Fprintln(w, v.EstimatedLow)
	}
	leftOutLines(w, r)
}

func baseRates(classes []string, rates []float64) string {
	var parts []string
	for i, share := range rates[:min(len(rates), len(classes), 6)] {
		parts = append(parts, fmt.Sprintf("%s %.1f %%", profile.Cut(classes[i]), 100*share))
	}
	if len(parts) == 0 {
		return ""
	}
	if len(rates) > len(parts) {
		parts = append(parts, fmt.Sprintf("and %d more", len(rates)-len(parts)))
	}
	return "labels: " + strings.Join(parts, ", ") + "\n"
}

func metricTable(w io.Writer, v *evaluation.VersionReport) {
	header := []string{"METRIC", "VALUE", "95 % INTERVAL"}
	estimated, referred := v.Estimate != nil && len(v.Estimate.Metrics) > 0, v.Reference != nil
	if referred {
		header = append(header, "REFERENCE")
	}
	if estimated {
		header = append(header, "ESTIMATE", "ITS BAND")
	}
	var cells [][]string
	var notes []string
	for i := range v.Quality.Metrics {
		m := &v.Quality.Metrics[i]
		row := []string{m.Name, figure(m.Value), span(m.Interval)}
		if m.Average != "" {
			row[0] += " (" + m.Average + ")"
		}
		p := v.Point(m.Name)
		if referred {
			row = append(row, figure(p.Reference))
		}
		if estimated {
			row = append(row, figure(p.Estimate), ends(p.EstimateLo, p.EstimateHi))
		}
		cells = append(cells, row)
		if m.Reason != "" {
			notes = append(notes, fmt.Sprintf("%s: %s\n", m.Name, m.Reason))
		}
		if m.Bounds != nil && m.Value != nil && m.Bounds.Hi-m.Bounds.Lo > 0.001 {
			notes = append(notes, fmt.Sprintf("%s: of the scores themselves it is between %.4f and %.4f, as bins hold several of them\n", m.Name, m.Bounds.Lo, m.Bounds.Hi))
		}
	}
	table(w, header, cells)
	for _, n := range notes {
		fmt.Fprint(w, n)
	}
}

func chunkTable(w io.Writer, r *evaluation.Report) {
	name := r.Policy.Gates(r.Task)[0]
	var cells [][]string
	for i := range r.Chunks {
		c := &r.Chunks[i]
		verdict := evaluation.Words(c.Verdict)
		if c.Low {
			verdict += ", estimated low"
		}
		row := []string{c.Window, fmt.Sprint(c.Rows), fmt.Sprintf("%.1f %%", 100*c.Coverage), "", "", "", "", verdict}
		for _, p := range c.Points {
			if p.Name == name {
				row[3], row[4], row[5], row[6] = figure(p.Value), ends(p.Lo, p.Hi), figure(p.Estimate), ends(p.EstimateLo, p.EstimateHi)
			}
		}
		cells = append(cells, row)
	}
	table(w, []string{"CHUNK", "ROWS", "LABELS", strings.ToUpper(name), "95 % INTERVAL", "ESTIMATE", "ITS BAND", "VERDICT"}, cells)
}

func segmentTable(w io.Writer, r *evaluation.Report, s *evaluation.SegmentColumn) {
	name := r.Policy.Gates(r.Task)[0]
	row := func(label string, g *evaluation.Segment) []string {
		q := quality.Quality{Metrics: g.Metrics}
		value, interval := "", ""
		if m := q.Metric(name); m != nil {
			value, interval = figure(m.Value), span(m.Interval)
		}
		base := ""
		if len(g.BaseRates) == 2 {
			base = fmt.Sprintf("%.1f %%", 100*g.BaseRates[1])
		}
		return []string{label, fmt.Sprint(g.Counts.Predictions), fmt.Sprintf("%.1f %%", 100*g.Share), fmt.Sprintf("%.1f %%", 100*g.Coverage), base, value, interval}
	}
	var cells [][]string
	for i := range s.Segments {
		label := profile.Cut(s.Segments[i].Value)
		if s.Segments[i].Missing {
			label = "(missing)"
		}
		cells = append(cells, row(label, &s.Segments[i]))
	}
	if s.Other != nil {
		cells = append(cells, row("(other)", s.Other))
	}
	if len(cells) > 0 {
		table(w, []string{strings.ToUpper(profile.Cut(s.Column)), "ROWS", "SHARE", "LABELS", "POSITIVE", strings.ToUpper(name), "95 % INTERVAL"}, cells)
	}
	if s.Note != "" {
		fmt.Fprintf(w, "segment column %s: %s\n", profile.Cut(s.Column), s.Note)
	}
}

func leftOutLines(w io.Writer, r *evaluation.Report) {
	for _, l := range r.LeftOut {
		unit := l.Unit
		if l.Count == 1 {
			unit = strings.TrimSuffix(unit, "s")
		}
		where := ""
		if l.First != "" {
			where = "; the first: " + l.First
		}
		fmt.Fprintf(w, "left out: %d %s, %s%s\n", l.Count, unit, l.Detail, where)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
}

// figure writes a metric; "" where there is none.
func figure(x *float64) string {
	if x == nil {
		return ""
	}
	return fmt.Sprintf("%.4f", *x)
}

func span(i *stat.Interval) string {
	if i == nil {
		return ""
	}
	return ends(&i.Lo, &i.Hi)
}

func ends(lo, hi *float64) string {
	if lo == nil || hi == nil {
		return ""
	}
	return fmt.Sprintf("%.4f … %.4f", *lo, *hi)
}
