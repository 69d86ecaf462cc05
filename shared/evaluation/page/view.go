package page

import (
	"fmt"
	"strings"

	"github.com/tidegate/tidegate/shared/capture"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/stat"
	"github.com/tidegate/tidegate/shared/webpage"
)

// view is the report in words: the template decides nothing.
type view struct {
	Title, What string
	R           *evaluation.Report
	Verdict     label
	Sentence    string
	Facts       []fact
	Glance      []glance
	Estimated   bool // some line of it is an estimate
	Know        []string
	Versions    []version
	Versus      *versus
	Uncompared  string
	Trend       *trend // of the last windows
	History     []tile
	State       []fact
	Chunks      *chunks
	Left        []left
	Policy      []fact
}

// label is a verdict as a class, a sign and a word, so that colour is never alone.
type label struct{ Class, Sign, Word string }

type fact struct{ Name, Value string }

type left struct{ Count, Reason, Detail, First string }

// glance is a line of the overview: a version, or the comparison.
type glance struct {
	label
	ID, Name, Role, Value, Interval, Coverage, Due string
	Estimated                                      bool // the value is that of the estimate
	Draw                                           *reach

	known    bool // the distance from the reference, in tolerances
	distance float64
	span     *stat.Interval
}

// glances draws the lines of the overview on one axis, so that their tolerances stand below each other.
func glances(lines []glance) (drawn []glance, estimated bool) {
	var ends []float64
	for i := range lines {
		if g := &lines[i]; g.known {
			ends = append(ends, g.distance)
			if g.span != nil {
				ends = append(ends, g.span.Lo, g.span.Hi)
			}
		}
	}
	a := around(leastTolerances, mostTolerances, ends...)
	for i := range lines {
		g := &lines[i]
		if !g.known {
			continue
		}
		r := a.draw(g.distance, g.span)
		r.Estimated, r.Mark = g.Estimated, a.on(0)
		r.limit(a, -1)
		r.Label = fmt.Sprintf("%s: %s, 95 %% interval %s: %s", g.Name, g.Value, g.Interval, distance(g.distance))
		g.Draw, estimated = &r, estimated || g.Estimated
	}
	return lines, estimated
}

var (
	undecided = label{"unknown", "?", "Undecided"}
	offLabel  = label{"off", "–", "For reading"}
)

func labelOf(v quality.Verdict) label {
	switch v {
	case quality.Degraded:
		return label{"drift", "▲", "Degraded"}
	case quality.Fine:
		return label{"ok", "✓", "Fine"}
	}
	return label{"unknown", "?", "Not enough data"}
}

const minute = "2006-01-02 15:04"

func viewOf(r *evaluation.Report) *view {
	v := &view{R: r, Verdict: labelOf(r.Verdict), What: "Window " + r.Window.ID}
	switch {
	case r.Window.Batch:
		v.What = "Batch " + r.Window.ID
	case r.Window.ID == "":
		v.What = "All rows"
	}
	subject := r.Model
	if subject == "" && len(r.Versions) > 0 {
		subject = r.Versions[0].Name
	}
	v.Title = v.Verdict.Word + ": " + v.What
	if subject != "" {
		v.Title = v.Verdict.Word + ": " + subject + " · " + v.What
	}
	v.Sentence = because(r.Summary)
	v.Facts = factsOf(r)
	for i := range r.Versions {
		x := versionOf(r, &r.Versions[i])
		x.ID = fmt.Sprintf("version-%d", i+1)
		x.Folded = i > 0
		v.Versions, v.Glance = append(v.Versions, x), append(v.Glance, x.glance)
	}
	v.Glance, v.Estimated = glances(v.Glance)
	if r.Comparison != nil {
		v.Versus = versusOf(r.Comparison, r.Better)
		v.Glance = append(v.Glance, glanceOf(v.Versus, r.Comparison))
	}
	v.Uncompared = sentence(r.Uncompared)
	v.Know = knowOf(r)
	v.History, v.State = historyOf(r)
	v.Trend = trendOf(r.History, quality.Primary(r.Task), &r.Policy)
	if v.Chunks = chunksOf(r); v.Chunks != nil && len(v.History) < 2 {
		v.History = nil // of files there are no windows but their own chunks
	}
	for _, l := range r.LeftOut {
		v.Left = append(v.Left, left{Count: webpage.Whole(l.Count) + " " + l.Unit, Reason: strings.ReplaceAll(l.Reason, "_", " "), Detail: l.Detail, First: l.First})
	}
	v.Policy = policyOf(r)
	return v
}

