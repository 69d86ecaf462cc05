package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/drift/watch"
)

// demoWindow is the drift window of the demo's settings.
const demoWindow = 5 * time.Minute

// span is when April was sent.
type span struct{ from, to time.Time }

// endpointWindow judges what came through the endpoint, once the window is closed.
func (d *demo) endpointWindow(ctx context.Context, facts *Facts, april *span) error {
	d.chapter("Look for drift in what came through the endpoint")
	d.say("Its windows are of the clock: five minutes, whatever flights were sent in them.")
	first, last := april.from.UTC().Truncate(demoWindow), april.to.UTC().Truncate(demoWindow)
	closes := last.Add(demoWindow)
	if !d.wait && time.Now().Before(closes) {
		d.say("That of April closes at %s UTC; the schedule judges it then.", closes.Format("15:04"))
		return nil
	}
	err := d.waiting(fmt.Sprintf("the window closes at %s UTC", closes.Format("15:04")), func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(closes.Add(2 * time.Second))):
			return nil
		}
	})
	for at := first; err == nil && !at.After(last); at = at.Add(demoWindow) {
		var report *drift.Report
		if report, err = d.judgeWindow(ctx, at.Format("2006-01-02T15-04")); err == nil {
			d.say("%s: %s", report.Window.ID, report.Summary)
			facts.Drift = append(facts.Drift, judged(report.Window.ID, report))
			err = d.keepPage(ctx, 4, report)
		}
	}
	return err
}

func (d *demo) judgeWindow(ctx context.Context, id string) (*drift.Report, error) {
	var out watch.Out
	if err := d.Invoke(ctx, d.DriftFunctionName, watch.In{Model: modelName, Window: id}, &out); err != nil {
		return nil, fmt.Errorf("drift of %s: %w", id, err)
	}
	if len(out.Reports) != 1 {
		return nil, fmt.Errorf("drift of %s: %d reports", id, len(out.Reports))
	}
	report, err := d.stored(ctx, "reports/drift/"+modelName+"/"+id+"/")
	if err == nil && report == nil {
		err = fmt.Errorf("drift of %s: the report is not there", id)
	}
	return report, err
}
