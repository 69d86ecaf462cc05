// Package report keeps reports about windows of models: written once under a
// digest of what they were made of, each with its page, so that a repeated or
// concurrent run writes the same objects; a later report of a window supersedes
// the earlier one. It also keeps what has been told of a report, and which
// listings of sources have been looked at.
//
// It knows no report's content: what it stores are bytes.
//
//	store := report.Store{Data: data, Bucket: "data", Kind: "drift"}
//	stored, created, err := store.Put(ctx, model, window, id, page, body)
package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
)

// Store are the reports of one kind: reports/<kind>/<model>/<window>/<id>.json and
// .html, the report and its page; <id>.event.json, or <id>.<name>.event.json, what
// was emitted of it; done-<digest>.mark, a listing that has been looked at.
type Store struct {
	Data   blob.Store
	Bucket string // of Data, for URIs
	Kind   string // "drift", "evaluation"
	Log    *slog.Logger
}

func (s *Store) folder(model string) string { return "reports/" + s.Kind + "/" + model + "/" }

func (s *Store) key(model, window, id, ext string) string {
	return s.folder(model) + window + "/" + id + ext
}

// URI is the s3:// address of a report (".json") or its page (".html").
func (s *Store) URI(model, window, id, ext string) string {
	return "s3://" + s.Bucket + "/" + s.key(model, window, id, ext)
}

// Put writes page and report, unless the report is there, and returns what is
// stored: body, or what an earlier run left under its id. The page is written first
// and the report last, so a report that exists is complete.
func (s *Store) Put(ctx context.Context, model, window, id string, page func() ([]byte, error), body []byte) (stored []byte, created bool, err error) {
	key := s.key(model, window, id, ".json")
	obj, err := s.Data.Get(ctx, key)
	if err == nil {
		return obj.Body, false, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return nil, false, fmt.Errorf("report: look for %s: %w", key, err)
	}
	html, err := page()
	if err != nil {
		return nil, false, err
	}
	if err := s.once(ctx, s.key(model, window, id, ".html"), html); err != nil {
		return nil, false, err
	}
	if _, err := s.Data.Put(ctx, key, body, blob.Once()); err == nil {
		return body, true, nil
	} else if !fault.Is(err, fault.FailedPrecondition) {
		return nil, false, fmt.Errorf("report: write %s: %w", key, err)
	}
	if obj, err = s.Data.Get(ctx, key); err != nil { // a concurrent run was first
		return nil, false, fmt.Errorf("report: read %s: %w", key, err)
	}
	return obj.Body, false, nil
}

// once writes a write-once object; that it is there already is fine.
func (s *Store) once(ctx context.Context, key string, body []byte) error {
	_, err := blob.PutOnce(ctx, s.Data, key, body)
	return err
}

// Tell emits the event of a report once: the object beside the report, written
// after emit has returned, says that it was. A run that dies between the two tells
// twice, none tells never.
func (s *Store) Tell(ctx context.Context, model, window, id string, detail any, emit func() error) error {
	return s.tell(ctx, model, window, id, ".event.json", detail, emit)
}

// TellOf is Tell for one of several events of a report, each with a name of its own.
func (s *Store) TellOf(ctx context.Context, model, window, id, name string, detail any, emit func() error) error {
	return s.tell(ctx, model, window, id, "."+name+".event.json", detail, emit)
}

func (s *Store) tell(ctx context.Context, model, window, id, ext string, detail any, emit func() error) error {
	key := s.key(model, window, id, ext)
	_, err := s.Data.Head(ctx, key)
	if err == nil {
		return nil
	}
	if !fault.Is(err, fault.NotFound) {
		return fmt.Errorf("report: look for an event: %w", err)
	}
	if err := emit(); err != nil {
		return fmt.Errorf("report: tell of window %s of %s: %w", window, model, err)
	}
	body, err := json.Marshal(detail)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "an event cannot be encoded")
	}
	return s.once(ctx, key, append(body, '\n'))
}

// Marks are the listings of a model that have been looked at.
type Marks struct {
	store *Store
	model string
	keys  map[string]bool
	last  map[string]time.Time
}

