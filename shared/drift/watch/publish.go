package watch

import (
	"cmp"
	"context"
	"time"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/drift/page"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/report"
)

func (w *Watcher) reports() *report.Store {
	return &report.Store{Data: w.Data, Bucket: w.Bucket, Kind: "drift", Log: w.Log}
}

// publish judges a job beside the reports there are, writes the report and tells
// of a change of state. The page is written first and the report last, so a report
// that exists is complete.
func (w *Watcher) publish(ctx context.Context, m *watched, job drift.Job) (*Done, error) {
	old, err := w.past(ctx, m, job.Window)
	if err != nil {
		return nil, err
	}
	for window, r := range old {
		job.History = append(job.History, r.Past())
		if window == job.Window.ID {
			job.Supersedes = r
		}
	}
	r, err := drift.Judge(job)
	if err != nil {
		return nil, err
	}
	r, created, err := w.store(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.Standing.Changed {
		if err := w.tell(ctx, r); err != nil {
			return nil, err
		}
	}
	if created && w.Meter != nil {
		w.Meter.Measure("drift report", m.name, figures(r))
	}
	return &Done{Model: m.name, Window: r.Window.ID, ID: r.ID, Revision: r.Revision, Verdict: r.Verdict, Rows: r.Rows.Compared, RowsIn: r.Rows.In,
		Drifted: r.Drifted, Segments: r.DriftedSegments, State: r.Standing.After.Model, Changed: r.Standing.Changed, Created: created,
		Report: w.uri(r, ".json"), Page: w.uri(r, ".html")}, nil
}

func (w *Watcher) uri(r *drift.Report, ext string) string {
	return w.reports().URI(r.Model, r.Window.ID, r.ID, ext)
}

// store writes page and report, and returns what is stored: r, or what an earlier run left under its id.
func (w *Watcher) store(ctx context.Context, r *drift.Report) (stored *drift.Report, created bool, err error) {
	body, err := r.Encode()
	if err != nil {
		return nil, false, err
	}
	body, created, err = w.reports().Put(ctx, r.Model, r.Window.ID, r.ID, func() ([]byte, error) { return page.HTML(r) }, body)
	if err != nil || created {
		return r, created, err
	}
	stored, err = drift.ParseReport(body)
	return stored, false, err
}

// past are the latest reports of the last windows before and around win, by window.
func (w *Watcher) past(ctx context.Context, m *watched, win period.Window) (map[string]*drift.Report, error) {
	from := w.horizon(m, win).Format(time.DateOnly)
	return report.Latest(ctx, w.reports(), m.name, from, win.ID, drift.HistoryLength+1, drift.ParseReport, func(a, b *drift.Report) bool {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), cmp.Compare(a.Rows.Compared, b.Rows.Compared), cmp.Compare(a.ID, b.ID)) > 0
	})
}

// horizon is the time from which reports are listed: that of enough windows, and a year for batches, which come at any
// time; with short windows, of which a year has too many, a week.
func (w *Watcher) horizon(m *watched, win period.Window) time.Time {
	start := win.Start
	if start.IsZero() {
		start = w.Now()
	}
	least := 366 * period.Day
	if m.policy.Window() < period.Day {
		least = 7 * period.Day
	}
	return start.Add(-max(least, (drift.HistoryLength+2)*m.policy.Window())).UTC()
}
