package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tidegate/tidegate/cmd/tidegate/stack"
	"github.com/tidegate/tidegate/shared/pause"
	"github.com/tidegate/tidegate/shared/registry"
	"github.com/tidegate/tidegate/shared/rollout"
	"github.com/tidegate/tidegate/tests/demo/flights"
	"github.com/tidegate/tidegate/tests/demo/traffic"
)

// training is one that goes on beside something else.
type training struct {
	learned
	err  error
	done chan struct{}
}

// trainBroken trains a version whose labels somebody had the wrong way round, so that its scores are inverted.
func (d *demo) trainBroken(ctx context.Context, reg *registry.Registry, all []flights.Flight) *training {
	t := &training{done: make(chan struct{})}
	go func() {
		defer close(t.done)
		var data, trainingSchema []byte
		if data, trainingSchema, t.err = flights.InvertedSet(flights.Arrived(flights.Departed(flights.Of(all, 1, 2, 3)))); t.err == nil {
			t.learned, t.err = d.learn(ctx, reg, data, trainingSchema)
		}
	}()
	return t
}

// broken lets a person insist on that version.
func (d *demo) broken(ctx context.Context, reg *registry.Registry, all []flights.Flight, l *training, facts *Facts) error {
	d.chapter("Roll out a broken version, because a person insists")
	if <-l.done; l.err != nil {
		return l.err
	}
	d.tellTraining(&l.learned)
	d.say("Its labels were the wrong way round. On its own holdout, which has the same labels, its ROC AUC is %.4f: nothing looks wrong.", l.Metrics["roc_auc"])
	if err := d.configure(ctx, reg, 0, "no shadow phase: there is no time"); err != nil {
		return err
	}
	if _, err := d.lead(ctx, stack.RolloutIn{Version: l.Version, Actor: actor, Reason: "no time for evidence, it looks fine", Waive: []string{rollout.WaiveEvidence}}); err != nil {
		return err
	}
	r := RolledOut{Version: l.Version}
	if err := d.follow(ctx, reg, &r, nil, begins); err != nil {
		return err
	}
	october, err := d.days(ctx, flights.Departed(flights.Of(all, 10)), 2)
	if err != nil {
		return err
	}
	if err := d.follow(ctx, reg, &r, october.daily(&r), ends); err != nil {
		return err
	}
	d.say("%d days of October were sent by then; %s.", len(october.sent), october.share(l.Version))
	return d.filedUnder(ctx, reg, &r, registry.KindAbort, facts)
}

// Effect is how fast a rollback was.
type Effect struct {
	Seconds float64 `json:"seconds_to_effect"` // from the command to the last answer of the version that was taken back
}

// rollBack takes the champion back by hand, under traffic.
func (d *demo) rollBack(ctx context.Context, reg *registry.Registry, all []flights.Flight, facts *Facts) error {
	d.chapter("Roll back by hand")
	state, _, err := reg.State(ctx, modelName)
	if err != nil {
		return err
	}
	removed := state.Slots.Champion.Version
	p, err := d.probe(ctx, flights.Departed(flights.Of(all, 11)))
	if err != nil {
		return err
	}
	if err := pause.For(ctx, time.Second); err != nil {
		return err
	}
	asked := time.Now()
	out, err := d.Move(ctx, rollout.PromoteIn{Model: modelName, Kind: registry.KindRollback, Version: removed, SeenGeneration: state.Generation,
		Actor: actor, Reason: "a person wants the old version back"})
	took := time.Since(asked)
	if err == nil {
		err = pause.For(ctx, seenWithin+2*time.Second)
	}
	sent := p.stop()
	if err != nil {
		return fmt.Errorf("rollback: %w", err)
	}
	d.told = out.Generation
	last, old := time.Duration(0), 0
	for _, a := range sent {
		if a.err != nil {
			return fmt.Errorf("a request failed during the rollback: %w", a.err)
		}
		if a.version == removed {
			last = max(last, a.at.Sub(asked))
		} else if a.at.After(asked) {
			old++
		}
	}
	champion := out.State.Slots.Champion.Version
	facts.Rollback = &Effect{Seconds: last.Seconds()}
	d.say("generation %d, %s: version %d is the champion again; version %d is rejected, and nothing moves forward until %s.", out.Generation, registry.KindRollback, champion, removed,
		out.State.Frozen.Until.Format(time.DateTime))
	d.say("The write took %.2f s. Under traffic from 2 clients the last answer of version %d came %.2f s after the command, then %d of version %d.", took.Seconds(), removed, last.Seconds(), old, champion)
	if old == 0 || last-took > seenWithin {
		return fmt.Errorf("%.1f s after the rollback version %d still answered", last.Seconds(), removed)
	}
	return nil
}

// answered is one answer of a probe.
type answered struct {
	version int
	at      time.Time
	err     error
}

// prober keeps asking until it is stopped.
type prober struct {
	mu   sync.Mutex
	got  []answered
	stop func() []answered
}

// probe asks about one flight after another.
func (d *demo) probe(ctx context.Context, fs []flights.Flight) (*prober, error) {
	client, err := d.client(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &prober{}
	var clients sync.WaitGroup
	for worker := range 2 {
		clients.Go(func() {
			sender := traffic.Sender{Client: client, Model: modelName, Flights: fs, Concurrency: 1}
			for i := worker; ctx.Err() == nil; i = (i + 2) % len(fs) {
				s := sender.Send(ctx, []traffic.Request{{Form: traffic.Rows, First: i, Rows: 1}}, func(traffic.Sent) {})[0]
				if ctx.Err() != nil {
					return
				}
				p.mu.Lock()
				p.got = append(p.got, answered{s.Version, time.Now(), s.Err})
				p.mu.Unlock()
				if pause.For(ctx, 150*time.Millisecond) != nil { // each request is an object and an invocation more
					return
				}
			}
		})
	}
	p.stop = func() []answered { cancel(); clients.Wait(); return p.got }
	return p, nil
}
