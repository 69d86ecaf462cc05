package proof

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/label"
)

// Filing waits for labels to be filed under the hours of their predictions.
type Filing struct {
	Store    Captures // the data bucket
	Model    string
	Poll     time.Duration // between two looks
	Patience time.Duration // how long no label of those that are waited for may come

	seen map[string]bool
}

// Wait returns when a label of every id is filed, or Patience is used up: then the
// error says how many are missing. Ids are those of rows; progress is told how many are left.
func (w *Filing) Wait(ctx context.Context, ids []string, progress func(left int)) error {
	left, hours := map[string]bool{}, map[time.Time]bool{}
	for _, id := range ids {
		at, ok := label.TimeOf(id)
		if !ok {
			return fmt.Errorf("%q is no inference id", id)
		}
		left[id], hours[at.UTC().Truncate(time.Hour)] = true, true
	}
	w.seen = map[string]bool{}
	last := time.Now()
	for {
		before := len(left)
		for hour := range hours {
			if err := w.look(ctx, hour, left); err != nil {
				return err
			}
		}
		progress(len(left))
		if len(left) == 0 {
			return nil
		}
		if len(left) < before {
			last = time.Now()
		}
		if time.Since(last) >= w.Patience {
			return fmt.Errorf("%d of %d labels are not filed; look at the log of the function ingest and at its dead-letter queue", len(left), len(ids))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(w.Poll):
		}
	}
}

// look strikes out the labels in objects that it has not read yet.
func (w *Filing) look(ctx context.Context, hour time.Time, left map[string]bool) error {
	for info, err := range w.Store.List(ctx, label.Prefix(w.Model, hour), "") {
		if err != nil {
			return fmt.Errorf("list filed labels: %w", err)
		}
		if w.seen[info.Key] {
			continue
		}
		object, err := w.Store.Get(ctx, info.Key)
		if err != nil {
			return fmt.Errorf("read %s: %w", info.Key, err)
		}
		lines := label.NewScanner(bytes.NewReader(object.Body))
		for lines.Scan() {
			delete(left, lines.Record().ID)
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("read %s: %w", info.Key, err)
		}
		w.seen[info.Key] = true
	}
	return nil
}
