package registry

import (
	"errors"
	"strconv"
	"time"
)

// Kinds of transition that bring a new version into service, or stop it on its way.
const (
	KindShadowStart = "shadow.start"
	KindShadowStop  = "shadow.stop"
	KindStart       = "rollout.start"
	KindAdvance     = "rollout.advance"
	KindPause       = "rollout.pause"
	KindResume      = "rollout.resume"
	KindPromote     = "promote"
	KindAbort       = "abort"
)

// A rollout's status.
const (
	Progressing = "progressing"
	Paused      = "paused"
)

// errUnneeded ends a transition whose aim the state has reached by another one.
var errUnneeded = errors.New("registry: the state is there already")

// StartShadow lets v score beside the versions that answer, without answering
// itself. The caller has verified that v is READY and takes every request that the
// champion takes.
func StartShadow(v Ref) Change {
	return Change{Kind: KindShadowStart, Apply: func(next *State, now time.Time) error {
		if s := next.Slots.Shadow; s != nil && *s == v {
			return errUnneeded
		} else if s != nil {
			return refuse("version %d is the shadow; stop it first", s.Version)
		}
		if err := next.admits(v, now); err != nil {
			return err
		}
		next.Slots.Shadow = &v
		return nil
	}}
}

// StopShadow takes version v out of the shadow slot; it works while frozen.
func StopShadow(v int) Change {
	return Change{Kind: KindShadowStop, Apply: func(next *State, _ time.Time) error {
		switch s := next.Slots.Shadow; {
		case s == nil:
			return errUnneeded
		case s.Version != v:
			return refuse("version %d is the shadow, not version %d", s.Version, v)
		}
		next.Slots.Shadow = nil
		return nil
	}}
}

// StartRollout makes v the challenger at its first weight, in hundredths of a
// percent. id is the rollout's for ever: it salts the routing of keys, and every
// later move names it, so that a machine whose rollout has ended moves nothing. The
// rollout keeps the settings that are in force now. The caller has verified v as
// for [StartShadow] and has judged the evidence.
func StartRollout(v Ref, id, owner string, weight int) Change {
	return Change{Kind: KindStart, Apply: func(next *State, now time.Time) error {
		if r := next.Rollout; r != nil {
			return refuse("a rollout of version %d is under way (%s): wait for its end or abort it", next.Slots.Challenger.Version, r.ID)
		}
		if err := next.admits(v, now); err != nil {
			return err
		}
		if weight < 1 || weight > MaxWeight {
			return refuse("the first step has the weight %d, outside 1..%d", weight, MaxWeight)
		}
		next.Slots.Challenger, next.Weights.Challenger = &v, weight
		next.Rollout = &Rollout{ID: id, Owner: owner, SettingsDigest: next.SettingsDigest, StepStartedAt: now, Status: Progressing}
		next.settle()
		return nil
	}}
}

// admits says whether v may come into a slot beside the champion.
func (s *State) admits(v Ref, now time.Time) error {
	if err := s.thawed(now); err != nil {
		return err
	}
	if reason, bad := s.Rejected[strconv.Itoa(v.Version)]; bad {
		return refuse("version %d is rejected (%s); readmit it first", v.Version, reason)
	}
	if s.Slots.Champion.Version == v.Version {
		return refuse("version %d is the champion already", v.Version)
	}
	if c := s.Slots.Challenger; c != nil && c.Version == v.Version {
		return refuse("version %d is the challenger already", v.Version)
	}
	return nil
}

func (s *State) thawed(now time.Time) error {
	if !s.FrozenAt(now) {
		return nil
	}
	return refuse("the model is frozen until %s by %s (%s); unfreeze it first", s.Frozen.Until.Format(time.RFC3339), s.Frozen.By, s.Frozen.Reason)
}

// settle empties the shadow slot when its version answers requests: it is paired anyway.
func (s *State) settle() {
	for _, r := range []*Ref{s.Slots.Champion, s.Slots.Challenger} {
		if r != nil && s.Slots.Shadow != nil && s.Slots.Shadow.Version == r.Version {
			s.Slots.Shadow = nil
		}
	}
}

// Ongoing returns the rollout if it is the one with the given id; FailedPrecondition
// when that has ended.
func (s *State) Ongoing(id string) (*Rollout, error) {
	switch {
	case s.Rollout == nil:
		return nil, refuse("there is no rollout; %s has ended", id)
	case s.Rollout.ID != id:
		return nil, refuse("rollout %s has ended; %s is under way", id, s.Rollout.ID)
	}
	return s.Rollout, nil
}

