package trial

import (
	"context"
	"fmt"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/registry"
)

// shadow says whether the shadow phase of a version is over. Its pairs are those
// that the rollout will count, so harm that they show ends it before it begins.
func (j *Judge) shadow(ctx context.Context, model string, in *Shadow) (Out, error) {
	s, _, err := j.Registry.State(ctx, model)
	if err != nil {
		return Out{}, err
	}
	if s.Slots.Shadow == nil || s.Slots.Shadow.Version != in.Version {
		return Out{Action: Stopped, Summary: fmt.Sprintf("Version %d is not the shadow any more.", in.Version)}, nil
	}
	c := &course{champion: *s.Slots.Champion, challenger: *s.Slots.Shadow, settings: s.SettingsDigest}
	if err := j.shadowed(ctx, model, c, &s); err != nil {
		return Out{}, err
	}
	// A folder of its own: nothing is frozen yet that the rollout would be bound to.
	c.id = "shadow " + c.challenger.Digest + " " + c.since.UTC().Format(time.RFC3339Nano)
	c.started = c.since
	m, err := j.matter(ctx, model, c)
	if err != nil {
		return Out{}, err
	}
	pairs, _, left, err := m.count(ctx)
	if err != nil {
		return Out{}, err
	}
	elapsed := max(0, int64(j.Now().Sub(c.since)/time.Second))
	out := waits("the shadow phase goes on")
	out.Pairs, out.Left, out.Poll = pairs.Pairs(), left, pollOf(in.Seconds, elapsed)
	if left > 0 {
		return out, nil
	}
	d, err := comparison.Decide(pairs, m.compare, comparison.Step{Elapsed: elapsed, Bake: max(1, in.Seconds, elapsed)})
	if err != nil {
		return Out{}, err
	}
	switch {
	case d.Action == comparison.Abort:
		report, err := comparison.NewReport(pairs, m.compare, &d)
		if err != nil {
			return Out{}, err
		}
		out.Action, out.Reject, out.Summary = d.Action, d.Reject, d.Summary
		out.Evidence, err = j.store(ctx, report, registry.Evidence{Model: model, Champion: c.champion, Challenger: c.challenger, Decision: string(d.Action),
			Reject: d.Reject, Summary: d.Summary, Generation: s.Generation})
		return out, err
	case in.Pairs > 0 && pairs.Pairs() >= uint64(in.Pairs), in.Seconds > 0 && elapsed >= in.Seconds, in.Pairs == 0 && in.Seconds == 0:
		out.Action, out.Summary = comparison.Start, fmt.Sprintf("The shadow phase is over: %d pairs in %s.", pairs.Pairs(), time.Duration(elapsed)*time.Second)
	}
	return out, nil
}

// pollOf is a fiftieth of what is left, between 15 s and 15 min, or from 1 s on where
// the phase itself is short. A phase that only pairs end is looked at like one that
// takes twice as long as it has taken.
func pollOf(seconds, elapsed int64) int64 {
	left, least := seconds-elapsed, int64(15)
	if seconds == 0 {
		left, seconds = elapsed, elapsed
	}
	if seconds < 600 {
		least = 1
	}
	return min(max(left/50, least), 900)
}
