package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/report"
)

// tick judges what is due, model by model. A model that fails does not stop the others.
func (w *Watcher) tick(ctx context.Context) (Out, error) {
	var out Out
	var failed []error
	for m, err := range w.Registry.Models(ctx) {
		if err != nil {
			return out, err
		}
		done, err := w.tickModel(ctx, m.Name)
		out.Reports = append(out.Reports, done...)
		if err != nil {
			w.Log.Error("drift of a model failed", "model", m.Name, "kind", string(fault.KindOf(err)), "error", err.Error())
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if len(failed) > 0 {
		return out, fault.Wrap(errors.Join(failed...), fault.KindOf(failed[0]), "%d models could not be judged; the log names them", len(failed))
	}
	return out, nil
}

func (w *Watcher) tickModel(ctx context.Context, name string) ([]Done, error) {
	m, err := w.model(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return nil, nil // no version serves yet
	}
	if err != nil {
		return nil, err
	}
	windows := due(&m.policy, w.Now())
	if len(windows) == 0 {
		return nil, nil
	}
	first, _ := core(&m.policy, windows[0])
	_, last := core(&m.policy, windows[len(windows)-1])
	profiles, err := period.Hours(ctx, w.Data, profilePrefix(name), first, last)
	if err != nil || len(profiles) == 0 {
		return nil, err
	}
	marks, err := w.reports().Marks(ctx, name, windows[0].ID)
	if err != nil {
		return nil, err
	}
	return w.judgeDue(ctx, m, windows, profiles, marks)
}

// judgeDue judges the windows whose listing has no mark, and earlier ones that
// turn out to have got late rows, also where none came in time.
func (w *Watcher) judgeDue(ctx context.Context, m *watched, windows []period.Window, profiles []blob.Info, marks *report.Marks) ([]Done, error) {
	var out []Done
	late := map[string]time.Time{}
	var waiting []func() error // marks that wait for the late windows: a tick that dies before would not find these again
	handle := func(win period.Window, force bool) error {
		from, to := core(&m.policy, win)
		normal := period.Between(profiles, profilePrefix(m.name), from, to)
		if !force && (len(normal) == 0 || marks.Has(win.ID, normal)) {
			return nil
		}
		done, others, err := w.judge(ctx, m, win, false)
		if err != nil {
			return fmt.Errorf("watch: window %s of %s: %w", win.ID, m.name, err)
		}
		id := "" // a document came that has no row of the window
		if done != nil {
			id = done.ID
			if done.Created {
				out = append(out, *done)
			}
		}
		mark := func() error { return marks.Set(ctx, win.ID, normal, id) }
		if force || len(others) == 0 {
			return mark()
		}
		maps.Copy(late, others)
		waiting = append(waiting, mark)
		return nil
	}
	for _, win := range windows {
		if err := handle(win, false); err != nil {
			return out, err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(late)) {
		if late[id].Before(windows[0].Start) {
			w.Log.Warn("rows came too late for their window", "model", m.name, "window", id)
			continue
		}
		if err := handle(period.At(m.policy.Window(), late[id]), true); err != nil {
			return out, err
		}
	}
	for _, mark := range waiting {
		if err := mark(); err != nil {
			return out, err
		}
	}
	return out, nil
}

// judge makes and publishes the report of a window from every profile that can
// hold rows of it. done is nil when there is nothing to report and always is
// false; others are the earlier windows that the profiles also have rows of.
func (w *Watcher) judge(ctx context.Context, m *watched, win period.Window, always bool) (done *Done, others map[string]time.Time, err error) {
	from, to := core(&m.policy, win)
	latest := w.Now().Add(time.Hour)
	if bound := win.End.Add(lookedAtFor(&m.policy)); bound.Before(latest) {
		latest = bound
	}
	infos, err := period.Hours(ctx, w.Data, profilePrefix(m.name), from, latest)
	if err != nil {
		return nil, nil, err
	}
	g := w.gather(m, win)
	if err := g.read(ctx, infos); err != nil {
		return nil, nil, err
	}
	if err := g.unprofiled(ctx, win.Start.Truncate(time.Hour), to); err != nil {
		return nil, nil, err
	}
	job, err := g.job(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !always && job.Totals.Report.Rows == 0 && job.Totals.Requests == 0 && nothing(job.LeftOut) && job.Totals.Report.RowsLeftOut() == 0 {
		w.Log.LogAttrs(ctx, slog.LevelInfo, "a window is empty", slog.String("model", m.name), slog.String("window", win.ID))
		return nil, g.others, nil
	}
	done, err = w.publish(ctx, m, job)
	return done, g.others, err
}

func nothing(left []drift.LeftOut) bool {
	return !slices.ContainsFunc(left, func(l drift.LeftOut) bool { return l.Count > 0 })
}
