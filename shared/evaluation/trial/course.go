package trial

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// course is what the log says of a rollout.
type course struct {
	id                   string
	champion, challenger registry.Ref
	settings             string    // digest of the settings that it keeps
	since                time.Time // pairs count from here: the shadow phase, if there was one
	started              time.Time // traffic counts from here
	evidence             string    // on which the present step began; "" of the first step
}

// course follows the log back to where the rollout began, and from there to where
// its version became the shadow of the same champion.
func (j *Judge) course(ctx context.Context, model string, s *registry.State) (*course, error) {
	c := &course{id: s.Rollout.ID, champion: *s.Slots.Champion, challenger: *s.Slots.Challenger, settings: s.Rollout.SettingsDigest}
	at := *s
	for {
		if l := &at.Last; c.evidence == "" && l.Kind == registry.KindAdvance && at.Rollout.Step == s.Rollout.Step && len(l.Evidence) > 0 {
			c.evidence = l.Evidence[0]
		}
		c.started = at.Last.At
		before, err := j.before(ctx, model, &at)
		if err != nil {
			return nil, err
		}
		if before == nil || before.Rollout == nil || before.Rollout.ID != c.id {
			c.since = c.started
			return c, j.shadowed(ctx, model, c, before)
		}
		at = *before
	}
}

// shadowed moves since to the begin of the shadow phase that ended at the state s.
func (j *Judge) shadowed(ctx context.Context, model string, c *course, s *registry.State) error {
	for s != nil && s.Slots.Shadow != nil && *s.Slots.Shadow == c.challenger && *s.Slots.Champion == c.champion {
		c.since = s.Last.At
		var err error
		if s, err = j.before(ctx, model, s); err != nil {
			return err
		}
	}
	return nil
}

// before is the state that s replaced, nil of the first one.
func (j *Judge) before(ctx context.Context, model string, s *registry.State) (*registry.State, error) {
	if s.Generation <= 1 {
		return nil, nil
	}
	older, err := j.Registry.LogEntry(ctx, model, s.Generation-1)
	if err != nil {
		return nil, err
	}
	return &older, nil
}

// pairsAt is how many pairs there were when the step began: those of the judgement
// that it began with.
func (j *Judge) pairsAt(ctx context.Context, digest string) (uint64, error) {
	if digest == "" {
		return 0, nil
	}
	e, err := j.Registry.Evidence(ctx, digest)
	if err != nil {
		return 0, err
	}
	var report struct {
		Pairs struct {
			Pairs uint64 `json:"pairs"`
		} `json:"pairs"`
	}
	if len(e.Report) > 0 { // evidence of other programs may lack it: then all pairs count for the step
		if err := json.Unmarshal(e.Report, &report); err != nil {
			return 0, fault.Wrap(err, fault.Internal, "the report of evidence %s is damaged", digest)
		}
	}
	return report.Pairs.Pairs, nil
}
