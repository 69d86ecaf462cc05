package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/evaluation"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
)

// look is one look at a window.
type look struct {
	m        *watched
	win      period.Window
	hours    []sources
	measured time.Duration // label delay, by earlier windows
	mature   time.Time     // predictions before it are
	always   bool          // asked for: report also when there is nothing
	past     map[string]*evaluation.Report
}

// evaluate joins what is missing, judges the window and publishes the report. done is
// nil where there is nothing to report, or waiting says what there was no time for.
func (w *Watcher) evaluate(ctx context.Context, l *look, p *purse) (done *Done, waiting *Waiting, err error) {
	chosen, err := w.chosen(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	for {
		t, err := w.terms(ctx, l.m, l.win, l.mature, chosen)
		if err != nil {
			return nil, nil, err
		}
		missing, err := w.missing(ctx, l.m, t, l.hours)
		if err != nil {
			return nil, nil, err
		}
		left, err := w.joinAll(ctx, l.m, t, l.hours, missing, p)
		if err != nil {
			return nil, nil, err
		}
		if len(left) > 0 || p.short() {
			return nil, l.wait(left), nil
		}
		tally, err := w.merge(ctx, l.m, t, l.hours)
		if err != nil {
			return nil, nil, err
		}
		more, again := tally.Choose()
		if !again {
			done, err = w.publish(ctx, l, t, tally)
			return done, nil, err
		}
		if chosen, err = w.choose(ctx, l, more); err != nil {
			return nil, nil, err
		}
	}
}

// wait says what has to wait: the hours at the given places, or the judging alone.
func (l *look) wait(left []int) *Waiting {
	out := &Waiting{Model: l.m.name, Window: l.win.ID, Hours: len(left)}
	for _, at := range left {
		out.Bytes += l.hours[at].bytes()
	}
	return out
}

// segments is evaluations/<m>/segments/<window>-<digest>.json: which values of segment
// columns with many are measured apart. It is written once, so that all looks at a
// window cut alike.
type segments struct {
	V      int                 `json:"v"`
	Chosen map[string][]string `json:"chosen"`
}

func segmentsKey(l *look) string {
	p := &l.m.policy
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d", p.Segments, p.MaxSegments))
	return folderOf(l.m.name) + "segments/" + l.win.ID + "-" + hex.EncodeToString(sum[:6]) + ".json"
}

func (w *Watcher) chosen(ctx context.Context, l *look) (map[string][]string, error) {
	if len(l.m.policy.Segments) == 0 {
		return nil, nil
	}
	obj, err := w.Data.Get(ctx, segmentsKey(l))
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("watch: read segments: %w", err)
	}
	var s segments
	if err := json.Unmarshal(obj.Body, &s); err != nil || s.V != 1 {
		return nil, fault.Wrap(fmt.Errorf("version %d: %v", s.V, err), fault.Internal, "the segments of window %s of model %q are damaged", l.win.ID, l.m.name)
	}
	return s.Chosen, nil
}

// choose stores the segments of a window, and returns those that are stored. Should
// that not be enough (more values have come since), the later choice holds for this look.
func (w *Watcher) choose(ctx context.Context, l *look, more map[string][]string) (map[string][]string, error) {
	body, err := json.Marshal(segments{V: 1, Chosen: more})
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "segments cannot be encoded")
	}
	created, err := blob.PutOnce(ctx, w.Data, segmentsKey(l), append(body, '\n'))
	if err != nil || created {
		return more, err
	}
	stored, err := w.chosen(ctx, l)
	if err != nil {
		return nil, err
	}
	for column := range more {
		if _, ok := stored[column]; !ok {
			return more, nil
		}
	}
	return stored, nil
}
