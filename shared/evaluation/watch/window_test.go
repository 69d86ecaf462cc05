package watch

import (
	"testing"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/quality"
	"github.com/tidegate/tidegate/shared/period"
)

func TestMatureBefore(t *testing.T) {
	day, month, hour := period.At(period.Day, date(0)), period.At(7*period.Day, date(0)), period.At(time.Hour, date(0).Add(5*time.Hour))
	for name, c := range map[string]struct {
		win   period.Window
		delay time.Duration
		now   time.Time
		want  time.Time
	}{
		"a day, closed":           {day, 24 * time.Hour, day.End.Add(time.Hour), day.Start},
		"a day, later":            {day, 24 * time.Hour, day.End.Add(23 * time.Hour), day.Start},
		"a day, mature":           {day, 24 * time.Hour, day.End.Add(24 * time.Hour), day.End},
		"a day, no delay":         {day, 0, day.End.Add(time.Hour), day.End},
		"a day, open":             {day, time.Hour, day.Start.Add(13 * time.Hour), day.Start},
		"a week, closed":          {month, 36 * time.Hour, month.End.Add(time.Hour), month.End.Add(-48 * time.Hour)},
		"a week, a moment later":  {month, 36 * time.Hour, month.End.Add(35 * time.Hour), month.End.Add(-48 * time.Hour)},
		"a week, mature":          {month, 36 * time.Hour, month.End.Add(36 * time.Hour), month.End},
		"a week, open":            {month, 36 * time.Hour, month.Start.Add(75 * time.Hour), month.Start.Add(24 * time.Hour)},
		"a week, delay of weeks":  {month, 400 * time.Hour, month.End.Add(time.Hour), month.Start},
		"an hour, closed":         {hour, 30 * time.Minute, hour.End.Add(20 * time.Minute), hour.Start},
		"an hour, before it ends": {hour, 0, hour.Start.Add(30 * time.Minute), hour.Start},
		"an hour, mature":         {hour, 30 * time.Minute, hour.End.Add(30 * time.Minute), hour.End},
	} {
		if got := matureBefore(c.win, c.delay, c.now); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestDue(t *testing.T) {
	minutes := func(n int) *int { return &n }
	day := func(change func(*quality.Policy)) *quality.Policy {
		p := quality.DefaultPolicy()
		change(&p)
		return &p
	}
	now := date(40).Add(30 * time.Minute)
	for name, c := range map[string]struct {
		policy      *quality.Policy
		n           int
		first, last string
	}{
		"days":            {day(func(*quality.Policy) {}), 6, "2026-12-26", "2026-12-31"}, // that of yesterday is not closed, the seventh is over
		"hours":           {day(func(p *quality.Policy) { p.WindowMinutes = 60 }), 167, "2026-12-26T00-00", "2027-01-01T22-00"},
		"weeks":           {day(func(p *quality.Policy) { p.WindowMinutes = 7 * 1440 }), 3, "2026-12-07", "2026-12-21"},
		"labels of weeks": {day(func(p *quality.Policy) { p.LabelDelayMinutes = minutes(14 * 1440) }), 15, "2026-12-17", "2026-12-31"},
		"hours of a year": {day(func(p *quality.Policy) { p.WindowMinutes, p.LabelDelayMinutes = 60, minutes(365*1440) }), mostWindows, "", ""},
	} {
		got := due(c.policy, now)
		if len(got) != c.n {
			t.Errorf("%s: %d windows, want %d", name, len(got), c.n)
			continue
		}
		if c.first != "" && (got[0].ID != c.first || got[len(got)-1].ID != c.last) {
			t.Errorf("%s: from %s to %s, want %s to %s", name, got[0].ID, got[len(got)-1].ID, c.first, c.last)
		}
	}
}

func TestPurse(t *testing.T) {
	now := date(0)
	p := &purse{now: func() time.Time { return now }, deadline: now.Add(100 * time.Second), rate: 1 << 20}
	if !p.fits(1<<40) || p.short() {
		t.Error("the first piece of work always fits")
	}
	if err := p.work(20<<20, func() error { now = now.Add(5 * time.Second); return nil }); err != nil {
		t.Fatal(err)
	}
	if p.rate != 4<<20 {
		t.Errorf("%v bytes a second, want 4 MiB", p.rate)
	}
	if !p.fits(200<<20) || p.fits(300<<20) { // 95 s are left, 30 of which are kept
		t.Errorf("rate %v", p.rate)
	}
	if err := p.work(100, func() error { now = now.Add(85 * time.Second); return nil }); err != nil || p.rate != 4<<20 {
		t.Errorf("small pieces say nothing of the rate: %v, %v", p.rate, err)
	}
	if !p.short() || p.fits(1) {
		t.Error("10 seconds are too few")
	}
	if free := (&purse{now: p.now, spent: true}); !free.fits(1<<50) || free.short() {
		t.Error("without a deadline everything fits")
	}
}
