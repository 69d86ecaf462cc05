package watch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/report"
)

// run is what one invocation knows of all models.
type run struct {
	out       Out
	catalogue *catalogue
	purse     *purse
	failed    []error
}

func (w *Watcher) newRun(ctx context.Context) *run {
	return &run{out: Out{Reports: []Done{}}, catalogue: newCatalogue(w.Data), purse: w.newPurse(ctx)}
}

// wait notes what there was no time for.
func (r *run) wait(left *Waiting) {
	r.out.Waiting = append(r.out.Waiting, *left)
	r.out.Left += max(1, left.Hours)
}

// tick evaluates what is due, model by model. A model that fails does not stop the
// others. When there is more than fits, no model has to wait for the same others
// again: a tick begins with one that is drawn by the minute.
func (w *Watcher) tick(ctx context.Context) (Out, error) {
	r := w.newRun(ctx)
	var names []string
	for m, err := range w.Registry.Models(ctx) {
		if err != nil {
			return r.out, err
		}
		names = append(names, m.Name)
	}
	first := rand.New(rand.NewPCG(uint64(w.Now().Unix()/60), 0)).IntN(max(1, len(names)))
	for i := range names {
		if ctx.Err() != nil || r.purse.short() {
			w.Log.Warn("there was no time to look at all models; the next tick begins with others", "looked_at", i, "models", len(names))
			break
		}
		name := names[(first+i)%len(names)]
		if err := w.tickModel(ctx, r, name); err != nil {
			w.fail(r, name, err)
		}
		r.catalogue.forget(name)
	}
	if len(r.failed) > 0 {
		return r.out, fault.Wrap(errors.Join(r.failed...), fault.KindOf(r.failed[0]), "%d evaluations failed; the log names them: %s", len(r.failed), fault.Public(r.failed[0]).Message)
	}
	return r.out, nil
}

func (w *Watcher) fail(r *run, model string, err error) {
	w.Log.Error("an evaluation failed", "model", model, "kind", string(fault.KindOf(err)), "error", err.Error())
	r.failed = append(r.failed, err)
}

func (w *Watcher) tickModel(ctx context.Context, r *run, name string) error {
	m, err := w.model(ctx, name)
	if fault.Is(err, fault.NotFound) || m == nil && fault.Is(err, fault.FailedPrecondition) && w.taskless(ctx, name) {
		return nil // no version serves yet, or nobody knows what labels mean
	}
	if err != nil {
		return err
	}
	windows := due(&m.policy, w.Now())
	if len(windows) == 0 {
		return nil
	}
	marks, err := w.reports().Marks(ctx, name, windows[0].ID)
	if err != nil {
		return err
	}
	waiting, measured := 0, sync.OnceValues(func() (time.Duration, error) { return w.measured(ctx, m) })
	for _, win := range windows {
		n, err := w.tickWindow(ctx, r, m, win, measured, marks)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			w.fail(r, name, fmt.Errorf("watch: window %s of %s: %w", win.ID, name, err))
		}
		waiting += n
	}
	if waiting > 0 && w.Meter != nil {
		w.Meter.Measure("evaluation waits", name, map[string]float64{"EvaluationHoursWaiting": float64(waiting)})
	}
	return nil
}

// taskless says whether a model cannot be evaluated and never will.
func (w *Watcher) taskless(ctx context.Context, name string) bool {
	m, err := w.Registry.Model(ctx, name)
	return err == nil && evaluation.TaskOf(m.Task) == ""
}

