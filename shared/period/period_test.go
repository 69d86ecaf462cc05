package period_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/blob"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/period"
)

// TestWindows: whole days, parts of them, weeks from a Monday, also before 1970.
func TestWindows(t *testing.T) {
	thursday := time.Date(2026, 11, 26, 13, 7, 0, 0, time.UTC)
	for length, want := range map[time.Duration]string{
		period.Day: "2026-11-26", time.Hour: "2026-11-26T13-00", 5 * time.Minute: "2026-11-26T13-05", 12 * time.Hour: "2026-11-26T12-00", 7 * period.Day: "2026-11-23",
	} {
		win := period.At(length, thursday)
		if win.ID != want || thursday.Before(win.Start) || !thursday.Before(win.End) {
			t.Errorf("%s: %+v, want %s", length, win, want)
		}
		if parsed, err := period.Parse(length, win.ID); err != nil || parsed != win {
			t.Errorf("%s: %+v, %v", length, parsed, err)
		}
	}
	if win := period.At(7*period.Day, time.Date(1970, 1, 4, 23, 0, 0, 0, time.UTC)); win.ID != "1969-12-29" {
		t.Errorf("before the first Monday: %+v", win)
	}
	for _, id := range []string{"", "2026-11-24", "2026-11-23T00-00", "monday"} {
		if _, err := period.Parse(7*period.Day, id); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestDue(t *testing.T) {
	now := time.Date(2026, 11, 26, 1, 4, 0, 0, time.UTC)
	var ids []string
	for _, w := range period.Due(period.Day, time.Hour+5*time.Minute, 3*period.Day, now) {
		ids = append(ids, w.ID)
	}
	if want := []string{"2026-11-23", "2026-11-24"}; !slices.Equal(ids, want) { // the 25th is closed, but not for long enough
		t.Errorf("%v, want %v", ids, want)
	}
	all := period.Due(5*time.Minute, 0, 30*period.Day, now)
	if len(all) != 2016 || all[0].ID != "2026-11-19T01-00" || all[2015].ID != "2026-11-26T00-55" { // a week of them, no more
		t.Errorf("%d windows", len(all))
	}
}

func TestHours(t *testing.T) {
	store := new(blob.Memory)
	for _, key := range []string{"p/2026-11-25/22/a", "p/2026-11-25/23/b", "p/2026-11-26/00/c", "p/2026-11-26/01/d", "p/2026-11-26/junk", "p/x/01/e", "q/2026-11-26/00/f"} {
		if _, err := store.Put(t.Context(), key, []byte(key), blob.Always()); err != nil {
			t.Fatal(err)
		}
	}
	at := func(day, hour int) time.Time { return time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC) }
	infos, err := period.Hours(t.Context(), store, "p/", at(25, 23), at(26, 1))
	if err != nil || len(infos) != 2 || infos[0].Key != "p/2026-11-25/23/b" || infos[1].Key != "p/2026-11-26/00/c" {
		t.Fatalf("%+v, %v", infos, err)
	}
	if one := period.Between(infos, "p/", at(26, 0), at(27, 0)); len(one) != 1 || one[0].Key != "p/2026-11-26/00/c" {
		t.Errorf("%+v", one)
	}
	all, err := period.Hours(t.Context(), store, "p/", at(25, 0), at(27, 0))
	if err != nil || len(all) != 4 {
		t.Fatalf("%+v, %v", all, err)
	}
	for first := range 4 {
		for n := range 4 - first { // half an hour earlier, and to the same hour, it is the same
			from, to := at(25, 22+first), at(25, 22+first+n)
			got := period.Between(all, "p/", from.Add(-30*time.Minute), to.Add(-30*time.Minute))
			if !slices.EqualFunc(got, all[first:first+n], func(a, b blob.Info) bool { return a.Key == b.Key }) {
				t.Errorf("from %s to %s: %+v", from, to, got)
			}
		}
	}
	if none := period.Between(all, "p/", at(26, 1), at(25, 22)); len(none) != 0 {
		t.Errorf("%+v", none)
	}
	if period.Digest(infos) == period.Digest(infos[:1]) || period.Digest(infos) != period.Digest(slices.Clone(infos)) {
		t.Error("the digest does not name the listing")
	}
}

func TestEachStopsAtTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	var done atomic.Int64
	err := period.Each(t.Context(), 10_000, func(_ context.Context, i int) error {
		done.Add(1)
		if i == 20 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) || done.Load() == 10_000 {
		t.Errorf("%v after %d", err, done.Load())
	}
	if err := period.Each(t.Context(), 0, nil); err != nil {
		t.Error(err)
	}
}
