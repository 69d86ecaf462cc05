package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/drift/watch"
	"github.com/tidegate/tidegate/tests/demo/flights"
)

// Judged is one report, for programs.
type Judged struct {
	Window  string   `json:"window"` // the month of the flights; of what came through the endpoint the window itself
	Rows    uint64   `json:"rows"`
	Verdict string   `json:"verdict"`
	Columns []string `json:"columns"` // that drifted
}

// first and last months that come as batches before the model is trained again, and after.
var beforeRetraining, afterwards = [2]int{5, 7}, [2]int{8, 12}

// watchDrift drops months as batches, each of which starts the drift machine by itself.
func (d *demo) watchDrift(ctx context.Context, all []flights.Flight, months [2]int, facts *Facts) error {
	d.chapter(fmt.Sprintf("Drop %s to %s as batches", time.Month(months[0]), time.Month(months[1])))
	champion, err := d.champion(ctx)
	if err != nil {
		return err
	}
	d.say("The function score answers each month by version %d. The file with the answers, under batches/%s/, starts the drift machine by itself:", champion, modelName)
	d.say("plan, count on the cells that were frozen when the version was registered, judge.")
	d.say("%-9s %7s  %-16s %-38s %s", "month", "rows", "verdict", "drifted", "undecided")
	var standing drift.Standing
	bar := d.bar(months[1]-months[0]+1, "judging months")
	for month := months[0]; month <= months[1]; month++ {
		if months == beforeRetraining {
			if err := d.teach(ctx, all, month); err != nil {
				return err
			}
		}
		report, err := d.month(ctx, all, month, champion)
		if err != nil {
			return err
		}
		bar.Add(1)
		d.windows[report.Window.ID] = time.Month(month)
		standing = report.Standing.After
		d.report(time.Month(month).String(), report)
		facts.Drift = append(facts.Drift, judged(fmt.Sprintf("2013-%02d", month), report))
		if err := d.keepPage(ctx, month, report); err != nil {
			return err
		}
	}
	bar.Finish()
	d.say("A state needs two of the last three months alike: it is drift in %s.", list(standing.Drifted()))
	d.say("Each report has a page; open %s in a browser.", d.shown("drift", fmt.Sprintf("2013-%02d.html", months[1])))
	return nil
}

// reportOf waits for the report of the batch that is one object.
func (d *demo) reportOf(ctx context.Context, object blob.Info) (*drift.Report, error) {
	end := time.Now().Add(d.patience)
	for {
		job, err := d.jobOf(ctx, object)
		if err == nil && job != "" {
			if report, err := d.stored(ctx, "reports/drift/"+modelName+"/"+job+"/"); err != nil || report != nil {
				return report, err
			}
		}
		if err != nil || time.Now().After(end) {
			return nil, errors.Join(err, fmt.Errorf("no report within %s; look at the executions of the drift machine", d.patience))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// jobOf finds the plan that holds the object, "" when there is none yet.
func (d *demo) jobOf(ctx context.Context, object blob.Info) (string, error) {
	for info, err := range d.Data.List(ctx, "profiles/"+modelName+"/batches/", "") {
		if err != nil {
			return "", err
		}
		if path.Base(info.Key) != "plan.json" {
			continue
		}
		stored, err := d.Data.Get(ctx, info.Key)
		if err != nil {
			return "", err
		}
		var plan watch.Plan
		if err := json.Unmarshal(stored.Body, &plan); err != nil {
			return "", fmt.Errorf("%s: %w", info.Key, err)
		}
		if len(plan.Parts) == 1 && plan.Parts[0].Key == object.Key && plan.Parts[0].VersionID == object.VersionID {
			return plan.Job, nil
		}
	}
	return "", nil
}

// stored is the newest revision of the reports under a prefix, nil when there is none.
func (d *demo) stored(ctx context.Context, prefix string) (newest *drift.Report, err error) {
	for info, err := range d.Data.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(info.Key, ".json") || strings.HasSuffix(info.Key, ".event.json") {
			continue
		}
		object, err := d.Data.Get(ctx, info.Key)
		if err != nil {
			return nil, err
		}
		report, err := drift.ParseReport(object.Body)
		if err != nil {
			return nil, err
		}
		if newest == nil || report.Revision > newest.Revision {
			newest = report
		}
	}
	return newest, nil
}

func (d *demo) report(name string, r *drift.Report) {
	d.say("%-9s %7d  %-16s %-38s %s", name, r.Rows.Compared, drift.Words(r.Verdict), list(r.Drifted), list(r.Undecided))
}

func list(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}

func judged(window string, r *drift.Report) Judged {
	return Judged{Window: window, Rows: r.Rows.Compared, Verdict: string(r.Verdict), Columns: append([]string{}, r.Drifted...)}
}

// pages is where the pages of a kind of report are kept.
func (d *demo) pages(kind string) string { return filepath.Join(filepath.Dir(d.facts), kind) }

// shown is the path of a page, as short as it can be typed.
func (d *demo) shown(kind, name string) string {
	full := filepath.Join(d.pages(kind), name)
	if here, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(here, full); err == nil {
			return short
		}
	}
	return full
}

func (d *demo) keepPage(ctx context.Context, month int, r *drift.Report) error {
	return d.keep(ctx, "reports/drift/"+modelName+"/"+r.Window.ID+"/"+r.ID+".html", "drift", fmt.Sprintf("2013-%02d.html", month))
}

// keep puts a report's page where a browser finds it.
func (d *demo) keep(ctx context.Context, key, kind, name string) error {
	object, err := d.Data.Get(ctx, key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.pages(kind), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.pages(kind), name), object.Body, 0o644)
}
