package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/pause"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/tests/demo/flights"
	"github.com/tidegate/tidegate/tests/demo/traffic"
)

// perRequest is the most flights of a day in one request. Each call of the local AWS
// costs the same, however many rows it has.
const perRequest = 1000

// seenWithin is how long environments may serve by an older state (PROTOCOLS §2).
const seenWithin = 5 * time.Second

// shadowPairs end the shadow phase: most of August's flights.
const shadowPairs = 25_000

// stepDays are how many days of flights a step but the last one gets, and dayTakes how
// long a day is here: a month could be sent within the bake of one step.
const (
	stepDays = 7
	dayTakes = 800 * time.Millisecond
)

// rollOut leads version 2 through August and September.
func (d *demo) rollOut(ctx context.Context, reg *registry.Registry, all []flights.Flight, version int, facts *Facts) error {
	d.chapter("Shadow it in August")
	r := RolledOut{Version: version}
	shadowed := func(s *registry.State) bool { return s.Last.Kind == registry.KindShadowStart }
	if err := d.follow(ctx, reg, &r, nil, shadowed); err != nil {
		return err
	}
	if err := pause.For(ctx, seenWithin); err != nil {
		return err
	}
	august, err := d.days(ctx, flights.Departed(flights.Of(all, 8)), 4)
	if err != nil {
		return err
	}
	if _, err := august.next(ctx, len(august.plan)); err != nil {
		return err
	}
	d.say("%d flights of August in %d requests, all answered by version %s, and their labels as one file.", len(august.fs), len(august.plan), list(august.by()))
	if err := d.follow(ctx, reg, &r, nil, begins); err != nil {
		return err
	}
	d.chapter("Roll it out in September")
	september, err := d.days(ctx, flights.Departed(flights.Of(all, 9)), 2)
	if err != nil {
		return err
	}
	if err := d.follow(ctx, reg, &r, september.daily(&r), ends); err != nil {
		return err
	}
	d.say("Until then %d flights of September were sent, day by day, and their labels came: %s.", september.sentRows(), september.share(version))
	return d.filedUnder(ctx, reg, &r, registry.KindPromote, facts)
}

// filedUnder holds the end of a rollout to what it must be.
func (d *demo) filedUnder(ctx context.Context, reg *registry.Registry, r *RolledOut, want string, facts *Facts) error {
	state, err := reg.LogEntry(ctx, modelName, d.told)
	if err != nil {
		return err
	}
	r.Outcome = state.Last.Kind
	facts.Rollouts = append(facts.Rollouts, *r)
	if r.Outcome != want {
		return fmt.Errorf("the rollout of version %d ended by %s and not by %s: %s", r.Version, r.Outcome, want, state.Last.Reason)
	}
	return nil
}

// feed sends flights day by day, each followed by its labels.
type feed struct {
	*demo
	fs     []flights.Flight
	sender traffic.Sender
	plan   []traffic.Request
	sent   []traffic.Sent
}

func (d *demo) days(ctx context.Context, fs []flights.Flight, concurrency int) (*feed, error) {
	client, err := d.client(ctx)
	return &feed{demo: d, fs: fs, plan: traffic.Days(fs, perRequest),
		sender: traffic.Sender{Client: client, Model: modelName, Flights: fs, Concurrency: concurrency}}, err
}

// next sends the next requests and leaves the labels of their flights as one file. It
// says whether there were any.
func (f *feed) next(ctx context.Context, requests int) (bool, error) {
	plan := f.plan[len(f.sent):min(len(f.sent)+requests, len(f.plan))]
	if len(plan) == 0 {
		return false, nil
	}
	sent := f.sender.Send(ctx, plan, func(traffic.Sent) {})
	if err := failures(sent); err != nil {
		return false, err
	}
	f.sent = append(f.sent, sent...)
	f.until = plan[len(plan)-1].Key
	file := traffic.LabelFile(traffic.Labels(sent, f.fs, func(fl *flights.Flight) bool { return fl.ArrDelay != nil }))
	_, err := f.once(ctx, "labels/landed/files/"+modelName+"/"+f.until+"-"+digest(file)[:8]+".csv", file)
	return true, err
}

// daily feeds a rollout.
func (f *feed) daily(r *RolledOut) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		if steps := len(r.Steps) + 1; steps < len(weights) && len(f.sent) >= steps*stepDays {
			return false, nil
		}
		if err := pause.For(ctx, dayTakes); err != nil {
			return false, err
		}
		return f.next(ctx, 1)
	}
}

func (f *feed) sentRows() int {
	n := 0
	for _, s := range f.sent {
		n += s.Rows
	}
	return n
}

// by lists the versions that answered.
func (f *feed) by() []string {
	days := map[string]int{}
	for _, s := range f.sent {
		days[fmt.Sprint(s.Version)]++
	}
	return sortedKeys(days)
}

// share says how many days a version answered.
func (f *feed) share(version int) string {
	n := 0
	for _, s := range f.sent {
		if s.Version == version {
			n++
		}
	}
	return fmt.Sprintf("version %d answered %d of %d days", version, n, len(f.sent))
}

// lead starts the rollout machine.
func (d *demo) lead(ctx context.Context, in stack.RolloutIn) (string, error) {
	in.Model, in.RolloutID = modelName, d.NewID()
	execution, err := d.LeadRollout(ctx, in.RolloutID, in)
	if err != nil {
		return "", fmt.Errorf("the rollout of version %d: %w", in.Version, err)
	}
	return execution, nil
}
