package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidegate/tidegate/shared/drift"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
	"github.com/tidegate/tidegate/shared/profile"
	"github.com/tidegate/tidegate/shared/profile/job"
	"github.com/tidegate/tidegate/shared/validate"
)

var jobPattern = validate.NewPattern(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}Z-[0-9a-f]{12}$`)

// batch adds up the profiles of a job's items and reports on them. Rows in are rows
// out: every item must have its profile, and as many rows as the plan says.
func (w *Watcher) batch(ctx context.Context, m *watched, id string) (Out, error) {
	if !jobPattern.MatchString(id) {
		return Out{}, fault.Invalid(fault.Violation{Path: "job", Problem: "must be the job that the plan names"})
	}
	p, err := w.readPlan(ctx, m.name, id)
	if err != nil {
		return Out{}, err
	}
	g := w.gather(m, period.Window{ID: id, Batch: true})
	var mu sync.Mutex
	var wrong []string
	err = period.Each(ctx, len(p.Parts), func(ctx context.Context, i int) error {
		problem, err := w.part(ctx, g, &p.Parts[i])
		if problem != "" {
			mu.Lock()
			defer mu.Unlock()
			wrong = append(wrong, problem)
		}
		return err
	})
	if err != nil {
		return Out{}, err
	}
	if len(wrong) > 0 {
		const most = 5
		slices.Sort(wrong)
		n := len(wrong)
		return Out{}, fault.New(fault.FailedPrecondition, "rows in are not rows out in %d of %d items: %s", n, len(p.Parts), strings.Join(wrong[:min(n, most)], "; "))
	}
	if _, err := g.version(ctx, p.Version); err != nil { // also where no item has a row
		return Out{}, err
	}
	job, err := g.job(ctx)
	if err != nil {
		return Out{}, err
	}
	for _, l := range []drift.LeftOut{{Reason: drift.LeftSkipped, Detail: "objects whose names say that they are no data", Examples: p.Skipped},
		{Reason: drift.LeftEmpty, Detail: "objects without a byte", Examples: p.Empty}} {
		if l.Count, l.Unit = uint64(len(l.Examples)), drift.UnitObjects; l.Count > 0 {
			job.LeftOut = append(job.LeftOut, l)
		}
	}
	done, err := w.publish(ctx, m, job)
	if err != nil {
		return Out{}, err
	}
	return Out{Reports: []Done{*done}}, nil
}

func (w *Watcher) readPlan(ctx context.Context, model, id string) (*Plan, error) {
	obj, err := w.Data.Get(ctx, planKey(model, id))
	if fault.Is(err, fault.NotFound) {
		return nil, fault.Wrap(err, fault.NotFound, "there is no batch job %s of model %q", id, model)
	}
	if err != nil {
		return nil, err
	}
	var p Plan
	if err := json.Unmarshal(obj.Body, &p); err != nil || p.V < 1 || p.V > PlanVersion || p.Model != model || p.Job != id {
		return nil, fault.Wrap(fmt.Errorf("version %d: %v", p.V, err), fault.Internal, "the plan of a batch is damaged")
	}
	return &p, nil
}

// part adds the profile of one item; problem says how its rows do not add up.
func (w *Watcher) part(ctx context.Context, g *gathered, part *Part) (problem string, err error) {
	where := fmt.Sprintf("item %s (%s", part.ID, profile.Cut(part.Key))
	if n := len(part.RowGroups); n > 0 {
		where += fmt.Sprintf(", row groups %d to %d", part.RowGroups[0], part.RowGroups[n-1])
	}
	where += ")"
	obj, err := w.Data.Get(ctx, profile.BatchKey(part.Model, part.Job, part.ID))
	if fault.Is(err, fault.NotFound) {
		why, err := w.failure(ctx, part)
		return where + " has no profile" + why, err
	}
	if err != nil {
		return "", fmt.Errorf("watch: read a profile: %w", err)
	}
	d, err := profile.ParseDocument(obj.Body)
	if err != nil {
		return where + " has a damaged profile", nil
	}
	if d.Source.Key != part.Key || !slices.Equal(d.Source.RowGroups, part.RowGroups) || d.Model != part.Model {
		return where + " has the profile of something else", nil
	}
	var grouped uint64
	for i := range d.Groups {
		grouped += d.Groups[i].Rows
	}
	if out := grouped + d.Report.RowsLeftOut(); grouped != d.Report.Rows || part.Rows != nil && out != *part.Rows {
		want := d.Report.Rows + d.Report.RowsLeftOut()
		if part.Rows != nil {
			want = *part.Rows
		}
		return fmt.Sprintf("%s has %d rows of %d%s", where, out, want, because(&d.Report)), nil
	}
	return "", g.add(ctx, d, time.Time{})
}

// failure is the reason that an item without a profile left; none when its function died.
func (w *Watcher) failure(ctx context.Context, part *Part) (why string, err error) {
	obj, err := w.Data.Get(ctx, job.FailureKey(part.Model, part.Job, part.ID))
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("watch: read a failure: %w", err)
	}
	return ": " + strings.TrimSpace(string(obj.Body)), nil
}

func because(r *profile.Report) string {
	if len(r.Uncounted) == 0 {
		return ""
	}
	return ": " + r.Uncounted[0].Reason
}
