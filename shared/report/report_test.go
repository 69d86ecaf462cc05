package report_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/report"
)

func newStore() *report.Store {
	return &report.Store{Data: new(blob.Memory), Bucket: "data", Kind: "drift", Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func page(text string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(text), nil }
}

func TestAReportIsWrittenOnce(t *testing.T) {
	s := newStore()
	for i, want := range []string{"first", "first"} {
		stored, created, err := s.Put(t.Context(), "m", "2026-11-24", "a", page("page"), []byte([]string{"first", "second"}[i]))
		if err != nil || string(stored) != want || created != (i == 0) {
			t.Fatalf("%d: %q %v %v", i, stored, created, err)
		}
	}
	if _, err := s.Data.Get(t.Context(), "reports/drift/m/2026-11-24/a.html"); err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	if _, _, err := s.Put(t.Context(), "m", "2026-11-25", "a", func() ([]byte, error) { return nil, broken }, nil); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if got := s.URI("m", "w", "a", ".html"); got != "s3://data/reports/drift/m/w/a.html" {
		t.Error(got)
	}
}

func TestTellOnce(t *testing.T) {
	s, told := newStore(), 0
	emit := func() error {
		told++
		if told == 1 {
			return errors.New("the bus is down")
		}
		return nil
	}
	if err := s.Tell(t.Context(), "m", "w", "a", 1, emit); err == nil {
		t.Error("the error is lost")
	}
	for range 3 {
		if err := s.Tell(t.Context(), "m", "w", "a", 1, emit); err != nil {
			t.Error(err)
		}
	}
	if told != 2 {
		t.Errorf("told %d times", told)
	}
}

// TestTellOfEach: events of one report under other names are told apart, and none is taken for a report.
func TestTellOfEach(t *testing.T) {
	s, told := newStore(), map[string]int{}
	if _, _, err := s.Put(t.Context(), "m", "2026-11-24", "a", page("page"), []byte("report")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, name := range []string{"completed", "state"} {
			if err := s.TellOf(t.Context(), "m", "2026-11-24", "a", name, 1, func() error { told[name]++; return nil }); err != nil {
				t.Error(err)
			}
		}
	}
	if told["completed"] != 1 || told["state"] != 1 {
		t.Errorf("told %v", told)
	}
	if _, err := s.Data.Head(t.Context(), "reports/drift/m/2026-11-24/a.state.event.json"); err != nil {
		t.Error(err)
	}
	parse := func(raw []byte) (string, error) { return string(raw), nil }
	got, err := report.Latest(t.Context(), s, "m", "2026-11-01", "2026-11-24", 5, parse, func(a, b string) bool { return a > b })
	if err != nil || got["2026-11-24"] != "report" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestMarks(t *testing.T) {
	s := newStore()
	listing := []blob.Info{{Key: "p/1", ETag: "x"}}
	marks, err := s.Marks(t.Context(), "m", "2026-11-24")
	if err != nil || marks.Has("2026-11-24", listing) {
		t.Fatal(err)
	}
	for range 2 { // twice is fine
		if err := marks.Set(t.Context(), "2026-11-24", listing, "a"); err != nil {
			t.Fatal(err)
		}
	}
	if marks, err = s.Marks(t.Context(), "m", "2026-11-24"); err != nil || !marks.Has("2026-11-24", listing) || marks.Has("2026-11-24", nil) || marks.Has("2026-11-25", listing) {
		t.Errorf("%v", err)
	}
	if last := marks.Last("2026-11-24"); last.IsZero() || time.Since(last) > time.Hour || !marks.Last("2026-11-25").IsZero() {
		t.Errorf("last looked at %v", last)
	}
	if marks, err = s.Marks(t.Context(), "m", "2026-11-25"); err != nil || marks.Has("2026-11-24", listing) {
		t.Errorf("marks of earlier windows are read: %v", err)
	}
}

// TestLatest: of each window the newest, of the last windows and of the one asked
// for; damaged ones are passed over.
func TestLatest(t *testing.T) {
	s := newStore()
	for window, reports := range map[string][]string{"2026-11-20": {"1"}, "2026-11-21": {"1", "3", "2"}, "2026-11-22": {"bad"}, "2026-11-23": {"5"}} {
		for _, r := range reports {
			if _, _, err := s.Put(t.Context(), "m", window, "id"+r, page(""), []byte(r)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Tell(t.Context(), "m", "2026-11-21", "id3", "not a report", func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	parse := func(b []byte) (string, error) {
		if string(b) == "bad" {
			return "", errors.New("damaged")
		}
		return string(b), nil
	}
	got, err := report.Latest(t.Context(), s, "m", "2026-11-20", "2026-11-20", 3, parse, func(a, b string) bool { return a > b })
	if err != nil || len(got) != 3 || got["2026-11-20"] != "1" || got["2026-11-21"] != "3" || got["2026-11-23"] != "5" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestLatestOfMany: of a window with many reports only those that were written last are read.
func TestLatestOfMany(t *testing.T) {
	s := newStore()
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	s.Data = &blob.Memory{Now: func() time.Time { return now }}
	for i := range 40 { // the keys are in another order than the times
		now = now.Add(time.Minute)
		if _, _, err := s.Put(t.Context(), "m", "2026-11-24", fmt.Sprintf("id%02d", (i*7)%40), page(""), fmt.Appendf(nil, "%02d", i)); err != nil {
			t.Fatal(err)
		}
	}
	parsed := 0
	parse := func(b []byte) (string, error) { parsed++; return string(b), nil }
	got, err := report.Latest(t.Context(), s, "m", "2026-11-24", "2026-11-24", 3, parse, func(a, b string) bool { return a > b })
	if err != nil || got["2026-11-24"] != "39" || parsed > 4 {
		t.Errorf("%v of %d, %v", got, parsed, err)
	}
}
