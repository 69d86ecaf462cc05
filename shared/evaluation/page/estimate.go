package page

import (
	"fmt"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/webpage"
)

// estimate is what the quality would be if the labels followed the scores as in the
// reference, beside what they said where they are known.
type estimate struct {
	Reason   string // why there is none
	How      string
	Low      string // what it says of the gates, which is no verdict
	Realised bool
	Rows     []estimateRow
	Held     string
}

type estimateRow struct {
	label                                  // whether the band held
	Name, Value, Band, Realised, Off, Note string
	Draw                                   *reach
}

func estimateOf(e *quality.Estimates, realised []quality.Realised, low string, m *measured, a axis) *estimate {
	if e == nil {
		return nil
	}
	out := &estimate{Reason: sentence(e.Reason), Low: low, Realised: len(realised) > 0}
	if e.Reason != "" {
		return out
	}
	out.How = fmt.Sprintf("Of %s predictions with a score, labelled or not. ", webpage.Whole(e.Rows))
	if e.Calibrated {
		out.How += fmt.Sprintf("Scores are calibrated on the reference, which lowers its calibration error from %s to %s.", webpage.Measure(e.RawError), webpage.Measure(e.FitError))
	} else {
		out.How += fmt.Sprintf("Scores count as they are: calibration would not lower the reference's calibration error (%s; calibrated %s).", webpage.Measure(e.RawError), webpage.Measure(e.FitError))
	}
	held := 0
	for i := range e.Metrics {
		row := estimated(&e.Metrics[i], realised, m, a)
		if row.Class == "ok" {
			held++
		}
		out.Rows = append(out.Rows, row)
	}
	if out.Realised {
		out.Held = fmt.Sprintf("The band held the realised value of %d of %d metrics.", held, len(realised))
	}
	return out
}

func estimated(x *quality.EstimateMetric, realised []quality.Realised, m *measured, a axis) estimateRow {
	row := estimateRow{label: label{"off", "–", "No label yet"}, Name: metricName(x.Name), Value: "–", Band: "–", Realised: "–", Off: "–", Note: x.Reason}
	if x.Average == "macro" {
		row.Note = "mean over the classes"
	}
	if x.Value == nil {
		return row
	}
	row.Value, row.Band = "≈ "+webpage.Measure(*x.Value), spanOf(x.Interval)
	var later *quality.Realised
	for i := range realised {
		if realised[i].Name == x.Name {
			later = &realised[i]
		}
	}
	if later != nil {
		row.Realised, row.Off = webpage.Measure(later.Realised), webpage.Signed(later.Difference)
		row.label = label{"drift", "▲", "Missed"}
		if later.Inside {
			row.label = label{"ok", "✓", "Held"}
		}
	}
	row.Draw = drawnEstimate(x, later, row, m, a)
	return row
}

// drawnEstimate draws the band in tolerances, or, without a reference, on the metric's own range.
func drawnEstimate(x *quality.EstimateMetric, later *quality.Realised, row estimateRow, m *measured, a axis) *reach {
	to := m.tolerances(x.Name)
	if to == nil {
		return nil
	}
	d, span := inTolerances(to, *x.Value, x.Interval)
	r := a.draw(d, span)
	r.Mark, r.Estimated = a.on(0), true
	r.limit(a, -1)
	r.Label = fmt.Sprintf("%s: estimated %s, band %s, realised %s", row.Name, webpage.Measure(*x.Value), row.Band, row.Realised)
	if later != nil {
		r.Near = webpage.Coordinate(a.at(to(later.Realised)))
	}
	return &r
}
