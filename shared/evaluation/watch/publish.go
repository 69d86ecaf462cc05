package watch

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/evaluation/page"
	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/outcome"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/report"
)

func (w *Watcher) reports() *report.Store {
	return &report.Store{Data: w.Data, Bucket: w.Bucket, Kind: "evaluation", Log: w.Log}
}

// publish judges a window beside the reports there are, writes the report and tells
// of it. done is nil when there is nothing to report.
func (w *Watcher) publish(ctx context.Context, l *look, t *terms, tally *evaluation.Tally) (*Done, error) {
	old := l.past[l.win.ID]
	if !l.always {
		if tally.Join.Requests == 0 && tally.Join.Failed == 0 {
			w.Log.LogAttrs(ctx, slog.LevelInfo, "a window is empty", slog.String("model", l.m.name), slog.String("window", l.win.ID))
			return nil, nil
		}
		if old != nil && tally.Join.Predictions < old.Join.Predictions {
			w.Log.Warn("captures of a window are gone; the report that was made of them stays", "model", l.m.name, "window", l.win.ID,
				"predictions", tally.Join.Predictions, "before", old.Join.Predictions)
			return nil, nil
		}
	}
	if err := w.estimators(l.m, t); err != nil {
		return nil, err
	}
	r, err := evaluation.Judge(w.job(l, t, tally))
	if err != nil {
		return nil, err
	}
	created := false
	if old != nil && alike(old, r) {
		r = old // the same lines again are no news
	} else if r, created, err = w.store(ctx, r); err != nil {
		return nil, err
	}
	if err := w.tell(ctx, r); err != nil {
		return nil, err
	}
	if created && w.Meter != nil {
		w.Meter.Measure("evaluation report", l.m.name, figures(r))
	}
	done := w.done(r)
	done.Created = created
	return done, nil
}

// job is what the report is made from.
func (w *Watcher) job(l *look, t *terms, tally *evaluation.Tally) evaluation.Job {
	job := evaluation.Job{Model: l.m.name, Window: l.win, Tally: tally, References: t.references, Comparison: l.m.compare, Uncompared: t.uncompared, Measured: l.measured}
	for _, r := range l.past {
		// A window whose labels are not yet due keeps no place among those that make the standing: with labels that
		// take weeks there would never be enough decided ones.
		if r.Window.ID == l.win.ID || !(r.Incomplete && r.Verdict == quality.NotEnoughData) {
			job.History = append(job.History, r.Past())
		}
	}
	job.Supersedes = l.past[l.win.ID]
	if now := w.Now(); now.Before(closedAt(l.win)) {
		job.LeftOut = append(job.LeftOut, open(l.win, now))
	}
	return job
}

// LeftOpen is the reason to leave out what is still to come.
const LeftOpen = "window_not_closed"

// open says that a window is not closed.
func open(win period.Window, now time.Time) evaluation.LeftOut {
	hours := (closedAt(win).Sub(now) + time.Hour - 1) / time.Hour
	return evaluation.LeftOut{Reason: LeftOpen, Count: uint64(hours), Unit: "hours",
		Detail: fmt.Sprintf("to come until the window is closed, at %s: this report is of what there was before", closedAt(win).Format(time.RFC3339))}
}

// estimators are made once a version: each fits its reference some hundred times.
func (w *Watcher) estimators(m *watched, t *terms) error {
	for n, ref := range t.references {
		if ref.Reference == nil || ref.Estimator != nil {
			continue
		}
		e, err := quality.NewEstimator(ref.Reference)
		if err != nil {
			return err
		}
		ref.Estimator = e
		t.references[n], m.versions[n].reference.Estimator = ref, e
	}
	return nil
}

// alike says whether two reports of a window say the same, but for how often lines
// were delivered and for the label delay of other windows.
func alike(a, b *evaluation.Report) bool {
	return a.Incomplete == b.Incomplete && bytes.Equal(essence(a), essence(b))
}

func essence(r *evaluation.Report) []byte {
	c := *r
	c.ID, c.Revision, c.Supersedes, c.Standing, c.History = "", 0, nil, evaluation.StandingChange{}, nil
	if !c.Incomplete {
		c.Delay.Seconds, c.Delay.Source = 0, ""
	}
	c.Join = again(r.Join)
	c.LeftOut = slices.DeleteFunc(slices.Clone(r.LeftOut), func(l evaluation.LeftOut) bool {
		return l.Reason == evaluation.LeftDuplicate || l.Reason == evaluation.LeftLabelDuplicate || l.Reason == LeftOpen
	})
	for i := range c.LeftOut {
		if c.LeftOut[i].Unit == evaluation.UnitLabels {
			c.LeftOut[i].Count = 0
		}
	}
	raw, err := json.Marshal(&c)
	if err != nil { // a report is of numbers and texts
		return nil
	}
	return raw
}

// again is without the counts of lines, which a second delivery raises.
func again(c outcome.Counts) outcome.Counts {
	c.Late, c.Repeated, c.Labels, c.LabelDuplicates, c.LabelsUnmatched, c.LabelsUnusable, c.LabelsWithoutRows = 0, 0, 0, 0, 0, 0, 0
	return c
}

// store writes page and report, and returns what is stored: r, or what an earlier run left under its id.
func (w *Watcher) store(ctx context.Context, r *evaluation.Report) (stored *evaluation.Report, created bool, err error) {
	body, err := r.Encode()
	if err != nil {
		return nil, false, err
	}
	body, created, err = w.reports().Put(ctx, r.Model, r.Window.ID, r.ID, func() ([]byte, error) { return page.HTML(r) }, body)
	if err != nil || created {
		return r, created, err
	}
	stored, err = evaluation.ParseReport(body)
	return stored, false, err
}

func (w *Watcher) uri(r *evaluation.Report, ext string) string {
	return w.reports().URI(r.Model, r.Window.ID, r.ID, ext)
}

// past are the latest reports of the last windows before and around win, by window.
func (w *Watcher) past(ctx context.Context, m *watched, win period.Window) (map[string]*evaluation.Report, error) {
	from := win.Start.Add(-(quality.HistoryLength + 2) * m.policy.Window()).UTC()
	return report.Latest(ctx, w.reports(), m.name, from.Format(time.DateOnly), win.ID, quality.HistoryLength+1, evaluation.ParseReport, func(a, b *evaluation.Report) bool {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Join.Labelled, b.Join.Labelled), cmp.Compare(a.ID, b.ID)) > 0
	})
}

func (w *Watcher) done(r *evaluation.Report) *Done {
	d := &Done{Model: r.Model, Window: r.Window.ID, Closed: !w.Now().Before(closedAt(r.Window)), ID: r.ID, Revision: r.Revision, Version: r.Champion,
		Verdict: r.Verdict, State: r.Standing.After, Changed: r.Standing.Changed, Report: w.uri(r, ".json"), Page: w.uri(r, ".html")}
	if v := r.Version(r.Champion); v != nil {
		d.Rows, d.Judged, d.Coverage = v.Quality.Counts.Predictions, v.Quality.Counts.Judged, v.Quality.Coverage
	}
	return d
}
