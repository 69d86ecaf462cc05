package rollout

import (
	"context"
	"time"

	"github.com/tidegate/tidegate/shared/evaluation/comparison"
	"github.com/tidegate/tidegate/shared/fault"
	"github.com/tidegate/tidegate/shared/registry"
)

// KindLook reads and moves nothing: what a machine does at each poll.
const KindLook = "look"

// Ended is the status of a rollout that is not under way any more.
const Ended = "ended"

// Progress is where a rollout stands, in the numbers that a machine waits and decides
// by. Without a rollout it is what the next one would take.
type Progress struct {
	RolloutID  string `json:"rollout_id,omitempty"`
	Status     string `json:"status"`             // progressing, paused, ended; "" where none was asked for and none is under way
	EndedBy    string `json:"ended_by,omitempty"` // the kind of the move that ended it: promote, abort, rollback
	Frozen     bool   `json:"frozen"`
	Champion   int    `json:"champion"`
	Challenger int    `json:"challenger,omitempty"`
	Step       int    `json:"step"`
	Last       bool   `json:"last"`      // no step follows
	Weight     int    `json:"weight"`    // hundredths of a percent
	Elapsed    int64  `json:"elapsed_s"` // since the step began, without the time that it is paused
	Bake       int64  `json:"bake_s"`
	Poll       int64  `json:"poll_s"` // until the next look: a fiftieth of what is left; paused: of the bake a fifth
	Policy     Policy `json:"policy"`
	AsksStart  bool   `json:"asks_start"` // a person must agree
	AsksFinal  bool   `json:"asks_promote"`
}

// look answers a poll. Asked for a rollout by id it says when that has ended, so that
// its machine ends too, whatever else is under way by then.
func (p *Promoter) look(ctx context.Context, in *PromoteIn) (PromoteOut, error) {
	s, _, err := p.Registry.State(ctx, in.Model)
	if err != nil {
		return PromoteOut{}, err
	}
	now := p.Registry.Now()
	g := Progress{RolloutID: in.RolloutID, Champion: s.Slots.Champion.Version, Frozen: s.FrozenAt(now)}
	digest, r := s.SettingsDigest, s.Rollout
	if r != nil && in.RolloutID != "" && r.ID != in.RolloutID {
		r = nil
	}
	if r != nil {
		digest = r.SettingsDigest
	}
	settings, policy, err := p.settingsOf(ctx, in.Model, digest)
	if err != nil {
		return PromoteOut{}, err
	}
	g.Policy, g.AsksStart, g.AsksFinal = policy, policy.Asks(registry.KindStart), policy.Asks(registry.KindPromote)
	switch {
	case r != nil:
		if err := g.at(&s, r, settings, now); err != nil {
			return PromoteOut{}, err
		}
	case in.RolloutID != "":
		g.Status = Ended
		if g.EndedBy, err = p.endedBy(ctx, &s, in.RolloutID); err != nil {
			return PromoteOut{}, err
		}
	}
	return PromoteOut{Model: in.Model, Generation: s.Generation, TransitionID: in.TransitionID, State: s, Progress: &g}, nil
}

// at fills in where a rollout is.
func (g *Progress) at(s *registry.State, r *registry.Rollout, settings registry.Settings, now time.Time) error {
	g.RolloutID, g.Status, g.Challenger, g.Step, g.Weight = r.ID, r.Status, s.Slots.Challenger.Version, r.Step, s.Weights.Challenger
	steps := g.Policy.Steps
	if r.Step >= len(steps) {
		return fault.New(fault.Internal, "rollout %s of model %q is at step %d of a policy with %d", r.ID, s.Model, r.Step, len(steps))
	}
	judged, err := comparison.ParsePolicy(settings.Comparison)
	if err != nil {
		return refuse("the comparison policy in force is not valid (%s); configure the model again", fault.Public(err).Message)
	}
	g.Last, g.Bake = r.Step == len(steps)-1, steps[r.Step].BakeSeconds
	g.Elapsed = int64(r.Baked(now) / time.Second)
	if r.Status == registry.Paused {
		g.Poll = pausedPoll(g.Bake)
		return nil
	}
	left := g.Bake - g.Elapsed
	if left <= 0 { // waiting for data, until a person is asked
		left = int64(judged.MaxWait*float64(g.Bake)) - g.Elapsed
	}
	g.Poll = poll(left, g.Bake)
	return nil
}

// poll is a fiftieth of the seconds that are left, at most 15 min and at least 15 s, or
// 1 s where the step itself is a matter of seconds: an execution has 25,000 events.
func poll(left, bake int64) int64 {
	least := int64(15)
	if bake < 600 {
		least = 1
	}
	return min(max(left/50, least), 900)
}

// pausedPoll is how soon a machine should see that a person has resumed its rollout: two
// minutes, sooner where steps are short.
func pausedPoll(bake int64) int64 { return min(max(bake/5, 1), 120) }

// endedBy finds the move that ended a rollout, from the newest generation back; "" for
// a rollout that the log does not know.
func (p *Promoter) endedBy(ctx context.Context, newest *registry.State, id string) (string, error) {
	after := *newest
	for g := newest.Generation - 1; g > 0; g-- {
		s, err := p.Registry.LogEntry(ctx, newest.Model, g)
		if err != nil {
			return "", err
		}
		if s.Rollout != nil && s.Rollout.ID == id {
			return after.Last.Kind, nil
		}
		after = s
	}
	return "", nil
}