// factsOf are the counts of the whole window: of each version they are in its section.
func factsOf(r *evaluation.Report) []fact {
	facts := []fact{{"Predictions", webpage.Whole(r.Join.Predictions)}, {"With a label", webpage.OfRows(r.Join.Labelled, r.Join.Predictions)}}
	if len(r.Classes) > 2 {
		facts = append(facts, fact{"Task", fmt.Sprintf("%s, %d classes", r.Task, len(r.Classes))})
	} else if r.Task != "" {
		facts = append(facts, fact{"Task", string(r.Task)})
	}
	if !r.Window.Start.IsZero() {
		facts = append(facts, fact{"Time", r.Window.Start.UTC().Format(minute) + " to " + r.Window.End.UTC().Format(minute) + " UTC"})
	}
	return facts
}

// knowOf is what a reader must know before relying on the verdict.
func knowOf(r *evaluation.Report) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for i := range r.Versions {
		x := &r.Versions[i]
		name := nameOf(x)
		if q := x.Quality; q != nil && x.Role != capture.Paired { // the rows of a pair are counted where they were served
			c := &q.Counts
			switch {
			case c.Mature > 0 && q.Coverage < r.Policy.Coverage:
				say("%s: only %s of the %s predictions that are old enough have a label; %s are needed. Labels that come early are not a random part: do not read the metrics as if they were.",
					name, webpage.Percent(q.Coverage), webpage.Whole(c.Mature), webpage.Percent(r.Policy.Coverage))
			case c.Mature > 0 && i == 0:
				say("%s: of the %s predictions that are old enough %s have a label, and %s are needed.", name, webpage.Whole(c.Mature), webpage.Percent(q.Coverage), webpage.Percent(r.Policy.Coverage))
			}
			if young := c.Predictions - c.Mature; young > 0 && c.Mature <= c.Predictions {
				say("%s: of %s predictions %s are younger than the label delay of %s; their labels, if any, are not judged.", name, webpage.Whole(c.Predictions), webpage.OfRows(young, c.Predictions), span(r.Delay.Seconds))
			}
		}
		if x.EstimatedLow != "" && !strings.Contains(r.Summary, x.EstimatedLow) {
			say("%s: %s An estimate is no verdict.", name, sentence(x.EstimatedLow))
		}
	}
	for _, w := range r.Warnings {
		out = append(out, sentence(w))
	}
	return out
}

// nameOf is what a version is called: that of a table by its name.
func nameOf(x *evaluation.VersionReport) string {
	if x.Name != "" {
		return x.Name
	}
	return fmt.Sprintf("Version %d", x.Version)
}

// because is the summary of a verdict without the verdict itself, which stands above it, and with metrics in words.
func because(summary string) string {
	for _, v := range []quality.Verdict{quality.Degraded, quality.Fine, quality.NotEnoughData} {
		if rest, ok := strings.CutPrefix(summary, labelOf(v).Word+": "); ok {
			summary = rest
		}
	}
	parts := strings.Split(summary, "; ")
	for i, part := range parts {
		if name, rest, ok := strings.Cut(part, " "); ok && metricNames[name] != "" {
			parts[i] = metricNames[name] + " " + rest
		}
	}
	return sentence(strings.Join(parts, "; "))
}

// sentence begins with a capital letter and ends with a stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	if c := s[0]; c >= 'a' && c <= 'z' {
		s = string(c-'a'+'A') + s[1:]
	}
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "?") && !strings.HasSuffix(s, "!") {
		s += "."
	}
	return s
}

// span is a number of seconds in words, in the largest unit that fits.
func span(seconds int64) string {
	size, unit := int64(1), "second"
	for _, u := range []struct {
		of   int64
		name string
	}{{86400, "day"}, {3600, "hour"}, {60, "minute"}} {
		if seconds >= 10*u.of || seconds >= u.of && seconds%u.of == 0 {
			size, unit = u.of, u.name
			break
		}
	}
	n := (seconds + size/2) / size
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
