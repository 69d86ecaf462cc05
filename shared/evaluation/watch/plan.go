package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
)

// PlanIn names a window whose hours are to be joined side by side.
type PlanIn struct {
	Model  string `json:"model"`
	Window string `json:"window"`
}

// PlanOut says where the items are.
type PlanOut struct {
	Model  string `json:"model"`
	Window string `json:"window"`
	Bucket string `json:"bucket"`
	Items  string `json:"items"` // key of a JSON array of items of this function
	Count  int    `json:"count"`
	Hours  int    `json:"hours"` // of the window that anything is stored of; the others are joined already
	Bytes  int64  `json:"bytes"` // to be read, as plain text, about
}

// item is one hour to be joined.
type item struct {
	Model        string `json:"model"`
	Hour         string `json:"hour"`
	MatureBefore string `json:"mature_before"`
}

// plan lists the hours of a window that are not joined yet.
func (w *Watcher) plan(ctx context.Context, in *PlanIn) (Out, error) {
	m, err := w.model(ctx, in.Model)
	if err != nil {
		return Out{}, err
	}
	win, err := period.Parse(m.policy.Window(), in.Window)
	if err != nil {
		return Out{}, fault.Invalid(fault.Violation{Path: "plan.window", Problem: fault.Public(err).Violations[0].Problem})
	}
	r := w.newRun(ctx)
	l, err := w.prepare(ctx, r, m, win)
	if err != nil {
		return Out{}, err
	}
	chosen, err := w.chosen(ctx, l)
	if err != nil {
		return Out{}, err
	}
	t, err := w.terms(ctx, m, win, l.mature, chosen)
	if err != nil {
		return Out{}, err
	}
	missing, err := w.missing(ctx, m, t, l.hours)
	if err != nil {
		return Out{}, err
	}
	items := []item{}
	for _, at := range missing {
		items = append(items, item{m.name, l.hours[at].hour.UTC().Format(time.RFC3339), l.mature.UTC().Format(time.RFC3339)})
	}
	body, err := json.Marshal(items)
	if err != nil {
		return Out{}, fault.Wrap(err, fault.Internal, "a plan cannot be encoded")
	}
	sum := sha256.Sum256(body)
	p := &PlanOut{Model: m.name, Window: win.ID, Bucket: w.Bucket, Items: folderOf(m.name) + "plans/" + win.ID + "-" + hex.EncodeToString(sum[:6]) + ".json",
		Count: len(items), Hours: len(l.hours), Bytes: l.wait(missing).Bytes}
	if _, err := blob.PutOnce(ctx, w.Data, p.Items, append(body, '\n')); err != nil {
		return Out{}, err
	}
	r.out.Plan = p
	return r.out, nil
}

// item joins one hour.
func (w *Watcher) item(ctx context.Context, in *In) (Out, error) {
	hour, err := moment("hour", in.Hour)
	if err != nil {
		return Out{}, err
	}
	if !hour.Equal(hour.Truncate(time.Hour)) {
		return Out{}, fault.Invalid(fault.Violation{Path: "hour", Problem: "must be a whole hour"})
	}
	var mature time.Time
	if in.MatureBefore != "" {
		if mature, err = moment("mature_before", in.MatureBefore); err != nil {
			return Out{}, err
		}
	}
	m, err := w.model(ctx, in.Model)
	if err != nil {
		return Out{}, err
	}
	r := w.newRun(ctx)
	l := &look{m: m, win: period.At(m.policy.Window(), hour), mature: mature}
	if in.MatureBefore == "" {
		if l, err = w.prepare(ctx, r, m, l.win); err != nil {
			return Out{}, err
		}
	}
	chosen, err := w.chosen(ctx, l)
	if err != nil {
		return Out{}, err
	}
	t, err := w.terms(ctx, m, l.win, l.mature, chosen)
	if err != nil {
		return Out{}, err
	}
	s, err := r.catalogue.hour(ctx, m.name, hour)
	if err != nil {
		return Out{}, err
	}
	missing, err := w.missing(ctx, m, t, []sources{s})
	if err != nil {
		return Out{}, err
	}
	done := HourDone{Model: m.name, Hour: hour.Format(time.RFC3339), Key: hourKey(m.name, hour, s.id(t.id))}
	if len(missing) > 0 {
		if done, _, err = w.join(ctx, m, t, hour, w.Budget); err != nil {
			return Out{}, err
		}
	}
	r.out.Hours = []HourDone{done}
	return r.out, nil
}

func moment(field, text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fault.Invalid(fault.Violation{Path: field, Problem: "must be a time such as 2026-11-24T13:00:00Z"})
	}
	return at.UTC(), nil
}