// Marks reads those of the windows from the id first on.
func (s *Store) Marks(ctx context.Context, model, first string) (*Marks, error) {
	m := &Marks{store: s, model: model, keys: map[string]bool{}, last: map[string]time.Time{}}
	for info, err := range s.Data.List(ctx, s.folder(model), s.folder(model)+first) {
		if err != nil {
			return nil, fmt.Errorf("report: list those of %s: %w", model, err)
		}
		if strings.HasSuffix(info.Key, ".mark") {
			m.keys[info.Key] = true
			if window, _, _ := strings.Cut(strings.TrimPrefix(info.Key, s.folder(model)), "/"); info.Modified.After(m.last[window]) {
				m.last[window] = info.Modified
			}
		}
	}
	return m, nil
}

// Last is when a window was last looked at; the zero time if it never was.
func (m *Marks) Last(window string) time.Time { return m.last[window] }

func (m *Marks) key(window string, listing []blob.Info) string {
	return m.store.key(m.model, window, "done-"+period.Digest(listing), ".mark")
}

// Has says whether this listing of the window's sources has been looked at.
func (m *Marks) Has(window string, listing []blob.Info) bool { return m.keys[m.key(window, listing)] }

// Set notes that it has been, with the id of the report that came of it, or "". It
// is the last write of a window.
func (m *Marks) Set(ctx context.Context, window string, listing []blob.Info, id string) error {
	body, err := json.Marshal(map[string]string{"report": id})
	if err != nil {
		return fault.Wrap(err, fault.Internal, "a mark cannot be encoded")
	}
	return m.store.once(ctx, m.key(window, listing), append(body, '\n'))
}

// readOf is how many reports of one window Latest reads, the ones written last: runs that
// overlap may write an older revision after a newer one, but never many.
const readOf = 4

// Latest reads the reports of the last keep windows before or at the window, and of
// it, from the id from on, by window. Of several reports of one window the one that newer
// puts above the others counts, among the few that were written last. One that parse
// refuses is passed over, with a line in the log.
func Latest[R any](ctx context.Context, s *Store, model, from, window string, keep int, parse func([]byte) (R, error), newer func(a, b R) bool) (map[string]R, error) {
	byWindow := map[string][]blob.Info{}
	for info, err := range s.Data.List(ctx, s.folder(model), s.folder(model)+from) {
		if err != nil {
			return nil, fmt.Errorf("report: list those of %s: %w", model, err)
		}
		id, file, _ := strings.Cut(strings.TrimPrefix(info.Key, s.folder(model)), "/")
		if strings.HasSuffix(file, ".json") && !strings.HasSuffix(file, ".event.json") {
			byWindow[id] = append(byWindow[id], info)
		}
	}
	windows := make([]string, 0, len(byWindow))
	for id := range byWindow {
		windows = append(windows, id)
	}
	slices.Sort(windows)
	windows = windows[max(0, len(windows)-keep):]
	if len(byWindow[window]) > 0 && !slices.Contains(windows, window) {
		windows = append(windows, window)
	}
	found := make([][]R, len(windows))
	err := period.Each(ctx, len(windows), func(ctx context.Context, i int) error {
		infos := byWindow[windows[i]]
		slices.SortStableFunc(infos, func(a, b blob.Info) int { return b.Modified.Compare(a.Modified) })
		for _, info := range infos[:min(len(infos), readOf)] {
			r, err := read(ctx, s, info.Key, parse)
			if errors.Is(err, errPassed) {
				continue
			}
			if err != nil {
				return err
			}
			if len(found[i]) == 0 || newer(r, found[i][0]) {
				found[i] = []R{r}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := map[string]R{}
	for i, best := range found {
		if len(best) > 0 {
			out[windows[i]] = best[0]
		}
	}
	return out, nil
}

var errPassed = errors.New("passed over")

func read[R any](ctx context.Context, s *Store, key string, parse func([]byte) (R, error)) (R, error) {
	var none R
	obj, err := s.Data.Get(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return none, errPassed
	}
	if err != nil {
		return none, fmt.Errorf("report: read %s: %w", key, err)
	}
	r, err := parse(obj.Body)
	if err != nil {
		s.Log.Error("a report is damaged and is passed over", "key", key, "error", err.Error())
		return none, errPassed
	}
	return r, nil
}