// tickWindow evaluates a window whose sources, or whose maturity, are not those of
// an earlier look; waiting are the hours that there was no time for. A window of which
// nothing is new costs no more than its listing.
func (w *Watcher) tickWindow(ctx context.Context, r *run, m *watched, win period.Window, measured func() (time.Duration, error), marks *report.Marks) (waiting int, err error) {
	hours, err := w.hoursOf(ctx, m, r.catalogue, win)
	if err != nil || !predicted(hours) {
		return 0, err
	}
	if marks.Has(win.ID, listing(hours, win.End)) || w.Now().Sub(marks.Last(win.ID)) < pause(win) {
		return 0, nil
	}
	delay, err := measured()
	if err != nil {
		return 0, err
	}
	if marks.Has(win.ID, listing(hours, matureBefore(win, m.policy.LabelDelay(delay), w.Now()))) {
		return 0, nil
	}
	l, err := w.look(ctx, m, win, hours, delay)
	if err != nil {
		return 0, err
	}
	if marks.Has(win.ID, listing(hours, l.mature)) {
		return 0, nil
	}
	done, left, err := w.evaluate(ctx, l, r.purse)
	if err != nil {
		return 0, err
	}
	if left != nil {
		r.wait(left)
		return left.Hours, nil
	}
	id := ""
	if done != nil {
		if id = done.ID; done.Created {
			r.out.Reports = append(r.out.Reports, *done)
		}
	}
	return 0, marks.Set(ctx, win.ID, listing(l.hours, l.mature), id)
}

// look prepares a look at a window: what was reported before, and which labels are
// due. A window that was mature stays so, whatever later windows say of the delay.
func (w *Watcher) look(ctx context.Context, m *watched, win period.Window, hours []sources, measured time.Duration) (*look, error) {
	l := &look{m: m, win: win, hours: hours, measured: measured}
	var err error
	if l.past, err = w.past(ctx, m, win); err != nil {
		return nil, err
	}
	l.mature = matureBefore(win, m.policy.LabelDelay(measured), w.Now())
	if old := l.past[win.ID]; old != nil && !old.Incomplete {
		l.mature = win.End
	}
	return l, nil
}

// demand evaluates one window now, closed or not.
func (w *Watcher) demand(ctx context.Context, in *In) (Out, error) {
	m, err := w.model(ctx, in.Model)
	if err != nil {
		return Out{}, err
	}
	win, err := period.Parse(m.policy.Window(), in.Window)
	if err != nil {
		return Out{}, err
	}
	if !w.Now().After(win.Start) {
		return Out{}, fault.New(fault.FailedPrecondition, "the window begins at %s, which is yet to come", win.Start.Format(time.RFC3339))
	}
	r := w.newRun(ctx)
	l, err := w.prepare(ctx, r, m, win)
	if err != nil {
		return Out{}, err
	}
	l.always = true
	if now := w.Now(); now.Before(win.End) {
		// Whoever asks for an open window wants what is known of it now, not what a day's rhythm would make of it.
		if due := now.Add(-m.policy.LabelDelay(l.measured)).UTC().Truncate(time.Second); due.After(l.mature) {
			l.mature = due
		}
	}
	done, left, err := w.evaluate(ctx, l, r.purse)
	if err != nil {
		return Out{}, err
	}
	if left != nil {
		r.wait(left)
		return r.out, nil
	}
	r.out.Reports = append(r.out.Reports, *done)
	return r.out, nil
}

// prepare lists a window and prepares a look at it.
func (w *Watcher) prepare(ctx context.Context, r *run, m *watched, win period.Window) (*look, error) {
	hours, err := w.hoursOf(ctx, m, r.catalogue, win)
	if err != nil {
		return nil, err
	}
	measured, err := w.measured(ctx, m)
	if err != nil {
		return nil, err
	}
	return w.look(ctx, m, win, hours, measured)
}

// measured is the label delay that the last windows show; 0 where the policy says it.
func (w *Watcher) measured(ctx context.Context, m *watched) (time.Duration, error) {
	if m.policy.LabelDelayMinutes != nil {
		return 0, nil
	}
	reports, err := w.past(ctx, m, period.At(m.policy.Window(), w.Now()))
	if err != nil {
		return 0, err
	}
	var history []evaluation.Past
	for _, r := range reports {
		history = append(history, r.Past())
	}
	return evaluation.MeasuredDelay(history), nil
}
