package watch

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/drift/page"
	"github.com/tidegate/tidegate/shared/fault"
)

// Keys: reports/drift/<m>/<window>/<id>.json and .html, the report;
// <id>.event.json, what was emitted of it; done-<digest>.mark, a listing of profiles
// that has been judged.
func reportFolder(model string) string { return "reports/drift/" + model + "/" }

func reportKey(model, window, id, ext string) string {
	return reportFolder(model) + window + "/" + id + ext
}

func markKey(model, window, digest string) string {
	return reportFolder(model) + window + "/done-" + digest + ".mark"
}

// marks are the listings that have been judged, from the window first on.
func (w *Watcher) marks(ctx context.Context, m *watched, first drift.Window) (map[string]bool, error) {
	out := map[string]bool{}
	for info, err := range w.Data.List(ctx, reportFolder(m.name), reportFolder(m.name)+first.ID) {
		if err != nil {
			return nil, fmt.Errorf("watch: list the reports of %s: %w", m.name, err)
		}
		if strings.HasSuffix(info.Key, ".mark") {
			out[info.Key] = true
		}
	}
	return out, nil
}

// mark notes that a listing has been judged; it is the last write of a window.
func (w *Watcher) mark(ctx context.Context, key string, done *Done) error {
	var id string
	if done != nil {
		id = done.ID
	}
	body, err := json.Marshal(map[string]string{"report": id})
	if err != nil {
		return fault.Wrap(err, fault.Internal, "a mark cannot be encoded")
	}
	return w.once(ctx, key, append(body, '\n'))
}

// once writes a write-once object; that it is there already is fine.
func (w *Watcher) once(ctx context.Context, key string, body []byte) error {
	_, err := w.Data.Put(ctx, key, body, blob.Once())
	if err == nil || fault.Is(err, fault.FailedPrecondition) {
		return nil
	}
	return fmt.Errorf("watch: write %s: %w", key, err)
}

// publish judges a job beside the reports there are, writes the report and tells
// of a change of state. The page is written first and the report last, so a report
// that exists is complete.
func (w *Watcher) publish(ctx context.Context, m *watched, job drift.Job) (*Done, error) {
	old, err := w.reports(ctx, m, job.Window)
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
		Drifted: r.Drifted, State: r.Standing.After.Model, Changed: r.Standing.Changed, Created: created,
		Report: w.uri(r, ".json"), Page: w.uri(r, ".html")}, nil
}

func (w *Watcher) uri(r *drift.Report, ext string) string {
	return "s3://" + w.Bucket + "/" + reportKey(r.Model, r.Window.ID, r.ID, ext)
}

// store writes page and report, and returns what is stored: r, or what an earlier run left under its id.
func (w *Watcher) store(ctx context.Context, r *drift.Report) (stored *drift.Report, created bool, err error) {
	key := reportKey(r.Model, r.Window.ID, r.ID, ".json")
	obj, err := w.Data.Get(ctx, key)
	if err == nil {
		stored, err = drift.ParseReport(obj.Body)
		return stored, false, err
	}
	if !fault.Is(err, fault.NotFound) {
		return nil, false, fmt.Errorf("watch: look for a report: %w", err)
	}
	html, err := page.HTML(r)
	if err != nil {
		return nil, false, err
	}
	if err := w.once(ctx, reportKey(r.Model, r.Window.ID, r.ID, ".html"), html); err != nil {
		return nil, false, err
	}
	body, err := r.Encode()
	if err != nil {
		return nil, false, err
	}
	if _, err := w.Data.Put(ctx, key, body, blob.Once()); err == nil {
		return r, true, nil
	} else if !fault.Is(err, fault.FailedPrecondition) {
		return nil, false, fmt.Errorf("watch: write a report: %w", err)
	}
	if obj, err = w.Data.Get(ctx, key); err != nil { // a concurrent run was first
		return nil, false, fmt.Errorf("watch: read a report: %w", err)
	}
	stored, err = drift.ParseReport(obj.Body)
	return stored, false, err
}

// reports are the latest reports of the last windows before and around win, by
// window. A damaged one is passed over, with a line in the log.
func (w *Watcher) reports(ctx context.Context, m *watched, win drift.Window) (map[string]*drift.Report, error) {
	byWindow := map[string][]string{}
	from := reportFolder(m.name) + w.horizon(m, win).Format(time.DateOnly)
	for info, err := range w.Data.List(ctx, reportFolder(m.name), from) {
		if err != nil {
			return nil, fmt.Errorf("watch: list the reports of %s: %w", m.name, err)
		}
		window, file, _ := strings.Cut(strings.TrimPrefix(info.Key, reportFolder(m.name)), "/")
		if strings.HasSuffix(file, ".json") && !strings.HasSuffix(file, ".event.json") {
			byWindow[window] = append(byWindow[window], info.Key)
		}
	}
	windows := make([]string, 0, len(byWindow))
	for window := range byWindow {
		windows = append(windows, window)
	}
	slices.Sort(windows)
	windows = windows[max(0, len(windows)-drift.HistoryLength-1):]
	if len(byWindow[win.ID]) > 0 && !slices.Contains(windows, win.ID) {
		windows = append(windows, win.ID)
	}
	found := make([]*drift.Report, len(windows))
	err := each(ctx, len(windows), func(ctx context.Context, i int) error {
		for _, key := range byWindow[windows[i]] {
			obj, err := w.Data.Get(ctx, key)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return fmt.Errorf("watch: read a report: %w", err)
			}
			r, err := drift.ParseReport(obj.Body)
			if err != nil {
				w.Log.Error("a report is damaged and is passed over", "key", key, "error", err.Error())
				continue
			}
			if have := found[i]; have == nil || cmp.Or(cmp.Compare(r.Revision, have.Revision), cmp.Compare(r.Rows.Compared, have.Rows.Compared), cmp.Compare(r.ID, have.ID)) > 0 {
				found[i] = r
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := map[string]*drift.Report{}
	for i, r := range found {
		if r != nil {
			out[windows[i]] = r
		}
	}
	return out, nil
}

// horizon is the time from which reports are listed: that of enough windows, and a year for batches, which come at any
// time; with short windows, of which a year has too many, a week.
func (w *Watcher) horizon(m *watched, win drift.Window) time.Time {
	start := win.Start
	if start.IsZero() {
		start = w.Now()
	}
	least := 366 * day
	if m.policy.Window() < day {
		least = 7 * day
	}
	return start.Add(-max(least, (drift.HistoryLength+2)*m.policy.Window())).UTC()
}