// done says whether step of a rollout may end: nobody has paused it, nothing is
// frozen, and it has lasted for bake.
func (s *State) done(r *Rollout, step int, bake time.Duration, now time.Time) error {
	if err := s.thawed(now); err != nil {
		return err
	}
	if r.Status != Progressing {
		return refuse("rollout %s is paused; resume it first", r.ID)
	}
	if r.Step != step {
		return refuse("rollout %s is at step %d, not at step %d", r.ID, r.Step, step)
	}
	if left := bake - r.Baked(now); left > 0 {
		return refuse("step %d of rollout %s lasts %s more", step, r.ID, left.Round(time.Millisecond))
	}
	return nil
}

// AdvanceRollout gives the challenger the weight of the step after from, which has
// lasted for bake. A rollout that is past from needs no move.
func AdvanceRollout(id string, from int, bake time.Duration, weight int) Change {
	return Change{Kind: KindAdvance, Apply: func(next *State, now time.Time) error {
		r, err := next.Ongoing(id)
		if err != nil {
			return err
		}
		if r.Step > from {
			return errUnneeded
		}
		if err := next.done(r, from, bake, now); err != nil {
			return err
		}
		if weight <= next.Weights.Challenger || weight > MaxWeight {
			return refuse("a step raises the weight, from %d to at most %d; %d does not", next.Weights.Challenger, MaxWeight, weight)
		}
		next.Weights.Challenger = weight
		r.Step, r.StepStartedAt = from+1, now
		return nil
	}}
}

// PauseRollout keeps a rollout where it is until somebody resumes it. Its bake stands still.
func PauseRollout(id, reason string) Change {
	return Change{Kind: KindPause, Apply: func(next *State, now time.Time) error {
		r, err := next.Ongoing(id)
		switch {
		case err != nil:
			return err
		case reason == "":
			return refuse("a pause needs a reason")
		case r.Status == Paused:
			return errUnneeded
		}
		r.Status, r.PausedAt = Paused, now
		return nil
	}}
}

// ResumeRollout lets a paused rollout go on: what passed while it was paused is neither
// baking nor waiting. A step that had not baked for as long as bakes says goes on where it
// was; one that had waited beyond its bake begins again, since a person who lets it wait on
// does not want it paused for its long wait at once.
func ResumeRollout(id, reason string, bakes []time.Duration) Change {
	return Change{Kind: KindResume, Apply: func(next *State, now time.Time) error {
		r, err := next.Ongoing(id)
		switch {
		case err != nil:
			return err
		case reason == "":
			return refuse("resuming a rollout needs a reason")
		case r.Status == Progressing:
			return errUnneeded
		}
		baked := r.Baked(now)
		if r.PausedAt.IsZero() || r.Step >= len(bakes) || baked >= bakes[r.Step] {
			baked = 0
		}
		r.Status, r.StepStartedAt, r.PausedAt = Progressing, now.Add(-baked), time.Time{}
		return nil
	}}
}

// Promote makes the challenger of a rollout the champion after its last step, which
// has lasted for bake; the old champion becomes the previous one. The caller has
// judged the evidence.
func Promote(id string, last int, bake time.Duration) Change {
	return Change{Kind: KindPromote, Apply: func(next *State, now time.Time) error {
		r, err := next.Ongoing(id)
		if err != nil {
			return err
		}
		if err := next.done(r, last, bake, now); err != nil {
			return err
		}
		next.Slots.Previous, next.Slots.Champion = next.Slots.Champion, next.Slots.Challenger
		next.endRollout()
		next.settle()
		return nil
	}}
}

// Abort ends a rollout: the champion answers everything. It works while frozen.
// With reject the challenger must not serve again, for the given reason.
func Abort(id string, reject bool, reason string) Change {
	return Change{Kind: KindAbort, Apply: func(next *State, _ time.Time) error {
		if _, err := next.Ongoing(id); err != nil {
			return err
		}
		if reject && reason == "" {
			return refuse("rejecting a version needs a reason")
		}
		challenger := next.Slots.Challenger.Version
		next.endRollout()
		if reject {
			next.reject(challenger, reason)
		}
		return nil
	}}
}

func (s *State) endRollout() { s.Slots.Challenger, s.Rollout, s.Weights = nil, nil, Weights{} }
